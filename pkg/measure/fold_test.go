package measure_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const device = measure.DeviceID("GPU-1")

// h100 is the part with 132 SMs at 4096 dense bf16 operations per clock and SM,
// 989.4e12/s at 1830 MHz and at most 132 × 1980e6 × 8192 = 2141.06e12/s in FP8.
func h100(t testing.TB) (accel.Model, accel.Grade) {
	t.Helper()
	m, grade, _ := accel.Lookup(accel.Identity{Name: "NVIDIA H100 80GB HBM3"})
	if m.SMCount != 132 || m.TrainingPeak() != 989_400_000 || m.Ceiling() != 2_141_061_120 {
		t.Fatalf("unexpected catalogue row: %+v", m)
	}
	return m, grade
}

func newFolder(t testing.TB, cfg measure.FoldConfig) *measure.Folder {
	t.Helper()
	m, grade := h100(t)
	return measure.NewFolder(measure.Device{ID: device}, m, grade, cfg)
}

var job = measure.Workload{Kind: measure.KindSlurmJob, ID: "17"}

func held() []measure.Share {
	return []measure.Share{{State: measure.Attributed, Workload: job, Tenant: "t1", PPM: 1_000_000}}
}

// history is a random course of one device: what it can report, and what of it
// is there in each sample.
type history struct {
	gauges   []measure.Gauge
	counters []measure.Counter
	values   map[measure.Counter]uint64
}

func (h *history) sample(t *rapid.T, at int64) measure.Sample {
	s := measure.NewSample(device, at)
	for _, g := range h.gauges {
		if rapid.IntRange(0, 5).Draw(t, "gauge there") > 0 {
			s.SetGauge(g, rapid.SampledFrom([]float64{0, 0.001, 0.5, 1, 99, 1980, math.NaN(), -1}).Draw(t, "gauge"))
		}
	}
	for _, c := range h.counters {
		switch rapid.IntRange(0, 20).Draw(t, "counter there") {
		case 0:
			continue
		case 1:
			h.values[c] = 0
		case 2:
			h.values[c] = rapid.Uint64().Draw(t, "jump")
		default:
			h.values[c] += rapid.Uint64Range(0, 3_000_000_000).Draw(t, "growth")
		}
		s.SetCounter(c, h.values[c])
	}
	return s
}

// speaks reports whether anything was read.
func speaks(s *measure.Sample) bool {
	for g := range measure.NumGauges {
		if _, ok := s.Gauge(g); ok {
			return true
		}
	}
	for c := range measure.NumCounters {
		if _, ok := s.Counter(c); ok {
			return true
		}
	}
	return false
}

func randomShares(t *rapid.T) []measure.Share {
	var shares []measure.Share
	for range rapid.IntRange(0, 4).Draw(t, "shares") {
		shares = append(shares, measure.Share{
			State:    measure.State(rapid.IntRange(1, 4).Draw(t, "state")),
			Workload: measure.Workload{Kind: measure.KindPod, ID: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "workload")},
			Tenant:   measure.TenantID(rapid.SampledFrom([]string{"", "t1", "t2"}).Draw(t, "tenant")),
			PPM:      rapid.SampledFrom([]int{-1000, 0, 1, 333_333, 500_000, 999_999, 1_000_000, 1_500_000}).Draw(t, "ppm"),
		})
	}
	return shares
}

// TestEverySecondIsAccountedFor is invariant I1: whatever a device says, its
// windows balance, follow each other without hole or overlap, stay inside their
// slots and add up to the time between the first and the last sample.
func TestEverySecondIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		window := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, 7 * time.Millisecond, time.Minute}).Draw(rt, "window")
		f := newFolder(t, measure.FoldConfig{Window: window})
		h := history{values: map[measure.Counter]uint64{}}
		for g := range measure.NumGauges {
			if rapid.IntRange(0, 3).Draw(rt, "has gauge") == 0 {
				h.gauges = append(h.gauges, g)
			}
		}
		for c := range measure.NumCounters {
			if rapid.IntRange(0, 2).Draw(rt, "has counter") == 0 {
				h.counters = append(h.counters, c)
			}
		}
		first := rapid.SampledFrom([]int64{0, 1, -35_000_000_001, 1_753_000_000_123_456_789}).Draw(rt, "first")
		last, at := first, first // of the newest sample that was taken, and of the newest at all
		var dropped int64
		var windows []measure.Window
		s := h.sample(rt, first)
		said := speaks(&s)
		f.Observe(s, nil)
		for range rapid.IntRange(1, 25).Draw(rt, "samples") {
			step := rapid.OneOf(
				rapid.Int64Range(1, int64(window)),
				rapid.Int64Range(1, 8*int64(window)),
				rapid.Just(int64(window)),
				rapid.Int64Range(-int64(window), 0),
				rapid.Int64Range(1, 3),
			).Draw(rt, "step")
			at += step
			s := h.sample(rt, at)
			windows = append(windows, f.Observe(s, randomShares(rt))...)
			speaking := speaks(&s)
			switch {
			case at <= last:
				dropped++
				at = last
			case said && !speaking: // ends no interval: what comes next may even be earlier
			default:
				last, said = at, speaking
			}
			if rapid.IntRange(0, 6).Draw(rt, "flush") == 0 {
				windows = append(windows, f.Flush()...)
				if again := f.Flush(); again != nil {
					rt.Fatalf("a second flush returns %v", again)
				}
			}
		}
		windows = append(windows, f.Flush()...)
		if f.Dropped() != dropped {
			rt.Fatalf("dropped %d samples, want %d", f.Dropped(), dropped)
		}
		at = first
		var sum time.Duration
		var total compute.Bounds
		for i, w := range windows {
			if !w.Balanced() {
				rt.Fatalf("window %d does not balance: %+v", i, w)
			}
			if w.Device != device || w.StartNS != at {
				rt.Fatalf("window %d of %s starts at %d, the one before ended at %d", i, w.Device, w.StartNS, at)
			}
			slot := time.Unix(0, w.StartNS).UnixNano() / int64(window)
			if w.StartNS < slot*int64(window) { // division truncates towards zero
				slot--
			}
			if w.EndNS > (slot+1)*int64(window) {
				rt.Fatalf("window %d [%d, %d) leaves slot %d", i, w.StartNS, w.EndNS, slot)
			}
			at = w.EndNS
			for _, e := range w.Entries {
				sum += e.Duration
				total = total.Add(e.Operations)
				if e.Ceiling < 0 || e.EnergyMJ < -1 {
					rt.Fatalf("window %d: entry %+v", i, e)
				}
				if e.State == measure.Unobserved && e.Operations.Low != 0 && e.Method.Name == measure.NoMethod {
					rt.Fatalf("window %d: operations are certain in time that nobody saw: %+v", i, e)
				}
			}
		}
		if want := time.Duration(last - first); at != last || sum != want {
			rt.Fatalf("windows end at %d and hold %v, want %d and %v", at, sum, last, want)
		}
		if !total.Valid() {
			rt.Fatalf("sum of operations %v", total)
		}
	})
}

// TestSplittingLosesNothing cuts one interval into windows and shares: the
// operations and the energy of the parts are those of the whole, to the unit.
func TestSplittingLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var totals [2]compute.Bounds
		var energy [2]int64
		start, d := rapid.Int64Range(0, 1e10).Draw(rt, "start"), rapid.Int64Range(1, 6e10).Draw(rt, "time")
		cycles := rapid.Uint64Range(0, 1e11).Draw(rt, "cycles")
		joules := rapid.Uint64Range(0, 1e9).Draw(rt, "energy")
		parts := rapid.SliceOfN(rapid.IntRange(1, 250_000), 1, 4).Draw(rt, "parts")
		for i, window := range []time.Duration{24 * time.Hour, time.Second} {
			f := newFolder(t, measure.FoldConfig{Window: window})
			shares := held()
			if i == 1 {
				shares = nil
				for _, ppm := range parts {
					shares = append(shares, measure.Share{State: measure.Attributed, Workload: job, Tenant: "t1", PPM: ppm})
				}
			}
			for j, at := range []int64{start, start + d} {
				s := measure.NewSample(device, at)
				s.SetCounter(measure.CycSMElapsed, uint64(j)*2e9)
				s.SetCounter(measure.CycHMMA, uint64(j)*cycles)
				s.SetCounter(measure.EnergyMJ, uint64(j)*joules)
				for _, w := range f.Observe(s, shares) {
					totals[i], energy[i] = addUp(w, totals[i], energy[i])
				}
			}
			for _, w := range f.Flush() {
				totals[i], energy[i] = addUp(w, totals[i], energy[i])
			}
		}
		if totals[0] != totals[1] || energy[0] != energy[1] || energy[0] != int64(joules) {
			rt.Fatalf("whole %v and %d mJ, parts %v and %d mJ", totals[0], energy[0], totals[1], energy[1])
		}
	})
}

func addUp(w measure.Window, total compute.Bounds, energy int64) (compute.Bounds, int64) {
	for _, e := range w.Entries {
		total, energy = total.Add(e.Operations), energy+e.EnergyMJ
	}
	return total, energy
}

// reading is what one sample holds.
type reading struct {
	gauges   map[measure.Gauge]float64
	counters map[measure.Counter]uint64
}

func (r reading) sample(at time.Duration) measure.Sample {
	s := measure.NewSample(device, int64(at))
	for g, v := range r.gauges {
		s.SetGauge(g, v)
	}
	for c, v := range r.counters {
		s.SetCounter(c, v)
	}
	return s
}

type (
	gauges   = map[measure.Gauge]float64
	counters = map[measure.Counter]uint64
)

// oneEntry folds two samples and returns the one entry of the one window.
func oneEntry(t *testing.T, a, b reading, d time.Duration, shares []measure.Share) measure.Entry {
	t.Helper()
	f := newFolder(t, measure.FoldConfig{Window: time.Hour})
	if closed := f.Observe(a.sample(0), shares); closed != nil {
		t.Fatalf("the first sample closes %v", closed)
	}
	windows := append(f.Observe(b.sample(d), shares), f.Flush()...)
	if len(windows) != 1 || len(windows[0].Entries) != 1 {
		t.Fatalf("want one window of one entry, got %+v", windows)
	}
	return windows[0].Entries[0]
}

// TestMethods holds figures worked out by hand for one second of an H100, in
// units of 1e9 operations.
func TestMethods(t *testing.T) {
	none := reading{}
	cyc := func(elapsed, hmma uint64) reading {
		return reading{counters: counters{measure.CycSMElapsed: elapsed, measure.CycHMMA: hmma}}
	}
	tests := []struct {
		name   string
		a, b   reading
		want   compute.Bounds
		method measure.MethodName
		reason string
	}{
		{
			// 915e6 × 132 × 4096 = 494,714.88e9; low 2048 × 0.95, high 8192 × 1.05.
			name: "cycles that are means over the SMs", a: cyc(0, 0), b: cyc(1_830_000_000, 915_000_000),
			want: compute.Bounds{Low: 234_989, Best: 494_715, High: 1_038_902}, method: measure.Cycles,
		}, {
			name: "cycles that are sums over the SMs", a: cyc(5, 7), b: cyc(5+132*1_830_000_000, 7+132*915_000_000),
			want: compute.Bounds{Low: 234_989, Best: 494_715, High: 1_038_902}, method: measure.Cycles,
		}, {
			// 1.98e9 × 132 × 8192 × 1.05 is more than the device can do.
			name: "cycles stop at the ceiling", a: cyc(0, 0), b: cyc(1_980_000_000, 1_980_000_000),
			want: compute.Bounds{Low: 508_502, Best: 1_070_531, High: 2_141_062}, method: measure.Cycles,
		}, {
			name: "a device at rest", a: cyc(10, 10), b: cyc(1_830_000_010, 10), method: measure.Cycles,
		}, {
			// 0.5 × 1830e6 × 132 × 4096; low 2048 × 0.9, high 8192 × 1.1.
			name: "pipe activity with a clock",
			b:    reading{gauges: gauges{measure.HMMA: 0.5, measure.SMClockMHz: 1830}},
			want: compute.Bounds{Low: 222_621, Best: 494_715, High: 1_088_373}, method: measure.GPM, reason: "no cycle counters",
		}, {
			// Without a clock: 990, 1830 and 1980 MHz.
			name: "pipe activity without a clock",
			b:    reading{gauges: gauges{measure.HMMA: 0.5}},
			want: compute.Bounds{Low: 120_434, Best: 494_715, High: 1_177_584}, method: measure.GPM, reason: "no cycle counters",
		}, {
			// 0.25 × 1980e6 × 132 × 256 = 16,727.04e9; low half × 0.9, high × 1.1.
			name: "CUDA cores",
			b:    reading{gauges: gauges{measure.HMMA: 0, measure.FP32: 0.25, measure.SMClockMHz: 1980}},
			want: compute.Bounds{Low: 7_527, Best: 16_727, High: 18_400}, method: measure.GPM, reason: "no cycle counters",
		}, {
			// 989.4e12 × 0.5 × 0.10 and 0.35; 1978.9e12 × 0.5 × 0.60.
			name: "utilization", a: reading{gauges: gauges{measure.GPUUtilPct: 25}}, b: reading{gauges: gauges{measure.GPUUtilPct: 75}},
			want: compute.Bounds{Low: 49_470, Best: 173_145, High: 593_670}, method: measure.Activity, reason: "no cycle counters, no pipe activity",
		}, {
			name: "nothing but the allocation", a: none, b: none,
			want: compute.Bounds{Best: 346_290, High: 2_141_062}, method: measure.Allocation, reason: "no cycle counters, no pipe activity, no utilization",
		}, {
			name: "a counter that fell", a: cyc(0, 100), b: reading{counters: counters{measure.CycSMElapsed: 1_830_000_000, measure.CycHMMA: 99}, gauges: gauges{measure.GPUUtilPct: 50}},
			want: compute.Bounds{Low: 49_470, Best: 173_145, High: 593_670}, method: measure.Activity, reason: "a cycle counter fell or is missing, no pipe activity",
		}, {
			name: "elapsed cycles that fell", a: cyc(100, 0), b: cyc(99, 915_000_000),
			want: compute.Bounds{Best: 346_290, High: 2_141_062}, method: measure.Allocation, reason: "a cycle counter fell or is missing, no pipe activity, no utilization",
		}, {
			name: "a pipe that went missing", a: reading{counters: counters{measure.CycSMElapsed: 0, measure.CycHMMA: 0, measure.CycFP32: 0}},
			b:    reading{counters: counters{measure.CycSMElapsed: 1_830_000_000, measure.CycFP32: 1}},
			want: compute.Bounds{Best: 346_290, High: 2_141_062}, method: measure.Allocation, reason: "a cycle counter fell or is missing, no pipe activity, no utilization",
		}, {
			name: "a pipe that is new", a: reading{counters: counters{measure.CycSMElapsed: 0, measure.CycFP32: 0}},
			b:    reading{counters: counters{measure.CycSMElapsed: 1_830_000_000, measure.CycFP32: 1, measure.CycHMMA: 915_000_000}},
			want: compute.Bounds{Best: 346_290, High: 2_141_062}, method: measure.Allocation, reason: "a cycle counter fell or is missing, no pipe activity, no utilization",
		}, {
			name: "elapsed cycles alone", a: reading{counters: counters{measure.CycSMElapsed: 0}}, b: reading{counters: counters{measure.CycSMElapsed: 1_830_000_000}},
			want: compute.Bounds{Best: 346_290, High: 2_141_062}, method: measure.Allocation, reason: "no cycle counters, no pipe activity, no utilization",
		}, {
			name: "impossible readings are absent",
			b:    reading{gauges: gauges{measure.HMMA: math.NaN(), measure.GPUUtilPct: -1}},
			want: compute.Bounds{Best: 346_290, High: 2_141_062}, method: measure.Allocation, reason: "no cycle counters, no pipe activity, no utilization",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := oneEntry(t, tt.a, tt.b, time.Second, held())
			if diff := cmp.Diff(tt.want, e.Operations); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
			if e.Method.Name != tt.method || e.Method.Reason != tt.reason || e.Method.Version != 2 || e.Method.Grade != "A" || e.Method.Precision == "" {
				t.Errorf("method %+v, want %s because %q", e.Method, tt.method, tt.reason)
			}
			if e.State != measure.Attributed || e.Workload != job || e.Tenant != "t1" || e.Duration != time.Second || e.Ceiling != 2_141_062 || e.EnergyMJ != -1 {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

func TestStates(t *testing.T) {
	util := func(pct float64) reading { return reading{gauges: gauges{measure.GPUUtilPct: pct}} }
	cyc := func(n uint64) reading {
		return reading{counters: counters{measure.CycSMElapsed: 10 * n, measure.CycHMMA: 5 * n}}
	}
	tests := []struct {
		name   string
		a, b   reading
		d      time.Duration
		shares []measure.Share
		state  measure.State
		method measure.MethodName
		want   compute.Bounds
	}{
		{"held", util(100), util(100), time.Second, held(), measure.Attributed, measure.Activity, compute.Bounds{Low: 98_940, Best: 346_290, High: 1_187_340}},
		{"idle with work", util(100), util(100), time.Second, nil, measure.Unattributed, measure.Activity, compute.Bounds{Low: 98_940, Best: 346_290, High: 1_187_340}},
		{"idle with noise", util(2), util(2), time.Second, nil, measure.Idle, measure.Activity, compute.Bounds{Low: 1_978, Best: 6_926, High: 23_747}},
		{"idle at rest", util(0), util(0), time.Second, nil, measure.Idle, measure.Activity, compute.Bounds{}},
		{"idle without a reading", reading{}, reading{}, time.Second, nil, measure.Idle, measure.NoMethod, compute.Bounds{}},
		{"longest interval that is no gap", util(0), util(0), 3 * time.Second, held(), measure.Attributed, measure.Activity, compute.Bounds{}},
		{"gap", util(0), util(0), 10 * time.Second, held(), measure.Unobserved, measure.NoMethod, compute.Bounds{Best: 3_462_900, High: 21_410_612}},
		{"gap of an idle device", reading{}, reading{}, 10 * time.Second, nil, measure.Unobserved, measure.NoMethod, compute.Bounds{Best: 3_462_900, High: 21_410_612}},
		{"gap that cycles bridge", cyc(0), cyc(1_830_000_000), 10 * time.Second, held(), measure.Attributed, measure.Cycles, compute.Bounds{Low: 2_349_895, Best: 4_947_149, High: 10_389_013}},
		{"gap with counters set anew", cyc(2), cyc(1), 10 * time.Second, held(), measure.Unobserved, measure.NoMethod, compute.Bounds{Best: 3_462_900, High: 21_410_612}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := oneEntry(t, tt.a, tt.b, tt.d, tt.shares)
			if e.State != tt.state || e.Method.Name != tt.method || e.Duration != tt.d {
				t.Errorf("%v by %s for %v, want %v by %s for %v", e.State, e.Method.Name, e.Duration, tt.state, tt.method, tt.d)
			}
			if diff := cmp.Diff(tt.want, e.Operations); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSharesThatFallShort(t *testing.T) {
	f := newFolder(t, measure.FoldConfig{})
	f.Observe(reading{}.sample(0), nil)
	f.Observe(reading{}.sample(time.Second), []measure.Share{
		{State: measure.Attributed, Tenant: "t1", PPM: 250_000},
		{State: measure.Attributed, Tenant: "t2", PPM: 500_000},
	})
	got := map[string]time.Duration{}
	for _, w := range f.Flush() {
		for _, e := range w.Entries {
			got[e.State.String()+string(e.Tenant)] += e.Duration
		}
	}
	want := map[string]time.Duration{"attributedt1": 250 * time.Millisecond, "attributedt2": 500 * time.Millisecond, "unattributed": 250 * time.Millisecond}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImpossibleReadingsAreAbsent(t *testing.T) {
	for _, c := range measure.Columns {
		s := measure.NewSample(device, 0)
		if c.IsCounter {
			if _, ok := s.Counter(c.Counter); ok {
				t.Errorf("%s: a new sample has it", c.Name)
			}
			if s.SetCounter(c.Counter, 0); !hasCounter(&s, c.Counter, 0) {
				t.Errorf("%s: a zero is not there", c.Name)
			}
			continue
		}
		for _, v := range []float64{math.NaN(), -1, -1e-300, math.Inf(1), math.Inf(-1), c.Max * 1.001} {
			if s.SetGauge(c.Gauge, v); hasGauge(&s, c.Gauge) {
				t.Errorf("%s: %v is taken", c.Name, v)
			}
		}
		for _, v := range []float64{0, c.Max / 2, c.Max} {
			s.SetGauge(c.Gauge, v)
			if got, ok := s.Gauge(c.Gauge); !ok || got != v {
				t.Errorf("%s: %v reads as %v, %v", c.Name, v, got, ok)
			}
		}
	}
	if want := int(measure.NumGauges) + int(measure.NumCounters); len(measure.Columns) != want {
		t.Errorf("%d columns for %d readings", len(measure.Columns), want)
	}
}

func hasGauge(s *measure.Sample, g measure.Gauge) bool { _, ok := s.Gauge(g); return ok }

func hasCounter(s *measure.Sample, c measure.Counter, want uint64) bool {
	v, ok := s.Counter(c)
	return ok && v == want
}

// TestAllocationOfLlama405B: 3.084e7 H100 hours that nobody measured could have
// crossed 1e26 operations, and by the stated estimate did not.
func TestAllocationOfLlama405B(t *testing.T) {
	f := newFolder(t, measure.FoldConfig{Window: time.Hour, MaxGap: 2 * time.Hour})
	f.Observe(reading{}.sample(0), nil)
	windows := f.Observe(reading{}.sample(time.Hour), held())
	if len(windows) != 1 || len(windows[0].Entries) != 1 {
		t.Fatalf("windows %+v", windows)
	}
	hour := windows[0].Entries[0].Operations
	if want := (compute.Bounds{Best: 1_246_644_000, High: 7_707_820_032}); hour != want {
		t.Errorf("one hour is %v, want %v", hour, want)
	}
	const hours = 3.084e7
	if best, high := hour.Best.Float()*hours, hour.High.Float()*hours; best >= 1e26 || high <= 1e26 {
		t.Errorf("best %.3g, high %.3g; want 1e26 between them", best, high)
	}
}

// TestThresholdDay: 32,768 H100 at 40 % of 989.4e12/s do 1.297e19/s and reach
// 1e26 after 7.711e6 s, on the ninetieth day.
func TestThresholdDay(t *testing.T) {
	f := newFolder(t, measure.FoldConfig{Window: 24 * time.Hour, MaxGap: 48 * time.Hour})
	fleet := reading{gauges: gauges{measure.HMMA: 0.4, measure.SMClockMHz: 1830}}
	f.Observe(fleet.sample(0), nil)
	var best compute.Operations
	for day := 1; day <= 100; day++ {
		for _, w := range f.Observe(fleet.sample(time.Duration(day)*24*time.Hour), held()) {
			for _, e := range w.Entries {
				best = best.Add(e.Operations.Best)
			}
		}
		if best.Float()*32_768 >= 1e26 {
			if day != 90 {
				t.Errorf("crossed in day %d, want 90", day)
			}
			return
		}
	}
	t.Error("never crossed")
}

func hotSample(i int) measure.Sample {
	s := measure.NewSample(device, int64(i)*int64(time.Second))
	s.SetGauge(measure.HMMA, 0.4)
	s.SetGauge(measure.SMClockMHz, 1830)
	s.SetGauge(measure.GPUUtilPct, 100)
	s.SetCounter(measure.EnergyMJ, uint64(i)*700_000)
	return s
}

func TestObserveAllocatesNothing(t *testing.T) {
	f := newFolder(t, measure.FoldConfig{Window: 100_000 * time.Hour})
	shares := held()
	i := 0
	next := func() {
		i++
		if closed := f.Observe(hotSample(i), shares); closed != nil {
			t.Fatal("a window was closed")
		}
	}
	next()
	next()
	if allocs := testing.AllocsPerRun(1000, next); allocs != 0 {
		t.Errorf("%v allocations per Observe", allocs)
	}
}

func BenchmarkFolderObserve(b *testing.B) {
	f := newFolder(b, measure.FoldConfig{})
	shares := held()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Observe(hotSample(i), shares)
	}
}
