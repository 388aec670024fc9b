// Package oidc signs people in with an identity provider: OpenID Connect, by the
// authorization code flow with PKCE.
//
// What the provider says is believed only where it is signed by a key of its own, with
// an algorithm that was named, for this desk alone, with the nonce of this attempt and
// the time at which the person proved who they are. Every call to the provider goes to
// an address that egress allows.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/flopwatch/flopwatch/collector/internal/egress"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 1 << 20
	// rediscover is how long what the provider says of itself is believed.
	rediscover = time.Hour
	// drift is how far the clocks of provider and desk may be apart.
	drift = time.Minute
	// oldest is how old an ID token may be when it comes.
	oldest = 10 * time.Minute
)

// MaxAge is how long ago a person may have proved to the provider who they are, where
// nothing fresh is asked for: as long as a session lasts.
const MaxAge = 12 * time.Hour

// ErrRefused says that the provider's word is not good enough.
var ErrRefused = errors.New("the identity provider's answer is not to be believed")

// ErrNoRole says that none of a person's groups has a role here.
var ErrNoRole = errors.New("none of your groups may do anything here")

// Provider is an identity provider. It may be used from many goroutines.
type Provider struct {
	c      Config
	secret string
	http   *http.Client
	now    func() time.Time

	mu    sync.Mutex
	known *known
}

// known is what the provider says of itself.
type known struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	endpoint oauth2.Endpoint
	signOut  string
	at       time.Time
}

// New returns the provider of a configuration. It asks nothing yet: a provider that is
// away must not keep the collector from starting.
func New(c Config, now func() time.Time) (*Provider, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	networks, err := egress.ParseNetworks(c.Networks)
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	roots, err := egress.ReadRoots(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	p := &Provider{c: c, now: now, http: egress.Client(egress.Transport(networks, roots, callTimeout/2, callTimeout), callTimeout, maxAnswer)}
	if c.SecretFile != "" {
		data, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("identity provider: read the client's secret: %w", err)
		}
		if p.secret = strings.TrimSpace(string(data)); p.secret == "" {
			return nil, fmt.Errorf("identity provider: %s is empty", c.SecretFile)
		}
	}
	return p, nil
}

// Name is what people call the provider.
func (p *Provider) Name() string { return p.c.Name }

// learn asks the provider about itself, again after a while.
func (p *Provider) learn(ctx context.Context) (*known, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); p.known != nil && now.Sub(p.known.at) < rediscover {
		return p.known, nil
	}
	// Keys are fetched long after this request is over.
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), p.http)
	provider, err := oidc.NewProvider(ctx, p.c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("ask the identity provider about itself: %w", err)
	}
	var more struct {
		SignOut string   `json:"end_session_endpoint"`
		Auth    []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, fmt.Errorf("ask the identity provider about itself: %w", err)
	}
	k := &known{provider: provider, endpoint: provider.Endpoint(), at: p.now()}
	// Trying both ways would show the code to the provider twice.
	k.endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.secret == "" || len(more.Auth) > 0 && !slices.Contains(more.Auth, "client_secret_basic") {
		k.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	for _, address := range []string{k.endpoint.AuthURL, k.endpoint.TokenURL} {
		if !isHTTPS(address) {
			return nil, fmt.Errorf("ask the identity provider about itself: %w: an endpoint is not https://host", ErrRefused)
		}
	}
	if isHTTPS(more.SignOut) {
		k.signOut = more.SignOut
	}
	k.verifier = provider.VerifierContext(ctx, &oidc.Config{ClientID: p.c.ClientID, SupportedSigningAlgs: p.c.Algorithms, Now: p.now})
	p.known = k
	return k, nil
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// Attempt is a sign-in that was begun. It is kept here, and never sent whole.
type Attempt struct {
	State, nonce, verifier, redirect string
	maxAge                           time.Duration
	begun                            time.Time
}

// Begin returns where the browser goes, and the attempt that it comes back to. A fresh
// one makes the person prove again who they are.
func (p *Provider) Begin(ctx context.Context, redirect string, fresh bool) (to string, a Attempt, err error) {
	k, err := p.learn(ctx)
	if err != nil {
		return "", Attempt{}, err
	}
	a = Attempt{State: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), redirect: redirect, maxAge: MaxAge, begun: p.now()}
	options := []oauth2.AuthCodeOption{oidc.Nonce(a.nonce), oauth2.S256ChallengeOption(a.verifier)}
	if fresh {
		a.maxAge = 0
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	options = append(options, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(a.maxAge/time.Second))))
	if len(p.c.StrongACR) > 0 {
		options = append(options, oauth2.SetAuthURLParam("acr_values", strings.Join(p.c.StrongACR, " ")))
	}
	return p.client(k, redirect).AuthCodeURL(a.State, options...), a, nil
}

func (p *Provider) client(k *known, redirect string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.c.ClientID, ClientSecret: p.secret, Endpoint: k.endpoint, RedirectURL: redirect, Scopes: append([]string{oidc.ScopeOpenID}, p.c.Scopes...)}
}

// Identity is a person as the provider knows them.
type Identity struct {
	Issuer, Subject string
	Login           string // as the provider names them, not to be trusted to be unique
	Roles           []permission.Role
	Proved          time.Time // when they proved who they are
	Strong          bool      // with a second factor, as far as the configuration can tell
	SignOut         string    // where they sign out of the provider, "" for nowhere
}

// Finish turns what the browser came back with into a person. Errors wrap ErrRefused
// where the provider answered and is not to be believed. A person without a role comes
// back with ErrNoRole, so that what they had can be taken away.
func (p *Provider) Finish(ctx context.Context, a Attempt, answer url.Values) (Identity, error) {
	refused := func(why string) (Identity, error) { return Identity{}, fmt.Errorf("%w: %s", ErrRefused, why) }
	if len(answer["state"]) != 1 || a.State == "" || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.State)) != 1 {
		return refused("it is of another attempt")
	}
	if iss := answer.Get("iss"); iss != "" && iss != p.c.Issuer {
		return refused("it is of another provider")
	}
	if answer.Get("error") != "" {
		return refused("it says that the sign-in failed")
	}
	if len(answer["code"]) != 1 || answer.Get("code") == "" {
		return refused("it has no code")
	}
	k, err := p.learn(ctx)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, p.http)
	token, err := p.client(k, a.redirect).Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(a.verifier))
	if err != nil {
		var failed *oauth2.RetrieveError
		if errors.As(err, &failed) { // its text holds what the provider sent
			return refused("it does not take its own code")
		}
		return Identity{}, fmt.Errorf("exchange the code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return refused("there is no ID token")
	}
	return p.believe(ctx, k, a, raw)
}

// believe checks an ID token.
func (p *Provider) believe(ctx context.Context, k *known, a Attempt, raw string) (Identity, error) {
	refused := func(why string) (Identity, error) { return Identity{}, fmt.Errorf("%w: %s", ErrRefused, why) }
	id, err := k.verifier.Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	now := p.now()
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return refused("its claims cannot be read")
	}
	authorised, _ := claims["azp"].(string)
	switch {
	case id.Issuer != p.c.Issuer:
		return refused("another issuer")
	case id.Subject == "" || len(id.Subject) > 255:
		return refused("no subject")
	case len(id.Audience) != 1 && authorised != p.c.ClientID, authorised != "" && authorised != p.c.ClientID:
		return refused("it is for others as well")
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.nonce)) != 1:
		return refused("it is of another attempt: its nonce differs")
	case id.IssuedAt.After(now.Add(drift)):
		return refused("it was issued in the future")
	case id.IssuedAt.Before(now.Add(-oldest)) || id.IssuedAt.Before(a.begun.Add(-drift)):
		return refused("it was issued before this attempt")
	}
	at, ok := claims["auth_time"].(float64)
	proved := time.Unix(int64(at), 0)
	switch {
	case !ok || at <= 0:
		return refused("it does not say when the person signed in (auth_time)")
	case proved.After(now.Add(drift)):
		return refused("the person signed in in the future")
	case proved.Before(a.begun.Add(-a.maxAge - drift)):
		return refused("the person signed in too long ago")
	}
	out := Identity{Issuer: id.Issuer, Subject: id.Subject, Proved: earlier(proved, now), SignOut: p.signOut(k, a)}
	out.Login, _ = claims[p.c.LoginClaim].(string)
	acr, _ := claims["acr"].(string)
	out.Strong = acr != "" && slices.Contains(p.c.StrongACR, acr) || slices.ContainsFunc(texts(claims["amr"]), func(m string) bool { return slices.Contains(p.c.StrongAMR, m) })
	if out.Roles = p.c.rolesOf(texts(claims[p.c.GroupsClaim])); len(out.Roles) == 0 {
		return out, ErrNoRole
	}
	return out, nil
}

// signOut is where a person signs out of the provider, to come back to the desk.
func (p *Provider) signOut(k *known, a Attempt) string {
	u, err := url.Parse(k.signOut)
	if err != nil || k.signOut == "" {
		return ""
	}
	q := u.Query()
	q.Set("client_id", p.c.ClientID)
	if back, err := url.Parse(a.redirect); err == nil {
		q.Set("post_logout_redirect_uri", back.Scheme+"://"+back.Host+"/sign-in")
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

// texts reads a claim that is a text or a list of texts.
func texts(claim any) (out []string) {
	switch c := claim.(type) {
	case string:
		return []string{c}
	case []any:
		for _, v := range c {
			if text, ok := v.(string); ok {
				out = append(out, text)
			}
		}
	}
	return out
}
