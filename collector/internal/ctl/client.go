package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

const (
	requestTimeout = 60 * time.Second
	maxAnswerBytes = 64 << 20
	maxPages       = 100_000
)

// client asks the API of one collector.
type client struct {
	ctx   context.Context
	base  string
	token string
	reads bool          // it changes nothing
	once  func() string // key of the next request that changes something, "" for none
	http  *http.Client
}

// connect finds the collector. The token of the data directory goes only to the
// address that stands beside it, and a session only to the address at which it
// was opened; for another one FLOPWATCH_TOKEN is needed.
func (s *scope) connect() (*client, error) {
	path := filepath.Join(s.flags.Data, apitypes.EndpointFile)
	known, err := apitypes.ReadEndpoint(path)
	base, token := known.URL, known.Token
	given, unreadable := s.givenToken()
	if unreadable != nil {
		return nil, unreadable
	}
	if given != "" {
		token = given
	}
	var mine apitypes.Endpoint
	if s.flags.TokenFile == "" { // a token that was named goes before a session that lies there
		if mine, unreadable = s.readSession(); unreadable != nil {
			return nil, unreadable
		}
	}
	server := strings.TrimRight(s.flags.Server, "/")
	if mine.URL != "" && (server == mine.URL || server == "" && (err != nil || base == mine.URL)) {
		base, token, err = mine.URL, mine.Token, nil
	} else if server != "" && server != base {
		base, token = server, given
		if token == "" {
			return nil, fmt.Errorf("no token for %s: %s is not about that address; set FLOPWATCH_TOKEN or --token-file", base, path)
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no %s: is a collector running on the data directory %s? Start it, or name another with --data", path, s.flags.Data)
	} else if err != nil {
		return nil, err
	}
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("the server must be given as http://host:port or https://host")
	}
	if u.Scheme == "http" {
		// The token must not cross a network in clear.
		if err := access.CheckLoopback(u.Host); err != nil {
			return nil, fmt.Errorf("http without TLS only to this machine: %w", err)
		}
	}
	return &client{ctx: s.ctx, base: base, token: token, reads: s.flags.Watch, once: s.onceKey, http: &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{Proxy: nil, ResponseHeaderTimeout: requestTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// onceKey is the key of the next request that changes something: one for each that a
// command sends, the same ones when it is run again.
func (s *scope) onceKey() string {
	if s.flags.Once == "" {
		return ""
	}
	s.asked++
	return s.flags.Once + "/" + strconv.Itoa(s.asked)
}

// do sends one request and decodes the answer. A refusal by the API is an
// *apitypes.Problem.
func (c *client) do(method, path string, query url.Values, media string, body []byte, into any) error {
	return c.exchange(method, path, query, http.Header{"Content-Type": {media}}, body, into)
}

// post sends a body as JSON with more headers.
func (c *client) post(path string, body any, header http.Header, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	header.Set("Content-Type", "application/json")
	return c.exchange(http.MethodPost, path, nil, header, data, into)
}

func (c *client) exchange(method, path string, query url.Values, header http.Header, body []byte, into any) error {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(c.ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.base, err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.reads && method != http.MethodGet {
		return errWatchReads
	}
	if method == http.MethodPost {
		if key := c.once(); key != "" {
			request.Header.Set("Idempotency-Key", key)
		}
	}
	for name, values := range header {
		if values[0] != "" {
			request.Header[name] = values
		}
	}
	answer, err := c.http.Do(request)
	if err != nil {
		var refused *net.OpError
		if errors.As(err, &refused) && refused.Op == "dial" {
			return fmt.Errorf("no collector answers at %s: is it running? (%w)", c.base, refused.Err)
		}
		return fmt.Errorf("ask %s%s: %w", c.base, path, err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
	if err != nil {
		return fmt.Errorf("read the answer of %s%s: %w", c.base, path, err)
	}
	if len(data) > maxAnswerBytes {
		return fmt.Errorf("the answer of %s%s is larger than %d MiB", c.base, path, maxAnswerBytes>>20)
	}
	if answer.StatusCode/100 != 2 {
		problem := apitypes.Problem{}
		if json.Unmarshal(data, &problem) != nil || problem.Title == "" {
			return fmt.Errorf("%s%s answered %s; is that a flopwatch collector?", c.base, path, answer.Status)
		}
		if answer.StatusCode == http.StatusUnauthorized {
			problem.Detail = "the collector at " + c.base + " does not know the token or the session: sign in again, or was it started again on another data directory?"
		}
		return &problem
	}
	if answer.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("the answer of %s%s is not what this version expects: %w", c.base, path, err)
	}
	return nil
}

// one reads a single view.
func one[T any](s *scope, path string, query url.Values) (T, error) {
	var out T
	c, err := s.connect()
	if err == nil {
		err = c.do(http.MethodGet, path, query, "", nil, &out)
	}
	return out, err
}

// send sends a body and returns the answer.
func send[T any](s *scope, path string, body any) (T, error) {
	var out T
	c, err := s.connect()
	if err != nil {
		return out, err
	}
	return out, c.post(path, body, http.Header{}, &out)
}

// all reads a list to its end, or its first limit items; 0 is no limit.
func all[T any](s *scope, path string, query url.Values, limit int) ([]T, error) {
	c, err := s.connect()
	if err != nil {
		return nil, err
	}
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "200")
	items := []T{}
	for range maxPages {
		var page apitypes.List[T]
		if err := c.do(http.MethodGet, path, query, "", nil, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if limit > 0 && len(items) >= limit {
			return items[:limit], nil
		}
		if page.Next == "" {
			return items, nil
		}
		query.Set("cursor", page.Next)
	}
	return nil, fmt.Errorf("%s has more than %d pages", path, maxPages)
}
