package enrolment

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
	"github.com/flopwatch/flopwatch/pkg/enrol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errToken = errors.New("not valid")

// members is a Roster that takes one token.
type members struct {
	mu    sync.Mutex
	token enrol.Token
	bound []enrol.Keys
	from  netip.Addr
}

func (m *members) Enrol(_ context.Context, token enrol.Token, k enrol.Keys, from netip.Addr) (enrol.Welcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if token != m.token {
		return enrol.Welcome{}, errToken
	}
	m.token, m.from = enrol.Token{}, from
	m.bound = append(m.bound, k)
	return enrol.Welcome{Host: token.Host}, nil
}

func (m *members) Rotate(_ context.Context, in enrol.Rotation, _ netip.Addr) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bound = append(m.bound, in.Keys)
	return time.Unix(1_800_000_000, 0), nil
}

type door struct {
	*Server
	members *members
	base    string
	client  *http.Client
	token   enrol.Token
	now     time.Time
	mu      sync.Mutex
}

func (d *door) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *door) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

func open(t *testing.T) *door {
	t.Helper()
	authority, err := LoadAuthority(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := enrol.NewToken("abcdefghijklmnopqrstuvwxyz", enrol.AuthorityHash(authority.Certificate()))
	if err != nil {
		t.Fatal(err)
	}
	d := &door{members: &members{token: token}, token: token, now: time.Now()}
	d.Server, err = New(Options{Listen: "127.0.0.1:0", Authority: authority, Roster: d.members, Broker: ":4222", Refused: errToken, Now: d.clock})
	if err != nil {
		t.Fatal(err)
	}
	d.base = "https://" + d.Addr().String()
	d.client = &http.Client{Transport: &http.Transport{TLSClientConfig: enrol.ByHash(token.Authority), DisableKeepAlives: true}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}

// post returns status and body.
func (d *door) post(t *testing.T, path string, body any) (int, []byte) {
	t.Helper()
	data, ok := body.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := d.client.Post(d.base+path, "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, text
}

func (d *door) nonceNow(t *testing.T) []byte {
	t.Helper()
	status, text := d.post(t, enrol.PathNonce, struct{}{})
	var n enrol.Nonce
	if err := json.Unmarshal(text, &n); err != nil || status != http.StatusOK {
		t.Fatalf("nonce: %d %s", status, text)
	}
	return n.Nonce
}

func newKeys(t *testing.T) enrol.Private {
	t.Helper()
	_, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return enrol.Private{Signing: signing, Broker: broker}
}

func TestEnrolOnceOverTheDoor(t *testing.T) {
	d := open(t)
	request, err := enrol.Ask(d.token, d.nonceNow(t), newKeys(t), enrol.Facts{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	status, text := d.post(t, enrol.PathEnrol, request)
	var w enrol.Welcome
	if err := json.Unmarshal(text, &w); err != nil || status != http.StatusOK || w.Broker != ":4222" || len(w.Authority) == 0 {
		t.Fatalf("%d %s", status, text)
	}
	if !d.members.from.IsLoopback() {
		t.Errorf("came from %s", d.members.from)
	}
	if status, text := d.post(t, enrol.PathEnrol, request); status != http.StatusForbidden {
		t.Errorf("the same again: %d %s", status, text)
	}
	old, next := newKeys(t), newKeys(t)
	rotation, err := enrol.AskRotation(w.Host, d.nonceNow(t), old.Signing, next)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := d.post(t, enrol.PathRotate, rotation); status != http.StatusOK || !strings.Contains(string(text), "2027") {
		t.Errorf("rotate: %d %s", status, text)
	}
	rotation.Host = strings.Repeat("b", 26)
	if status, _ := d.post(t, enrol.PathRotate, rotation); status != http.StatusForbidden {
		t.Errorf("rotate for another: %d", status)
	}
}

// What must not bind keys does not, and is answered without what was submitted.
func TestDoorRefuses(t *testing.T) {
	d := open(t)
	nonce := d.nonceNow(t)
	ask := func(change func(*enrol.Request)) any {
		r, err := enrol.Ask(d.token, nonce, newKeys(t), enrol.Facts{})
		if err != nil {
			t.Fatal(err)
		}
		change(&r)
		return r
	}
	good, err := json.Marshal(ask(func(*enrol.Request) {}))
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := enrol.NewToken(d.token.Host, d.token.Authority)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		body   any
		status int
	}{
		"another token":             {ask(func(r *enrol.Request) { r.Token = wrong.Secret() }), http.StatusForbidden},
		"no token":                  {ask(func(r *enrol.Request) { r.Token = "" }), http.StatusBadRequest},
		"a made-up nonce":           {ask(func(r *enrol.Request) { r.Nonce = make([]byte, len(nonce)) }), http.StatusConflict},
		"no signature":              {ask(func(r *enrol.Request) { r.Keys.SigningSignature = nil }), http.StatusForbidden},
		"not JSON":                  {[]byte("{"), http.StatusBadRequest},
		"a key twice":               {bytes.Replace(good, []byte("{"), []byte(`{"TOKEN":"another",`), 1), http.StatusBadRequest},
		"two values":                {[]byte("{}{}"), http.StatusBadRequest},
		"an unknown field":          {[]byte(`{"tenant":"x"}`), http.StatusBadRequest},
		"a body of 1 MiB":           {bytes.Repeat([]byte(" "), 1<<20), http.StatusBadRequest},
		"deep nesting":              {bytes.Repeat([]byte("["), 10_000), http.StatusBadRequest},
		"an array":                  {[]byte("[]"), http.StatusBadRequest},
		"null keys":                 {[]byte(`{"token":null,"keys":null}`), http.StatusBadRequest},
		"a token that is an object": {[]byte(`{"token":{}}`), http.StatusBadRequest},
	} {
		status, text := d.post(t, enrol.PathEnrol, x.body)
		if status != x.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if strings.Contains(string(text), "fwj_"+d.token.Host+".") {
			t.Errorf("%s: the answer repeats the token", name)
		}
	}
	d.pass(nonceLife)
	if status, text := d.post(t, enrol.PathEnrol, ask(func(*enrol.Request) {})); status != http.StatusConflict {
		t.Errorf("an old nonce: %d %s", status, text)
	}
	if len(d.members.bound) != 0 {
		t.Errorf("%d keys bound", len(d.members.bound))
	}
}

// The door serves agents and nothing else.
func TestDoorServesNothingElse(t *testing.T) {
	d := open(t)
	for i, path := range []string{"/", "/v1/status", "/v1/findings", "/v1/customers", "/sign-in", "/login", "/agents/v1/", "/agents/v1/enrol/x", "/assets/desk.css", "/debug/pprof/"} {
		status, text := d.post(t, path, struct{}{})
		if status != http.StatusNotFound {
			t.Errorf("%d %s: %d %s", i, path, status, text)
		}
	}
	answer, err := d.client.Get(d.base + enrol.PathEnrol)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", answer.StatusCode)
	}
}

func TestDoorLimitsAnAddress(t *testing.T) {
	d := open(t)
	limited := 0
	for range requestsBurst + 20 {
		if status, _ := d.post(t, enrol.PathNonce, struct{}{}); status == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited != 20 {
		t.Errorf("%d of 20 requests beyond the burst were refused", limited)
	}
	d.pass(time.Minute)
	for i := range requestsPerMinute + 1 {
		status, _ := d.post(t, enrol.PathNonce, struct{}{})
		if (status == http.StatusOK) != (i < requestsPerMinute) {
			t.Errorf("request %d a minute later: %d", i, status)
		}
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := limiter{left: map[netip.Addr]allowance.Left{}}
	now := time.Now()
	for i := range 3 * maxAddresses {
		l.allows(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now)
	}
	if len(l.left) > maxAddresses {
		t.Errorf("%d addresses are remembered", len(l.left))
	}
	if !l.allows(netip.MustParseAddr("192.0.2.1"), now.Add(time.Hour)) {
		t.Error("an hour later nobody gets in")
	}
	first := netip.MustParseAddr("2001:db8::1")
	for range requestsBurst {
		l.allows(first, now)
	}
	if l.allows(netip.MustParseAddr("2001:db8::ffff"), now) {
		t.Error("one machine has a bucket for each of its addresses")
	}
}

// Only TLS 1.3, and only the authority that the token names.
func TestDoorIsThePinnedOne(t *testing.T) {
	d := open(t)
	connect := func(c *tls.Config) error {
		conn, err := tls.Dial("tcp", d.Addr().String(), c)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	old := enrol.ByHash(d.token.Authority)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if err := connect(old); err == nil {
		t.Error("TLS 1.2 was spoken")
	}
	if err := connect(enrol.ByHash([32]byte{1})); !errors.Is(err, enrol.ErrAuthority) {
		t.Errorf("another authority: %v", err)
	}
	other, err := LoadAuthority(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := connect(enrol.ByAuthority(other.Certificate())); err == nil {
		t.Error("a certificate of another authority was taken")
	}
	if err := connect(enrol.ByAuthority(d.opt.Authority.Certificate())); err != nil {
		t.Error(err)
	}
	if err := connect(&tls.Config{}); err == nil {
		t.Error("a client that trusts the system's roots alone was content")
	}
	// Somebody in the middle who shows the authority's certificate behind his own.
	leaf, err := other.current()
	if err != nil {
		t.Fatal(err)
	}
	mixed := *leaf
	mixed.Certificate = [][]byte{leaf.Certificate[0], d.opt.Authority.Certificate().Raw}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{mixed}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c, err := l.Accept(); err == nil {
			_ = c.(*tls.Conn).HandshakeContext(context.Background())
			_ = c.Close()
		}
	}()
	if _, err := tls.Dial("tcp", l.Addr().String(), enrol.ByHash(d.token.Authority)); !errors.Is(err, enrol.ErrAuthority) {
		t.Errorf("somebody in the middle: %v", err)
	}
	<-ended
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestAuthorityLastsAndItsCertificatesAreRenewed(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	a, err := LoadAuthority(dir, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.current()
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(leafLife - leafRenew - time.Minute)
	if same, _ := a.current(); same != first {
		t.Error("renewed too early")
	}
	now = now.Add(2 * time.Minute)
	if next, err := a.current(); err != nil || next == first {
		t.Errorf("not renewed: %v", err)
	}
	b, err := LoadAuthority(dir, time.Now)
	if err != nil || enrol.AuthorityHash(a.Certificate()) != enrol.AuthorityHash(b.Certificate()) {
		t.Errorf("another authority after a restart: %v", err)
	}
}

// Connections that say nothing do not keep others out for long.
func TestIdleConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(inner, 2)
	accepted := make(chan net.Conn, 8)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	var dialled []net.Conn
	for i := range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(fmt.Sprint(i), err)
		}
		dialled = append(dialled, c)
	}
	first := <-accepted
	<-accepted
	select {
	case <-accepted:
		t.Fatal("a third was taken")
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	<-accepted
	_ = first.Close() // twice gives one place back
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	for _, c := range dialled {
		_ = c.Close()
	}
}
