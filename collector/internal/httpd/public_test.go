package httpd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpd"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// people are accounts; one of them is ada.
type people struct {
	hash string
	none bool
}

func (p people) User(_ context.Context, id string) (permission.User, bool, error) {
	return permission.User{ID: "usr_ada", Login: "ada", Roles: []permission.Role{permission.Viewer}}, id == "usr_ada", nil
}

func (p people) Credential(ctx context.Context, login string) (permission.User, string, bool, error) {
	u, _, err := p.User(ctx, "usr_ada")
	return u, p.hash, login == "ada", err
}

func (people) SetPassword(context.Context, string, string, string) (bool, error) { return false, nil }

func (p people) AnyUser(context.Context) (bool, error) { return !p.none, nil }

// certificate writes one for a name, and returns the pool that trusts it.
func certificate(t *testing.T, dir, name string) (cert, key string, trusted *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "desk.pem"), filepath.Join(dir, "desk.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted = x509.NewCertPool()
	trusted.AddCert(parsed)
	return cert, key, trusted
}

// Over a network there is TLS 1.3, one name, and accounts: no token of the data
// directory, no login link, no other host name, no change from elsewhere.
func TestPublicDesk(t *testing.T) {
	dir := t.TempDir()
	cert, key, trusted := certificate(t, dir, "desk.example")
	hash, err := access.HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	s, err := httpd.New(httpd.Options{Reader: desktest.New(), Listen: "127.0.0.1:0", DataDir: dir, Users: people{hash: hash},
		Public: httpd.Public{Listen: "127.0.0.1:0", Name: "desk.example", Certificate: cert, Key: key}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.PublicURL(), "https://"))
	if err != nil {
		t.Fatalf("%s: %v", s.PublicURL(), err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path, body string, change func(*http.Request)) *http.Response {
		t.Helper()
		r, err := http.NewRequest(method, s.PublicURL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(r)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		return answer
	}
	endpoint, err := apitypes.ReadEndpoint(filepath.Join(dir, apitypes.EndpointFile))
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for what, c := range map[string]struct{ got, want int }{
		"without a session":               {ask("GET", "/v1/status", "", nil).StatusCode, 401},
		"with the data directory's token": {ask("GET", "/v1/status", "", bearer(endpoint.Token)).StatusCode, 401},
		"a login link":                    {ask("GET", "/login?t=x", "", nil).StatusCode, 404},
		"another host name":               {ask("GET", "/", "", func(r *http.Request) { r.Host = "127.0.0.1:" + port }).StatusCode, 421},
		"the page":                        {ask("GET", "/", "", nil).StatusCode, 303},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", what, c.got, c.want)
		}
	}
	signIn := ask("POST", "/sign-in", "login=ada&password=correct+horse+battery", func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", s.PublicURL())
	})
	cookies := signIn.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "__Host-flopwatch_session" || !cookies[0].Secure || !cookies[0].HttpOnly || signIn.Header.Get("Strict-Transport-Security") == "" {
		t.Fatalf("signed in: %d, %v, %v", signIn.StatusCode, cookies, signIn.Header)
	}
	with := func(r *http.Request) { r.AddCookie(cookies[0]) }
	if code := ask("GET", "/v1/status", "", with).StatusCode; code != 200 {
		t.Errorf("with the session: %d", code)
	}
	if code := ask("POST", "/sign-out", "", func(r *http.Request) { with(r); r.Header.Set("Origin", "https://evil.example") }).StatusCode; code != 403 {
		t.Errorf("a change from another origin: %d", code)
	}
	transport.TLSClientConfig.MaxVersion = tls.VersionTLS12
	transport.CloseIdleConnections()
	if _, err := client.Get(s.PublicURL() + "/"); err == nil {
		t.Error("TLS 1.2 was taken")
	}
}

// Whatever would make a desk on a network unsafe keeps it from starting.
func TestPublicDeskIsSafeOrDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := certificate(t, dir, "desk.example")
	good := httpd.Public{Listen: "127.0.0.1:0", Name: "desk.example", Certificate: cert, Key: key}
	for what, c := range map[string]struct {
		change func(*httpd.Options)
		want   error
	}{
		"not loopback, no TLS":   {func(o *httpd.Options) { o.Listen, o.Public = "0.0.0.0:0", httpd.Public{} }, access.ErrNotLoopback},
		"no certificate":         {func(o *httpd.Options) { o.Public.Certificate = "" }, httpd.ErrNoTLS},
		"no key":                 {func(o *httpd.Options) { o.Public.Key = "" }, httpd.ErrNoTLS},
		"no name":                {func(o *httpd.Options) { o.Public.Name = "" }, httpd.ErrNoTLS},
		"a certificate of other": {func(o *httpd.Options) { o.Public.Name = "other.example" }, nil},
		"a key that is not its":  {func(o *httpd.Options) { o.Public.Key = cert }, nil},
		"nobody has an account":  {func(o *httpd.Options) { o.Users = people{none: true} }, access.ErrNoAccounts},
		"no accounts at all":     {func(o *httpd.Options) { o.Users = nil }, access.ErrNoAccounts},
	} {
		o := httpd.Options{Reader: desktest.New(), Listen: "127.0.0.1:0", DataDir: t.TempDir(), Users: people{}, Public: good}
		c.change(&o)
		if s, err := httpd.New(o); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
			if s != nil {
				_ = s.Close()
			}
		}
	}
}
