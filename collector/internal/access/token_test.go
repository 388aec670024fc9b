package access_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// drawer is one token, by its hash.
type drawer struct {
	hash  string
	token permission.Token
	used  []time.Time
	tries int // from elsewhere
	told  []audit.Act
	fails error
}

func (d *drawer) Token(_ context.Context, hash string) (permission.Token, bool, error) {
	return d.token, hash == d.hash, nil
}

func (d *drawer) TokenUsed(_ context.Context, _ string, at time.Time) error {
	d.used = append(d.used, at)
	return nil
}

func (d *drawer) TokenElsewhere(ctx context.Context, _ string, _ time.Time, tell bool) error {
	if d.tries++; tell {
		d.told = append(d.told, audit.Of(ctx))
	}
	return d.fails
}

// A token that is bound to networks is taken from there alone. Elsewhere it gets the
// answer of a token that is not known, whatever headers of proxies say; that is counted,
// and told once a minute, and no address stands in a log.
func TestTokensAreBoundToNetworks(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 30, 0, time.UTC)
	text, hash := access.NewToken()
	networks, err := permission.ParseNetworks([]string{"192.0.2.0/24", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	d := &drawer{hash: hash, token: permission.Token{ID: "tok_1", User: "usr_ana", Scope: []permission.Action{permission.ReadCases}, Expires: now.Add(time.Hour), From: networks}}
	b := &bench{T: t, users: &people{}, now: now}
	var log bytes.Buffer
	g, err := access.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, access.Options{Now: func() time.Time { return b.now }, Users: b.users, Tokens: d, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.guard = g
	served := 0
	h := g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	b.h = h
	b.withUser()
	ask := func(from, bearer string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/cases", nil)
		r.Host, r.RemoteAddr = "127.0.0.1:8080", from
		r.Header.Set("Authorization", "Bearer "+bearer)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, from := range []string{"192.0.2.7:1000", "[2001:db8::7]:1000", "[::ffff:192.0.2.7]:1000", "[2001:db8::7%eth0]:1000"} {
		if w := ask(from, text, "X-Forwarded-For", "203.0.113.9"); w.Code != http.StatusOK {
			t.Errorf("from %s: %d", from, w.Code)
		}
	}
	if d.tries != 0 || served != 4 {
		t.Errorf("%d tries from elsewhere, %d served", d.tries, served)
	}
	unknown, _ := access.NewToken()
	want := ask("192.0.2.7:1000", unknown)
	elsewhere := []string{"203.0.113.9:1000", "[2001:db9::1]:1000", "127.0.0.1:1000", "no address", ""}
	for _, from := range elsewhere {
		for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"} {
			value := "192.0.2.7"
			if header == "Forwarded" {
				value = "for=192.0.2.7"
			}
			w := ask(from, text, header, value)
			if w.Code != http.StatusUnauthorized || w.Body.String() != want.Body.String() || !maps.EqualFunc(w.Header(), want.Header(), slices.Equal) {
				t.Errorf("from %q with %s: %d %v %s, one that is not known: %d %v %s", from, header, w.Code, w.Header(), w.Body, want.Code, want.Header(), want.Body)
			}
		}
	}
	if d.tries != 25 || len(d.told) != 1 || served != 4 {
		t.Errorf("%d tries, %d told, %d served", d.tries, len(d.told), served)
	}
	if who := d.told[0].Actor; who != (audit.Actor{Kind: audit.Service, ID: "tok_1"}) {
		t.Errorf("told as of %+v", who)
	}
	for range 2000 { // a flood is refused without an end, and counted up to 60 a minute
		ask("203.0.113.9:1000", text)
	}
	if d.tries != 60 || len(d.told) != 1 {
		t.Errorf("of a flood %d are counted and %d told", d.tries, len(d.told))
	}
	if w := ask("192.0.2.7:1000", text); w.Code != http.StatusOK {
		t.Errorf("its holder is shut out by a flood of another: %d", w.Code)
	}
	b.now = b.now.Add(time.Minute)
	d.fails = errors.New("disk full")
	if w := ask("203.0.113.9:1000", text); w.Code != http.StatusUnauthorized || len(d.told) != 2 {
		t.Errorf("what cannot be noted: %d, %d told", w.Code, len(d.told))
	}
	// One that would not hold anyway says nothing new.
	d.token.Revoked = b.now
	ask("203.0.113.9:1000", text)
	if d.tries != 61 {
		t.Errorf("a revoked one is counted: %d", d.tries)
	}
	for _, part := range []string{"203.0.113", "2001:db9", "192.0.2", text} {
		if strings.Contains(log.String(), part) {
			t.Errorf("the log says %q:\n%s", part, log.String())
		}
	}
	if !strings.Contains(log.String(), "tok_1") {
		t.Errorf("the log says nothing of the token: %s", log.String())
	}
}

func TestTokensAskForTheirMaker(t *testing.T) {
	b := &bench{T: t, users: &people{}, now: time.Date(2026, 11, 20, 12, 0, 30, 0, time.UTC)}
	text, hash := access.NewToken()
	d := &drawer{hash: hash, token: permission.Token{ID: "tok_1", User: "usr_ana", Scope: []permission.Action{permission.ReadCases, permission.Approve, permission.DraftPolicy}, Expires: b.now.Add(time.Hour)}}
	g, err := access.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, access.Options{Now: func() time.Time { return b.now }, Users: b.users, Tokens: d})
	if err != nil {
		t.Fatal(err)
	}
	var who permission.Principal
	var act audit.Act
	b.guard = g
	b.h = g.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		who, act = permission.Of(r.Context()), audit.Of(r.Context())
	}))
	b.withUser()
	b.users.user.Roles = []permission.Role{permission.Analyst, permission.SeniorReviewer}
	bearer := []string{"Authorization", "Bearer " + text}
	if w := b.ask("GET", "/v1/cases", bearer...); w.Code != 200 || who.ID != "usr_ana" || who.Token != "tok_1" || !who.SignedIn.IsZero() {
		t.Fatalf("%d as %+v", w.Code, who)
	}
	if act.Actor.ID != "usr_ana" || act.Actor.SignIn != "tok_1" || act.Actor.Kind != audit.Service {
		t.Errorf("acts as %+v", act.Actor)
	}
	if !who.May(permission.ReadCases) || who.May(permission.WorkCases) || who.May(permission.ReadAggregates) {
		t.Error("more or less than the scope")
	}
	if who.May(permission.Approve) {
		t.Error("a token approves, because its row says so")
	}
	if who.May(permission.DraftPolicy) {
		t.Error("more than the roles of its maker")
	}
	b.users.user.Roles = []permission.Role{permission.Viewer}
	if b.ask("GET", "/v1/cases", bearer...); who.May(permission.ReadCases) {
		t.Error("its maker lost the role, and the token keeps it")
	}
	// A page is not opened by a token.
	if w := b.ask("GET", "/cases", bearer...); w.Code != 303 {
		t.Errorf("a page: %d", w.Code)
	}
	for range 3 {
		b.ask("GET", "/v1/cases", bearer...)
	}
	if len(d.used) != 1 || !d.used[0].Equal(b.now.Truncate(time.Minute)) {
		t.Errorf("noted %v", d.used)
	}
	refused := func(what string) {
		t.Helper()
		if w := b.ask("GET", "/v1/cases", bearer...); w.Code != 401 || strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d", what, w.Code)
		}
	}
	b.users.user.Disabled = true
	refused("its maker is disabled")
	b.users.user.Disabled = false
	d.token.Revoked = b.now
	refused("revoked")
	d.token.Revoked = time.Time{}
	b.now = d.token.Expires
	refused("expired")
	d.token.Expires = b.now.Add(time.Hour)
	d.hash = "another"
	refused("not known")
	d.hash = hash
	slow := 0
	for range 700 {
		if b.ask("GET", "/v1/cases", bearer...).Code == 429 {
			slow++
		}
	}
	if slow < 90 || slow > 110 {
		t.Errorf("%d of 700 requests at once were too many", slow)
	}
	b.now = b.now.Add(10 * time.Second)
	if w := b.ask("GET", "/v1/cases", bearer...); w.Code != 200 {
		t.Errorf("after a rest: %d", w.Code)
	}
}

func TestFormOfATokenIsForScanners(t *testing.T) {
	for range 100 {
		text, hash := access.NewToken()
		if !access.LooksLikeToken(text) || len(text) != 43 || strings.Contains(hash, text) || len(hash) != 64 {
			t.Fatalf("%q %q", text, hash)
		}
		other := []byte(text)
		if other[10] == 'a' {
			other[10] = 'b'
		} else {
			other[10] = 'a'
		}
		if access.LooksLikeToken(string(other)) || access.LooksLikeToken(text[:42]) || access.LooksLikeToken(text+"a") || access.LooksLikeToken("fwx_"+text[4:]) {
			t.Errorf("%q with a fault looks like a token", text)
		}
	}
}
