package uplink

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxy stands before the broker and cuts every connection after a random number
// of bytes, in the middle of whatever is sent.
type proxy struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	cuts  int
	done  bool
}

// maxCuts ends the trouble, so that a test comes to an end.
const maxCuts = 12

func newProxy(t *testing.T, broker string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	p.wait.Go(func() { p.accept(broker) })
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.done = true
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) accept(broker string) {
	rng := rand.New(rand.NewPCG(3, 4))
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", broker)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		limit := int64(1 << 62)
		if p.cuts < maxCuts {
			p.cuts++
			limit = 1500 + rng.Int64N(12_000)
		}
		p.conns = append(p.conns, client, server)
		if p.done {
			_ = client.Close()
			_ = server.Close()
		}
		p.mu.Unlock()
		p.wait.Go(func() {
			_, _ = io.CopyN(server, client, limit)
			_ = client.Close()
			_ = server.Close()
		})
		p.wait.Go(func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
			_ = server.Close()
		})
	}
}
