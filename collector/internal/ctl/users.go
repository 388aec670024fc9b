package ctl

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// sessionPath is the file that holds the session.
func (s *scope) sessionPath() (string, error) {
	if s.flags.Session != "" {
		return s.flags.Session, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the folder of the session: %w", err)
	}
	return filepath.Join(dir, "flopwatch", "session.json"), nil
}

// readSession returns the session; its URL is "" if there is none.
func (s *scope) readSession() (apitypes.Endpoint, error) {
	path, err := s.sessionPath()
	if err != nil {
		return apitypes.Endpoint{}, nil // nowhere to keep one, so there is none
	}
	e, err := apitypes.ReadEndpoint(path)
	if errors.Is(err, fs.ErrNotExist) {
		return apitypes.Endpoint{}, nil
	}
	if err == nil {
		err = onlyMine(path)
	}
	return e, err
}

// errShared says that others on the machine can read a secret.
var errShared = errors.New("others can read it: make it readable by its owner alone (chmod 600)")

// onlyMine refuses a file with a secret that others can read or change.
func onlyMine(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: %w", path, info.Mode().Perm(), errShared)
	}
	return nil
}

// givenToken is the token that the caller names, "" for none: of a file, which is not
// seen by other programs as an environment is, or of FLOPWATCH_TOKEN.
func (s *scope) givenToken() (string, error) {
	path := s.flags.TokenFile
	if path == "" {
		return os.Getenv("FLOPWATCH_TOKEN"), nil
	}
	if err := onlyMine(path); err != nil {
		return "", err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" || len(text) > 200 || strings.ContainsAny(text, " \t\r\n") {
		return "", fmt.Errorf("read token %s: it must hold one token and nothing else", path)
	}
	return text, nil
}

// readSecret reads one line: without echo where a person types.
func (s *scope) readSecret(what string) (string, error) {
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		fmt.Fprintf(os.Stderr, "%s: ", what)
		text, err := term.ReadPassword(in)
		fmt.Fprintln(os.Stderr)
		return string(text), err
	}
	if s.in == nil {
		s.in = bufio.NewReader(os.Stdin)
	}
	line, err := s.in.ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.Join(fmt.Errorf("no %s on standard input", what), err)
	}
	return line, nil
}

func (s *scope) readPassword() (string, error) { return s.readSecret("password") }

type signInCommand struct {
	Login string `arg:"" help:"Your login."`
}

// Run opens a session and keeps it for the commands that follow.
func (c signInCommand) Run(s *scope) error {
	path, err := s.sessionPath()
	if err != nil {
		return err
	}
	password, err := s.readPassword()
	if err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	client.token = "" // nobody yet
	session, err := c.open(s, client, password)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
	if err := (apitypes.Endpoint{URL: client.base, Token: session.Token}).Write(path); err != nil {
		return err
	}
	if len(session.Recovery) > 0 {
		s.out.say("Recovery codes, each good once instead of a code of the app; they are not shown again:\n")
		for _, code := range session.Recovery {
			s.out.say("  %s\n", printable(code))
		}
	}
	s.out.say("signed in as %s until %s at the latest\n", printable(session.User), when(session.Expires))
	return nil
}

// open asks for a session, and for what the collector asks for besides the password.
func (c signInCommand) open(s *scope, client *client, password string) (session apitypes.Session, err error) {
	body := map[string]any{"login": c.Login, "password": password}
	ask := func(into any) error {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		return client.do(http.MethodPost, "/v1/sessions", nil, "application/json", data, into)
	}
	var wants *apitypes.Problem
	err = ask(&session)
	if errors.As(err, &wants) && wants.Type == apitypes.ProblemNewPassword {
		s.out.say("The password that you were given is good for this once. Set one of your own, 12 characters or more.\n")
		if body["new_password"], err = s.readSecret("new password"); err != nil {
			return session, err
		}
		wants, err = nil, ask(&session)
	}
	if err == nil {
		return session, nil
	}
	switch {
	case errors.As(err, &wants) && wants.Type == apitypes.ProblemSecondFactor:
	case errors.As(err, &wants) && wants.Type == apitypes.ProblemEnrolment:
		body["enrol"] = true
		var offered apitypes.Enrolment
		if err := ask(&offered); err != nil {
			return session, err
		}
		s.out.say("Your roles need a second factor. Add this to an authenticator app, then type the code that it shows.\nsecret: %s\nlink: %s\n", printable(offered.Secret), printable(offered.URI))
	default:
		return session, err
	}
	code, err := s.readSecret("code")
	if err != nil {
		return session, err
	}
	body["code"] = code
	return session, ask(&session)
}

type signOutCommand struct{}

// Run ends the session, also when the collector no longer knows it.
func (signOutCommand) Run(s *scope) error {
	path, err := s.sessionPath()
	if err != nil {
		return err
	}
	mine, err := s.readSession()
	if err != nil {
		return err
	}
	if mine.URL == "" {
		s.out.say("nobody is signed in\n")
		return nil
	}
	if client, err := s.connect(); err == nil && client.token == mine.Token {
		err = client.do(http.MethodDelete, "/v1/sessions", nil, "", nil, nil)
		var refused *apitypes.Problem
		if err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("forget the session: %w", err)
	}
	s.out.say("signed out\n")
	return nil
}

type whoamiCommand struct{}

// Run prints who asks.
func (whoamiCommand) Run(s *scope) error {
	me, err := one[apitypes.Me](s, "/v1/me", nil)
	if err != nil {
		return err
	}
	switch s.format {
	case "json":
		return printJSON(s.out, me)
	case "csv":
		return list(s, []apitypes.Me{me}, "", []column[apitypes.Me]{
			{name: "id", exact: func(m apitypes.Me) string { return m.ID }},
			{name: "roles", exact: func(m apitypes.Me) string { return strings.Join(m.Roles, " ") }},
			{name: "signed_in", exact: func(m apitypes.Me) string { return exactTime(m.SignedIn) }},
		})
	}
	s.out.say("%s: %s\nmay %s\n", printable(me.ID), printable(strings.Join(me.Roles, ", ")), printable(strings.Join(me.Actions, ", ")))
	return nil
}

type usersCommand struct{}

// Run prints the accounts.
func (usersCommand) Run(s *scope) error {
	rows, err := all[apitypes.User](s, "/v1/users", nil, 0)
	if err != nil {
		return err
	}
	return printUsers(s, rows)
}

func printUsers(s *scope, rows []apitypes.User) error {
	type row = apitypes.User
	return list(s, rows, "No accounts: the login link opens the desk for everything. Make one with flopwatchctl users add.", []column[row]{
		{name: "user_id", exact: func(u row) string { return u.ID }, title: "ID"},
		{name: "login", exact: func(u row) string { return u.Login }, title: "LOGIN"},
		{name: "roles", exact: func(u row) string { return strings.Join(u.Roles, " ") }, title: "ROLES"},
		{name: "disabled", exact: func(u row) string { return strconv.FormatBool(u.Disabled) }, title: "STATE", text: func(u row) string {
			if u.Disabled {
				return "barred"
			}
			return "active"
		}},
		{name: "created", exact: func(u row) string { return exactTime(u.Created) }, title: "CREATED", text: func(u row) string { return when(u.Created) }},
		{name: "second_factor", exact: func(u row) string { return strconv.FormatBool(u.SecondFactor) }, title: "SECOND FACTOR", text: func(u row) string {
			if u.SecondFactor {
				return "yes"
			}
			return "none yet"
		}},
		{name: "waiting_roles", exact: func(u row) string { return strings.Join(waitingRoles(u), " ") }},
	})
}

// waitingRoles are the roles of an account that wait for a second person.
func waitingRoles(u apitypes.User) (roles []string) {
	for _, g := range u.Grants {
		roles = append(roles, g.Roles...)
	}
	return roles
}

type addUserCommand struct {
	Login string   `arg:"" help:"Lower case letters, digits, dots, dashes."`
	Role  []string `help:"What they are trusted with; may be given more than once." required:""`
}

// Run makes an account.
func (c addUserCommand) Run(s *scope) error {
	password, err := s.readPassword()
	if err != nil {
		return err
	}
	u, err := send[apitypes.User](s, "/v1/users", apitypes.NewUser{Login: c.Login, Password: password, Roles: c.Role})
	if err != nil {
		return err
	}
	return printUser(s, u)
}

type changeUserCommand struct {
	ID       string   `arg:"" help:"usr_…, as flopwatchctl users lists it."`
	Role     []string `help:"All their roles from now on; one that is added waits for a second person."`
	Password bool     `help:"Read a new password from standard input. Another's is good for one sign-in within a day, in which they set their own."`
	Disable  bool     `help:"End what they may do, at once." xor:"state"`
	Enable   bool     `help:"Let them sign in again." xor:"state"`

	ResetSecondFactor bool   `help:"Take their second factor away: they enrol anew at the next sign-in. Not by who has just reset their password, where there is another administrator."`
	SamePersonAs      string `help:"usr_… of another account of the same human. It is never undone." placeholder:"ID"`

	Reason string `help:"Why; it stands in the audit log." required:""`
}

// Run changes an account.
func (c changeUserCommand) Run(s *scope) error {
	change := apitypes.UserChange{Roles: c.Role, Reason: c.Reason, ResetSecondFactor: c.ResetSecondFactor, SamePersonAs: c.SamePersonAs}
	if c.Disable || c.Enable {
		change.Disabled = &c.Disable
	}
	if c.Password {
		var err error
		if change.Password, err = s.readPassword(); err != nil {
			return err
		}
	}
	u, err := send[apitypes.User](s, "/v1/users/"+c.ID+"/changes", change)
	if err != nil {
		return err
	}
	return printUser(s, u)
}
