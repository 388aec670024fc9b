package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Tokens finds API tokens.
type Tokens interface {
	// Token returns the token of a hash; ok is false if there is none.
	Token(ctx context.Context, hash string) (t permission.Token, ok bool, err error)
	TokenUsed(ctx context.Context, id string, at time.Time) error
	// TokenElsewhere counts that a token was tried from outside its networks; where
	// tell is set, that is an entry of the audit log too.
	TokenElsewhere(ctx context.Context, id string, at time.Time, tell bool) error
}

// TokenPrefix begins every token of this API, so that scanners for secrets find it.
const TokenPrefix = "fwt_"

// Form of an API token after its prefix: 160 bits and a checksum, so that a scanner can
// tell a token from what only looks like one.
const (
	tokenBytes  = 20
	tokenLength = 32 + 7
)

// usedEvery is how often the use of a token is noted.
const usedEvery = time.Minute

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewToken returns the text of a new API token and the hash by which it is kept.
func NewToken() (text, hash string) {
	var b [tokenBytes]byte
	rand.Read(b[:]) // never fails
	body := tokenText.EncodeToString(b[:])
	text = TokenPrefix + body + checksum(body)
	return text, hashToken(text)
}

func checksum(body string) string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE([]byte(body)))
	return tokenText.EncodeToString(sum[:])
}

// LooksLikeToken reports whether a text has the form and the checksum of an API token.
func LooksLikeToken(text string) bool {
	body, ok := strings.CutPrefix(text, TokenPrefix)
	return ok && len(body) == tokenLength && checksum(body[:32]) == body[32:]
}

func hashToken(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// bearerOf is the token that a request of the API carries, if it has the form of one.
func bearerOf(r *http.Request) (text string, ok bool) {
	text, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return text, ok && isAPI(r) && LooksLikeToken(text)
}

// byToken lets a program through that asks for the person who made its token.
func (g *Guard) byToken(w http.ResponseWriter, r *http.Request, text string, next http.Handler) {
	ctx := r.Context()
	now := g.now()
	t, ok, err := g.tokens.Token(ctx, hashToken(text))
	var u permission.User
	if err == nil && ok && t.Holds(now) {
		u, ok, err = g.users.User(ctx, t.User)
	}
	if err != nil {
		g.log.LogAttrs(ctx, slog.LevelError, "token could not be checked", slog.String("error", err.Error()))
		refuse(w, r, http.StatusInternalServerError, "the token could not be checked; the collector's log says why")
		return
	}
	good := ok && t.Holds(now) && !u.Disabled
	if good && !t.From.Has(addressOf(r)) {
		good = false
		g.elsewhere(ctx, t, now)
	}
	if !good {
		w.Header().Set("WWW-Authenticate", `Bearer realm="flopwatch", error="invalid_token"`)
		refuse(w, r, http.StatusUnauthorized, "the token is not known, was revoked or has expired, is not for this network, or its maker's account is barred")
		return
	}
	if !g.take(t.ID, requests, now) {
		w.Header().Set("Retry-After", "1")
		refuse(w, r, http.StatusTooManyRequests, "more than 600 requests a minute by one token")
		return
	}
	if g.toNote(t.ID, now) {
		// Not to be noted is no reason to refuse.
		if err := g.tokens.TokenUsed(ctx, t.ID, now.Truncate(usedEvery)); err != nil {
			g.log.LogAttrs(ctx, slog.LevelWarn, "use of a token could not be noted", slog.String("error", err.Error()))
		}
	}
	who := permission.Principal{ID: u.ID, Roles: u.Roles, Accounts: u.Accounts, Token: t.ID, Scope: t.Scope}
	next.ServeHTTP(w, acting(r, audit.Actor{Kind: audit.Service, ID: u.ID, SignIn: t.ID}, who))
}

// elsewhere is how many tries from elsewhere are counted of one token: all
// are refused, and none takes from what its holder may ask.
var elsewhere = allowance.PerMinute(60)

// elsewhere notes that a token was tried from outside its networks, once a minute in
// the audit log. From where is said nowhere: it may be its holder's home.
func (g *Guard) elsewhere(ctx context.Context, t permission.Token, now time.Time) {
	if !g.take("elsewhere "+t.ID, elsewhere, now) {
		return
	}
	tell := g.toNote("elsewhere "+t.ID, now)
	if tell {
		g.log.LogAttrs(ctx, slog.LevelWarn, "a token was tried from outside its networks", slog.String("token", t.ID))
	}
	ctx = audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Service, ID: t.ID}})
	// It is refused whether that can be noted or not.
	if err := g.tokens.TokenElsewhere(ctx, t.ID, now.Truncate(usedEvery), tell); err != nil {
		g.log.LogAttrs(ctx, slog.LevelError, "that a token was tried from elsewhere could not be noted", slog.String("token", t.ID), slog.String("error", err.Error()))
	}
}

// addressOf is the address that a request comes from, zero if it is not known. What a
// proxy says of addresses is a claim and is not looked at.
func addressOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	at, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return at.Unmap().WithZone("")
}

// toNote reports whether the use of a token is due to be noted.
func (g *Guard) toNote(id string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.used[id]; ok && now.Sub(last) < usedEvery {
		return false
	}
	evict(g.used, maxLogins, func(t time.Time) time.Time { return t })
	g.used[id] = now
	return true
}

// requests is what one token may ask for.
var requests = allowance.PerMinute(600)

// take takes from what somebody may do, false if nothing is left.
func (g *Guard) take(key string, r allowance.Rate, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	left, known := g.rates[key]
	if !known {
		evict(g.rates, maxLogins, allowance.Left.At)
	}
	_, ok := left.Take(r, now)
	g.rates[key] = left
	return ok
}
