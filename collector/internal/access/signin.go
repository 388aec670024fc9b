package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Users finds people with accounts.
type Users interface {
	// User returns the user of an id; ok is false if there is none.
	User(ctx context.Context, id string) (u permission.User, ok bool, err error)
	// Credential returns the user of a login and the hash of their password.
	Credential(ctx context.Context, login string) (u permission.User, hash string, ok bool, err error)
	// AnyUser reports whether anybody has an account.
	AnyUser(ctx context.Context) (bool, error)
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
var errRefused = errors.New("login and password do not belong together, or the account is disabled")

// errWait says that too many passwords were wrong.
type errWait struct{ left time.Duration }

func (e errWait) Error() string {
	return fmt.Sprintf("too many wrong passwords: try again in %d s", int(e.left.Seconds())+1)
}

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

// signIn opens a session for a person and returns its secret.
func (g *Guard) signIn(ctx context.Context, login, password string) (id string, s session, err error) {
	if g.users == nil {
		return "", session{}, errRefused
	}
	now := g.now()
	g.mu.Lock()
	left := g.tries[login].wait(now)
	g.mu.Unlock()
	if left > 0 {
		return "", session{}, errWait{left}
	}
	u, hash, ok, err := g.users.Credential(ctx, login)
	if err != nil {
		return "", session{}, err
	}
	if !ok {
		hash = nobodysHash()
	}
	g.hashing <- struct{}{} // Argon2 takes memory: few at a time
	right, err := checkPassword(hash, password)
	<-g.hashing
	if err != nil {
		return "", session{}, fmt.Errorf("user %s: %w", u.ID, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !ok || !right || u.Disabled {
		evict(g.tries, maxLogins, func(t tries) time.Time { return t.last })
		t := g.tries[login]
		g.tries[login] = tries{wrong: t.wrong + 1, last: now}
		return "", session{}, errRefused
	}
	delete(g.tries, login)
	s = session{made: now, used: now, user: u.ID}
	return g.open(s), s, nil
}

// signInRequest is the body of POST /v1/sessions.
type signInRequest struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

// serveSessions takes POST, which signs a program of a person in, and DELETE,
// which ends the session that asks.
func (g *Guard) serveSessions(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		var in signInRequest
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSignIn))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			refuse(w, r, http.StatusBadRequest, "send a JSON object with login and password")
			return
		}
		id, s, err := g.signIn(r.Context(), in.Login, in.Password)
		if err != nil {
			g.refuseSignIn(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		// The status is sent; a client that left cannot be told more.
		_ = json.NewEncoder(w).Encode(apitypes.Session{Token: sessionPrefix + id, User: s.user, Expires: apitypes.Time(s.made.Add(SessionLife).UnixNano())})
	case http.MethodDelete:
		g.end(r)
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
	case errors.Is(err, errRefused):
		refuse(w, r, http.StatusForbidden, err.Error())
	default:
		g.log.LogAttrs(r.Context(), slog.LevelError, "sign-in failed", slog.String("error", err.Error()))
		refuse(w, r, http.StatusInternalServerError, "the sign-in could not be checked; the collector's log says why")
	}
}

// serveSignIn is the page on which people sign in.
func (g *Guard) serveSignIn(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		showSignIn(w, http.StatusOK, "")
	case http.MethodPost:
		if !g.origins[r.Header.Get("Origin")] {
			refuse(w, r, http.StatusForbidden, "the form was not this desk's")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxSignIn)
		if err := r.ParseForm(); err != nil {
			showSignIn(w, http.StatusBadRequest, "The form could not be read.")
			return
		}
		id, _, err := g.signIn(r.Context(), r.PostForm.Get("login"), r.PostForm.Get("password"))
		var wait errWait
		switch {
		case errors.As(err, &wait):
			showSignIn(w, http.StatusTooManyRequests, "Too many wrong passwords. Wait, and try again.")
		case errors.Is(err, errRefused):
			showSignIn(w, http.StatusForbidden, "Login and password do not belong together, or the account is disabled.")
		case err != nil:
			g.refuseSignIn(w, r, err)
		default:
			g.setCookie(w, id)
			show(w, http.StatusOK, "Signed in", "The desk opens by itself.", true)
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		refuse(w, r, http.StatusMethodNotAllowed, "")
	}
}

var signInPage = template.Must(template.New("sign-in").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in – flopwatch</title>
<link rel="stylesheet" href="/assets/desk.css">
</head>
<body class="plain">
<main>
<h1>Sign in</h1>
{{with .}}<p role="alert" class="fault">{{.}}</p>
{{end}}<form method="post" action="/sign-in">
<p><label for="login">Login</label><br><input id="login" name="login" autocomplete="username" required autofocus></p>
<p><label for="password">Password</label><br><input id="password" name="password" type="password" autocomplete="current-password" required></p>
<p><button>Sign in</button></p>
</form>
<p>An administrator makes accounts with <code>flopwatchctl users add</code>.</p>
</main>
</body>
</html>
`))

func showSignIn(w http.ResponseWriter, status int, fault string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// The status is sent; a client that left cannot be told more.
	_ = signInPage.Execute(w, fault)
}
