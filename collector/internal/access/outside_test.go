package access_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/oidc"
	"github.com/flopwatch/flopwatch/collector/internal/oidc/oidctest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// roster keeps one account, which follows the groups of the provider.
type roster struct {
	people *people
	ids    []oidc.Identity
}

func (r *roster) Admit(_ context.Context, id oidc.Identity) (permission.User, bool, error) {
	r.ids = append(r.ids, id)
	r.people.user.Roles = id.Roles
	return r.people.user, true, nil
}

type outsideBench struct {
	*bench
	idp    *oidctest.Provider
	roster *roster
	who    permission.Principal
}

func withProvider(t *testing.T) *outsideBench {
	b := &outsideBench{bench: &bench{T: t, users: &people{}, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}}
	b.idp = oidctest.New(t, func() time.Time { return b.now })
	c, err := oidc.Read("oidc.yaml", []byte(b.idp.Config()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := oidc.New(c, func() time.Time { return b.now })
	if err != nil {
		t.Fatal(err)
	}
	b.roster = &roster{people: b.users}
	g, err := access.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, access.Options{Now: func() time.Time { return b.now }, Users: b.users,
		Factors: &keeper{all: map[string]permission.SecondFactor{}}, FactorKey: factorKey, Provider: p, Outsiders: b.roster})
	if err != nil {
		t.Fatal(err)
	}
	b.guard = g
	b.h = g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.who = permission.Of(r.Context())
		w.WriteHeader(http.StatusTeapot)
	}))
	b.withUser()
	b.users.hash = "" // no password
	b.idp.Change(func(p *oidctest.Provider) { p.AMR = []string{"mfa"} })
	return b
}

// round goes to the provider and back, with what the browser has.
func (b *outsideBench) round(path string, cookies ...string) (w *httptest.ResponseRecorder, back *url.URL, browser string) {
	b.Helper()
	w = b.ask("GET", path, "Cookie", strings.Join(cookies, "; "))
	if w.Code != 303 {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
	browser = cookieOf(b.T, w)
	if c := w.Result().Cookies()[0]; c.SameSite != http.SameSiteLaxMode || !c.HttpOnly {
		b.Errorf("cookie %+v", c)
	}
	back = b.idp.Follow(b.T, w.Header().Get("Location"))
	return b.ask("GET", back.RequestURI(), "Cookie", browser), back, browser
}

// session is the cookie of a session that an answer sets beside others.
func (b *outsideBench) session(w *httptest.ResponseRecorder) string {
	b.Helper()
	for _, c := range w.Result().Cookies() {
		if c.Value != "" && !strings.HasSuffix(c.Name, "_provider") {
			if c.SameSite != http.SameSiteStrictMode {
				b.Errorf("cookie %+v", c)
			}
			return c.Name + "=" + c.Value
		}
	}
	b.Fatalf("no session: %d %s", w.Code, w.Body)
	return ""
}

func TestSigningInWithAProvider(t *testing.T) {
	b := withProvider(t)
	if page := b.ask("GET", "/sign-in?next=/cases").Body.String(); !strings.Contains(page, `href="/sign-in/provider?next=%2fcases"`) || !strings.Contains(page, "Example Ltd") {
		t.Error(page)
	}
	w, back, browser := b.round("/sign-in/provider?next=/cases")
	s := b.session(w)
	if !strings.Contains(w.Body.String(), "url=/cases") {
		t.Error(w.Body)
	}
	if w := b.ask("GET", "/", "Cookie", s); w.Code != 418 || b.who.ID != "usr_ana" || !b.who.May(permission.WorkCases) || !b.who.SignedIn.Equal(b.now) {
		t.Errorf("%d as %+v", w.Code, b.who)
	}
	// The answer is good once, and in the browser that began.
	if w := b.ask("GET", back.RequestURI(), "Cookie", browser); w.Code != 403 {
		t.Errorf("the same answer again: %d", w.Code)
	}
	_, other, mine := b.stolen()
	for name, cookie := range map[string]string{"no browser": "", "another browser": browser} {
		if w := b.ask("GET", other.RequestURI(), "Cookie", cookie); w.Code != 403 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := b.ask("GET", other.RequestURI(), "Cookie", mine); w.Code != 200 {
		t.Errorf("the browser that began, after others tried: %d", w.Code)
	}

	// Signed in for a while, the person proves again who they are.
	b.now = b.now.Add(20 * time.Minute)
	b.ask("GET", "/", "Cookie", s)
	w, _, _ = b.round("/sign-in/provider", s)
	seen := b.idp.Seen()
	if q := seen[len(seen)-1]; q.Get("max_age") != "0" || q.Get("prompt") != "login" {
		t.Errorf("asked for %v", q)
	}
	fresh := b.session(w)
	if b.ask("GET", "/", "Cookie", fresh); !b.who.SignedIn.Equal(b.now) {
		t.Errorf("signed in at %v", b.who.SignedIn)
	}
	if w := b.ask("GET", "/", "Cookie", s); w.Code != 303 {
		t.Errorf("the session before: %d", w.Code)
	}
	// Who is signed in with the provider for an hour is not fresh here.
	b.idp.Change(func(p *oidctest.Provider) { p.SignedIn = b.now.Add(-time.Hour) })
	w, _, _ = b.round("/sign-in/provider")
	if b.ask("GET", "/", "Cookie", b.session(w)); b.now.Sub(b.who.SignedIn) != time.Hour {
		t.Errorf("signed in at %v", b.who.SignedIn)
	}

	// Signing out here says where else.
	w = b.send("POST", "/sign-out", "", "Cookie", fresh, "Origin", b.guard.URL())
	if w.Code != 200 || !strings.Contains(w.Body.String(), b.idp.URL+"/end?client_id=flopwatch-desk") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := b.ask("GET", "/", "Cookie", fresh); w.Code != 303 {
		t.Errorf("after signing out: %d", w.Code)
	}
}

// stolen begins a sign-in and does not finish it.
func (b *outsideBench) stolen() (w *httptest.ResponseRecorder, back *url.URL, browser string) {
	b.Helper()
	w = b.ask("GET", "/sign-in/provider")
	return w, b.idp.Follow(b.T, w.Header().Get("Location")), cookieOf(b.T, w)
}

func TestGroupsThatChangedAndDisabledAccounts(t *testing.T) {
	b := withProvider(t)
	w, _, _ := b.round("/sign-in/provider")
	s := b.session(w)
	b.idp.Change(func(p *oidctest.Provider) { p.Groups = []string{"looking"} })
	if b.ask("GET", "/", "Cookie", s); !b.who.May(permission.WorkCases) {
		t.Error("the role is lost before the next sign-in")
	}
	w, _, _ = b.round("/sign-in/provider")
	if b.ask("GET", "/", "Cookie", b.session(w)); b.who.May(permission.WorkCases) || !slices.Equal(b.who.Roles, []permission.Role{permission.Viewer}) {
		t.Errorf("after the next sign-in: %+v", b.who)
	}
	if b.ask("GET", "/", "Cookie", s); b.who.May(permission.WorkCases) {
		t.Error("an older session keeps the role")
	}
	b.idp.Change(func(p *oidctest.Provider) { p.Groups = nil })
	if w, _, _ := b.round("/sign-in/provider"); w.Code != 403 {
		t.Errorf("without a group: %d", w.Code)
	}
	if last := b.roster.ids[len(b.roster.ids)-1]; last.Subject != "sub-ana" || len(last.Roles) != 0 {
		t.Errorf("the account was not told: %+v", last)
	}
	b.idp.Change(func(p *oidctest.Provider) { p.Groups = []string{"compliance"} })
	w, _, _ = b.round("/sign-in/provider")
	s = b.session(w)
	b.users.user.Disabled = true
	if w := b.ask("GET", "/", "Cookie", s); w.Code != 303 {
		t.Errorf("a disabled account: %d", w.Code)
	}
	if w, _, _ := b.round("/sign-in/provider"); w.Code != 403 {
		t.Errorf("a disabled account signs in: %d", w.Code)
	}
}

// A provider that asks for a password alone is not enough for who may change things.
func TestWithoutASecondFactorAtTheProviderTheDeskAsksForOne(t *testing.T) {
	b := withProvider(t)
	b.idp.Change(func(p *oidctest.Provider) { p.AMR = []string{"pwd"} })
	w, _, _ := b.round("/sign-in/provider")
	half := b.session(w)
	if !strings.Contains(w.Body.String(), "url=/sign-in/enrol") {
		t.Fatal(w.Body)
	}
	if w := b.ask("GET", "/", "Cookie", half); w.Code != 303 {
		t.Errorf("the desk opens: %d", w.Code)
	}
	if page := b.ask("GET", "/sign-in/enrol", "Cookie", half); page.Code != 200 || len(secretOn(t, page.Body.String())) != 20 {
		t.Errorf("%d", page.Code)
	}
	// Who only looks needs none.
	b.idp.Change(func(p *oidctest.Provider) { p.Groups = []string{"looking"} })
	w, _, _ = b.round("/sign-in/provider")
	if w := b.ask("GET", "/", "Cookie", b.session(w)); w.Code != 418 {
		t.Errorf("a viewer: %d", w.Code)
	}
}

func TestAProviderThatIsAwayIsNoFaultOfTheServer(t *testing.T) {
	b := withProvider(t)
	b.idp.Close()
	if w := b.ask("GET", "/sign-in/provider"); w.Code != 503 || !strings.Contains(w.Body.String(), `name="password"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	none := newBench(t)
	for _, path := range []string{"/sign-in/provider", "/sign-in/callback?state=&code=x"} {
		if w := none.ask("GET", path); w.Code != 404 {
			t.Errorf("%s without a provider: %d", path, w.Code)
		}
	}
}
