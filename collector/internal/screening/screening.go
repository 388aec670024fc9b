// Package screening asks a server of watch lists, Watchman or yente, which of its
// entries a name is like. It talks to the one server that the operator named.
package screening

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Limits of one question.
const (
	timeout   = 15 * time.Second
	maxAnswer = 4 << 20
	maxHits   = 20
)

// Kind is which server answers.
type Kind string

// The servers. Watchman answers at /v2/search and /v2/listinfo, yente at
// /match/{dataset}. Watchman takes names in the query of a GET request alone: who
// runs it keeps its log of requests as personal data.
const (
	Watchman Kind = "watchman"
	Yente    Kind = "yente"
)

// Options say which server to ask.
type Options struct {
	Kind    Kind
	URL     string  // http only to loopback
	Dataset string  // of yente, "default" if empty
	Token   string  // sent as a bearer token, or as it is if it names its scheme, as "ApiKey KEY"
	Least   float64 // least score of a hit, 0.7 if 0
}

// Subject is whom to look for.
type Subject struct {
	Person    bool
	Names     []string // at least one
	BirthDate string
	Countries []string // ISO 3166-1 alpha-2
}

// Hit is an entry that the subject is like.
type Hit struct {
	List, Version, Entry string
	Score                float64
	Explanation          string // which features agreed, without their values
}

// ErrNotAllowed means that the server's address is one that must not be asked.
var ErrNotAllowed = errors.New("the address must not be asked")

var errNotFound = errors.New("screening: the server has no such path: its kind or version is another one")

// Client asks one server.
type Client struct {
	o    Options
	base *url.URL
	http *http.Client
}

// New returns a client. Only the configured host is dialled, redirects are not
// followed, and no address of the link or of a cloud's metadata is.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("the screening server must be given as https://host or http://127.0.0.1:port")
	}
	if o.Kind != Watchman && o.Kind != Yente {
		return nil, errors.New("the kind of the screening server must be watchman or yente")
	}
	if o.Dataset == "" {
		o.Dataset = "default"
	}
	if o.Least == 0 {
		o.Least = 0.7
	}
	plain := base.Scheme == "http"
	dialer := net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error { return guard(address, plain) }}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: timeout, MaxIdleConns: 2, Proxy: nil}
	return &Client{o: o, base: base, http: &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// guard looks at the address that is dialled, after the name was resolved: names
// cross the network only encrypted.
func guard(address string, plain bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial: %w", ErrNotAllowed)
	}
	ip := at.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || plain && !ip.IsLoopback() {
		return fmt.Errorf("dial: %w", ErrNotAllowed)
	}
	return nil
}

// Search returns what the subject is like, most alike first.
func (c *Client) Search(ctx context.Context, s Subject) ([]Hit, error) {
	if len(s.Names) == 0 {
		return nil, errors.New("screening: no name to look for")
	}
	if c.o.Kind == Yente {
		return c.yente(ctx, s)
	}
	return c.watchman(ctx, s)
}

func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body []byte, into any) error {
	target := *c.base
	target.Path = strings.TrimSuffix(target.Path, "/") + path
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("screening: the request could not be made")
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.o.Token != "" {
		request.Header.Set("Authorization", authorization(c.o.Token))
	}
	answer, err := c.http.Do(request)
	if err != nil {
		var failed *url.Error // its text has the address, and that the name
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("screening: ask the server: %w", err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("screening: read the answer: %w", err)
	case len(data) > maxAnswer:
		return errors.New("screening: the answer is too large")
	case answer.StatusCode == http.StatusNotFound:
		return errNotFound
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("screening: the server answered %d", answer.StatusCode)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return errors.New("screening: the answer is not the JSON that this kind of server gives")
	}
	return nil
}

// authorization names the scheme of a token: bearer, unless it says another one.
func authorization(token string) string {
	if strings.Contains(token, " ") {
		return token
	}
	return "Bearer " + token
}
