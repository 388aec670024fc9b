package collector

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// chat is a server that takes webhooks and remembers what it was told.
type chat struct {
	*testing.T
	server *httptest.Server
	mu     sync.Mutex
	lines  map[string]int
}

func newChat(t *testing.T) *chat {
	t.Helper()
	c := &chat{T: t, lines: map[string]int{}}
	c.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Text string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, line := range strings.Split(body.Text, "\n")[1:] {
			if _, text, ok := strings.Cut(line, "Z  "); ok {
				c.lines[text]++
			}
		}
	}))
	t.Cleanup(c.server.Close)
	return c
}

// config is a file of channels with this one.
func (c *chat) config(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw}))
	secret := write("secret", []byte("shared secret"))
	return write("channels.yaml", fmt.Appendf(nil, "webhooks:\n  - {name: chat, url: %q, secret_file: %q, ca_file: %q, networks: [127.0.0.0/8]}\n", c.server.URL, secret, ca))
}

// hears waits until the chat was told a line.
func (c *chat) hears(line string) {
	c.Helper()
	for deadline := time.Now().Add(5 * time.Minute); c.heard()[line] == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("nobody was told %q, but %v", line, c.heard())
		}
	}
}

func (c *chat) heard() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for line, n := range c.lines {
		out[line] = n
	}
	return out
}
