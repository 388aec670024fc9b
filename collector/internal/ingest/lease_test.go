package ingest

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// A host hears its own leases, signed, with its first receipt after allocations
// changed, once, and again in a new epoch or after a restart of the collector; and
// nothing while there is no allocation.
func TestHostsHearTheirLeases(t *testing.T) {
	conn, s := startBroker(t).Conn(), openStore(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := newHost("leased", 1)
	heard := make(chan *nats.Msg, 64)
	sub, err := conn.ChanSubscribe(wire.LeasesSubject(h.id), heard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	issued := int64(0)
	hear := func(want ...string) {
		t.Helper()
		for _, text := range want {
			select {
			case m := <-heard:
				signer, body, err := attest.Open(attest.DomainLeases, m.Data)
				if err != nil || !signer.Equal(key("collector").Public().(ed25519.PublicKey)) {
					t.Fatalf("leases: %v", err)
				}
				l, err := wire.DecodeLeases(body)
				if err != nil || l.Host != h.id || l.IssuedNS <= issued || !strings.Contains(string(l.Lines), text) {
					t.Fatalf("leases %+v %v after %d, want %s", l, err, issued, text)
				}
				issued = l.IssuedNS
			case <-time.After(60 * time.Second):
				t.Fatalf("no leases, want %s", text)
			}
		}
		select {
		case m := <-heard:
			t.Fatalf("more leases: %s", m.Data)
		case <-time.After(50 * time.Millisecond):
		}
	}
	l := goLive(t, conn, s, h)
	l.send(h, 1)
	hear()
	l.put(allocation.Allocation{ID: "a", Host: h.id, Tenant: "ten-one", FromNS: startNS})
	hear()
	l.send(h, 1)
	hear("ten-one")
	l.send(h, 1)
	hear()
	l.put(allocation.Allocation{ID: "a", Host: h.id, Tenant: "ten-two", FromNS: startNS})
	l.send(h, 1)
	hear("ten-two")
	h.epoch, h.seq = h.epoch+1, 0
	l.send(h, 1)
	hear("ten-two")
	l.stop()
	l = goLive(t, conn, s, h)
	l.send(h, 1)
	hear("ten-two")
	l.stop()
}
