package access_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// people is one user, or nobody.
type people struct {
	user permission.User
	hash string
}

func (p *people) User(_ context.Context, id string) (permission.User, bool, error) {
	return p.user, p.user.ID == id && id != "", nil
}

func (p *people) Credential(_ context.Context, login string) (permission.User, string, bool, error) {
	return p.user, p.hash, p.user.Login == login && login != "", nil
}

func (p *people) SetPassword(_ context.Context, id, before, after string) (bool, error) {
	if p.user.ID != id || p.hash != before {
		return false, nil
	}
	p.hash = after
	return true, nil
}

func (p *people) AnyUser(context.Context) (bool, error) { return p.user.ID != "", nil }

const password = "correct horse battery"

func (b *bench) withUser() {
	b.Helper()
	hash, err := access.HashPassword(password)
	if err != nil {
		b.Fatal(err)
	}
	*b.users = people{permission.User{ID: "usr_ana", Login: "ana", Roles: []permission.Role{permission.Analyst}}, hash}
}

func (b *bench) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	return w
}

func (b *bench) signIn(login, password string) *httptest.ResponseRecorder {
	body, err := json.Marshal(map[string]string{"login": login, "password": password})
	if err != nil {
		b.Fatal(err)
	}
	return b.send("POST", "/v1/sessions", string(body), "Content-Type", "application/json")
}

// signInBy signs a program in with a body, and returns what is answered and the type of
// problem that it is.
func (b *bench) signInBy(body map[string]any) (code int, kind string, answer map[string]any) {
	b.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	w := b.send("POST", "/v1/sessions", string(data), "Content-Type", "application/json")
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		b.Fatal(err)
	}
	kind, _ = answer["type"].(string)
	return w.Code, kind, answer
}

func TestSignInByProgram(t *testing.T) {
	b := newBench(t)
	b.withUser()
	var who permission.Principal
	b.h = b.guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who = permission.Of(r.Context()) }))
	if w := b.send("POST", "/v1/sessions", `{"login":"bob","login":"ana","password":"`+password+`"}`, "Content-Type", "application/json"); w.Code != 400 {
		t.Errorf("a key twice: %d", w.Code)
	}
	w := b.signIn("ana", password)
	var s apitypes.Session
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != 201 || s.User != "usr_ana" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	bearer := "Bearer " + s.Token
	if w := b.ask("GET", "/v1/me", "Authorization", bearer); w.Code != 200 || who.ID != "usr_ana" || !who.May(permission.WorkCases) || who.May(permission.Approve) || !who.SignedIn.Equal(b.now) {
		t.Fatalf("%d as %+v", w.Code, who)
	}
	// A token of the API opens no page.
	if w := b.ask("GET", "/", "Authorization", bearer); w.Code != 303 || w.Header().Get("Location") != "/sign-in" {
		t.Errorf("a page with the token: %d", w.Code)
	}
	b.users.user.Roles = []permission.Role{permission.SeniorReviewer}
	if b.ask("GET", "/v1/me", "Authorization", bearer); !who.May(permission.Approve) {
		t.Error("a new role waits for the next sign-in")
	}
	b.users.user.Disabled = true
	if w := b.ask("GET", "/v1/me", "Authorization", bearer); w.Code != 401 {
		t.Errorf("a disabled user: %d", w.Code)
	}
	b.users.user.Disabled = false
	if w := b.send("DELETE", "/v1/sessions", "", "Authorization", bearer); w.Code != 204 {
		t.Errorf("sign out: %d", w.Code)
	}
	if w := b.ask("GET", "/v1/me", "Authorization", bearer); w.Code != 401 {
		t.Errorf("after signing out: %d", w.Code)
	}
}

func TestSignInOnThePage(t *testing.T) {
	b := newBench(t)
	link, _ := b.guard.NewLink()
	owner := b.login()
	b.withUser()
	// With accounts neither a link nor its session is anybody.
	if w := b.ask("GET", strings.TrimPrefix(link, b.guard.URL())); w.Code != 403 {
		t.Errorf("a link where people have accounts: %d", w.Code)
	}
	if w := b.ask("GET", "/", "Cookie", owner); w.Code != 303 {
		t.Errorf("the owner's session where people have accounts: %d", w.Code)
	}
	form := "login=ana&password=" + strings.ReplaceAll(password, " ", "+")
	media := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if w := b.send("POST", "/sign-in", form, media...); w.Code != 403 || len(w.Result().Cookies()) > 0 {
		t.Errorf("a form of no origin: %d", w.Code)
	}
	if w := b.send("POST", "/sign-in", form, append(media, "Origin", "http://evil.example")...); w.Code != 403 {
		t.Errorf("a form of another origin: %d", w.Code)
	}
	if w := b.send("POST", "/sign-in", "login=ana&password=wrong", append(media, "Origin", b.guard.URL())...); w.Code != 403 || strings.Contains(w.Body.String(), "wrong") {
		t.Errorf("a wrong password: %d", w.Code)
	}
	w := b.send("POST", "/sign-in", form, append(media, "Origin", b.guard.URL())...)
	if w.Code != 200 || len(w.Result().Cookies()) != 1 {
		t.Fatalf("sign in: %d", w.Code)
	}
	c := w.Result().Cookies()[0]
	if w := b.ask("GET", "/", "Cookie", c.Name+"="+c.Value); w.Code != 418 {
		t.Errorf("after sign-in: %d", w.Code)
	}
	if w := b.send("POST", "/sign-out", "", "Cookie", c.Name+"="+c.Value, "Origin", b.guard.URL()); w.Code != 303 {
		t.Errorf("sign out: %d", w.Code)
	}
	if w := b.ask("GET", "/", "Cookie", c.Name+"="+c.Value); w.Code != 303 {
		t.Errorf("after signing out: %d", w.Code)
	}
}

// Guessing is slowed down, for logins that exist and for those that do not.
func TestGuessing(t *testing.T) {
	b := newBench(t)
	b.withUser()
	for _, login := range []string{"ana", "nobody"} {
		for i := range 5 {
			if w := b.signIn(login, "wrong password "+login); w.Code != 403 {
				t.Fatalf("%s try %d: %d", login, i, w.Code)
			}
		}
		if w := b.signIn(login, password); w.Code != 429 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s after five wrong passwords: %d", login, w.Code)
		}
	}
	b.now = b.now.Add(2*time.Second + 1)
	if w := b.signIn("ana", "wrong once more"); w.Code != 403 {
		t.Errorf("after the wait: %d", w.Code)
	}
	b.now = b.now.Add(2*time.Second + 1)
	if w := b.signIn("ana", password); w.Code != 429 {
		t.Errorf("the wait did not double: %d", w.Code)
	}
	b.now = b.now.Add(2 * time.Second)
	if w := b.signIn("ana", password); w.Code != 201 {
		t.Errorf("the right password after the wait: %d", w.Code)
	}
	for _, body := range []string{"", "{", `{"login":1}`, `{"login":"ana","password":"x","more":1}`, `{"login":"` + strings.Repeat("a", 5000) + `"}`} {
		if w := b.send("POST", "/v1/sessions", body, "Content-Type", "application/json"); w.Code != 400 {
			t.Errorf("%.20s: %d", body, w.Code)
		}
	}
}

// Guesses that come side by side are slowed down as those that come one by one.
func TestGuessingSideBySide(t *testing.T) {
	b := newBench(t)
	b.withUser()
	codes := make(chan int)
	const guesses = 24
	for range guesses {
		go func() { codes <- b.signIn("ana", "wrong password").Code }()
	}
	looked := 0
	for range guesses {
		if code := <-codes; code == 403 {
			looked++
		} else if code != 429 {
			t.Errorf("a wrong password: %d", code)
		}
	}
	if looked > 6 { // five, and one more that was looked at beside the fifth
		t.Errorf("%d of %d guesses were looked at", looked, guesses)
	}
}

// Who has an IPv6 address has a network of them, and is one address to the limit.
func TestSignInsOfANetwork(t *testing.T) {
	b := newBench(t)
	b.withUser()
	g, err := access.NewPublic(t.Context(), "desk.example", 443, access.Options{Now: func() time.Time { return b.now }, Users: b.users})
	if err != nil {
		t.Fatal(err)
	}
	h := g.Wrap(http.NotFoundHandler())
	try := func(from string) int {
		r := httptest.NewRequest("POST", "/v1/sessions", strings.NewReader("{"))
		r.Host, r.RemoteAddr = "desk.example", from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for i := range 20 {
		if code := try(fmt.Sprintf("[2001:db8:1:2:%x::%x]:4000", i, i)); code != 400 {
			t.Fatalf("try %d: %d", i, code)
		}
	}
	for from, want := range map[string]int{"[2001:db8:1:2:ffff::]:4000": 429, "[2001:db8:1:3::1]:4000": 400, "192.0.2.1:4000": 400, "[::ffff:192.0.2.2]:4000": 400} {
		if code := try(from); code != want {
			t.Errorf("from %s: %d, want %d", from, code, want)
		}
	}
}

func TestPasswords(t *testing.T) {
	for _, bad := range []string{"", "elevenchars", strings.Repeat("x", 201), "not UTF-8 \xff\xff\xff"} {
		if _, err := access.HashPassword(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	a, err := access.HashPassword("zwölf Zeichen")
	b, err2 := access.HashPassword("zwölf Zeichen")
	if err != nil || err2 != nil || a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s %s %v %v", a, b, err, err2)
	}
}
