package measure_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Totals by everything that names an entry are those of before, each window
// balances, none leaves its slot, and thinning twice is thinning once.
func TestThinKeepsTotals(t *testing.T) {
	type key struct {
		device   measure.DeviceID
		state    measure.State
		tenant   measure.TenantID
		workload measure.Workload
		method   measure.Method
		known    bool // energy
	}
	type total struct {
		duration time.Duration
		ops      compute.Bounds
		ceiling  compute.Operations
		float    compute.Operations
		energy   int64
	}
	sum := func(windows []measure.Window) map[key]total {
		out := map[key]total{}
		for _, w := range windows {
			for _, e := range w.Entries {
				k := key{w.Device, e.State, e.Tenant, e.Workload, e.Method, e.EnergyMJ >= 0}
				v := out[k]
				v.duration, v.ops, v.ceiling, v.float = v.duration+e.Duration, v.ops.Add(e.Operations), v.ceiling.Add(e.Ceiling), v.float.Add(e.FloatTensor)
				v.energy += max(e.EnergyMJ, 0)
				out[k] = v
			}
		}
		return out
	}
	const slot = time.Minute
	rapid.Check(t, func(t *rapid.T) {
		var windows []measure.Window
		for _, device := range []measure.DeviceID{"a", "b"} {
			at := int64(1_700_000_000_000_000_000) + rapid.Int64Range(0, int64(slot)).Draw(t, "start")
			for range rapid.IntRange(0, 30).Draw(t, "windows") {
				at += rapid.SampledFrom([]int64{0, 0, 0, int64(time.Second)}).Draw(t, "hole")
				length := rapid.SampledFrom([]time.Duration{10 * time.Second, 7 * time.Second, 3 * time.Minute}).Draw(t, "length")
				w := measure.Window{Device: device, StartNS: at, EndNS: at + int64(length)}
				left := length
				for _, tenant := range []measure.TenantID{"t1", "t2"} {
					e := measure.Entry{State: measure.Attributed, Tenant: tenant, Duration: min(left, rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Hour}).Draw(t, "share")),
						Operations: compute.Bounds{Low: 10, Best: 20, High: 30}, Ceiling: 40, FloatTensor: 5, EnergyMJ: rapid.SampledFrom([]int64{-1, 0, 70}).Draw(t, "energy")}
					if left -= e.Duration; e.Duration > 0 {
						w.Entries = append(w.Entries, e)
					}
				}
				if left > 0 {
					w.Entries = append(w.Entries, measure.Entry{State: measure.Unobserved, Duration: left, EnergyMJ: -1})
				}
				windows = append(windows, w)
				at = w.EndNS
			}
		}
		thin := measure.Thin(windows, slot)
		if before, after := sum(windows), sum(thin); !maps.Equal(before, after) {
			t.Fatalf("totals before %v, after %v", before, after)
		}
		for _, w := range thin {
			if !w.Balanced() {
				t.Fatalf("window does not balance: %+v", w)
			}
		}
		if d := cmp.Diff(thin, measure.Thin(thin, slot)); d != "" {
			t.Fatalf("thinned again (-once +twice):\n%s", d)
		}
	})
	minute := measure.Thin(tenSeconds(6), slot)
	if len(minute) != 1 || minute[0].Elapsed() != time.Minute {
		t.Errorf("six windows of ten seconds become %+v", minute)
	}
}

func tenSeconds(n int) (out []measure.Window) {
	at := int64(1_700_000_040_000_000_000) // a whole minute
	for range n {
		out = append(out, measure.Window{Device: "a", StartNS: at, EndNS: at + int64(10*time.Second), Entries: []measure.Entry{{State: measure.Idle, Duration: 10 * time.Second, EnergyMJ: -1}}})
		at += int64(10 * time.Second)
	}
	return out
}
