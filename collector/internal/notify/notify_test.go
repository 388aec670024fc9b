package notify_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/flopwatch/flopwatch/collector/internal/notice"
	"github.com/flopwatch/flopwatch/collector/internal/notify"
)

// outbox keeps notices in memory.
type outbox struct {
	mu       sync.Mutex
	all      []notice.Notice
	channels map[string]notice.Progress
}

func (o *outbox) add(kind, object string, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, notice.Notice{No: int64(len(o.all) + 1), At: at, Kind: kind, Object: object})
}

func (o *outbox) Notices(_ context.Context, after int64, limit int) ([]notice.Notice, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rest := o.all[after:]
	return append([]notice.Notice(nil), rest[:min(limit, len(rest))]...), nil
}

func (o *outbox) Channel(_ context.Context, name string) (notice.Progress, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.channels[name], nil
}

func (o *outbox) SetChannel(_ context.Context, name string, p notice.Progress) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.channels[name] = p
	return nil
}

// bench is a teller over an outbox, on a clock of the test.
type bench struct {
	*outbox
	teller *notify.Teller
	now    time.Time
}

func open(t *testing.T, c notify.Config) *bench {
	t.Helper()
	b := &bench{outbox: &outbox{channels: map[string]notice.Progress{}}, now: time.Date(2026, 11, 7, 12, 0, 0, 0, time.UTC)}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.teller, err = notify.New(c, b.outbox, func() time.Time { return b.now }, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return b
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// authority makes a certificate for the host that signs itself.
func authority(t *testing.T, host string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// hook is a server that takes webhooks.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	bodies   [][]byte
	headers  []http.Header
	statuses []int // of the next answers, 200 where none is left
	header   http.Header
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{header: http.Header{}}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies, h.headers = append(h.bodies, body), append(h.headers, r.Header.Clone())
		for name, values := range h.header {
			w.Header()[name] = values
		}
		if len(h.statuses) > 0 {
			w.WriteHeader(h.statuses[0])
			h.statuses = h.statuses[1:]
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) config(t *testing.T) notify.Webhook {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	return notify.Webhook{Name: "chat", URL: h.URL + "/hook/its-secret", SecretFile: file(t, "secret", []byte("shared secret\n")), CAFile: file(t, "ca.pem", ca), Networks: []string{"127.0.0.0/8"}}
}

func TestWebhookIsSignedAndChatsTakeIt(t *testing.T) {
	h := newHook(t)
	b := open(t, notify.Config{Desk: "https://desk.example", Webhooks: []notify.Webhook{h.config(t)}})
	b.add(notice.CaseOpened, "cas_a", b.now)
	b.add(notice.ReportWaits, "rep_b", b.now)
	if err := b.teller.Tell(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	if err := b.teller.Tell(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	if len(h.bodies) != 1 {
		t.Fatalf("%d posts, not one for both notices and none again", len(h.bodies))
	}
	var got struct {
		Text    string
		Notices []notice.Notice
	}
	if err := json.Unmarshal(h.bodies[0], &got); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.Text, "case cas_a was opened") || !strings.Contains(got.Text, "https://desk.example/reports/rep_b") || len(got.Notices) != 2 {
		t.Errorf("%s", h.bodies[0])
	}
	when, signature, _ := strings.Cut(h.headers[0].Get(notify.SignatureHeader), ",v1=")
	mac := hmac.New(sha256.New, []byte("shared secret"))
	mac.Write([]byte(strings.TrimPrefix(when, "t=") + "."))
	mac.Write(h.bodies[0])
	if want := hex.EncodeToString(mac.Sum(nil)); signature != want || when != "t=1794052800" {
		t.Errorf("signature %s at %s, not %s", signature, when, want)
	}
	if key := h.headers[0].Get("Idempotency-Key"); key != "chat-1-2" {
		t.Errorf("key %q", key)
	}
}

func TestRetriesWaitLongerAndLoseNothing(t *testing.T) {
	h := newHook(t)
	h.statuses = []int{500, 503, 429, 302}
	b := open(t, notify.Config{Webhooks: []notify.Webhook{h.config(t)}})
	b.add(notice.CaseOpened, "cas_a", b.now)
	h.header.Set("Location", "https://127.0.0.1/elsewhere")
	var waits []time.Duration
	for range 4 {
		if err := b.teller.Tell(t.Context(), "chat"); err == nil {
			t.Fatal("it was taken")
		}
		p := b.channels["chat"]
		waits = append(waits, p.Next.Sub(b.now))
		if strings.Contains(p.Problem, "its-secret") || strings.Contains(p.Problem, "127.0.0.1") {
			t.Errorf("the problem tells the address: %s", p.Problem)
		}
		if err := b.teller.Tell(t.Context(), "chat"); err != nil {
			t.Errorf("before its time it is tried again: %v", err)
		}
		b.now = p.Next
		if len(waits) == 2 {
			h.mu.Lock()
			h.header.Set("Retry-After", "600")
			h.mu.Unlock()
		}
	}
	if waits[0] != 10*time.Second || waits[1] != 20*time.Second || waits[2] != 10*time.Minute || waits[3] != 10*time.Minute {
		t.Errorf("waited %v", waits)
	}
	b.add(notice.ReportWaits, "rep_b", b.now)
	if err := b.teller.Tell(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	if n := len(h.bodies); n != 5 || !bytes.Contains(h.bodies[4], []byte("cas_a")) || !bytes.Contains(h.bodies[4], []byte("rep_b")) {
		t.Errorf("%d posts, the last one %s", n, h.bodies[n-1])
	}
	if p := b.channels["chat"]; p.Told != 2 || p.Attempts != 0 || p.Problem != "" {
		t.Errorf("%+v", p)
	}
}

func TestKindsAndOldNotices(t *testing.T) {
	h := newHook(t)
	w := h.config(t)
	w.Kinds = []string{notice.ClockOverdue}
	b := open(t, notify.Config{Webhooks: []notify.Webhook{w}})
	b.add(notice.CaseOpened, "cas_a", b.now)
	b.add(notice.ClockOverdue, "cas_old", b.now.Add(-8*24*time.Hour))
	if err := b.teller.Tell(t.Context(), "chat"); err != nil || len(h.bodies) != 0 || b.channels["chat"].Told != 2 {
		t.Errorf("%v, %d posts, %+v", err, len(h.bodies), b.channels["chat"])
	}
	for range 120 {
		b.add(notice.ClockOverdue, "cas_b", b.now)
	}
	if err := b.teller.Tell(t.Context(), "chat"); err != nil || len(h.bodies) != 3 || b.channels["chat"].Told != 122 {
		t.Errorf("%v, %d posts, %+v", err, len(h.bodies), b.channels["chat"])
	}
}

// A webhook asks public addresses only: whatever its name resolves to, and wherever
// an answer points.
func TestWebhookStaysOutside(t *testing.T) {
	h := newHook(t)
	w := h.config(t)
	w.Networks = nil
	_, port, _ := net.SplitHostPort(h.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
		"[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255", "192.0.2.1", "[::]"} {
		w.URL = "https://" + net.JoinHostPort(strings.Trim(host, "[]"), port) + "/"
		b := open(t, notify.Config{Webhooks: []notify.Webhook{w}})
		b.add(notice.CaseOpened, "cas_a", b.now)
		if err := b.teller.Tell(t.Context(), "chat"); !errors.Is(err, notify.ErrNotAllowed) {
			t.Errorf("%s: %v", host, err)
		}
	}
	// A redirect is no yes, and is not followed.
	inside := newHook(t)
	w = h.config(t)
	h.statuses, h.header = []int{307}, http.Header{"Location": {inside.URL}}
	b := open(t, notify.Config{Webhooks: []notify.Webhook{w}})
	b.add(notice.CaseOpened, "cas_a", b.now)
	if err := b.teller.Tell(t.Context(), "chat"); err == nil || len(inside.bodies) != 0 {
		t.Errorf("%v, %d posts inside", err, len(inside.bodies))
	}
	// A network of the channel is that network, and no other one.
	w.Networks = []string{"10.0.0.0/8"}
	b = open(t, notify.Config{Webhooks: []notify.Webhook{w}})
	b.add(notice.CaseOpened, "cas_a", b.now)
	if err := b.teller.Tell(t.Context(), "chat"); !errors.Is(err, notify.ErrNotAllowed) {
		t.Errorf("outside of its networks: %v", err)
	}
}

// postOffice is an SMTP server.
type postOffice struct {
	mu       sync.Mutex
	messages []string
	to       []string
	refuse   error
}

func (p *postOffice) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &visit{office: p, secure: secure}, nil
}

type visit struct {
	office *postOffice
	secure bool
	known  bool
	to     []string
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }
func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "flopwatch" || password != "mail secret" {
			return smtp.ErrAuthFailed
		}
		v.known = true
		return nil
	}), nil
}
func (v *visit) Mail(string, *smtp.MailOptions) error {
	if !v.known || !v.secure {
		return smtp.ErrAuthRequired
	}
	return v.office.refuse
}
func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.to = append(v.to, to)
	return nil
}
func (v *visit) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	v.office.mu.Lock()
	defer v.office.mu.Unlock()
	v.office.messages, v.office.to = append(v.office.messages, string(text)), append(v.office.to, v.to...)
	return err
}
func (v *visit) Reset()        {}
func (v *visit) Logout() error { return nil }

// openOffice serves SMTP with STARTTLS on loopback.
func openOffice(t *testing.T) (p *postOffice, address string, ca []byte) {
	t.Helper()
	certificate, ca := authority(t, "localhost")
	p = &postOffice{}
	server := smtp.NewServer(p)
	server.Domain, server.TLSConfig = "localhost", &tls.Config{Certificates: []tls.Certificate{certificate}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // it ends when the server is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return p, net.JoinHostPort("localhost", port), ca
}

func TestMail(t *testing.T) {
	p, address, ca := openOffice(t)
	m := notify.Mail{Name: "officers", Server: address, CAFile: file(t, "ca.pem", ca), User: "flopwatch", PasswordFile: file(t, "password", []byte("mail secret\n")),
		From: "flopwatch@provider.example", To: []string{"a@provider.example", "b@provider.example"}}
	b := open(t, notify.Config{Desk: "https://desk.example", Mail: []notify.Mail{m}})
	b.all = append(b.all, notice.Notice{No: 1, At: b.now, Kind: notice.ClockOverdue, Object: "cas_a", Deadline: notice.Deadline{Clock: "initial-report", Due: "2026-11-05", Zone: "America/New_York", DaysLeft: -2}})
	p.refuse = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "come back later"}
	if err := b.teller.Tell(t.Context(), "officers"); err == nil || b.channels["officers"].Attempts != 1 {
		t.Fatalf("%v, %+v", err, b.channels["officers"])
	}
	p.refuse = nil
	b.now = b.channels["officers"].Next
	if err := b.teller.Tell(t.Context(), "officers"); err != nil {
		t.Fatal(err)
	}
	if len(p.messages) != 1 || strings.Join(p.to, " ") != "a@provider.example b@provider.example" {
		t.Fatalf("%d messages to %v", len(p.messages), p.to)
	}
	got, err := mail.ReadMessage(strings.NewReader(p.messages[0]))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Header.Get("Subject"); s != "flopwatch: 1 notice, 1 OVERDUE" {
		t.Errorf("subject %q", s)
	}
	if id := got.Header.Get("Message-ID"); id != "<officers.1.1@flopwatch.invalid>" {
		t.Errorf("message id %q", id)
	}
	plain := strings.ReplaceAll(strings.ReplaceAll(string(text), "=\r\n", ""), "=3D", "=")
	if !strings.Contains(plain, "case cas_a: initial-report is OVERDUE by 2 days (last day 2026-11-05, America/New_York)") || !strings.Contains(plain, "https://desk.example/cases/cas_a") {
		t.Errorf("%s", text)
	}
}

func TestMailRefusesWhatCannotBeTrusted(t *testing.T) {
	p, address, ca := openOffice(t)
	_, other := authority(t, "localhost")
	good := notify.Mail{Name: "officers", Server: address, CAFile: file(t, "ca.pem", ca), User: "flopwatch", PasswordFile: file(t, "password", []byte("mail secret")), From: "f@provider.example", To: []string{"a@provider.example"}}
	for what, change := range map[string]func(*notify.Mail){
		"another authority":                      func(m *notify.Mail) { m.CAFile = file(t, "other.pem", other) },
		"a wrong password":                       func(m *notify.Mail) { m.PasswordFile = file(t, "wrong", []byte("wrong")) },
		"tls from the start where there is none": func(m *notify.Mail) { m.TLS = "tls" },
	} {
		m := good
		change(&m)
		b := open(t, notify.Config{Mail: []notify.Mail{m}})
		b.add(notice.CaseOpened, "cas_a", b.now)
		if err := b.teller.Tell(t.Context(), "officers"); err == nil {
			t.Errorf("%s: it was sent", what)
		}
	}
	if len(p.messages) != 0 {
		t.Errorf("%d messages", len(p.messages))
	}
}

func TestConfigFaults(t *testing.T) {
	for want, text := range map[string]string{
		"f:1: desk: must be https":                  "desk: http://x\n",
		"f:2: mail[0].server: must be host:port":    "mail:\n  - {name: a, server: x, from: a@b.c, to: [a@b.c]}\n",
		"mail[0].tls: must be starttls":             "mail:\n  - {name: a, server: 'mx.example:25', tls: none, from: a@b.c, to: [a@b.c]}\n",
		"mail[0].to: nobody":                        "mail:\n  - {name: a, server: 'x:25', from: a@b.c}\n",
		"webhooks[0].url: must be https":            "webhooks:\n  - {name: a, url: 'http://x', secret_file: s}\n",
		"webhooks[0].networks: must be like":        "webhooks:\n  - {name: a, url: 'https://x', secret_file: s, networks: [10]}\n",
		"webhooks[1].name: is empty or there twice": "webhooks:\n  - {name: a, url: 'https://x', secret_file: s}\n  - {name: a, url: 'https://x', secret_file: s}\n",
		"webhooks[0].kinds: \"all\" is none":        "webhooks:\n  - {name: a, url: 'https://x', secret_file: s, kinds: [all]}\n",
		"f:2: webhooks[0].secret":                   "webhooks:\n  - {name: a, url: 'https://x', secret: s}\n",
	} {
		if _, err := notify.ReadConfig("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not one with %q", err, want)
		}
	}
}

// The channels that the documentation shows are ones that can be used.
func TestTheDocumentedConfig(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "notifications.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/notifications.md has no example")
	}
	c, err := notify.ReadConfig("notifications.md", block[1])
	if err != nil || len(c.Mail) != 1 || len(c.Webhooks) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
