package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// stage is how far a sign-in has come.
type stage int

const (
	complete       stage = iota
	wantsCode            // the password was right, the code is missing
	wantsEnrolment       // the password was right, and there is no second factor yet
	wantsPassword        // all was right, and the password was for this once
)

// halfLife is how long a sign-in may take from its first to its last step.
const halfLife = 10 * time.Minute

// Most sessions of all people, and of one. The one that was not used the longest goes first.
const maxSessions, maxOwnSessions = 4096, 16

// session is one sign-in. Its user is "" for the owner, who came by a link.
type session struct {
	made, used time.Time
	proved     time.Time // when they last proved who they are
	user       string
	login      string
	stage      stage
	strong     bool   // with a second factor
	secret     []byte // that an enrolment offers
	once       string // what is kept of the password, if it was for this once
	next       string // page to open in the end, "" for the first one
	outside    bool   // with an identity provider
	signOut    string // where the person signs out of it, "" for nowhere
}

// over reports whether a session has ended by itself.
func (s session) over(now time.Time) bool {
	if s.stage != complete {
		return now.Sub(s.made) >= halfLife
	}
	return now.Sub(s.used) >= SessionIdle || now.Sub(s.made) >= SessionLife
}

// sessionPrefix tells a session's token from others.
const sessionPrefix = "fws_"

// Sessions keeps the sessions of people for all collectors over one store, by hashes.
type Sessions interface {
	// OpenSession keeps a session, and forgets what is over and what is too many.
	OpenSession(ctx context.Context, s permission.Session, own, all int, idle, ended time.Time) error
	Session(ctx context.Context, hash string) (s permission.Session, ok bool, err error)
	SessionUsed(ctx context.Context, hash string, at time.Time) error
	SessionsOf(ctx context.Context, account string) ([]permission.Session, error)
	EndSession(ctx context.Context, hashes ...string) (ended int, err error)
}

// touchEvery is how often the use of a session is written: no request but one a minute
// costs a commit. A session may so end up to a minute early, and never late.
const touchEvery = time.Minute

// stored says that a session is kept in the store: sign-ins that are not complete hold a
// secret and ten minutes, and the owner of a trial ends with the process.
func (g *Guard) stored(s session) bool {
	return g.kept != nil && s.user != "" && s.stage == complete
}

func hexOf(key [32]byte) string { return hex.EncodeToString(key[:]) }

// begin opens a session and returns its secret.
func (g *Guard) begin(ctx context.Context, s session) (id string, err error) {
	if !g.stored(s) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.open(s), nil
	}
	id = secret()
	n := permission.Session{Hash: hexOf(sha256.Sum256([]byte(id))), User: s.user, Door: g.door(), Made: s.made, Used: s.used, Proved: s.proved, Strong: s.strong, Outside: s.outside, SignOut: s.signOut}
	return id, g.kept.OpenSession(ctx, n, maxOwnSessions, maxSessions, s.made.Add(-SessionIdle), s.made.Add(-SessionLife))
}

// door is by which way in sessions were opened: one of this machine does not hold for
// others.
func (g *Guard) door() string {
	if g.public != "" {
		return "public"
	}
	return "local"
}

// fetch returns a session from the store, ok false where none holds here, and notes
// that it was used.
func (g *Guard) fetch(ctx context.Context, key [32]byte, now time.Time) (s session, ok bool, err error) {
	if g.kept == nil {
		return session{}, false, nil
	}
	n, ok, err := g.kept.Session(ctx, hexOf(key))
	if err != nil || !ok || n.Door != g.door() {
		return session{}, false, err
	}
	s = session{made: n.Made, used: n.Used, proved: n.Proved, user: n.User, strong: n.Strong, outside: n.Outside, signOut: n.SignOut}
	if s.over(now) {
		return session{}, false, nil // it goes when somebody signs in
	}
	if now.Sub(s.used) >= touchEvery {
		s.used = now
		err = g.kept.SessionUsed(context.WithoutCancel(ctx), hexOf(key), now)
	}
	return s, true, err
}

// open keeps a session in memory and returns its secret. The caller holds the lock.
func (g *Guard) open(s session) (id string) {
	own := 0
	var oldest [32]byte
	var when time.Time
	for key, o := range g.sessions {
		switch {
		case o.over(s.made):
			delete(g.sessions, key)
		case o.user == s.user:
			if own++; when.IsZero() || o.used.Before(when) {
				oldest, when = key, o.used
			}
		}
	}
	if own >= maxOwnSessions {
		delete(g.sessions, oldest)
	}
	evict(g.sessions, maxSessions, func(s session) time.Time { return s.used })
	id = secret()
	g.sessions[sha256.Sum256([]byte(id))] = s
	return id
}

// secretOf returns the session's secret that a request carries: in its cookie,
// or for the API as a token.
func (g *Guard) secretOf(r *http.Request) (text string, cookie bool) {
	if text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "+sessionPrefix); ok && isAPI(r) {
		return text, false
	}
	if c, err := r.Cookie(g.cookie); err == nil {
		return c.Value, true
	}
	return "", false
}

// sessionOf returns the live session that the request carries and marks it as
// used, and a name of it that opens nothing. The table is keyed by hash, so a
// look-up tells nothing by its timing. A sign-in that is not complete is no session.
func (g *Guard) sessionOf(r *http.Request) (s session, name string, ok bool, err error) {
	s, name, ok, err = g.begun(r)
	return s, name, ok && s.stage == complete, err
}

// begun is sessionOf with sign-ins that are not complete.
func (g *Guard) begun(r *http.Request) (s session, name string, ok bool, err error) {
	text, _ := g.secretOf(r)
	if text == "" {
		return session{}, "", false, nil
	}
	key, now := sha256.Sum256([]byte(text)), g.now()
	if s, ok = g.remembered(key, now); !ok {
		s, ok, err = g.fetch(r.Context(), key, now)
	}
	if err != nil || !ok {
		return session{}, "", false, err
	}
	return s, nameOf(key), true, nil
}

// remembered returns a session from memory and marks it as used.
func (g *Guard) remembered(key [32]byte, now time.Time) (s session, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok = g.sessions[key]
	if !ok {
		return session{}, false
	}
	if s.over(now) {
		delete(g.sessions, key)
		return session{}, false
	}
	s.used = now
	g.sessions[key] = s
	return s, true
}

func nameOf(key [32]byte) string { return "ses_" + hex.EncodeToString(key[:8]) }

// finish ends the session that the request carries, complete or not, and opens one in
// its place under a new secret: what was known before the last step opens nothing.
func (g *Guard) finish(r *http.Request, s session) (id string, err error) {
	if err := g.end(r); err != nil {
		return "", err
	}
	return g.begin(r.Context(), s)
}

// end ends the session that the request carries.
func (g *Guard) end(r *http.Request) error {
	text, _ := g.secretOf(r)
	if text == "" {
		return nil
	}
	return g.endKey(r.Context(), sha256.Sum256([]byte(text)))
}

func (g *Guard) endKey(ctx context.Context, key [32]byte) error {
	g.mu.Lock()
	_, here := g.sessions[key]
	delete(g.sessions, key)
	g.mu.Unlock()
	if here || g.kept == nil {
		return nil
	}
	if _, there, err := g.kept.Session(ctx, hexOf(key)); err != nil || !there {
		return err // what somebody made up costs no commit
	}
	_, err := g.kept.EndSession(ctx, hexOf(key))
	return err
}

// Session is a session as its person may see it.
type Session struct {
	Name       string // ses_…, opens nothing
	Made, Used time.Time
}

// Sessions returns the sessions of a person by this door, the last used first.
func (g *Guard) Sessions(ctx context.Context, user string) ([]Session, error) {
	now := g.now()
	var out []Session
	if g.kept != nil {
		all, err := g.kept.SessionsOf(ctx, user)
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			if n.Door == g.door() && !(session{made: n.Made, used: n.Used}).over(now) {
				out = append(out, Session{nameOfHash(n.Hash), n.Made, n.Used})
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, s := range g.sessions {
		if s.user == user && s.stage == complete && !s.over(now) {
			out = append(out, Session{nameOf(key), s.made, s.used})
		}
	}
	slices.SortFunc(out, func(a, b Session) int {
		if c := b.Used.Compare(a.Used); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out, nil
}

// EndSessions ends the sessions of a person but the named one, by whatever door and at
// whatever collector, and what they have begun here, and returns how many that were.
func (g *Guard) EndSessions(ctx context.Context, user, but string) (ended int, err error) {
	g.mu.Lock()
	for key, s := range g.sessions {
		if s.user == user && nameOf(key) != but {
			delete(g.sessions, key)
			ended++
		}
	}
	g.mu.Unlock()
	if g.kept == nil {
		return ended, nil
	}
	all, err := g.kept.SessionsOf(ctx, user)
	if err != nil {
		return ended, err
	}
	var hashes []string
	for _, n := range all {
		if nameOfHash(n.Hash) != but {
			hashes = append(hashes, n.Hash)
		}
	}
	if len(hashes) == 0 {
		return ended, nil
	}
	n, err := g.kept.EndSession(ctx, hashes...)
	return ended + n, err
}

// nameOfHash is nameOf of a key in hexadecimal digits.
func nameOfHash(hash string) string { return "ses_" + hash[:min(16, len(hash))] }

// pageOf returns the path of this desk that a text names, "" for anything else: an
// address that leads elsewhere is not followed after a sign-in.
func pageOf(text string) string {
	if len(text) > 300 || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '\\' || r > '~' }) {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, "/sign-") || strings.HasPrefix(u.Path, "/v1/") || strings.HasPrefix(u.Path, "/login") {
		return ""
	}
	return text
}

// RenewRecovery gives a person new recovery codes; those before are worth nothing.
func (g *Guard) RenewRecovery(ctx context.Context, account string) ([]string, error) {
	if g.factors == nil {
		return nil, errors.New("renew recovery codes: this guard asks for no second factor")
	}
	return g.factors.renew(ctx, account)
}
