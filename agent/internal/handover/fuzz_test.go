package handover_test

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Whatever the shipper leaves in its files, the sampler refuses what the collector
// did not sign for this host, and goes on.
func FuzzFiles(f *testing.F) {
	body, err := wire.EncodeReceipt(wire.Receipt{Host: host, Epoch: 1, Seq: 15, Hash: frame(1, 15).Hash, Collector: "c"})
	if err != nil {
		f.Fatal(err)
	}
	signed := attest.Seal(collector, attest.DomainReceipt, body)
	f.Add(signed)
	f.Add(signed[:40])
	f.Add(attest.Seal(key(7), attest.DomainReceipt, body))
	leased, err := wire.EncodeLeases(wire.Leases{Host: host, IssuedNS: 5, Lines: []byte("{}")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(attest.Seal(collector, attest.DomainLeases, leased))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path, kept := filepath.Join(t.TempDir(), "leases"), filepath.Join(t.TempDir(), "kept")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l := handover.NewLeases(host, path, kept, collector.Public().(ed25519.PublicKey))
		lines, fresh, err := l.Poll()
		if err != nil && (!errors.Is(err, handover.ErrRefused) || fresh || lines != nil) {
			t.Fatalf("%q, %v, %v", lines, fresh, err)
		}
		_, _, opened := attest.Open(attest.DomainLeases, data)
		if fresh && opened != nil {
			t.Fatal("leases that nobody signed were taken")
		}
		if _, _, opened := attest.Open(attest.DomainReceipt, data); opened != nil {
			return // refused before a spool is looked at, see TestOnlyVerifiedReceiptsRelease
		}
		d := newDesk(t, 0)
		if err := os.WriteFile(d.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = d.keeper.Poll()
		if err != nil && !errors.Is(err, handover.ErrRefused) && !errors.Is(err, handover.ErrForeign) {
			t.Fatal(err)
		}
	})
}
