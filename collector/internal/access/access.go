// Package access decides who may talk to the desk and the API on this machine.
//
// The collector listens on loopback only. A person comes by a one-time link that
// the collector prints and then holds a session cookie; a program sends the
// token of a file that only the owner can read. Requests under another host name
// (DNS rebinding) and unsafe requests from other origins are refused before
// anything is looked up. Sessions and links are kept in memory, hashed, and end
// with the process.
package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long things hold.
const (
	LinkLife    = 15 * time.Minute
	SessionIdle = 30 * time.Minute
	SessionLife = 12 * time.Hour
)

// Most links and sessions at one time; the oldest goes first.
const maxLinks, maxSessions = 32, 64

// ErrNotLoopback says that an address is reachable from other machines.
var ErrNotLoopback = errors.New("not a loopback address; until people have accounts the collector listens on this machine only")

// CheckLoopback accepts host:port whose host is localhost or a loopback IP
// address. Errors wrap ErrNotLoopback where the address is well formed.
func CheckLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", address, err)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return fmt.Errorf("listen address %q: %w", address, ErrNotLoopback)
	}
	return nil
}

// Guard admits requests. It may be used from many goroutines.
type Guard struct {
	addr    netip.AddrPort
	hosts   map[string]bool // allowed Host headers
	origins map[string]bool // allowed Origin headers
	cookie  string
	token   string
	bearer  [32]byte // hash of the token
	cross   *http.CrossOriginProtection
	now     func() time.Time

	mu       sync.Mutex
	links    map[[32]byte]time.Time // hash → made
	sessions map[[32]byte]session
}

type session struct{ made, used time.Time }

// New returns a guard for a server that listens on addr, with a fresh token.
// The clock is an argument for tests; nil is the real one.
func New(addr net.Addr, now func() time.Time) (*Guard, error) {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return nil, fmt.Errorf("guard %v: %w", addr, err)
	}
	if !at.Addr().IsLoopback() {
		return nil, fmt.Errorf("guard %v: %w", addr, ErrNotLoopback)
	}
	if now == nil {
		now = time.Now
	}
	port := strconv.Itoa(int(at.Port()))
	g := &Guard{
		addr: at, hosts: map[string]bool{}, origins: map[string]bool{}, cookie: "flopwatch_session_" + port,
		token: "fwt_" + secret(), cross: http.NewCrossOriginProtection(), now: now,
		links: map[[32]byte]time.Time{}, sessions: map[[32]byte]session{},
	}
	g.bearer = sha256.Sum256([]byte(g.token))
	names := []string{at.String(), "localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port}
	if port == "80" {
		names = append(names, "localhost", "127.0.0.1", "[::1]")
	}
	for _, host := range names {
		g.hosts[host], g.origins["http://"+host] = true, true
	}
	return g, nil
}

// URL is where the server is.
func (g *Guard) URL() string { return "http://" + g.addr.String() }

// Token is the API token. It ends with the process.
func (g *Guard) Token() string { return g.token }

// NewLink makes a link that opens one session, once, until it expires.
func (g *Guard) NewLink() (url string, expires time.Time) {
	text := secret()
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, made := range g.links {
		if now.Sub(made) >= LinkLife {
			delete(g.links, id)
		}
	}
	evict(g.links, maxLinks, func(made time.Time) time.Time { return made })
	g.links[sha256.Sum256([]byte(text))] = now
	return g.URL() + "/login?t=" + text, now.Add(LinkLife)
}

// redeem turns a link's secret into a session's, once.
func (g *Guard) redeem(text string) (id string, ok bool) {
	key, now := sha256.Sum256([]byte(text)), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	made, known := g.links[key]
	delete(g.links, key)
	if !known || now.Sub(made) >= LinkLife {
		return "", false
	}
	evict(g.sessions, maxSessions, func(s session) time.Time { return s.used })
	id = secret()
	g.sessions[sha256.Sum256([]byte(id))] = session{made: now, used: now}
	return id, true
}

// hasSession reports whether the request carries a live session and marks it as
// used. It returns a name of the session that opens nothing. The table is keyed
// by hash, so a look-up tells nothing by its timing.
func (g *Guard) hasSession(r *http.Request) (name string, ok bool) {
	c, err := r.Cookie(g.cookie)
	if err != nil {
		return "", false
	}
	key, now := sha256.Sum256([]byte(c.Value)), g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.sessions[key]
	if !ok {
		return "", false
	}
	if now.Sub(s.used) >= SessionIdle || now.Sub(s.made) >= SessionLife {
		delete(g.sessions, key)
		return "", false
	}
	s.used = now
	g.sessions[key] = s
	return "ses_" + hex.EncodeToString(key[:8]), true
}

// hasToken compares hashes, so the time taken tells nothing of the token.
func (g *Guard) hasToken(r *http.Request) bool {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && sha256.Sum256([]byte(text)) == g.bearer
}

// evict makes room for one more entry by dropping the oldest.
func evict[V any](m map[[32]byte]V, most int, age func(V) time.Time) {
	for len(m) >= most {
		var oldest [32]byte
		var when time.Time
		for id, v := range m {
			if at := age(v); when.IsZero() || at.Before(when) {
				oldest, when = id, at
			}
		}
		delete(m, oldest)
	}
}

// secret returns 256 random bits as text.
func secret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: the runtime stops the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
