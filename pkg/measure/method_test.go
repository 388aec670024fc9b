package measure_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// play folds samples one second apart and returns the entries of each interval.
func play(t *testing.T, f *measure.Folder, readings ...reading) []measure.Entry {
	t.Helper()
	var entries []measure.Entry
	for i, r := range readings {
		f.Observe(r.sample(time.Duration(i)*time.Second), held())
		for _, w := range f.Flush() {
			entries = append(entries, w.Entries...)
		}
	}
	return entries
}

// elapsing returns what a device says whose counters are sums or means, at a
// clock in MHz and a tensor activity.
func elapsing(seconds int, perSecond float64, mhz float64) reading {
	return reading{
		counters: counters{measure.CycSMElapsed: uint64(perSecond * float64(seconds)), measure.CycHMMA: uint64(perSecond * float64(seconds) / 2)},
		gauges:   gauges{measure.SMClockMHz: mhz},
	}
}

// TestCycleMeaningIsKept finds out once what the counters mean, keeps it over
// intervals whose clock reading is off, and gives up only when it stays so.
func TestCycleMeaningIsKept(t *testing.T) {
	f := newFolder(t, measure.FoldConfig{Window: time.Hour})
	const sum = 132 * 1980e6
	entries := play(t, f,
		elapsing(0, sum, 1980), elapsing(1, sum, 1980), // sums
		elapsing(2, sum, 1), // a clock reading that is off
		elapsing(3, sum, 1980), elapsing(4, sum, 1980),
	)
	for i, e := range entries {
		if e.Method.Name != measure.Cycles || e.Operations.Best < 535_265 || e.Operations.Best > 535_267 {
			t.Errorf("interval %d: %s of %+v", i, e.Operations, e.Method)
		}
	}
	// Now elapsed cycles fit neither the clock nor the clock times the SMs.
	var odd []reading
	at := uint64(5 * sum)
	for range 6 {
		at += 12 * 1980e6
		odd = append(odd, reading{counters: counters{measure.CycSMElapsed: at, measure.CycHMMA: at / 2}, gauges: gauges{measure.SMClockMHz: 1980}})
	}
	g := newFolder(t, measure.FoldConfig{Window: time.Hour})
	last := play(t, g, odd...)
	if e := last[len(last)-1]; e.Method.Name == measure.Cycles || !strings.Contains(e.Method.Reason, "do not follow the SM clock") {
		t.Errorf("counters off the clock give %+v", e.Method)
	}
	if events := g.Events(); len(events) == 0 || events[0].Kind != measure.EventCounters {
		t.Errorf("events %+v", events)
	}
}

// TestPipesThatReadIdle takes tensor zero beside high utilization and power for
// the fault that it is, and believes it where memory explains the power.
func TestPipesThatReadIdle(t *testing.T) {
	at := func(dram float64, watts float64) (a, b reading) {
		g := gauges{measure.HMMA: 0, measure.FP32: 0, measure.SMClockMHz: 1980, measure.GPUUtilPct: 100, measure.DRAMActive: dram, measure.PowerMW: watts * 1000}
		return reading{gauges: g}, reading{gauges: g}
	}
	for _, tt := range []struct {
		name        string
		dram, watts float64
		want        measure.MethodName
	}{
		{"at 650 W", 0.02, 650, measure.Activity},
		{"at 650 W moving memory", 0.9, 650, measure.GPM},
		{"at 120 W", 0.02, 120, measure.GPM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := at(tt.dram, tt.watts)
			e := oneEntry(t, a, b, time.Second, held())
			if e.Method.Name != tt.want {
				t.Errorf("method %+v", e.Method)
			}
		})
	}
}

// TestDoublePrecisionIsCountedOnce takes DMMA and DFMA for two names of the same
// work: 0.5 × 1e9 × 132 × 128 × 2 either way.
func TestDoublePrecisionIsCountedOnce(t *testing.T) {
	var want compute.Operations
	for i, pipes := range []gauges{{measure.DMMA: 0.5}, {measure.DFMA: 0.5}, {measure.DMMA: 0.5, measure.DFMA: 0.5}} {
		pipes[measure.HMMA], pipes[measure.SMClockMHz] = 0, 1000
		e := oneEntry(t, reading{}, reading{gauges: pipes}, time.Second, held())
		if i == 0 {
			want = e.Operations.Best
		}
		if e.Operations.Best != want || want == 0 {
			t.Errorf("%v: %s, want %s", pipes, e.Operations, want)
		}
	}
}

// TestClock takes the driver's history of the clock before readings at the ends,
// and widens the bounds to both ends without it.
func TestClock(t *testing.T) {
	ends := func(g gauges) (a, b reading) {
		return reading{gauges: gauges{measure.SMClockMHz: 1000}}, reading{gauges: g}
	}
	a, b := ends(gauges{measure.HMMA: 0.5, measure.SMClockMHz: 2000, measure.SMClockMeanMHz: 1200})
	mean := oneEntry(t, a, b, time.Second, held())
	if got, want := mean.Operations.Best, compute.Operations(324_403); got != want { // 0.5 × 1200e6 × 132 × 4096
		t.Errorf("best %d, want %d", got, want)
	}
	a, b = ends(gauges{measure.HMMA: 0.5, measure.SMClockMHz: 2000})
	wide := oneEntry(t, a, b, time.Second, held())
	if wide.Operations.Low >= mean.Operations.Low || wide.Operations.High <= mean.Operations.High {
		t.Errorf("without history %s, with %s", wide.Operations, mean.Operations)
	}
}

// TestPowerAlone gives bounded figures from power where there is nothing else:
// nothing at rest, 0.40 of the peak at the limit, the ceiling as high.
func TestPowerAlone(t *testing.T) {
	for _, tt := range []struct {
		watts float64
		best  compute.Operations
	}{{100, 0}, {140, 0}, {700, 395_760}, {900, 395_760}} {
		r := reading{gauges: gauges{measure.PowerMW: tt.watts * 1000}}
		e := oneEntry(t, r, r, time.Second, held())
		if e.Method.Name != measure.Activity || e.Operations.Low != 0 || e.Operations.Best != tt.best || e.Operations.High != 2_141_062 || e.EnergyMJ != int64(tt.watts*1000) {
			t.Errorf("%g W: %s, %d mJ of %+v, want best %d", tt.watts, e.Operations, e.EnergyMJ, e.Method, tt.best)
		}
	}
}

// TestEnergyRefutesWork reports operations that the energy cannot have paid for,
// once a minute at most.
func TestEnergyRefutesWork(t *testing.T) {
	for _, tt := range []struct {
		watts float64
		want  bool
	}{{100, true}, {300, false}, {650, false}} {
		f := newFolder(t, measure.FoldConfig{Window: 10 * time.Second})
		var events []measure.Event
		for i := range 41 {
			s := elapsing(i, 1980e6, 1980).sample(time.Duration(i) * time.Second)
			s.SetCounter(measure.EnergyMJ, uint64(float64(i)*tt.watts*1000))
			f.Observe(s, held())
			events = append(events, f.Events()...)
		}
		if got := len(events) == 1 && events[0].Kind == measure.EventEnergy && events[0].Device == device; got != tt.want || len(events) > 1 {
			t.Errorf("%g W: events %+v", tt.watts, events)
		}
	}
}

// TestReasonComesFromTheSource prefers what the driver refused over what is
// missing in the samples.
func TestReasonComesFromTheSource(t *testing.T) {
	f := newFolder(t, measure.FoldConfig{Window: time.Hour})
	f.Offer(measure.Activity, "GPM sample: no permission (NVML 4)")
	r := reading{gauges: gauges{measure.GPUUtilPct: 50}}
	for _, e := range play(t, f, r, r, reading{}, reading{}, reading{}) {
		switch e.Method.Name {
		case measure.Activity:
			if e.Method.Reason != "GPM sample: no permission (NVML 4)" {
				t.Errorf("reason %q", e.Method.Reason)
			}
		default:
			if !strings.Contains(e.Method.Reason, "no utilization") {
				t.Errorf("reason %q", e.Method.Reason)
			}
		}
	}
}

// TestRestate narrows bounds by a declared precision and holds the truth: for
// random work of known format the restated bounds contain it, lie inside the
// first ones, and best is within the method's error.
func TestRestate(t *testing.T) {
	m, _ := h100(t)
	rapid.Check(t, func(rt *rapid.T) {
		format := rapid.SampledFrom([]compute.Precision{compute.BF16, compute.FP8, compute.TF32}).Draw(rt, "format")
		hmma := rapid.Uint64Range(0, 1_980_000_000).Draw(rt, "hmma cycles")
		fp32 := rapid.Uint64Range(0, 1_980_000_000).Draw(rt, "fp32 cycles")
		a := reading{counters: counters{measure.CycSMElapsed: 0, measure.CycHMMA: 0, measure.CycFP32: 0}, gauges: gauges{measure.SMClockMHz: 1980}}
		b := reading{counters: counters{measure.CycSMElapsed: 1_980_000_000, measure.CycHMMA: hmma, measure.CycFP32: fp32}, gauges: gauges{measure.SMClockMHz: 1980}}
		e := oneEntry(t, a, b, time.Second, held())
		truth := compute.Operations(math.Round((float64(hmma)*132*float64(m.OpsPerClock[format]) + float64(fp32)*132*256) / 1e9))
		if truth > 2_141_061 {
			rt.Skip("more than the device can do")
		}
		got := measure.Restate(e, m, format)
		if !got.Valid() || got.Low > truth+1 || got.High < truth-1 || got.Low < e.Operations.Low || got.High > e.Operations.High {
			rt.Fatalf("%s in %s: truth %s, restated %s, before %s", format, e.Method.Name, truth, got, e.Operations)
		}
		if d := float64(got.Best - truth); d > 0.05*float64(truth)+10 || -d > 0.05*float64(truth)+10 {
			rt.Fatalf("%s: best %s, truth %s", format, got, truth)
		}
		mixed := measure.Restate(e, m, compute.BF16, compute.FP8)
		if !mixed.Valid() || (format != compute.TF32 && !mixed.Contains(truth)) {
			rt.Fatalf("%s among two: truth %s, restated %s", format, truth, mixed)
		}
	})
	e := measure.Entry{Duration: time.Second, Method: measure.Method{Name: measure.Allocation}, Operations: compute.Bounds{Best: 346_290, High: 2_141_062}}
	if got := measure.Restate(e, m, compute.BF16); got.High != 989_400 || got.Best != 346_290 {
		t.Errorf("an allocation at 16 bit is restated as %s", got)
	}
	if got := measure.Restate(e, m, compute.FP4); got != e.Operations {
		t.Errorf("a format that the hardware lacks changes figures to %s", got)
	}
	if got := measure.Restate(e, accel.Model{}, compute.BF16); got != e.Operations {
		t.Errorf("an unknown model changes figures to %s", got)
	}
}
