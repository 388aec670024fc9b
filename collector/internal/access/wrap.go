package access

import (
	"crypto/rand"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Policy is the content security policy of every answer.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// AssetPrefix is the path of style sheets and scripts, which anybody on this
// machine may read: they are the same in every copy of the program.
const AssetPrefix = "/assets/"

// Wrap puts the guard before next. It answers /login itself.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if g.public != "" {
			w.Header().Set("Strict-Transport-Security", "max-age=63072000")
		}
		if !g.hosts[strings.ToLower(r.Host)] {
			refuse(w, r, http.StatusMisdirectedRequest, "this collector is not known under that host name")
			return
		}
		if err := g.cross.Check(r); err != nil {
			refuse(w, r, http.StatusForbidden, "requests from other origins change nothing here")
			return
		}
		switch {
		case r.URL.Path == "/login" && g.public != "":
			refuse(w, r, http.StatusNotFound, "people sign in with their accounts here: open /sign-in")
		case r.URL.Path == "/login":
			g.login(w, r)
		case r.URL.Path == "/sign-in" || strings.HasPrefix(r.URL.Path, "/sign-in/"):
			if r.Method == http.MethodPost && !g.admits(w, r) {
				return
			}
			g.serveSignIn(w, r)
		case r.URL.Path == "/v1/sessions":
			if r.Method == http.MethodPost && !g.admits(w, r) {
				return
			}
			g.serveSessions(w, r)
		case strings.HasPrefix(r.URL.Path, AssetPrefix) && safe(r.Method):
			next.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, apitypes.WebhookPath) && r.Method == http.MethodPost:
			// Vendors have no account: what they send is signed, and what takes it
			// looks at nothing before the signature.
			next.ServeHTTP(w, acting(r, audit.Actor{Kind: audit.Service, ID: "webhook"}, permission.Principal{}))
		case strings.HasPrefix(r.URL.Path, apitypes.CalendarPath) && safe(r.Method):
			// Calendars cannot sign in: the secret is in the link, and what answers looks
			// at nothing before it.
			next.ServeHTTP(w, acting(r, audit.Actor{Kind: audit.Service, ID: "calendar"}, permission.Principal{}))
		case g.public == "" && g.hasToken(r) && isAPI(r):
			next.ServeHTTP(w, acting(r, audit.Actor{Kind: audit.Service, ID: "api-token"}, permission.Principal{ID: "api-token", Roles: []permission.Role{permission.Machine}}))
		default:
			if text, ok := bearerOf(r); ok && g.tokens != nil && g.users != nil {
				g.byToken(w, r, text, next)
				return
			}
			g.person(w, r, next)
		}
	})
}

// signIns is how many sign-ins one address may try. On this machine all come
// from one, so there it does not hold.
var signIns = allowance.PerMinute(20)

// admits takes a try from the address that a request comes from.
func (g *Guard) admits(w http.ResponseWriter, r *http.Request) bool {
	if g.public == "" {
		return true
	}
	at := addressOf(r)
	host := at.String()
	if at.Is6() {
		// Who has an IPv6 address has at least a network of 64 bits of them.
		if net, err := at.Prefix(64); err == nil {
			host = net.String()
		}
	}
	if g.take("address "+host, signIns, g.now()) {
		return true
	}
	w.Header().Set("Retry-After", "60")
	refuse(w, r, http.StatusTooManyRequests, "too many sign-ins from this address: wait a minute")
	return false
}

// person lets the holder of a session through.
func (g *Guard) person(w http.ResponseWriter, r *http.Request, next http.Handler) {
	s, name, ok, err := g.sessionOf(r)
	var who permission.Principal
	if ok || err != nil {
		if err == nil {
			who, ok, err = g.principal(r.Context(), s)
		}
		if err != nil {
			g.log.LogAttrs(r.Context(), slog.LevelError, "session could not be checked", slog.String("error", err.Error()))
			refuse(w, r, http.StatusInternalServerError, "the session could not be checked; the collector's log says why")
			return
		}
	}
	_, cookie := g.secretOf(r)
	switch {
	case !ok && isAPI(r):
		w.Header().Set("WWW-Authenticate", `Bearer realm="flopwatch"`)
		refuse(w, r, http.StatusUnauthorized, "")
	case !ok:
		if any, err := g.anyUser(r.Context()); err == nil && any {
			http.Redirect(w, r, signInFor(r), http.StatusSeeOther)
			return
		}
		refuse(w, r, http.StatusUnauthorized, "")
	case cookie && !safe(r.Method) && !g.origins[r.Header.Get("Origin")]:
		// Old browsers send neither Origin nor Sec-Fetch-Site, which the check
		// before lets through; with a cookie that is not good enough.
		refuse(w, r, http.StatusForbidden, "a change with a session cookie needs this desk's Origin")
	case r.URL.Path == "/sign-out" && r.Method == http.MethodPost:
		if err := g.end(r); err != nil {
			g.log.LogAttrs(r.Context(), slog.LevelError, "session could not be ended", slog.String("error", err.Error()))
			refuse(w, r, http.StatusInternalServerError, "the session could not be ended; the collector's log says why")
			return
		}
		g.signedOut(w, r, s)
	default:
		who.Session = name
		next.ServeHTTP(w, acting(r, audit.Actor{Kind: audit.Person, ID: who.ID, SignIn: name}, who))
	}
}

// signInFor is where who asks for a page signs in, to come back to it.
func signInFor(r *http.Request) string {
	if page := pageOf(r.URL.RequestURI()); safe(r.Method) && page != "" && page != "/" {
		return "/sign-in?next=" + url.QueryEscape(page)
	}
	return "/sign-in"
}

// acting returns the request with who makes it, for the audit log and for what
// they may do.
func acting(r *http.Request, who audit.Actor, p permission.Principal) *http.Request {
	ctx := permission.With(r.Context(), p)
	return r.WithContext(audit.With(ctx, audit.Act{Actor: who, Request: "req_" + rand.Text()}))
}

// login takes a one-time link. The answer is a page that goes on by itself and
// not a redirect, because a browser that followed the link from another site
// would not send a SameSite=Strict cookie along a redirect.
func (g *Guard) login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, r, http.StatusMethodNotAllowed, "a login link is opened, nothing else")
		return
	}
	if purpose := r.Header.Get("Sec-Purpose") + r.Header.Get("Purpose"); strings.Contains(purpose, "prefetch") {
		// A browser that looks ahead must not use the link up.
		refuse(w, r, http.StatusServiceUnavailable, "login links are not opened ahead")
		return
	}
	if any, err := g.anyUser(r.Context()); err != nil || any {
		show(w, http.StatusForbidden, "Sign in with your account", "Login links are for a trial. People have accounts here: open /sign-in.")
		return
	}
	id, ok := g.redeem(r.URL.Query().Get("t"))
	if !ok {
		if _, _, ok, err := g.sessionOf(r); err == nil && ok {
			showOpen(w, "Already logged in", "This link was used before; the session goes on.", "")
			return
		}
		show(w, http.StatusForbidden, "This login link cannot be used", "It was used before, is older than 15 minutes, or belongs to an earlier start of the collector.")
		return
	}
	g.setCookie(w, id, session{})
	showOpen(w, "Logged in", "The desk opens by itself.", "")
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	// With no-referrer browsers send forms of this desk with the Origin "null".
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead
}

func isAPI(r *http.Request) bool {
	return r.URL.Path == "/v1" || strings.HasPrefix(r.URL.Path, "/v1/")
}

// refuse answers the API with a problem and people with a page.
func refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	if !isAPI(r) {
		title := http.StatusText(status)
		if status == http.StatusUnauthorized {
			title = "Use the login link"
		}
		show(w, status, title, why)
		return
	}
	if why == "" {
		why = "send the token of api.json in the collector's data directory"
	}
	w.Header().Set("Content-Type", apitypes.ProblemMedia)
	w.WriteHeader(status)
	// The status is sent; a client that left cannot be told more.
	_ = json.NewEncoder(w).Encode(apitypes.NewProblem(status, why))
}

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{with .Open}}<meta http-equiv="refresh" content="0; url={{.}}">
{{end}}<title>{{.Title}} – flopwatch</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/desk.css">
</head>
<body class="plain">
<main>
<h1>{{.Title}}</h1>
{{with .Why}}<p>{{.}}</p>
{{end}}{{if .Open}}<p><a href="{{.Open}}">Open the desk</a></p>
{{else if not .Accounts}}<p>Open the desk with the login link that the collector printed when it started. A link works once, for 15 minutes.
For a new one run <code>flopwatchctl login</code> on this machine, with <code>--data</code> and the collector's data directory.</p>
{{end}}</main>
</body>
</html>
`))

// plain is a page of a title and a sentence.
type plain struct {
	Title, Why string
	Open       string // page that opens by itself, "" for none
	Accounts   bool   // people sign in with accounts: nothing is said of links
}

func show(w http.ResponseWriter, status int, title, why string) {
	showPlain(w, status, plain{Title: title, Why: why})
}

// showOpen shows a page that goes on to another one of this desk.
func showOpen(w http.ResponseWriter, title, why, next string) {
	if next == "" {
		next = "/"
	}
	showPlain(w, http.StatusOK, plain{Title: title, Why: why, Open: next})
}

func showPlain(w http.ResponseWriter, status int, p plain) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// The status is sent; a client that left cannot be told more.
	_ = page.Execute(w, p)
}
