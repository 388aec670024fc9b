package access_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
)

type bench struct {
	*testing.T
	guard *access.Guard
	h     http.Handler
	now   time.Time
	users *people
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, users: &people{}, now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	g, err := access.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, access.Options{Now: func() time.Time { return b.now }, Users: b.users})
	if err != nil {
		t.Fatal(err)
	}
	b.guard = g
	b.h = g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	return b
}

func (b *bench) ask(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:8080"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	return w
}

func (b *bench) login() (cookie string) {
	b.Helper()
	link, _ := b.guard.NewLink()
	w := b.ask("GET", strings.TrimPrefix(link, b.guard.URL()))
	set := w.Result().Cookies()
	if w.Code != 200 || len(set) != 1 {
		b.Fatalf("login: %d, cookies %v", w.Code, set)
	}
	if c := set[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || len(c.Value) < 40 {
		b.Errorf("weak cookie: %+v", c)
	}
	return set[0].Name + "=" + set[0].Value
}

func TestLoopbackOnly(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:8080": true, "localhost:1": true, "127.8.9.1:1": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:1": false, "10.0.0.1:1": false, "example.com:80": false, "[::ffff:10.0.0.1]:1": false, "localhost.example.com:1": false,
	} {
		err := access.CheckLoopback(address)
		if ok != (err == nil) || (!ok && !errors.Is(err, access.ErrNotLoopback)) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := access.CheckLoopback("8080"); err == nil {
		t.Error("an address without a port passed")
	}
	if _, err := access.New(&net.TCPAddr{IP: net.IPv4zero, Port: 1}, access.Options{}); !errors.Is(err, access.ErrNotLoopback) {
		t.Errorf("guard on 0.0.0.0: %v", err)
	}
}

func TestWhoIsLetIn(t *testing.T) {
	b := newBench(t)
	cookie, bearer := b.login(), "Bearer "+b.guard.Token()
	const in = http.StatusTeapot
	for _, c := range []struct {
		name, method, path string
		headers            []string
		want               int
	}{
		{"nobody, page", "GET", "/", nil, 401},
		{"nobody, API", "GET", "/v1/runs", nil, 401},
		{"nobody, POST", "POST", "/v1/customers/import", nil, 401},
		{"nobody, asset", "GET", "/assets/desk.css", nil, in},
		{"nobody, asset POST", "POST", "/assets/desk.css", nil, 401},
		{"token", "GET", "/v1/runs", []string{"Authorization", bearer}, in},
		{"token posts", "POST", "/v1/customers/import", []string{"Authorization", bearer}, in},
		{"token opens no page", "GET", "/", []string{"Authorization", bearer}, 401},
		{"token cut short", "GET", "/v1/runs", []string{"Authorization", bearer[:len(bearer)-1]}, 401},
		{"empty token", "GET", "/v1/runs", []string{"Authorization", "Bearer "}, 401},
		{"cookie", "GET", "/", []string{"Cookie", cookie}, in},
		{"cookie, API", "GET", "/v1/runs", []string{"Cookie", cookie}, in},
		{"other cookie", "GET", "/", []string{"Cookie", cookie + "x"}, 401},
		{"cookie posts without Origin", "POST", "/v1/customers/import", []string{"Cookie", cookie}, 403},
		{"cookie posts, same origin", "POST", "/v1/customers/import", []string{"Cookie", cookie, "Origin", "http://127.0.0.1:8080", "Sec-Fetch-Site", "same-origin"}, in},
		{"cookie posts, fetch metadata without Origin", "POST", "/v1/x", []string{"Cookie", cookie, "Sec-Fetch-Site", "same-origin"}, 403},
		{"cookie posts, other origin", "POST", "/v1/x", []string{"Cookie", cookie, "Origin", "http://evil.example"}, 403},
		{"cookie posts, other port", "POST", "/v1/x", []string{"Cookie", cookie, "Origin", "http://127.0.0.1:9"}, 403},
		{"cookie posts, null origin", "POST", "/v1/x", []string{"Cookie", cookie, "Origin", "null"}, 403},
		{"cross-site with token", "POST", "/v1/x", []string{"Authorization", bearer, "Sec-Fetch-Site", "cross-site"}, 403},
		{"rebound name", "GET", "/", []string{"Cookie", cookie, "Host", "evil.example:8080"}, 421},
		{"rebound name, API", "GET", "/v1/runs", []string{"Authorization", bearer, "Host", "evil.example"}, 421},
		{"no port", "GET", "/v1/runs", []string{"Authorization", bearer, "Host", "127.0.0.1"}, 421},
		{"localhost", "GET", "/v1/runs", []string{"Authorization", bearer, "Host", "LOCALHOST:8080"}, in},
		{"no host", "GET", "/v1/runs", []string{"Authorization", bearer, "Host", ""}, 421},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := b.ask(c.method, c.path, c.headers...)
			if w.Code != c.want {
				t.Fatalf("%d, want %d: %s", w.Code, c.want, w.Body)
			}
			if w.Header().Get("Content-Security-Policy") != access.Policy || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "same-origin" || w.Header().Get("Cross-Origin-Opener-Policy") == "" {
				t.Errorf("security headers missing: %v", w.Header())
			}
			api := strings.HasPrefix(c.path, "/v1/")
			if media := w.Header().Get("Content-Type"); w.Code != in && api != (media == "application/problem+json") {
				t.Errorf("refused as %q", media)
			}
		})
	}
}

func TestLinkWorksOnce(t *testing.T) {
	b := newBench(t)
	link, expires := b.guard.NewLink()
	if want := b.now.Add(15 * time.Minute); !expires.Equal(want) {
		t.Errorf("expires %v, want %v", expires, want)
	}
	path := strings.TrimPrefix(link, "http://127.0.0.1:8080")
	for _, m := range []string{"HEAD", "POST"} {
		if w := b.ask(m, path); w.Code == 200 {
			t.Errorf("%s opened a session", m)
		}
	}
	if w := b.ask("GET", path, "Sec-Purpose", "prefetch;prerender"); w.Code != 503 || len(w.Result().Cookies()) != 0 {
		t.Errorf("prefetch: %d", w.Code)
	}
	first := b.ask("GET", path)
	if first.Code != 200 || len(first.Result().Cookies()) != 1 {
		t.Fatalf("first use: %d", first.Code)
	}
	again := b.ask("GET", path)
	if again.Code != 403 || len(again.Result().Cookies()) != 0 {
		t.Errorf("second use: %d", again.Code)
	}
	c := first.Result().Cookies()[0]
	if w := b.ask("GET", path, "Cookie", c.Name+"="+c.Value); w.Code != 200 || len(w.Result().Cookies()) != 0 {
		t.Errorf("second use with the session: %d", w.Code)
	}
	for _, bad := range []string{"/login", "/login?t=", "/login?t=x"} {
		if w := b.ask("GET", bad); w.Code != 403 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	late, _ := b.guard.NewLink()
	b.now = b.now.Add(15 * time.Minute)
	if w := b.ask("GET", strings.TrimPrefix(late, "http://127.0.0.1:8080")); w.Code != 403 {
		t.Errorf("link after 15 minutes: %d", w.Code)
	}
}

func TestSessionsEnd(t *testing.T) {
	b := newBench(t)
	idle := b.login()
	b.now = b.now.Add(29 * time.Minute)
	if w := b.ask("GET", "/", "Cookie", idle); w.Code != http.StatusTeapot {
		t.Fatalf("after 29 min: %d", w.Code)
	}
	b.now = b.now.Add(30 * time.Minute)
	if w := b.ask("GET", "/", "Cookie", idle); w.Code != 401 {
		t.Errorf("after 30 min without use: %d", w.Code)
	}
	busy, start := b.login(), b.now
	for b.now.Sub(start) < 12*time.Hour-20*time.Minute {
		b.now = b.now.Add(20 * time.Minute)
		if w := b.ask("GET", "/", "Cookie", busy); w.Code != http.StatusTeapot {
			t.Fatalf("in use, after %v: %d", b.now.Sub(start), w.Code)
		}
	}
	b.now = b.now.Add(20 * time.Minute)
	if w := b.ask("GET", "/", "Cookie", busy); w.Code != 401 {
		t.Errorf("after 12 h: %d", w.Code)
	}
}

func TestTablesAreBounded(t *testing.T) {
	b := newBench(t)
	first := b.login()
	for range 64 {
		b.now = b.now.Add(time.Second)
		b.login()
	}
	if w := b.ask("GET", "/", "Cookie", first); w.Code != 401 {
		t.Errorf("the oldest of 65 sessions: %d", w.Code)
	}
	old, _ := b.guard.NewLink()
	for range 32 {
		b.now = b.now.Add(time.Second)
		b.guard.NewLink()
	}
	if w := b.ask("GET", strings.TrimPrefix(old, "http://127.0.0.1:8080")); w.Code != 403 {
		t.Errorf("the oldest of 33 links: %d", w.Code)
	}
}

func TestPagesOfTheGuard(t *testing.T) {
	b := newBench(t)
	link, _ := b.guard.NewLink()
	for path, want := range map[string]string{"/": "flopwatchctl login", "/login?t=x": "cannot be used", strings.TrimPrefix(link, b.guard.URL()): `http-equiv="refresh" content="0; url=/"`} {
		html := b.ask("GET", path).Body.String()
		if !strings.Contains(html, want) || strings.Count(html, "<h1>") != 1 || !strings.Contains(html, `<html lang="en">`) {
			t.Errorf("%s: want %q in %s", path, want, html)
		}
		if regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son\w+=`).MatchString(html) {
			t.Errorf("%s: inline script or style", path)
		}
	}
	if html := b.ask("GET", "/login?t=%3Cscript%3E").Body.String(); strings.Contains(html, "script>") {
		t.Error("the link's text is echoed")
	}
}
