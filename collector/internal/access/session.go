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
)

// stage is how far a sign-in has come.
type stage int

const (
	complete       stage = iota
	wantsCode            // the password was right, the code is missing
	wantsEnrolment       // the password was right, and there is no second factor yet
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

// open keeps a session and returns its secret. The caller holds the lock.
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
func (g *Guard) sessionOf(r *http.Request) (s session, name string, ok bool) {
	s, name, ok = g.begun(r)
	return s, name, ok && s.stage == complete
}

// begun is sessionOf with sign-ins that are not complete.
func (g *Guard) begun(r *http.Request) (s session, name string, ok bool) {
	text, _ := g.secretOf(r)
	key, now := sha256.Sum256([]byte(text)), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok = g.sessions[key]
	if !ok {
		return session{}, "", false
	}
	if s.over(now) {
		delete(g.sessions, key)
		return session{}, "", false
	}
	s.used = now
	g.sessions[key] = s
	return s, nameOf(key), true
}

func nameOf(key [32]byte) string { return "ses_" + hex.EncodeToString(key[:8]) }

// finish ends the session that the request carries, complete or not, and opens one in
// its place under a new secret: what was known before the last step opens nothing.
func (g *Guard) finish(r *http.Request, s session) (id string) {
	text, _ := g.secretOf(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, sha256.Sum256([]byte(text)))
	return g.open(s)
}

// end ends the session that the request carries.
func (g *Guard) end(r *http.Request) {
	text, _ := g.secretOf(r)
	g.mu.Lock()
	delete(g.sessions, sha256.Sum256([]byte(text)))
	g.mu.Unlock()
}

// Session is a session as its person may see it.
type Session struct {
	Name       string // ses_…, opens nothing
	Made, Used time.Time
}

// Sessions returns the sessions of a person, the last used first.
func (g *Guard) Sessions(_ context.Context, user string) []Session {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Session
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
	return out
}

// EndSessions ends the sessions of a person but the named one, and what they have
// begun, and returns how many that were.
func (g *Guard) EndSessions(user, but string) (ended int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, s := range g.sessions {
		if s.user == user && nameOf(key) != but {
			delete(g.sessions, key)
			ended++
		}
	}
	return ended
}

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
