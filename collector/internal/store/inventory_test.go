package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestInventory(t *testing.T) {
	const one, two = ledger.HostID("aaaaaaaaaaaaaaaaaaaaaaaaaa"), ledger.HostID("bbbbbbbbbbbbbbbbbbbbbbbbbb")
	key := func(n byte, broker string) *inventory.Key {
		return &inventory.Key{Signing: ed25519.PublicKey(bytes.Repeat([]byte{n}, 32)), Broker: broker}
	}
	dir := t.TempDir()
	s := open(t, dir)
	devices := []inventory.Devices{{Model: "H100", Count: 8, IDs: []measure.DeviceID{"GPU-1"}}}
	history := []inventory.Change{
		{Host: one, AtNS: 1, By: "operator", Act: inventory.Invite, Name: "node-1", Site: "fra", Devices: devices, Invitation: &inventory.Invitation{Hash: [32]byte{9}, ExpiresNS: 100, Network: "10.0.0.0/8"}},
		{Host: two, AtNS: 2, By: "operator", Act: inventory.Invite, Invitation: &inventory.Invitation{ExpiresNS: 100}},
		{Host: one, AtNS: 3, By: "host", Act: inventory.Enroll, Key: key(1, "U1")},
		{Host: one, AtNS: 5, By: "host", Act: inventory.Rotate, Key: key(2, "U2"), OverlapNS: 7},
		{Host: one, AtNS: 9, By: "operator", Act: inventory.Revoke, Reason: "sold"},
	}
	for i, c := range history {
		before := revision(t, s)
		if _, err := s.ChangeHost(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if revision(t, s) == before {
			t.Error("the revision did not grow")
		}
		history[i].No = int64(i + 1)
	}
	refused := []inventory.Change{
		{Host: one, AtNS: 10, By: "host", Act: inventory.Rotate, Key: key(3, "U3")},
		{Host: two, AtNS: 10, By: "host", Act: inventory.Enroll, Key: key(1, "U4")}, // known signing key
		{Host: two, AtNS: 10, By: "host", Act: inventory.Enroll, Key: key(4, "U2")}, // known broker key
	}
	for _, c := range refused {
		if _, err := s.ChangeHost(t.Context(), c); !errors.Is(err, inventory.ErrRefused) {
			t.Errorf("%s: %v", c.Act, err)
		}
	}
	want, err := inventory.Restore(history)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadInventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Hosts(), got.Hosts()); d != "" {
		t.Errorf("loaded (-want +got):\n%s", d)
	}
	wantSpans := []inventory.Expectation{{Host: one, Name: "node-1", Site: "fra", Span: inventory.Span{FromNS: 3, ToNS: 9, Devices: devices}}}
	if d := cmp.Diff(wantSpans, got.Expected(0, 0)); d != "" {
		t.Errorf("expected (-want +got):\n%s", d)
	}
	// Who did what is kept, in order, and cannot be altered.
	entries, err := s.HostHistory(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]inventory.Change{history[0], history[2], history[3], history[4]}, entries); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
	for _, query := range []string{"UPDATE inventory_change SET by = 'nobody'", "DELETE FROM inventory_change", "UPDATE inventory_key SET host = ''", "DELETE FROM inventory_key"} {
		if _, err := s.db.Exec(query); err == nil || !strings.Contains(err.Error(), "are never") {
			t.Errorf("%s: %v", query, err)
		}
	}
}
