package access_test

import (
	"context"
	"net"
	"net/http"
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
}

func (d *drawer) Token(_ context.Context, hash string) (permission.Token, bool, error) {
	return d.token, hash == d.hash, nil
}

func (d *drawer) TokenUsed(_ context.Context, _ string, at time.Time) error {
	d.used = append(d.used, at)
	return nil
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
