package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/pkg/enrol"
)

// doorTimeout bounds one request.
const doorTimeout = 15 * time.Second

// door asks the agents' listener of a collector.
type door struct {
	base string
	http *http.Client
}

func newDoor(server string, trust *tls.Config) *door {
	return &door{base: "https://" + server, http: &http.Client{
		Timeout:       doorTimeout,
		Transport:     &http.Transport{Proxy: nil, TLSClientConfig: trust, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (d *door) nonce(ctx context.Context) ([]byte, error) {
	var n enrol.Nonce
	if err := d.post(ctx, enrol.PathNonce, struct{}{}, &n); err != nil {
		return nil, err
	}
	return n.Nonce, nil
}

// post sends a body and decodes the answer.
func (d *door) post(ctx context.Context, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", d.base, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+path, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("ask %s: %w", d.base, err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := d.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", d.base, err)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, enrol.MaxBodyBytes+1))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return fmt.Errorf("read the answer of %s: %w", d.base, err)
	}
	if len(text) > enrol.MaxBodyBytes {
		return fmt.Errorf("the answer of %s is too long; is that a flopwatch collector?", d.base)
	}
	if answer.StatusCode != http.StatusOK {
		var fault struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(text, &fault) != nil || fault.Error == "" {
			return fmt.Errorf("%s answered %s; is that a flopwatch collector's port for agents?", d.base, answer.Status)
		}
		return fmt.Errorf("the collector at %s refused: %s", d.base, fault.Error)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the answer of %s is not what this version expects: %w", d.base, err)
	}
	return nil
}
