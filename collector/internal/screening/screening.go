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
	"strconv"
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

// The servers. Watchman answers at /v2/search, yente at /match/{dataset}.
const (
	Watchman Kind = "watchman"
	Yente    Kind = "yente"
)

// Options say which server to ask.
type Options struct {
	Kind    Kind
	URL     string  // http only to loopback
	Dataset string  // of yente, "default" if empty
	Token   string  // sent as a bearer token if there is one
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
		request.Header.Set("Authorization", "Bearer "+c.o.Token)
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
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("screening: the server answered %d", answer.StatusCode)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return errors.New("screening: the answer is not the JSON that this kind of server gives")
	}
	return nil
}

type yenteQuery struct {
	Schema     string              `json:"schema"`
	Properties map[string][]string `json:"properties"`
}

type yenteAnswer struct {
	Responses map[string]struct {
		Status  int `json:"status"`
		Results []struct {
			ID         string             `json:"id"`
			Score      float64            `json:"score"`
			Match      bool               `json:"match"`
			Datasets   []string           `json:"datasets"`
			LastChange string             `json:"last_change"`
			Features   map[string]float64 `json:"features"`
		} `json:"results"`
	} `json:"responses"`
}

func (c *Client) yente(ctx context.Context, s Subject) ([]Hit, error) {
	q := yenteQuery{Schema: "Organization", Properties: map[string][]string{"name": s.Names}}
	if s.Person {
		q.Schema = "Person"
		if s.BirthDate != "" {
			q.Properties["birthDate"] = []string{s.BirthDate}
		}
	}
	if len(s.Countries) > 0 {
		q.Properties["country"] = s.Countries
	}
	body, err := json.Marshal(map[string]any{"queries": map[string]yenteQuery{"q": q}})
	if err != nil {
		return nil, errors.New("screening: the request could not be made")
	}
	var a yenteAnswer
	if err := c.ask(ctx, http.MethodPost, "/match/"+url.PathEscape(c.o.Dataset), url.Values{"limit": {strconv.Itoa(maxHits)}, "threshold": {strconv.FormatFloat(c.o.Least, 'f', -1, 64)}}, body, &a); err != nil {
		return nil, err
	}
	r, ok := a.Responses["q"]
	if !ok || r.Status != 0 && r.Status != http.StatusOK {
		return nil, errors.New("screening: the server did not answer the question")
	}
	var hits []Hit
	for _, m := range r.Results {
		if m.Score < c.o.Least || len(hits) == maxHits {
			continue
		}
		hits = append(hits, Hit{List: strings.Join(m.Datasets, " "), Version: m.LastChange, Entry: m.ID, Score: m.Score, Explanation: features(m.Features)})
	}
	return hits, nil
}

type watchmanAnswer struct {
	Entities []struct {
		SourceList string  `json:"sourceList"`
		SourceID   string  `json:"sourceID"`
		Match      float64 `json:"match"`
	} `json:"entities"`
}

func (c *Client) watchman(ctx context.Context, s Subject) ([]Hit, error) {
	kind := "business"
	if s.Person {
		kind = "person"
	}
	query := url.Values{"name": s.Names[:1], "type": {kind}, "minMatch": {strconv.FormatFloat(c.o.Least, 'f', -1, 64)}, "limit": {strconv.Itoa(maxHits)}}
	if len(s.Names) > 1 {
		query["altNames"] = s.Names[1:]
	}
	if s.BirthDate != "" && s.Person {
		query.Set("birthDate", s.BirthDate)
	}
	var a watchmanAnswer
	if err := c.ask(ctx, http.MethodGet, "/v2/search", query, nil, &a); err != nil {
		return nil, err
	}
	var hits []Hit
	for _, e := range a.Entities {
		if e.Match < c.o.Least || len(hits) == maxHits {
			continue
		}
		hits = append(hits, Hit{List: e.SourceList, Entry: e.SourceID, Score: e.Match, Explanation: "match " + strconv.FormatFloat(e.Match, 'f', 2, 64)})
	}
	return hits, nil
}
