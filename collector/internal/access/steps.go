package access

import (
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/qr"
	"github.com/flopwatch/flopwatch/collector/internal/totp"
)

// signInView is what the page of a step shows.
type signInView struct {
	Fault    string
	Next     string        // page to open in the end
	Fresh    bool          // somebody is signed in and proves anew who they are
	Provider string        // name of an identity provider, "" for none
	QR       template.HTML // drawn by package qr from the program's own text
	Secret   string
	Codes    []string
}

// serveSignIn answers everything under /sign-in: password, then code or enrolment.
func (g *Guard) serveSignIn(w http.ResponseWriter, r *http.Request) {
	post := r.Method == http.MethodPost
	if !post && !safe(r.Method) {
		w.Header().Set("Allow", "GET, POST")
		refuse(w, r, http.StatusMethodNotAllowed, "")
		return
	}
	if post {
		if !g.origins[r.Header.Get("Origin")] {
			refuse(w, r, http.StatusForbidden, "the form was not this desk's")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxSignIn)
		if err := r.ParseForm(); err != nil {
			showStep(w, http.StatusBadRequest, "sign-in", signInView{Fault: "The form could not be read."})
			return
		}
	}
	switch r.URL.Path {
	case "/sign-in":
		g.passwordStep(w, r, post)
	case "/sign-in/code":
		g.codeStep(w, r, post)
	case "/sign-in/enrol":
		g.enrolStep(w, r, post)
	case "/sign-in/password":
		g.newPasswordStep(w, r, post)
	case "/sign-in/provider", "/sign-in/callback":
		switch {
		case g.provider == nil || g.outsiders == nil:
			refuse(w, r, http.StatusNotFound, "there is no such page")
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", "GET")
			refuse(w, r, http.StatusMethodNotAllowed, "")
		case r.URL.Path == "/sign-in/provider":
			g.toProvider(w, r)
		default:
			g.fromProvider(w, r)
		}
	default:
		refuse(w, r, http.StatusNotFound, "there is no such page")
	}
}

// passwordStep takes login and password.
func (g *Guard) passwordStep(w http.ResponseWriter, r *http.Request, post bool) {
	if !post {
		_, _, fresh, err := g.sessionOf(r)
		if err != nil {
			g.refuseSignIn(w, r, err)
			return
		}
		showStep(w, http.StatusOK, "sign-in", signInView{Next: pageOf(r.URL.Query().Get("next")), Fresh: fresh, Provider: g.providerName()})
		return
	}
	v := signInView{Next: pageOf(r.PostForm.Get("next")), Provider: g.providerName()}
	u, once, err := g.known(r.Context(), r.PostForm.Get("login"), r.PostForm.Get("password"))
	if err != nil {
		g.refuseStep(w, r, "sign-in", v, err)
		return
	}
	left, err := g.factors.wants(r.Context(), u)
	if err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	now := g.now()
	s := session{made: now, used: now, proved: now, user: u.ID, login: u.Login, stage: left, next: v.Next, once: once}
	if left == complete && once != "" {
		s.stage = wantsPassword
	}
	if left == wantsEnrolment {
		if s.secret, err = g.offerTo(r.Context(), u.ID); err != nil {
			g.refuseSignIn(w, r, err)
			return
		}
	}
	id, err := g.finish(r, s)
	if err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	g.setCookie(w, id, s)
	switch s.stage {
	case wantsPassword:
		http.Redirect(w, r, ownPasswordPage, http.StatusSeeOther)
	case wantsCode:
		http.Redirect(w, r, "/sign-in/code", http.StatusSeeOther)
	case wantsEnrolment:
		http.Redirect(w, r, "/sign-in/enrol", http.StatusSeeOther)
	default:
		showOpen(w, "Signed in", "The desk opens by itself.", v.Next)
	}
}

// at returns the sign-in that the request carries if this stage is what it has come to;
// else it answers.
func (g *Guard) at(w http.ResponseWriter, r *http.Request, step stage) (session, bool) {
	s, _, ok, err := g.begun(r)
	switch {
	case err != nil:
		g.refuseSignIn(w, r, err)
		return session{}, false
	case !ok || s.stage != step:
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return session{}, false
	}
	return s, true
}

// codeStep takes the code of the second factor.
func (g *Guard) codeStep(w http.ResponseWriter, r *http.Request, post bool) {
	s, ok := g.at(w, r, wantsCode)
	if !ok {
		return
	}
	if !post {
		showStep(w, http.StatusOK, "code", signInView{})
		return
	}
	if err := g.checkCode(r.Context(), s.user, r.PostForm.Get("code")); err != nil {
		g.refuseStep(w, r, "code", signInView{}, err)
		return
	}
	next, err := g.complete(w, r, s, true)
	switch {
	case err != nil:
		g.refuseSignIn(w, r, err)
	case next == ownPasswordPage:
		http.Redirect(w, r, next, http.StatusSeeOther)
	default:
		showOpen(w, "Signed in", "The desk opens by itself.", next)
	}
}

// enrolStep shows a new secret, and keeps it with its first code.
func (g *Guard) enrolStep(w http.ResponseWriter, r *http.Request, post bool) {
	s, ok := g.at(w, r, wantsEnrolment)
	if !ok {
		return
	}
	if !g.isOffered(s.user, s.secret) {
		g.refuseStep(w, r, "sign-in", signInView{Next: s.next, Provider: g.providerName()}, errVoid)
		return
	}
	v := signInView{Secret: totp.Text(s.secret)}
	code, err := qr.Encode(totp.URI("flopwatch", s.login, s.secret))
	if err == nil {
		v.QR = template.HTML(code.SVG("QR code for the authenticator app; the same as the secret below")) //nolint:gosec // no text from outside
	} else if !errors.Is(err, qr.ErrTooLong) { // the secret below is enough
		g.refuseSignIn(w, r, err)
		return
	}
	if !post {
		showStep(w, http.StatusOK, "enrol", v)
		return
	}
	recovery, err := g.enrol(r.Context(), s.user, s.secret, r.PostForm.Get("code"))
	if errors.Is(err, errVoid) {
		g.refuseStep(w, r, "sign-in", signInView{Next: s.next, Provider: g.providerName()}, err)
		return
	}
	if err != nil {
		g.refuseStep(w, r, "enrol", v, err)
		return
	}
	next, err := g.complete(w, r, s, true)
	if err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	if next == "" {
		next = "/"
	}
	showStep(w, http.StatusOK, "recovery", signInView{Codes: recovery, Next: next})
}

// newSecret returns a secret for an authenticator app.
func newSecret() []byte {
	b := make([]byte, totp.SecretSize)
	rand.Read(b) // never fails
	return b
}

// ownPasswordPage takes a person's own password in the place of a one-time password.
const ownPasswordPage = "/sign-in/password"

// complete turns a sign-in that was begun into a session, or into one that waits for
// the person's own password, and returns the page to go on with.
func (g *Guard) complete(w http.ResponseWriter, r *http.Request, s session, strong bool) (next string, err error) {
	now := g.now()
	if !s.outside { // else it is as the provider says
		s.proved = now
	}
	next = s.next
	s.stage, s.strong, s.secret, s.made, s.used = complete, strong, nil, now, now
	if s.once != "" {
		s.stage, next = wantsPassword, ownPasswordPage
	}
	id, err := g.finish(r, s)
	if err == nil {
		g.setCookie(w, id, s)
	}
	return next, err
}

func (g *Guard) setCookie(w http.ResponseWriter, id string, s session) {
	life := SessionLife
	if s.stage != complete {
		life = halfLife
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: g.public != "", MaxAge: int(life / time.Second),
	})
}

// refuseStep shows the page of a step again, with what was wrong.
func (g *Guard) refuseStep(w http.ResponseWriter, r *http.Request, step string, v signInView, err error) {
	var wait errWait
	switch {
	case errors.As(err, &wait):
		v.Fault = "Too many wrong passwords or codes. Wait, and try again."
		showStep(w, http.StatusTooManyRequests, step, v)
	case errors.Is(err, errRefused):
		v.Fault = "Login and password do not belong together, or the account is barred."
		showStep(w, http.StatusForbidden, step, v)
	case errors.Is(err, errOwnPassword), errors.Is(err, errSamePassword):
		v.Fault = "That password cannot be taken: it needs 12 to 200 characters, and must be another one than was given to you."
		showStep(w, http.StatusUnprocessableEntity, step, v)
	case errors.Is(err, errCode):
		v.Fault = "The code is not good: it is wrong, too old, or was used before. Wait for the next one."
		showStep(w, http.StatusForbidden, step, v)
	case errors.Is(err, errVoid):
		v.Fault = "This secret can no longer be confirmed: another sign-in began to set up the second factor after this one, it took too long, or it is set up already. Sign in again; if that was not you, have the password changed."
		showStep(w, http.StatusForbidden, step, v)
	default:
		g.refuseSignIn(w, r, err)
	}
}

var steps = template.Must(template.New("steps").Parse(`{{define "head"}}<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.}} – flopwatch</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/desk.css">
</head>
<body class="plain">
<main>
<h1>{{.}}</h1>
{{end}}{{define "fault"}}{{with .Fault}}<p role="alert" class="fault">{{.}}</p>
{{end}}{{end}}{{define "foot"}}</main>
</body>
</html>
{{end}}{{define "sign-in"}}{{template "head" "Sign in"}}{{template "fault" .}}{{if .Fresh}}<p>You are signed in. What needs a fresh sign-in holds for five minutes after you sign in again.</p>
{{end}}{{with .Provider}}<p><a href="/sign-in/provider{{with $.Next}}?next={{.}}{{end}}">Sign in with {{.}}</a></p>
<p>Or with an account of this desk:</p>
{{end}}<form method="post" action="/sign-in">
{{with .Next}}<input type="hidden" name="next" value="{{.}}">
{{end}}<p><label for="login">Login</label><br><input id="login" name="login" autocomplete="username" required autofocus></p>
<p><label for="password">Password</label><br><input id="password" name="password" type="password" autocomplete="current-password" required></p>
<p><button>Sign in</button></p>
</form>
<p>An administrator makes accounts with <code>flopwatchctl users add</code>.</p>
{{template "foot"}}{{end}}{{define "code"}}{{template "head" "Your code"}}{{template "fault" .}}<form method="post" action="/sign-in/code">
<p><label for="code">Code of your authenticator app, or a recovery code</label><br><input id="code" name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="40" required autofocus></p>
<p><button>Go on</button></p>
</form>
<p class="note">Each code is good once. Who has lost app and recovery codes asks an administrator, who resets the second factor.</p>
{{template "foot"}}{{end}}{{define "enrol"}}{{template "head" "Set up your second factor"}}{{template "fault" .}}<p>Your roles can change things here, so a password is not enough. Add this desk to an authenticator app: scan the picture, or type the secret.</p>
{{with .QR}}<p>{{.}}</p>
{{end}}<p>Secret: <code>{{.Secret}}</code><br><span class="note">Time-based, six digits, every 30 seconds.</span></p>
<form method="post" action="/sign-in/enrol">
<p><label for="code">The code that the app shows now</label><br><input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="10" required></p>
<p><button>Confirm</button></p>
</form>
{{template "foot"}}{{end}}{{define "new-password"}}{{template "head" "Set your own password"}}{{template "fault" .}}<p>The password that you were given is good for this once, and who gave it to you knows it. Set one of your own.</p>
<form method="post" action="/sign-in/password">
<p><label for="password">New password, 12 characters or more</label><br><input id="password" name="password" type="password" autocomplete="new-password" minlength="12" maxlength="200" required autofocus></p>
<p><button>Go on</button></p>
</form>
{{template "foot"}}{{end}}{{define "recovery"}}{{template "head" "Your recovery codes"}}<p>Your second factor is set up. Each of these codes stands in for the app once. Keep them where the app is not; they are not shown again.</p>
<ul class="codes">
{{range .Codes}}<li><code>{{.}}</code></li>
{{end}}</ul>
<p><a href="{{.Next}}">I have kept them: open the desk</a></p>
{{template "foot"}}{{end}}`))

func showStep(w http.ResponseWriter, status int, step string, v signInView) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// The status is sent; a client that left cannot be told more.
	_ = steps.ExecuteTemplate(w, step, v)
}
