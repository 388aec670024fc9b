// Package access decides who may talk to the desk and the API on this machine.
//
// The collector listens on loopback only. A person signs in with a password and
// then holds a session, as a cookie or as a token; while nobody has an account,
// for a trial, a one-time link that the collector prints opens a session of the
// owner. A program sends the token of a file that only the owner can read. What
// each may do is for package permission to say. Requests under another host name
// (DNS rebinding) and unsafe requests from other origins are refused before
// anything is looked up. Sessions of people are kept by hash in the store, where every
// collector finds them. Links, the owner's session of a trial and sign-ins that are not
// complete are kept in memory, hashed, and end with the process.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// How long things hold.
const (
	LinkLife    = 15 * time.Minute
	SessionIdle = 30 * time.Minute
	SessionLife = 12 * time.Hour
)

// Most links at one time; the oldest goes first.
const maxLinks = 32

// ErrNotLoopback says that an address is reachable from other machines.
var ErrNotLoopback = errors.New("not a loopback address: over a network the desk is reached with TLS alone (--public)")

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
	users   Users
	log     *slog.Logger
	public  string        // URL of a desk that other machines reach over TLS, "" on loopback
	hashing chan struct{} // one place for each password that is checked at a time
	coding  sync.Mutex    // codes are checked one after the other, so that none is tried beside the count of wrong ones
	factors *factors      // nil asks for no second factor
	tokens  Tokens        // nil knows none

	kept      Sessions // of people, for all collectors; nil keeps them in memory
	provider  Provider // nil for none
	outsiders Outsiders

	mu       sync.Mutex
	links    map[[32]byte]time.Time // hash → made
	sessions map[[32]byte]session
	tries    map[string]tries          // login → wrong passwords; "\x00" and account → wrong codes
	enrols   map[string]offer          // account → secret that a program was offered
	rates    map[string]allowance.Left // token or address → requests of late
	attempts map[[32]byte]attempt      // hash of the state → sign-in with the provider
	used     map[string]time.Time      // token → when its use was noted
}

// Options of a Guard. The zero value is good for a trial.
type Options struct {
	Users Users // people with accounts; nil: nobody has one
	// Factors keeps second factors, whose secrets are sealed with FactorKey of
	// FactorKeySize bytes. Nil asks nobody for one.
	Factors   Factors
	FactorKey []byte
	Tokens    Tokens // API tokens; nil knows none
	// Sessions keeps the sessions of people where every collector finds them; nil keeps
	// them in memory, where they end with the process.
	Sessions Sessions
	// Provider is an identity provider with which people sign in, whose accounts
	// Outsiders keeps; nil for none.
	Provider  Provider
	Outsiders Outsiders
	Now       func() time.Time // nil is the real clock
	Log       *slog.Logger     // nil discards
}

// New returns a guard for a server that listens on addr, with a fresh token.
func New(addr net.Addr, o Options) (*Guard, error) {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return nil, fmt.Errorf("guard %v: %w", addr, err)
	}
	if !at.Addr().IsLoopback() {
		return nil, fmt.Errorf("guard %v: %w", addr, ErrNotLoopback)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	second, err := newFactors(o.Factors, o.FactorKey)
	if err != nil {
		return nil, fmt.Errorf("guard %v: %w", addr, err)
	}
	port := strconv.Itoa(int(at.Port()))
	g := &Guard{
		addr: at, hosts: map[string]bool{}, origins: map[string]bool{}, cookie: "flopwatch_session_" + port,
		token: "fwt_" + secret(), cross: http.NewCrossOriginProtection(), now: o.Now, users: o.Users, log: o.Log, hashing: make(chan struct{}, 2),
		links: map[[32]byte]time.Time{}, sessions: map[[32]byte]session{}, tries: map[string]tries{},
		kept: o.Sessions, provider: o.Provider, outsiders: o.Outsiders, attempts: map[[32]byte]attempt{},
		factors: second, tokens: o.Tokens, enrols: map[string]offer{}, rates: map[string]allowance.Left{}, used: map[string]time.Time{},
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

// ErrNoAccounts says that a desk which other machines reach has nobody to sign in.
var ErrNoAccounts = errors.New("nobody has an account: make one on this machine before others can reach the desk")

// NewPublic returns a guard for a server that other machines reach over TLS, under
// the one name that browsers and programs know it by. There is no token and no link
// there: people and programs sign in with accounts, of which there must be one.
func NewPublic(ctx context.Context, name string, port int, o Options) (*Guard, error) {
	if name == "" || strings.ContainsAny(name, "/:@ ") {
		return nil, fmt.Errorf("public name %q: must be the host name that the certificate is for", name)
	}
	if any, err := (&Guard{users: o.Users}).anyUser(ctx); err != nil {
		return nil, fmt.Errorf("public desk: %w", err)
	} else if !any {
		return nil, fmt.Errorf("public desk: %w", ErrNoAccounts)
	}
	g, err := New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, o)
	if err != nil {
		return nil, err
	}
	g.hosts, g.origins, g.cookie = map[string]bool{}, map[string]bool{}, "__Host-flopwatch_session"
	name = strings.ToLower(name)
	hosts := []string{net.JoinHostPort(name, strconv.Itoa(port))}
	if port == 443 {
		hosts = append([]string{name}, hosts...)
	}
	for _, host := range hosts {
		g.hosts[host], g.origins["https://"+host] = true, true
	}
	g.public = "https://" + hosts[0]
	return g, nil
}

// URL is where the server is.
func (g *Guard) URL() string {
	if g.public != "" {
		return g.public
	}
	return "http://" + g.addr.String()
}

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
	return g.open(session{made: now, used: now, proved: now}), true
}

// principal returns who a session is, ok false if the account is gone or disabled.
func (g *Guard) principal(ctx context.Context, s session) (p permission.Principal, ok bool, err error) {
	if s.user == "" {
		// The owner of a trial. As soon as people have accounts nobody is everybody.
		any, err := g.anyUser(ctx)
		return permission.Principal{ID: permission.Owner, Roles: permission.People, SignedIn: s.proved}, !any, err
	}
	u, ok, err := g.users.User(ctx, s.user)
	if g.factors != nil && !s.strong && permission.NeedSecondFactor(u.Roles) {
		ok = false // they were given a role since they signed in, and sign in again for it
	}
	return permission.Principal{ID: u.ID, Roles: u.Roles, SignedIn: s.proved, Accounts: u.Accounts}, ok && !u.Disabled, err
}

func (g *Guard) anyUser(ctx context.Context) (bool, error) {
	if g.users == nil {
		return false, nil
	}
	return g.users.AnyUser(ctx)
}

// hasToken compares hashes, so the time taken tells nothing of the token.
func (g *Guard) hasToken(r *http.Request) bool {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && sha256.Sum256([]byte(text)) == g.bearer
}

// evict makes room for one more entry by dropping the oldest.
func evict[K comparable, V any](m map[K]V, most int, age func(V) time.Time) {
	for len(m) >= most {
		var oldest K
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
