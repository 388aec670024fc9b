package measure_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// A guessed split gives each holder anything from nothing to all of it; best and
// the seconds still add up.
func TestGuessedSplit(t *testing.T) {
	f := newFolder(t, measure.FoldConfig{Window: time.Second})
	shares := []measure.Share{
		{State: measure.Attributed, Workload: job, Tenant: "t1", PPM: 500_000, Guessed: true},
		{State: measure.Attributed, Workload: job, Tenant: "t2", PPM: 500_000, Guessed: true},
	}
	f.Observe(elapsing(0, 1980e6, 1980).sample(0), shares)
	windows := f.Observe(elapsing(2, 1980e6, 1980).sample(2*time.Second), shares)
	whole := newFolder(t, measure.FoldConfig{Window: time.Second})
	whole.Observe(elapsing(0, 1980e6, 1980).sample(0), held())
	alone := whole.Observe(elapsing(2, 1980e6, 1980).sample(2*time.Second), held())
	if len(windows) != 2 || len(alone) != 2 {
		t.Fatalf("%d and %d windows, want 2", len(windows), len(alone))
	}
	for i, w := range windows {
		if !w.Balanced() || len(w.Entries) != 2 {
			t.Fatalf("window %+v", w)
		}
		all := alone[i].Entries[0].Operations
		if best := w.Entries[0].Operations.Best + w.Entries[1].Operations.Best; best != all.Best {
			t.Errorf("best %s, alone %s", best, all.Best)
		}
		for _, e := range w.Entries {
			if e.Operations.Low != 0 || e.Operations.High < all.High-1 || e.Operations.High > all.High || !strings.Contains(e.Method.Reason, "guess") {
				t.Errorf("entry %s of %+v, alone %s", e.Operations, e.Method, all)
			}
		}
	}
}
