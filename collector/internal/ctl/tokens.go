package ctl

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type tokensCommands struct {
	List   listTokensCommand  `cmd:"" default:"withargs" help:"Your API tokens."`
	Make   makeTokenCommand   `cmd:"" help:"Make an API token; its text is told this once."`
	Revoke revokeTokenCommand `cmd:"" help:"End an API token, at once and for good."`
}

type listTokensCommand struct {
	All bool `help:"Those of everybody; for who administers."`
}

// Run prints tokens.
func (c listTokensCommand) Run(s *scope) error {
	query := url.Values{}
	if c.All {
		query.Set("all", "true")
	}
	rows, err := all[apitypes.Token](s, "/v1/tokens", query, 0)
	if err != nil {
		return err
	}
	return printTokens(s, rows)
}

func printTokens(s *scope, rows []apitypes.Token) error {
	type row = apitypes.Token
	exact := func(of func(row) time.Time) func(row) string {
		return func(t row) string {
			if of(t).IsZero() {
				return ""
			}
			return exactTime(of(t))
		}
	}
	return list(s, rows, "No API tokens. Make one with flopwatchctl tokens make.", []column[row]{
		{name: "token_id", exact: func(t row) string { return t.ID }, title: "ID"},
		{name: "name", exact: func(t row) string { return t.Name }, title: "NAME"},
		{name: "user_id", exact: func(t row) string { return t.User }, title: "FOR"},
		{name: "service", exact: func(t row) string { return strconv.FormatBool(t.Service) }},
		{name: "state", exact: func(t row) string { return t.State }, title: "STATE"},
		{name: "scope", exact: func(t row) string { return strings.Join(t.Scope, " ") }, title: "SCOPE"},
		{name: "from", exact: func(t row) string { return strings.Join(t.From, " ") }, title: "ONLY FROM"},
		{name: "tried_from_elsewhere", exact: func(t row) string { return number(t.Elsewhere) }, title: "TRIED FROM ELSEWHERE", text: func(t row) string {
			if t.Elsewhere == 0 {
				return "never"
			}
			return number(t.Elsewhere) + ", last " + when(t.ElsewhereLast)
		}},
		{name: "tried_from_elsewhere_last", exact: exact(func(t row) time.Time { return t.ElsewhereLast })},
		{name: "made", exact: exact(func(t row) time.Time { return t.Made })},
		{name: "expires", exact: exact(func(t row) time.Time { return t.Expires }), title: "EXPIRES", text: func(t row) string { return when(t.Expires) }},
		{name: "used", exact: exact(func(t row) time.Time { return t.Used }), title: "LAST USED", text: func(t row) string {
			if t.Used.IsZero() {
				return "never"
			}
			return when(t.Used)
		}},
		{name: "revoked", exact: exact(func(t row) time.Time { return t.Revoked })},
	})
}

type makeTokenCommand struct {
	Name    string   `arg:"" help:"What it is for."`
	Scope   []string `help:"What it may do, such as read-cases; may be given more than once." required:""`
	Days    int      `help:"How many days it holds, 90 at most." default:"90"`
	From    []string `help:"Network such as 192.0.2.0/24, or address, from which alone it is taken; may be given more than once." placeholder:"CIDR"`
	Service bool     `help:"It is for a program that serves others."`
	Out     string   `help:"New file for the text of the token, readable by its owner alone; else it is printed." placeholder:"FILE"`
}

// Run makes a token.
func (c makeTokenCommand) Run(s *scope) error {
	made, err := send[apitypes.MadeToken](s, "/v1/tokens", apitypes.NewToken{Name: c.Name, Scope: c.Scope, Days: c.Days, Service: c.Service, From: c.From})
	if err != nil {
		return err
	}
	if c.Out == "" {
		if s.format == "json" {
			return printJSON(s.out, made)
		}
		s.out.say("%s\n%s may %s until %s; this is the only time that it is shown\n", printable(made.Text), made.ID, printable(strings.Join(made.Scope, ", ")), when(made.Expires))
		return nil
	}
	file, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep the token %s, which was made; revoke it: %w", made.ID, err)
	}
	_, err = file.WriteString(made.Text + "\n")
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("keep the token %s, which was made; revoke it: %w", made.ID, err)
	}
	s.out.say("%s may %s until %s; it is in %s\n", made.ID, printable(strings.Join(made.Scope, ", ")), when(made.Expires), printable(c.Out))
	return nil
}

type revokeTokenCommand struct {
	ID string `arg:"" help:"tok_…, as flopwatchctl tokens lists it."`
}

// Run ends a token.
func (c revokeTokenCommand) Run(s *scope) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if err := client.do(http.MethodPost, "/v1/tokens/"+url.PathEscape(c.ID)+"/revocations", nil, "application/json", []byte("{}"), nil); err != nil {
		return err
	}
	s.out.say("%s is revoked\n", printable(c.ID))
	return nil
}
