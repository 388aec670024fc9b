package collector

import (
	"crypto/ed25519"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/ledger"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// A host of the inventory that falls silent becomes a finding, once; a host that
// nobody expects does not.
func TestSilentHostBecomesAFinding(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "flopwatch.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	public := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	id := ledger.HostID(attest.HostID(public))
	for _, c := range []inventory.Change{
		{Act: inventory.Invite, Name: "node-1", Devices: []inventory.Devices{{Count: 2, IDs: []measure.DeviceID{"gpu0", "gpu1"}}}, Invitation: &inventory.Invitation{ExpiresNS: now.Add(time.Hour).UnixNano()}},
		{Act: inventory.Enroll, Key: &inventory.Key{Signing: public, Broker: "U1"}},
	} {
		c.Host, c.AtNS, c.By = id, now.UnixNano(), "operator"
		if _, err := db.ChangeHost(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	w := newWatcher(db, slog.New(slog.DiscardHandler), now)
	at := func(after time.Duration) []string {
		t.Helper()
		if err := w.look(t.Context(), now.Add(after)); err != nil {
			t.Fatal(err)
		}
		all, err := store.NewReader(db, "", false).Findings(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, f := range all {
			if f.Subject != "host:"+string(id) {
				t.Errorf("finding about %s", f.Subject)
			}
			out = append(out, f.Rule+" "+f.Level)
		}
		return out
	}
	reports := func(after time.Duration, devices ...measure.DeviceID) {
		t.Helper()
		ns := now.Add(after).UnixNano()
		c := store.Commit{At: now.Add(after)}
		for _, host := range []ledger.HostID{id, "a stranger"} {
			c.Hosts = append(c.Hosts, ledger.Host{ID: host, LastNS: ns, BootID: "b"})
			for _, d := range devices {
				c.Accounts = append(c.Accounts, ledger.Account{Host: host, Device: ledger.Device{Device: measure.Device{ID: d}}, LastNS: ns})
			}
		}
		if err := w.Follow(t.Context(), nil, c); err != nil {
			t.Fatal(err)
		}
	}
	reports(10*time.Second, "gpu0", "gpu1")
	if got := at(30 * time.Second); got != nil {
		t.Fatalf("found %v", got)
	}
	reports(4*time.Minute, "gpu0")
	if d := cmp.Diff([]string{"G4 missing device finding"}, at(4*time.Minute)); d != "" {
		t.Errorf("a hidden device (-want +got):\n%s", d)
	}
	want := []string{"G1 silent host warning", "G4 missing device finding"}
	for range 2 {
		if d := cmp.Diff(want, at(6*time.Minute)); d != "" {
			t.Errorf("silence (-want +got):\n%s", d)
		}
	}
	if d := cmp.Diff(append([]string{"G1 silent host finding"}, want...), at(20*time.Minute)); d != "" {
		t.Errorf("long silence (-want +got):\n%s", d)
	}
}
