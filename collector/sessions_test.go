package collector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/httpd"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// sessionServer is one of several servers over one store.
type sessionServer struct {
	*httpd.Server
	t *testing.T
}

func serveOver(t *testing.T, s *store.Store, clock *shifted) sessionServer {
	t.Helper()
	served, err := httpd.New(httpd.Options{Reader: store.NewReader(s, "", false), Users: s, Sessions: s, Tokens: s, Listen: "127.0.0.1:0", DataDir: t.TempDir(), Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := served.Close(); err != nil {
			t.Error(err)
		}
	})
	return sessionServer{served, t}
}

func (s sessionServer) ask(method, path, token, body string) (int, []byte) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, s.URL()+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

func (s sessionServer) signIn(login string) string {
	s.t.Helper()
	status, text := s.ask(http.MethodPost, "/v1/sessions", "", `{"login": "`+login+`", "password": "`+testPassword+`"}`)
	var made apitypes.Session
	if err := json.Unmarshal(text, &made); err != nil || status != http.StatusCreated {
		s.t.Fatalf("sign in: %d %s", status, text)
	}
	return made.Token
}

func (s sessionServer) holds(what, token string, want int) {
	s.t.Helper()
	if status, text := s.ask(http.MethodGet, "/v1/status", token, ""); status != want {
		s.t.Errorf("%s: %d %.200s, want %d", what, status, text, want)
	}
}

// overOneStore opens a store, twice where the engine lets several programs at it: SQLite
// has one program, of which two servers are asked.
func overOneStore(t *testing.T) (a, b *store.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flopwatch.db")
	url := storetest.Database(t, path, func(url string) error { return store.Migrate(t.Context(), url, "") })
	open := func(path string) *store.Store {
		s, err := store.Open(t.Context(), path, store.Options{Postgres: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	if a = open(path); url == "" {
		return a, a
	}
	return a, open(filepath.Join(t.TempDir(), "flopwatch.db"))
}

// A session that was opened at one collector holds at another and after a restart,
// ends everywhere when it is ended anywhere, and by the clock as it did.
func TestSessionsHoldAtEveryCollector(t *testing.T) {
	a, b := overOneStore(t)
	clock := &shifted{kept: time.Now().Truncate(time.Second)}
	hash, err := access.HashPassword(testPassword)
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"ana", "ben"} {
		if err := a.AddUser(t.Context(), "usr_"+login, login, []permission.Role{permission.Viewer}, hash, clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	first, second := serveOver(t, a, clock), serveOver(t, b, clock)
	token := first.signIn("ana")
	first.holds("where it was opened", token, http.StatusOK)
	second.holds("at another", token, http.StatusOK)
	serveOver(t, a, clock).holds("after a restart", token, http.StatusOK)
	second.holds("another text", "fws_"+strings.Repeat("a", 43), http.StatusUnauthorized)
	if all, err := b.SessionsOf(t.Context(), "usr_ana"); err != nil || len(all) != 1 || strings.Contains(token, all[0].Hash) || len(all[0].Hash) != 64 {
		t.Errorf("%+v %v", all, err)
	}

	// Signed out at one, it is over at the other.
	if status, text := second.ask(http.MethodDelete, "/v1/sessions", token, ""); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	first.holds("signed out at another", token, http.StatusUnauthorized)

	// Ended by the person from elsewhere, but for the one that asks.
	token, other := first.signIn("ana"), second.signIn("ana")
	bens := second.signIn("ben")
	mine, err := second.Sessions(t.Context(), "usr_ana")
	if err != nil || len(mine) != 2 {
		t.Fatalf("%v %v", mine, err)
	}
	keep := ""
	for _, m := range mine {
		if all, err := a.SessionsOf(t.Context(), "usr_ana"); err == nil && strings.HasPrefix(all[0].Hash, strings.TrimPrefix(m.Name, "ses_")) {
			keep = m.Name
		}
	}
	if n, err := first.EndSessions(t.Context(), "usr_ana", keep); n != 1 || err != nil {
		t.Fatalf("%d ended, %v", n, err)
	}
	one, _ := first.ask(http.MethodGet, "/v1/status", token, "")
	two, _ := first.ask(http.MethodGet, "/v1/status", other, "")
	if one+two != http.StatusOK+http.StatusUnauthorized {
		t.Errorf("of two sessions one was kept: %d, %d", one, two)
	}
	first.holds("of somebody else", bens, http.StatusOK)

	// Disabled at one, nothing of theirs holds at the other.
	if err := a.ChangeUser(t.Context(), "usr_ben", func(u *store.Account) error { u.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	second.holds("of somebody disabled", bens, http.StatusUnauthorized)

	// By the clock: half an hour without use, wherever it was used last, and half a day.
	token = first.signIn("ana")
	begun := clock.now()
	for _, s := range []sessionServer{second, first, second} {
		clock.set(clock.now().Add(29 * time.Minute))
		s.holds("used within half an hour", token, http.StatusOK)
	}
	clock.set(clock.now().Add(31 * time.Minute))
	first.holds("not used for half an hour", token, http.StatusUnauthorized)
	clock.set(begun)
	token = first.signIn("ana")
	for clock.now().Sub(begun) < 12*time.Hour-25*time.Minute {
		clock.set(clock.now().Add(20 * time.Minute))
		first.holds("used all day", token, http.StatusOK)
	}
	clock.set(begun.Add(12 * time.Hour))
	second.holds("after half a day", token, http.StatusUnauthorized)
}

// countedSessions is a store that counts what is written of sessions.
type countedSessions struct {
	*store.Store
	reads, writes int
}

func (c *countedSessions) Session(ctx context.Context, hash string) (permission.Session, bool, error) {
	c.reads++
	return c.Store.Session(ctx, hash)
}

func (c *countedSessions) SessionUsed(ctx context.Context, hash string, at time.Time) error {
	c.writes++
	return c.Store.SessionUsed(ctx, hash, at)
}

// Requests cost no commit but one a minute, and a store that cannot be asked lets
// nobody in.
func TestSessionsAreWrittenOnceAMinute(t *testing.T) {
	a, _ := overOneStore(t)
	clock := &shifted{kept: time.Now().Truncate(time.Second)}
	hash, err := access.HashPassword(testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AddUser(t.Context(), "usr_ana", "ana", []permission.Role{permission.Viewer}, hash, clock.now()); err != nil {
		t.Fatal(err)
	}
	counted := &countedSessions{Store: a}
	served, err := httpd.New(httpd.Options{Reader: store.NewReader(a, "", false), Users: a, Sessions: counted, Listen: "127.0.0.1:0", DataDir: t.TempDir(), Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := served.Close(); err != nil {
			t.Error(err)
		}
	})
	s := sessionServer{served, t}
	token := s.signIn("ana")
	for range 100 {
		s.holds("each second", token, http.StatusOK)
		clock.set(clock.now().Add(time.Second))
	}
	if counted.writes != 1 || counted.reads < 100 {
		t.Errorf("%d writes and %d reads for 100 requests in 100 s", counted.writes, counted.reads)
	}
	broken := &brokenSessions{}
	other, err := httpd.New(httpd.Options{Reader: store.NewReader(a, "", false), Users: a, Sessions: broken, Listen: "127.0.0.1:0", DataDir: t.TempDir(), Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	sessionServer{other, t}.holds("where the store cannot be asked", token, http.StatusInternalServerError)
	if status, _ := (sessionServer{other, t}).ask(http.MethodPost, "/v1/sessions", "", `{"login": "ana", "password": "`+testPassword+`"}`); status != http.StatusInternalServerError {
		t.Errorf("a sign-in that could not be kept: %d", status)
	}
}

// brokenSessions keeps nothing.
type brokenSessions struct{}

var errBroken = errors.New("the disk is gone")

func (*brokenSessions) OpenSession(context.Context, permission.Session, int, int, time.Time, time.Time) error {
	return errBroken
}

func (*brokenSessions) Session(context.Context, string) (permission.Session, bool, error) {
	return permission.Session{}, false, errBroken
}
func (*brokenSessions) SessionUsed(context.Context, string, time.Time) error { return errBroken }
func (*brokenSessions) SessionsOf(context.Context, string) ([]permission.Session, error) {
	return nil, errBroken
}
func (*brokenSessions) EndSession(context.Context, ...string) (int, error) { return 0, errBroken }
