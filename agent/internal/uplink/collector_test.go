package uplink

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// key returns a key that follows from its number.
func key(n int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(n)}, ed25519.SeedSize))
}

type position struct {
	mark spool.Mark
	hash [32]byte
}

// collector is the smallest collector that keeps the contract: it takes a batch
// that follows, drops what does not, and answers with where it stands.
type collector struct {
	t   testing.TB
	nc  *nats.Conn
	key ed25519.PrivateKey

	mu        sync.Mutex
	rng       *rand.Rand
	lose      float64 // share of batches and receipts that are lost
	late      float64 // share of receipts that come late, behind newer ones
	at        map[string]position
	windows   map[string][]measure.Window
	faults    []string
	heard     int
	chainFree bool // the test breaks the chain
	keep      bool // remember windows
	onArrival func(host string, m spool.Mark)
	waiting   sync.WaitGroup
}

func newCollector(t testing.TB, url string) *collector {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{
		t: t, nc: nc, keep: true, key: key(200), rng: rand.New(rand.NewPCG(1, 2)),
		at: map[string]position{}, windows: map[string][]measure.Window{},
	}
	if _, err := nc.Subscribe(wire.BatchSubject("*"), c.take); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func (c *collector) close() {
	closed := make(chan struct{})
	c.nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	c.waiting.Wait()
	c.nc.Close()
	<-closed
}

func (c *collector) take(m *nats.Msg) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard++
	pub, body, err := attest.Open(attest.DomainBatch, m.Data)
	if err != nil {
		c.faults = append(c.faults, err.Error())
		return
	}
	b, err := wire.Decode(body)
	if err != nil || b.Host != attest.HostID(pub) || m.Subject != wire.BatchSubject(b.Host) {
		c.faults = append(c.faults, fmt.Sprintf("batch on %s: %v", m.Subject, err))
		return
	}
	mark := spool.Mark{Epoch: b.Epoch, Seq: b.Seq}
	if c.onArrival != nil {
		c.onArrival(b.Host, mark)
	}
	if c.rng.Float64() < c.lose {
		return
	}
	p := c.at[b.Host]
	next := mark == spool.Mark{Epoch: p.mark.Epoch, Seq: p.mark.Seq + 1} || mark.Epoch > p.mark.Epoch && mark.Seq == 1
	if next {
		if b.PrevHash != p.hash && !c.chainFree {
			c.faults = append(c.faults, fmt.Sprintf("%s %d.%d does not chain to %d.%d", b.Host, mark.Epoch, mark.Seq, p.mark.Epoch, p.mark.Seq))
		}
		c.at[b.Host] = position{mark, attest.Hash(m.Data)}
		if c.keep {
			c.windows[b.Host] = append(c.windows[b.Host], b.Windows...)
		}
	}
	c.answer(b.Host)
}

// answer sends where the collector stands with a host; the lock is held.
func (c *collector) answer(host string) {
	p := c.at[host]
	data := receiptOf(c.t, c.key, host, p)
	if c.rng.Float64() < c.lose {
		return
	}
	publish := func() { _ = c.nc.Publish(wire.ReceiptSubject(host), data) } // lost if the broker is away, as it may be
	if c.rng.Float64() < c.late {
		c.waiting.Add(1)
		time.AfterFunc(time.Duration(c.rng.IntN(40))*time.Millisecond, func() { defer c.waiting.Done(); publish() })
		return
	}
	publish()
}

func receiptOf(t testing.TB, key ed25519.PrivateKey, host string, p position) []byte {
	body, err := wire.EncodeReceipt(wire.Receipt{Host: host, Epoch: p.mark.Epoch, Seq: p.mark.Seq, Hash: p.hash, Collector: "test"})
	if err != nil {
		t.Error(err)
	}
	return attest.Seal(key, attest.DomainReceipt, body)
}

// check fails the test if a batch came that should not have.
func (c *collector) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		t.Error(f)
	}
}

// counted returns the windows that were accepted of a host.
func (c *collector) counted(host string) []measure.Window {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]measure.Window(nil), c.windows[host]...)
}
