package oidc_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/egress"
	"github.com/flopwatch/flopwatch/collector/internal/oidc"
	"github.com/flopwatch/flopwatch/collector/internal/oidc/oidctest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

const back = "https://desk.example/sign-in/callback"

type bench struct {
	*testing.T
	now  time.Time
	idp  *oidctest.Provider
	desk *oidc.Provider
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	b.idp = oidctest.New(t, func() time.Time { return b.now })
	b.desk = b.open(b.idp.Config())
	return b
}

func (b *bench) open(text string) *oidc.Provider {
	b.Helper()
	c, err := oidc.Read("oidc.yaml", []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	p, err := oidc.New(c, func() time.Time { return b.now })
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// signIn goes the whole way with a browser.
func (b *bench) signIn(fresh bool) (oidc.Identity, error) {
	b.Helper()
	to, a, err := b.desk.Begin(b.Context(), back, fresh)
	if err != nil {
		return oidc.Identity{}, err
	}
	return b.desk.Finish(b.Context(), a, b.idp.Follow(b.T, to).Query())
}

func TestAPersonSignsIn(t *testing.T) {
	b := newBench(t)
	b.idp.Change(func(p *oidctest.Provider) {
		p.Groups = []string{"looking", "compliance", "other"}
		p.AMR = []string{"pwd", "mfa"}
	})
	got, err := b.signIn(false)
	want := oidc.Identity{Issuer: b.idp.URL, Subject: "sub-ana", Login: "Ana.Analyst@example.test", Roles: []permission.Role{permission.Viewer, permission.Analyst}, Proved: b.now.Local(), Strong: true,
		SignOut: b.idp.URL + "/end?client_id=flopwatch-desk&post_logout_redirect_uri=" + url.QueryEscape("https://desk.example/sign-in")}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	q := b.idp.Seen()[0]
	if q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 26 || len(q.Get("nonce")) < 26 || q.Get("max_age") != "43200" || q.Get("scope") != "openid profile" || q.Get("prompt") != "" {
		t.Errorf("asked for %v", q)
	}
	if _, err := b.signIn(true); err != nil {
		t.Error(err)
	}
	if q := b.idp.Seen()[1]; q.Get("max_age") != "0" || q.Get("prompt") != "login" || q.Get("nonce") == b.idp.Seen()[0].Get("nonce") {
		t.Errorf("asked for %v", q)
	}
	b.idp.Change(func(p *oidctest.Provider) { p.Algorithm = "ES256" })
	if _, err := b.signIn(false); err != nil {
		t.Error(err)
	}
	// Keys change: the new one is fetched, and one that was dropped is good no more.
	b.idp.Rotate(t)
	if _, err := b.signIn(false); err != nil {
		t.Errorf("after new keys: %v", err)
	}
	b.idp.Change(func(p *oidctest.Provider) { p.AMR = []string{"pwd"} })
	if got, err := b.signIn(false); err != nil || got.Strong {
		t.Errorf("a password alone is strong: %+v, %v", got, err)
	}
	b.idp.Change(func(p *oidctest.Provider) { p.Groups = []string{"other"} })
	if got, err := b.signIn(false); !errors.Is(err, oidc.ErrNoRole) || got.Subject != "sub-ana" || len(got.Roles) > 0 {
		t.Errorf("nobody's group: %+v, %v", got, err)
	}
}

// Each is what a hostile or broken provider does, or who stands between.
func TestWhatIsNotBelieved(t *testing.T) {
	claim := func(name string, value any) func(*bench, *oidctest.Provider) {
		return func(_ *bench, p *oidctest.Provider) {
			p.Claims = func(c map[string]any) {
				if c[name] = value; value == nil {
					delete(c, name)
				}
			}
		}
	}
	for name, hostile := range map[string]func(b *bench, p *oidctest.Provider){
		"wrong issuer": claim("iss", "https://evil.example"),
		"issuer with a slash": func(_ *bench, p *oidctest.Provider) {
			p.Claims = func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }
		},
		"wrong audience":           claim("aud", "another-desk"),
		"no audience":              claim("aud", nil),
		"audience of two":          claim("aud", []string{oidctest.ClientID, "another-desk"}),
		"azp of another":           claim("azp", "another-desk"),
		"replayed nonce":           claim("nonce", "of another attempt"),
		"no nonce":                 claim("nonce", nil),
		"expired":                  func(b *bench, p *oidctest.Provider) { claim("exp", b.now.Add(-time.Second).Unix())(b, p) },
		"no expiry":                claim("exp", nil),
		"issued in the future":     func(b *bench, p *oidctest.Provider) { claim("iat", b.now.Add(2*time.Minute).Unix())(b, p) },
		"issued before":            func(b *bench, p *oidctest.Provider) { claim("iat", b.now.Add(-5*time.Minute).Unix())(b, p) },
		"no time of issue":         claim("iat", nil),
		"no subject":               claim("sub", ""),
		"no auth_time":             claim("auth_time", nil),
		"auth_time a text":         claim("auth_time", "now"),
		"signed in in the future":  func(b *bench, p *oidctest.Provider) { p.SignedIn = b.now.Add(time.Hour) },
		"signed in yesterday":      func(b *bench, p *oidctest.Provider) { p.SignedIn = b.now.Add(-24 * time.Hour) },
		"not to be used yet":       func(b *bench, p *oidctest.Provider) { claim("nbf", b.now.Add(time.Hour).Unix())(b, p) },
		"alg none":                 func(_ *bench, p *oidctest.Provider) { p.Algorithm = "none" },
		"HMAC with the public key": func(_ *bench, p *oidctest.Provider) { p.Algorithm = "HS256" },
		"an algorithm not named":   func(b *bench, p *oidctest.Provider) { b.desk = b.open(b.idp.Config() + "algorithms: [ES384]\n") },
		"unknown kid":              func(_ *bench, p *oidctest.Provider) { p.Sign = header(`{"alg":"RS256","kid":"another"}`) },
		"header says none":         func(_ *bench, p *oidctest.Provider) { p.Sign = header(`{"alg":"none"}`) },
		"key in the header": func(_ *bench, p *oidctest.Provider) {
			p.Sign = header(`{"alg":"RS256","jku":"https://evil.example/keys"}`)
		},
		"no keys": func(_ *bench, p *oidctest.Provider) { p.HideKeys = true },
		"changed after signing": func(_ *bench, p *oidctest.Provider) {
			p.Sign = func(text string) string {
				parts := strings.Split(text, ".")
				return parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2]
			}
		},
		"no signature": func(_ *bench, p *oidctest.Provider) {
			p.Sign = func(text string) string { return text[:strings.LastIndexByte(text, '.')+1] }
		},
		"no ID token": func(_ *bench, p *oidctest.Provider) { p.Sign = func(string) string { return "" } },
		"not a token": func(_ *bench, p *oidctest.Provider) { p.Sign = func(string) string { return "<html>" } },
		"another name": func(_ *bench, p *oidctest.Provider) {
			p.Discovery = func(d map[string]any) { d["issuer"] = "https://evil.example" }
		},
		"a token endpoint in clear": func(_ *bench, p *oidctest.Provider) {
			p.Discovery = func(d map[string]any) { d["token_endpoint"] = "http://169.254.169.254/token" }
		},
		"keys of the cloud's own address": func(_ *bench, p *oidctest.Provider) {
			p.Discovery = func(d map[string]any) { d["jwks_uri"] = "https://169.254.169.254/keys" }
		},
		"a token endpoint elsewhere inside": func(_ *bench, p *oidctest.Provider) {
			p.Discovery = func(d map[string]any) { d["token_endpoint"] = "https://10.0.0.1/token" }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.idp.Change(func(p *oidctest.Provider) { hostile(b, p) })
			if got, err := b.signIn(false); err == nil || got.Subject != "" {
				t.Errorf("believed: %+v, %v", got, err)
			}
			b.idp.Change(func(p *oidctest.Provider) {
				p.Claims, p.Sign, p.Discovery, p.HideKeys, p.SignedIn, p.Algorithm = nil, nil, nil, false, time.Time{}, "RS256"
			})
			b.desk = b.open(b.idp.Config())
			if _, err := b.signIn(false); err != nil {
				t.Errorf("as it should be: %v", err)
			}
		})
	}
}

// header puts another header before a token that was signed.
func header(text string) func(string) string {
	return func(token string) string {
		return strings.TrimRight(encode(text), "=") + token[strings.IndexByte(token, '.'):]
	}
}

func TestAFreshSignInIsFresh(t *testing.T) {
	b := newBench(t)
	b.idp.Change(func(p *oidctest.Provider) { p.SignedIn = b.now.Add(-time.Hour) })
	got, err := b.signIn(false)
	if err != nil || !got.Proved.Equal(b.now.Add(-time.Hour)) {
		t.Errorf("signed in an hour ago: %v, %v", got.Proved, err)
	}
	if _, err := b.signIn(true); !errors.Is(err, oidc.ErrRefused) {
		t.Errorf("an hour ago is fresh: %v", err)
	}
}

func TestAnAttemptIsItsOwn(t *testing.T) {
	b := newBench(t)
	to, a, err := b.desk.Begin(t.Context(), back, false)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := b.desk.Begin(t.Context(), back, false)
	if err != nil {
		t.Fatal(err)
	}
	answer := b.idp.Follow(t, to).Query()
	for name, change := range map[string]func(url.Values){
		"no state":         func(v url.Values) { v.Del("state") },
		"another state":    func(v url.Values) { v.Set("state", other.State) },
		"two states":       func(v url.Values) { v.Add("state", "x") },
		"no code":          func(v url.Values) { v.Del("code") },
		"two codes":        func(v url.Values) { v.Add("code", "x") },
		"a code made up":   func(v url.Values) { v.Set("code", "x") },
		"an error":         func(v url.Values) { v.Set("error", "access_denied") },
		"another provider": func(v url.Values) { v.Set("iss", "https://evil.example") },
	} {
		v := url.Values{}
		for k, all := range answer {
			v[k] = append([]string(nil), all...)
		}
		change(v)
		if _, err := b.desk.Finish(t.Context(), a, v); !errors.Is(err, oidc.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A code that somebody else began is of no use: the verifier differs.
	stolen := url.Values{"state": {other.State}, "code": answer["code"]}
	if _, err := b.desk.Finish(t.Context(), other, stolen); !errors.Is(err, oidc.ErrRefused) {
		t.Errorf("a code of another attempt: %v", err)
	}
	if _, err := b.desk.Finish(t.Context(), oidc.Attempt{}, url.Values{"state": {""}, "code": {"x"}}); !errors.Is(err, oidc.ErrRefused) {
		t.Errorf("an attempt of nobody: %v", err)
	}
}

func TestTheProviderIsAskedAtAllowedAddressesAlone(t *testing.T) {
	b := newBench(t)
	b.desk = b.open(strings.Replace(b.idp.Config(), "networks: [127.0.0.0/8, \"::1/128\"]\n", "", 1))
	if _, err := b.signIn(false); !errors.Is(err, egress.ErrNotAllowed) {
		t.Errorf("this machine is asked: %v", err)
	}
}

func TestConfigNamesItsFaults(t *testing.T) {
	good := "name: x\nissuer: https://id.example\nclient_id: c\ngroups:\n  - group: g\n    roles: [viewer]\n"
	if _, err := oidc.Read("oidc.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		strings.Replace(good, "https", "http", 1):                                               "issuer",
		strings.Replace(good, "viewer", "owner", 1):                                             "roles",
		strings.Replace(good, "id.example", "id.example/?x=1", 1):                               "issuer",
		good + "algorithms: [none]\n":                                                           "algorithms",
		good + "algorithms: [HS256]\n":                                                          "algorithms",
		good + "networks: [all]\n":                                                              "networks",
		good + "client_secret: x\n":                                                             "client_secret",
		"name: x\nissuer: https://id.example\nclient_id: c\n":                                   "groups",
		"name: x\nissuer: https://id.example\ngroups:\n  - group: g\n    roles: [viewer]\n":     "client_id",
		"issuer: https://id.example\nclient_id: c\ngroups:\n  - group: g\n    roles: [admin]\n": "name",
	} {
		if _, err := oidc.Read("oidc.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("name: x\nissuer: https://id.example\nclient_id: c\ngroups:\n  - group: g\n    roles: [viewer]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := oidc.Read("f", data); err == nil && (!strings.HasPrefix(c.Issuer, "https://") || len(c.Groups) == 0) {
			t.Errorf("%q is taken", data)
		}
	})
}

// The example of the documentation is one that can be used.
func TestTheDocumentedConfig(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "access.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(name:.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/access.md has no example")
	}
	c, err := oidc.Read("access.md", block[1])
	if err != nil || len(c.Groups) < 2 {
		t.Errorf("%+v, %v", c, err)
	}
	all := regexp.MustCompile(`(?m)^# (\w+:)`).ReplaceAll(block[1], []byte("$1"))
	if _, err := oidc.Read("access.md", all); err != nil {
		t.Errorf("with what is commented out: %v", err)
	}
}
