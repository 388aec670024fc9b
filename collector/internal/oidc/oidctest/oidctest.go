// Package oidctest is an identity provider for tests: real HTTP over TLS, real
// signatures, keys that change, and everything that a hostile one does.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// ClientID and ClientSecret are what the provider knows the desk by.
const ClientID, ClientSecret = "flopwatch-desk", "a secret between the two"

// Provider is the identity provider. Its fields are set between requests.
type Provider struct {
	*httptest.Server
	CA     string // file of its authority
	Secret string // file of the client's secret

	mu     sync.Mutex
	now    func() time.Time
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	kid    int
	issued map[string]request // by code
	seen   []url.Values       // what came to the authorization endpoint
	fetch  int                // of the keys

	// Person is who is signed in at the provider.
	Subject string
	Login   string
	Groups  []string
	AMR     []string
	// SignedIn is when they proved who they are there; the zero time does it anew each time.
	SignedIn time.Time
	// Algorithm is RS256, ES256, HS256 or none.
	Algorithm string
	// Claims changes the claims before they are signed.
	Claims func(map[string]any)
	// Sign changes the token after it was signed.
	Sign func(string) string
	// Keys is left out of the answer about keys.
	HideKeys bool
	// Discovery changes what the provider says of itself.
	Discovery func(map[string]any)
}

type request struct{ nonce, challenge, redirect string }

// New starts a provider that ends with the test.
func New(t *testing.T, now func() time.Time) *Provider {
	t.Helper()
	p := &Provider{now: now, issued: map[string]request{}, Subject: "sub-ana", Login: "Ana.Analyst@example.test", Groups: []string{"compliance"}, Algorithm: "RS256"}
	p.Rotate(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	dir := t.TempDir()
	p.CA, p.Secret = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "secret")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	for path, data := range map[string][]byte{p.CA: certificate, p.Secret: []byte(ClientSecret + "\n")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// Rotate makes new keys; those before are no longer told.
func (p *Provider) Rotate(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if p.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	p.kid++
}

// Change changes fields while the provider answers.
func (p *Provider) Change(f func(*Provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

// Seen are the requests for authorization so far.
func (p *Provider) Seen() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]url.Values(nil), p.seen...)
}

// Config is what the desk's file says of the provider.
func (p *Provider) Config() string {
	return fmt.Sprintf("name: Example Ltd\nissuer: %s\nclient_id: %s\nsecret_file: %s\nca_file: %s\nnetworks: [127.0.0.0/8, \"::1/128\"]\nstrong_amr: [mfa]\ngroups:\n  - group: compliance\n    roles: [analyst]\n  - group: approvers\n    roles: [senior-reviewer, policy-approver]\n  - group: looking\n    roles: [viewer]\n",
		p.URL, ClientID, p.Secret, p.CA)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"end_session_endpoint": p.URL + "/end", "id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"}}
	if p.Discovery != nil {
		p.Discovery(d)
	}
	reply(w, d)
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a client that left is of no interest
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetch++
	keys := []map[string]any{}
	if !p.HideKeys {
		point, err := p.ec.PublicKey.Bytes() // 4, x, y
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		keys = append(keys,
			map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": fmt.Sprint("rsa-", p.kid), "n": text(p.rsa.N.Bytes()), "e": text(big.NewInt(int64(p.rsa.E)).Bytes())},
			map[string]any{"kty": "EC", "use": "sig", "alg": "ES256", "kid": fmt.Sprint("ec-", p.kid), "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:])})
	}
	reply(w, map[string]any{"keys": keys})
}

// authorize signs the person in without a question and sends the browser back.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	p.seen = append(p.seen, q)
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.issued[code] = request{q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
	v := back.Query()
	v.Set("code", code)
	v.Set("state", q.Get("state"))
	back.RawQuery = v.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token gives the ID token for a code, once, to who can show the verifier.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	asked, ok := p.issued[r.PostFormValue("code")]
	delete(p.issued, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	// The two are escaped in the header, as RFC 6749 has it.
	if secret, _ = url.QueryUnescape(secret); !ok || id != ClientID || secret != ClientSecret || text(sum[:]) != asked.challenge || r.PostFormValue("redirect_uri") != asked.redirect {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	now := p.now()
	signedIn := p.SignedIn
	if signedIn.IsZero() {
		signedIn = now
	}
	claims := map[string]any{"iss": p.URL, "aud": ClientID, "sub": p.Subject, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": asked.nonce,
		"auth_time": signedIn.Unix(), "preferred_username": p.Login, "groups": p.Groups}
	if len(p.AMR) > 0 {
		claims["amr"] = p.AMR
	}
	if p.Claims != nil {
		p.Claims(claims)
	}
	token, err := p.sign(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if p.Sign != nil {
		token = p.Sign(token)
	}
	reply(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": token})
}

func (p *Provider) sign(claims map[string]any) (string, error) {
	header := map[string]any{"alg": p.Algorithm, "typ": "JWT", "kid": fmt.Sprint("rsa-", p.kid)}
	if p.Algorithm == "ES256" {
		header["kid"] = fmt.Sprint("ec-", p.kid)
	}
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := text(h) + "." + text(c)
	sum := sha256.Sum256([]byte(signed))
	switch p.Algorithm {
	case "none":
		return signed + ".", nil
	case "HS256": // with the public key, which everybody knows
		mac := hmac.New(sha256.New, p.rsa.N.Bytes())
		mac.Write([]byte(signed))
		return signed + "." + text(mac.Sum(nil)), nil
	case "ES256":
		r, s, err := ecdsa.Sign(rand.Reader, p.ec, sum[:])
		if err != nil {
			return "", err
		}
		return signed + "." + text(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)), nil
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.rsa, crypto.SHA256, sum[:])
	return signed + "." + text(signature), err
}

// Follow goes to an address of the provider as a browser does, and returns where it
// sends the browser back to.
func (p *Provider) Follow(t *testing.T, to string) *url.URL {
	t.Helper()
	client := p.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	back, err := answer.Location()
	if err != nil {
		t.Fatalf("the provider answers %s: %v", answer.Status, err)
	}
	return back
}
