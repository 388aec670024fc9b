package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/oidc"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Provider is an identity provider.
type Provider interface {
	Name() string
	// Begin returns where the browser goes, and the attempt that it comes back to.
	Begin(ctx context.Context, redirect string, fresh bool) (to string, a oidc.Attempt, err error)
	// Finish returns the person of an answer. Errors wrap oidc.ErrRefused, or
	// oidc.ErrNoRole for a person who may do nothing here.
	Finish(ctx context.Context, a oidc.Attempt, answer url.Values) (oidc.Identity, error)
}

// Outsiders keeps the accounts of people whom an identity provider knows.
type Outsiders interface {
	// Admit returns the account of a person with the roles that the provider's groups
	// give them now, none included. It makes one if there is none and there are roles.
	Admit(ctx context.Context, id oidc.Identity) (u permission.User, ok bool, err error)
}

// maxAttempts is how many sign-ins can be under way with the provider.
const maxAttempts = 1000

// attempt is a sign-in with the provider that a browser has begun.
type attempt struct {
	oidc.Attempt
	browser [32]byte // hash of the secret in its cookie
	before  [32]byte // hash of the session that it had
	next    string
	begun   time.Time
}

// providerName is of the identity provider with which people sign in, "" for none.
func (g *Guard) providerName() string {
	if g.provider == nil {
		return ""
	}
	return g.provider.Name()
}

// attemptCookie is of the browser that has begun to sign in with the provider. It is
// sent when the provider sends the browser back, which that of a session is not.
func (g *Guard) attemptCookie() string { return g.cookie + "_provider" }

// toProvider sends a browser to the identity provider. It is a link and no form: the
// content policy lets forms go nowhere else.
func (g *Guard) toProvider(w http.ResponseWriter, r *http.Request) {
	if !g.admits(w, r) {
		return
	}
	session, _ := g.secretOf(r)
	_, _, fresh, err := g.sessionOf(r)
	if err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	to, begun, err := g.provider.Begin(r.Context(), g.URL()+"/sign-in/callback", fresh)
	if err != nil {
		g.log.LogAttrs(r.Context(), slog.LevelError, "identity provider cannot be asked", slog.String("error", err.Error()))
		showStep(w, http.StatusServiceUnavailable, "sign-in", signInView{Fault: g.provider.Name() + " cannot be asked now. The collector's log says why.", Provider: g.provider.Name()})
		return
	}
	browser, now := secret(), g.now()
	a := attempt{Attempt: begun, browser: sha256.Sum256([]byte(browser)), before: sha256.Sum256([]byte(session)), next: pageOf(r.URL.Query().Get("next")), begun: now}
	g.mu.Lock()
	for key, old := range g.attempts {
		if now.Sub(old.begun) >= halfLife {
			delete(g.attempts, key)
		}
	}
	evict(g.attempts, maxAttempts, func(a attempt) time.Time { return a.begun })
	g.attempts[sha256.Sum256([]byte(begun.State))] = a
	g.mu.Unlock()
	g.setAttempt(w, browser, int(halfLife/time.Second))
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (g *Guard) setAttempt(w http.ResponseWriter, value string, life int) {
	// Lax, because it must come along when the provider sends the browser back.
	http.SetCookie(w, &http.Cookie{Name: g.attemptCookie(), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: g.public != "", MaxAge: life})
}

// attemptOf takes the attempt that an answer is of, once, from the browser that began it.
func (g *Guard) attemptOf(r *http.Request) (a attempt, ok bool) {
	cookie, err := r.Cookie(g.attemptCookie())
	if err != nil {
		return attempt{}, false
	}
	key, browser, now := sha256.Sum256([]byte(r.URL.Query().Get("state"))), sha256.Sum256([]byte(cookie.Value)), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok = g.attempts[key]
	if !ok || subtle.ConstantTimeCompare(a.browser[:], browser[:]) != 1 {
		return attempt{}, false // and another browser does not use it up
	}
	delete(g.attempts, key)
	return a, now.Sub(a.begun) < halfLife
}

// fromProvider takes a browser back. The answer is a page that goes on by itself: the
// cookie of a session is not sent along a redirect that began elsewhere.
func (g *Guard) fromProvider(w http.ResponseWriter, r *http.Request) {
	if !g.admits(w, r) {
		return
	}
	fault := func(status int, why string) {
		showStep(w, status, "sign-in", signInView{Fault: why, Provider: g.provider.Name()})
	}
	a, ok := g.attemptOf(r)
	if !ok {
		fault(http.StatusForbidden, "This sign-in was begun elsewhere, too long ago, or was finished before. Begin again.")
		return
	}
	g.setAttempt(w, "", -1)
	id, err := g.provider.Finish(r.Context(), a.Attempt, r.URL.Query())
	if err != nil && !errors.Is(err, oidc.ErrNoRole) {
		g.log.LogAttrs(r.Context(), slog.LevelWarn, "sign-in with the identity provider failed", slog.String("error", err.Error()))
		fault(http.StatusForbidden, "The answer of "+g.provider.Name()+" cannot be used. The collector's log says why.")
		return
	}
	u, ok, err := g.outsiders.Admit(r.Context(), id)
	switch {
	case err != nil:
		g.refuseSignIn(w, r, err)
		return
	case !ok || u.Disabled || len(u.Roles) == 0:
		fault(http.StatusForbidden, "You may do nothing here: your account is barred, or none of your groups has a role.")
		return
	}
	left := complete
	if !id.Strong { // the provider did not ask for a second factor, so this desk does
		if left, err = g.factors.wants(r.Context(), u); err != nil {
			g.refuseSignIn(w, r, err)
			return
		}
	}
	now := g.now()
	s := session{made: now, used: now, proved: id.Proved, user: u.ID, login: u.Login, stage: left, next: a.next, outside: true, strong: id.Strong, signOut: id.SignOut}
	if left == wantsEnrolment {
		if s.secret, err = g.offerTo(r.Context(), u.ID); err != nil {
			g.refuseSignIn(w, r, err)
			return
		}
	}
	if err := g.endKey(r.Context(), a.before); err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	cookie, err := g.begin(r.Context(), s)
	if err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	g.setCookie(w, cookie, s)
	switch left {
	case wantsCode:
		showOpen(w, "One more step", "Your code is asked for next.", "/sign-in/code")
	case wantsEnrolment:
		showOpen(w, "One more step", "Your second factor is set up next.", "/sign-in/enrol")
	default:
		showOpen(w, "Signed in", "The desk opens by itself.", a.next)
	}
}

var signedOutPage = template.Must(template.Must(steps.Clone()).New("signed-out").Parse(`{{template "head" "Signed out"}}<p>You are signed out of this desk, and still signed in with {{.Provider}}.</p>
<p><a href="{{.Next}}">Sign out of {{.Provider}} as well</a></p>
<p><a href="/sign-in">Sign in again</a></p>
{{template "foot"}}`))

// signedOut says what is left to do after a session ended.
func (g *Guard) signedOut(w http.ResponseWriter, r *http.Request, s session) {
	if s.signOut == "" || g.provider == nil {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// The status is sent; a client that left cannot be told more.
	_ = signedOutPage.Execute(w, signInView{Provider: g.provider.Name(), Next: s.signOut})
}
