package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// What slots of a host hold is the energy of its windows, each in the quarter of an
// hour in which it lies, however batches are cut and where the ledger stops.
func TestEnergyBySlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, got := map[int64]ledger.Energy{}, map[int64]ledger.Energy{}
		add := func(to map[int64]ledger.Energy, e ledger.Energy) {
			if e.KnownNS > 0 {
				to[e.SlotNS] = ledger.Energy{SlotNS: e.SlotNS, EnergyMJ: to[e.SlotNS].EnergyMJ + e.EnergyMJ, KnownNS: to[e.SlotNS].KnownNS + e.KnownNS}
			}
		}
		book := ledger.New()
		devices := []ledger.Device{{Device: measure.Device{ID: "d0"}}, {Device: measure.Device{ID: "d1"}}}
		at := [2]int64{longAgo - longAgo%int64(ledger.EnergySlot), longAgo - longAgo%int64(ledger.EnergySlot)}
		var held ledger.Energy
		for seq := range uint64(rapid.IntRange(1, 30).Draw(t, "batches")) {
			b := &ledger.Batch{Host: "h", Position: ledger.Position{Epoch: 1, Seq: seq + 1}, Devices: devices}
			for d := range devices {
				for range rapid.IntRange(0, 3).Draw(t, "windows") {
					length := rapid.SampledFrom([]time.Duration{10 * time.Second, 5 * time.Minute, ledger.EnergySlot}).Draw(t, "length")
					energy := rapid.SampledFrom([]int64{-1, 0, 900_000}).Draw(t, "energy")
					w := measure.Window{Device: devices[d].ID, StartNS: at[d], EndNS: at[d] + int64(length), Entries: []measure.Entry{{State: measure.Idle, Duration: length, EnergyMJ: energy}}}
					if slot := at[d] - at[d]%int64(ledger.EnergySlot); energy >= 0 && w.EndNS <= slot+int64(ledger.EnergySlot) {
						add(want, ledger.Energy{SlotNS: slot, EnergyMJ: energy, KnownNS: int64(length)})
					} else if energy >= 0 { // over the end of a slot
						first := slot + int64(ledger.EnergySlot) - w.StartNS
						add(want, ledger.Energy{SlotNS: slot, EnergyMJ: energy * first / int64(length), KnownNS: first})
						add(want, ledger.Energy{SlotNS: slot + int64(ledger.EnergySlot), EnergyMJ: energy * (int64(length) - first) / int64(length), KnownNS: int64(length) - first})
					}
					at[d] = w.EndNS
					b.Windows = append(b.Windows, w)
				}
			}
			if err := book.Apply(b); err != nil {
				t.Fatal(err)
			}
			changes := book.Take()
			for _, e := range changes.Energy {
				add(got, e.Energy)
			}
			held = changes.Hosts[0].Energy
			if rapid.Bool().Draw(t, "stop") {
				book = restored(t, changes)
			}
		}
		add(got, held)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
	})
}

// restored is the ledger that begins with the host as it was given out. Accounts
// begin anew, which concerns energy not at all.
func restored(t *rapid.T, c ledger.Changes) *ledger.Ledger {
	book, err := ledger.Restore(ledger.State{Hosts: c.Hosts, LastSegment: 1})
	if err != nil {
		t.Fatal(err)
	}
	return book
}
