package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/ledger"
)

func TestCountersAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	want := map[ledger.HostID]HostCounter{"a": {Number: 1 << 32, Word: "w", Recovered: 1}, "b": {}}
	if err := s.SaveCounters(t.Context(), map[ledger.HostID]HostCounter{"a": {Number: 1}, "b": {}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveCounters(t.Context(), map[ledger.HostID]HostCounter{"a": want["a"]}); err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadCounters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n, err := s.HostEpoch(t.Context(), "a"); n != 0 || err != nil {
		t.Errorf("epoch of a host without batches: %d, %v", n, err)
	}
}
