package access

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/strictjson"
	"github.com/flopwatch/flopwatch/collector/internal/totp"
)

// Users finds people with accounts.
type Users interface {
	// User returns the user of an id; ok is false if there is none.
	User(ctx context.Context, id string) (u permission.User, ok bool, err error)
	// Credential returns the user of a login and the hash of their password.
	Credential(ctx context.Context, login string) (u permission.User, hash string, ok bool, err error)
	// AnyUser reports whether anybody has an account.
	AnyUser(ctx context.Context) (bool, error)
	// SetPassword puts a hash in the place of what is kept of a password; ok is false if
	// something else is kept by now.
	SetPassword(ctx context.Context, account, before, after string) (ok bool, err error)
}

// Sign-in is slowed down per login: after freeTries wrong passwords each further
// one doubles the wait, up to maxWait.
const (
	freeTries = 5
	firstWait = 2 * time.Second
	maxWait   = 15 * time.Minute
	maxLogins = 10_000 // logins of which wrong passwords are remembered
	maxSignIn = 4 << 10
)

// errRefused says no more than that, whatever was wrong.
var errRefused = errors.New("login and password do not belong together, or the account is barred")

// errWait says that too many passwords were wrong.
type errWait struct{ left time.Duration }

func (e errWait) Error() string {
	return fmt.Sprintf("too many wrong passwords or codes: try again in %d s", int(e.left.Seconds())+1)
}

// errCode says that a code is not good: wrong, too old, or used before.
var errCode = errors.New("the code is not good: it is wrong, too old, or was used before")

// errVoid says that an enrolment cannot be confirmed any more.
var errVoid = errors.New("no secret waits to be confirmed: another sign-in began to enrol after this one, it is too long ago, or a second factor was set up meanwhile. Sign in again; if that was not you, change your password")

// tries are the wrong passwords of one login.
type tries struct {
	wrong int
	last  time.Time
}

func (t tries) wait(now time.Time) time.Duration {
	if t.wrong < freeTries {
		return 0
	}
	wait := maxWait
	if n := t.wrong - freeTries; n < 9 {
		wait = min(maxWait, firstWait<<n)
	}
	return t.last.Add(wait).Sub(now)
}

// known returns the person whose login and password these are, and what is kept of
// the password if it is one for this once.
func (g *Guard) known(ctx context.Context, login, password string) (u permission.User, once string, err error) {
	if g.users == nil {
		return permission.User{}, "", errRefused
	}
	if left := g.wait(login); left > 0 {
		return permission.User{}, "", errWait{left}
	}
	u, hash, ok, err := g.users.Credential(ctx, login)
	if err != nil {
		return permission.User{}, "", err
	}
	if o, is := OneTimeOf(hash); is {
		hash, once = o.hash, hash
		ok = ok && g.now().Before(o.Expires)
	}
	if !ok || hash == "" { // nobody, or somebody who signs in elsewhere
		ok, hash = false, nobodysHash()
	}
	g.hashing <- struct{}{} // Argon2 takes memory: few at a time
	defer func() { <-g.hashing }()
	if left := g.wait(login); left > 0 { // what was tried while this one waited counts
		return permission.User{}, "", errWait{left}
	}
	right, err := checkPassword(hash, password)
	if err != nil {
		return permission.User{}, "", fmt.Errorf("user %s: %w", u.ID, err)
	}
	if !ok || !right || u.Disabled {
		g.tried(login, false)
		return permission.User{}, "", errRefused
	}
	g.tried(login, true)
	return u, once, nil
}

// wait is how long the next try has to wait.
func (g *Guard) wait(key string) time.Duration {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tries[key].wait(now)
}

// tried remembers how a try ended.
func (g *Guard) tried(key string, right bool) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if right {
		delete(g.tries, key)
		return
	}
	if _, known := g.tries[key]; !known {
		evict(g.tries, maxLogins, func(t tries) time.Time { return t.last })
	}
	g.tries[key] = tries{wrong: g.tries[key].wrong + 1, last: now}
}

// codeKey is under which wrong codes of an account are counted. No login has it.
func codeKey(account string) string { return "\x00" + account }

// checkCode uses up a code of a person. Wrong ones are slowed down like passwords.
func (g *Guard) checkCode(ctx context.Context, account, code string) error {
	g.coding.Lock()
	defer g.coding.Unlock()
	if left := g.wait(codeKey(account)); left > 0 {
		return errWait{left}
	}
	ok, err := g.factors.check(ctx, account, code, g.now())
	if err != nil {
		return err
	}
	g.tried(codeKey(account), ok)
	if !ok {
		return errCode
	}
	return nil
}

// enrol keeps the secret of an account once its first code was right, if it is the
// one that was offered last.
func (g *Guard) enrol(ctx context.Context, account string, secret []byte, code string) (recovery []string, err error) {
	g.coding.Lock()
	defer g.coding.Unlock()
	if left := g.wait(codeKey(account)); left > 0 {
		return nil, errWait{left}
	}
	if !g.isOffered(account, secret) {
		return nil, errVoid
	}
	recovery, ok, err := g.factors.enrol(ctx, account, secret, code, g.now())
	if err != nil {
		return nil, err
	}
	if ok {
		g.mu.Lock()
		delete(g.enrols, account)
		g.mu.Unlock()
	}
	g.tried(codeKey(account), ok)
	if !ok {
		return nil, errCode
	}
	return recovery, nil
}

// signInRequest is the body of POST /v1/sessions.
type signInRequest struct {
	Login    string `json:"login"`
	Password string `json:"password"`
	Code     string `json:"code"`  // of the second factor, or a recovery code
	Enrol    bool   `json:"enrol"` // asks for a secret, or confirms it with its first code
	// NewPassword is what a person sets in the place of a one-time password.
	NewPassword string `json:"new_password"`
}

// offer is the secret of an enrolment that was begun and not confirmed.
type offer struct {
	secret []byte
	made   time.Time
}

// offerTo begins the enrolment of an account with a fresh secret, which goes to who
// asks alone: what somebody else with the password was offered before is void, so
// nobody sees a secret that another one will confirm.
func (g *Guard) offerTo(ctx context.Context, account string) (secret []byte, err error) {
	now := g.now()
	g.mu.Lock()
	before, voids := g.enrols[account]
	voids = voids && now.Sub(before.made) < halfLife
	if !voids {
		evict(g.enrols, maxLogins, func(o offer) time.Time { return o.made })
	}
	o := offer{newSecret(), now}
	g.enrols[account] = o
	g.mu.Unlock()
	return o.secret, g.factors.begun(ctx, account, voids)
}

// offered is the secret that an account was offered last, nil if there is none to
// confirm.
func (g *Guard) offered(account string) []byte {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if o, ok := g.enrols[account]; ok && now.Sub(o.made) < halfLife {
		return o.secret
	}
	return nil
}

// isOffered reports whether a secret is the one that the account was offered last.
func (g *Guard) isOffered(account string, secret []byte) bool {
	have := g.offered(account)
	return have != nil && subtle.ConstantTimeCompare(have, secret) == 1
}

// signInByProgram is POST /v1/sessions: one request for each step, each with the
// password.
func (g *Guard) signInByProgram(w http.ResponseWriter, r *http.Request, in signInRequest) {
	u, once, err := g.known(r.Context(), in.Login, in.Password)
	var own string // hash of the password that takes its place
	switch {
	case err != nil:
	case once == "" && in.NewPassword != "":
		refuse(w, r, http.StatusUnprocessableEntity, errNoOneTime.Error())
		return
	case once != "" && in.NewPassword == "":
		refuseAs(w, apitypes.ProblemNewPassword, errOwnPassword.Error())
		return
	case once != "":
		if own, err = ownPassword(once, in.NewPassword); err != nil {
			refuse(w, r, http.StatusUnprocessableEntity, err.Error())
			return
		}
	}
	var left stage
	if err == nil {
		left, err = g.factors.wants(r.Context(), u)
	}
	var recovery []string
	switch {
	case err != nil:
	case left == wantsCode && in.Code == "":
		refuseAs(w, apitypes.ProblemSecondFactor, "send the code of your second factor as well, or a recovery code")
		return
	case left == wantsCode:
		err = g.checkCode(r.Context(), u.ID, in.Code)
	case left == wantsEnrolment && !in.Enrol:
		refuseAs(w, apitypes.ProblemEnrolment, "your roles need a second factor and you have none: enrol an authenticator app")
		return
	case left == wantsEnrolment && in.Code == "":
		secret, err := g.offerTo(r.Context(), u.ID)
		if err != nil {
			g.refuseSignIn(w, r, err)
			return
		}
		answerJSON(w, http.StatusOK, apitypes.Enrolment{Secret: totp.Text(secret), URI: totp.URI("flopwatch", u.Login, secret)})
		return
	case left == wantsEnrolment:
		recovery, err = g.enrol(r.Context(), u.ID, g.offered(u.ID), in.Code)
	}
	if err == nil && once != "" {
		err = g.setOwn(r, u.ID, once, own)
	}
	if err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	now := g.now()
	s := session{made: now, used: now, proved: now, user: u.ID, strong: left != complete}
	id, err := g.begin(r.Context(), s)
	if err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	answerJSON(w, http.StatusCreated, apitypes.Session{Token: sessionPrefix + id, User: u.ID, Expires: apitypes.Time(now.Add(SessionLife).UnixNano()), Recovery: recovery})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is sent; a client that left cannot be told more.
	_ = json.NewEncoder(w).Encode(body)
}

// refuseAs refuses with a problem that programs know by its type.
func refuseAs(w http.ResponseWriter, kind, why string) {
	p := apitypes.NewProblem(http.StatusForbidden, why)
	p.Type = kind
	w.Header().Set("Content-Type", apitypes.ProblemMedia)
	w.WriteHeader(p.Status)
	// The status is sent; a client that left cannot be told more.
	_ = json.NewEncoder(w).Encode(p)
}

// serveSessions takes POST, which signs a program of a person in, and DELETE,
// which ends the session that asks.
func (g *Guard) serveSessions(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		var in signInRequest
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSignIn))
		if err == nil {
			err = strictjson.Decode(body, &in)
		}
		if err != nil {
			refuse(w, r, http.StatusBadRequest, "send a JSON object with login and password, and code where a second factor is asked for")
			return
		}
		g.signInByProgram(w, r, in)
	case http.MethodDelete:
		if err := g.end(r); err != nil {
			g.refuseSignIn(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "POST, DELETE")
		refuse(w, r, http.StatusMethodNotAllowed, "this route takes POST and DELETE")
	}
}

func (g *Guard) refuseSignIn(w http.ResponseWriter, r *http.Request, err error) {
	var wait errWait
	switch {
	case errors.As(err, &wait):
		w.Header().Set("Retry-After", fmt.Sprint(int(wait.left.Seconds())+1))
		refuse(w, r, http.StatusTooManyRequests, wait.Error())
	case errors.Is(err, errRefused), errors.Is(err, errCode), errors.Is(err, errVoid):
		refuse(w, r, http.StatusForbidden, err.Error())
	default:
		g.log.LogAttrs(r.Context(), slog.LevelError, "sign-in failed", slog.String("error", err.Error()))
		refuse(w, r, http.StatusInternalServerError, "the sign-in could not be checked; the collector's log says why")
	}
}
