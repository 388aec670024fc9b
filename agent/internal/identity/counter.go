package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/enrol"
)

// Counter is the counter that an enrolled host shows when it connects. A new one
// counts once it is on disk: until then the old one is shown again, which the
// collector takes from the host that it was given to and from nobody else.
type Counter struct {
	path string
	host string
	key  ed25519.PublicKey
	log  *slog.Logger

	mu     sync.Mutex
	number uint64
	show   enrol.Showing
}

// kept is the file of a counter.
type kept struct {
	Signed []byte `json:"signed"`
	Word   string `json:"word"`
}

// OpenCounter reads the counter in the file at path, or takes the one that the
// host was given when it enrolled, whichever is newer.
func OpenCounter(path string, e endpoint.Agents, log *slog.Logger) (*Counter, error) {
	if e.Identity == nil {
		return nil, ErrNotEnrolled
	}
	c := &Counter{path: path, host: e.Identity.Host, key: e.CollectorKey, log: log}
	first, err := enrol.ReadCounter(c.key, e.Identity.Counter)
	if err != nil {
		return nil, fmt.Errorf("counter in the endpoint: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read counter: %w", err)
	}
	var k kept
	if err == nil && json.Unmarshal(data, &k) == nil {
		// A damaged file is as none: the collector decides what the older counter means.
		if n, err := enrol.ReadCounter(c.key, k.Signed); err == nil && n.Host == c.host && n.Number >= first.Number && k.Word != "" {
			c.number, c.show = n.Number, enrol.Showing(k)
			return c, nil
		}
	}
	return c, c.keep(first.Number, e.Identity.Counter)
}

// keep makes a counter the one to show, with a new word. The lock is held, or
// nobody else has c yet.
func (c *Counter) keep(number uint64, signed []byte) error {
	k := kept{Signed: signed, Word: rand.Text()}
	data, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep counter: %w", err)
	}
	if err := replace(c.path, data); err != nil {
		return fmt.Errorf("keep counter: %w", err)
	}
	c.number, c.show = number, enrol.Showing(k)
	return nil
}

// Show returns what the next connection shows.
func (c *Counter) Show() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.show.Encode()
}

// Take takes the counter for the connection after this one.
func (c *Counter) Take(signed []byte) {
	next, err := enrol.ReadCounter(c.key, signed)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || next.Host != c.host || next.Number <= c.number {
		return
	}
	if err := c.keep(next.Number, signed); err != nil {
		c.log.Warn("the old counter is kept", slog.Any("error", err))
	}
}
