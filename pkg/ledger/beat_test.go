package ledger

import (
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// powered returns a ledger that counted one window of 10 s for each energy in
// millijoules, -1 for none.
func powered(t *testing.T, l *Ledger, from int, energies ...int64) Changes {
	t.Helper()
	for i, mj := range energies {
		start := int64(from+i+1) * int64(BeatWindow)
		w := measure.Window{Device: "d", StartNS: start, EndNS: start + int64(BeatWindow), Entries: []measure.Entry{{
			State: measure.Attributed, Tenant: "t", Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "1"}, Method: measure.Method{Name: measure.Activity},
			Duration: BeatWindow, EnergyMJ: mj,
		}}}
		b := &Batch{Host: "h", Position: Position{Epoch: 1, Seq: uint64(from + i + 1)}, Devices: []Device{{Device: measure.Device{ID: "d"}}}, Windows: []measure.Window{w}}
		if err := l.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	return l.Take()
}

func TestPowerBecomesRhythm(t *testing.T) {
	energies := []int64{7000, 7100, 6000, 7050, 7060, 7000, 5900, 7000, 7010}
	l := New()
	c := powered(t, l, 0, energies...)
	if len(c.Opened) != 1 {
		t.Fatalf("%d segments", len(c.Opened))
	}
	got, err := rhythm.Decode([]byte(c.Opened[0].Rhythm))
	if err != nil {
		t.Fatal(err)
	}
	var want rhythm.Rhythm
	for _, mj := range energies {
		want.Add(float64(mj) / 10)
	}
	if got != want || got.Dips != 2 {
		t.Errorf("rhythm %+v, want %+v", got, want)
	}
	// A ledger that was restored goes on where it stopped.
	again, err := Restore(State{Hosts: c.Hosts, Accounts: c.Accounts, Open: c.Opened, LastSegment: c.Opened[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	a, b := powered(t, l, len(energies), 6990, 7000), powered(t, again, len(energies), 6990, 7000)
	if a.Extended[0].Rhythm != b.Extended[0].Rhythm || a.Extended[0].Rhythm == c.Opened[0].Rhythm {
		t.Error("the rhythm of a restored ledger is another one, or did not grow")
	}
}

func TestNoPowerNoRhythm(t *testing.T) {
	if c := powered(t, New(), 0, -1, -1, -1); c.Opened[0].Rhythm != "" {
		t.Errorf("rhythm %q without energy", c.Opened[0].Rhythm)
	}
	s := &segment{}
	s.follow(&part{State: measure.Attributed, Amounts: Amounts{DurationNS: int64(time.Hour), EnergyMJ: 1}}, int64(time.Hour))
	s.follow(&part{State: measure.Attributed, Amounts: Amounts{DurationNS: int64(BeatWindow) / 2, EnergyMJ: 1}}, int64(BeatWindow))
	if s.beat != nil {
		t.Errorf("windows of another length or shared ones make a rhythm: %+v", s.beat)
	}
}
