package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
)

// Public is where other machines reach API and desk: over TLS 1.3, with accounts.
type Public struct {
	Listen      string // host:port, "" for nowhere
	Name        string // host name that the certificate is for; no other is answered
	Certificate string // file, PEM, with the chain
	Key         string // file, PEM
}

type public struct {
	guard    *access.Guard
	handler  http.Handler
	listener net.Listener
}

// ErrNoTLS says that an address which other machines reach has no certificate.
var ErrNoTLS = errors.New("other machines reach the desk with TLS alone: give a certificate, its key and its name")

// listenPublic listens, with everything that it needs to be safe or not at all.
func listenPublic(p Public, o access.Options, next http.Handler) (*public, error) {
	if p.Certificate == "" || p.Key == "" || p.Name == "" {
		return nil, fmt.Errorf("listen on %s: %w", p.Listen, ErrNoTLS)
	}
	cert := &certificate{files: [2]string{p.Certificate, p.Key}}
	pair, err := cert.get(nil)
	if err != nil {
		return nil, err
	}
	if err := pair.Leaf.VerifyHostname(p.Name); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", p.Certificate, err)
	}
	listener, err := net.Listen("tcp", p.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for API and desk: %w", err)
	}
	guard, err := access.NewPublic(context.Background(), p.Name, listener.Addr().(*net.TCPAddr).Port, o)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	secure := tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: cert.get, NextProtos: []string{"http/1.1"}})
	return &public{guard: guard, handler: guard.Wrap(next), listener: secure}, nil
}

// certificate is read anew when its file changes, so that it can be renewed while
// the collector runs. One that cannot be read leaves the one before in place.
type certificate struct {
	files [2]string // certificate, key

	mu      sync.Mutex
	pair    *tls.Certificate
	written time.Time
	looked  time.Time
}

const certificateEvery = 10 * time.Second

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil && time.Since(c.looked) < certificateEvery {
		return c.pair, nil
	}
	c.looked = time.Now()
	info, err := os.Stat(c.files[0])
	if err == nil && (c.pair == nil || !info.ModTime().Equal(c.written)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.files[0], c.files[1]); err == nil {
			c.pair, c.written = &pair, info.ModTime()
		}
	}
	if c.pair == nil {
		return nil, fmt.Errorf("read certificate %s: %w", c.files[0], err)
	}
	return c.pair, nil
}

// PublicURL is where other machines reach the server, "" if they do not.
func (s *Server) PublicURL() string {
	if s.public == nil {
		return ""
	}
	return s.public.guard.URL()
}
