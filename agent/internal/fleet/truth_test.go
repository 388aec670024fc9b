package fleet_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/recording"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const recordings = "../../../testdata/recordings"

// truth is the counted operations of the workload of a recording. Low and high
// differ where hardware may pad or skip.
type truth struct {
	Workload       string            `json:"workload"`
	Precision      compute.Precision `json:"precision"`
	PrecisionKnown bool              `json:"precision_known"`
	Source         string            `json:"source"`
	StartNS        int64             `json:"start_ns"`
	EndNS          int64             `json:"end_ns"`
	Low            string            `json:"operations_low"`
	High           string            `json:"operations_high"`
}

func (w *truth) operations(t *testing.T) (low, high float64) {
	t.Helper()
	for text, to := range map[*string]*float64{&w.Low: &low, &w.High: &high} {
		n, ok := new(big.Float).SetString(*text)
		if !ok {
			t.Fatalf("truth of %s: %q is no number", w.Workload, *text)
		}
		*to, _ = n.Float64()
	}
	return low, high
}

// counted is what the agent makes of a recording between two times: as it would
// be without knowing the precision, and restated with it.
type counted struct {
	first, restated compute.Bounds
	methods         map[measure.MethodName]time.Duration
}

func count(t *testing.T, r *recording.Recording, w *truth) counted {
	t.Helper()
	const period = time.Second
	host := sampler.New(r.Devices, measure.FoldConfig{Period: period, Window: period})
	models := map[measure.DeviceID]accel.Model{}
	for _, d := range r.Devices {
		models[d.ID], _, _ = accel.Lookup(accel.Identity{Name: d.Name, PCIID: d.PCIID, CC: d.CC, SMCount: d.SMCount, MaxSMMHz: d.MaxSMMHz})
	}
	var formats []compute.Precision
	switch p := w.Precision; p {
	case "fp16":
		formats = []compute.Precision{compute.BF16}
	case compute.BF16, compute.TF32, compute.FP8:
		formats = []compute.Precision{p}
	}
	c := counted{methods: map[measure.MethodName]time.Duration{}}
	shares := []measure.Share{{State: measure.Attributed, Tenant: "t", PPM: 1_000_000}}
	// The device idles before and after, so the edges may lie loosely.
	from, to := w.StartNS-2*int64(period), w.EndNS+2*int64(period)
	take := func(windows []measure.Window) {
		for _, win := range windows {
			if win.StartNS < from || win.EndNS > to {
				continue
			}
			for _, e := range win.Entries {
				c.first = c.first.Add(e.Operations)
				c.restated = c.restated.Add(measure.Restate(e, models[win.Device], formats...))
				c.methods[e.Method.Name] += e.Duration
			}
		}
	}
	for i := range r.Samples {
		take(host.Step([]sampler.Reading{{Sample: r.Samples[i], Shares: shares}}))
	}
	take(host.Flush())
	return c
}

// bestWithin is how far best may be off where the precision is known.
const bestWithin = 0.05

// judge says what is wrong with a count.
func judge(c counted, low, high float64, known bool) error {
	for name, b := range map[string]compute.Bounds{"as counted": c.first, "restated": c.restated} {
		// Operations are counted in units of 1e9.
		if slack := 2e9; b.Low.Float() > high+slack || b.High.Float() < low-slack {
			return fmt.Errorf("%s: truth %.4g to %.4g, counted %s", name, low, high, b)
		}
	}
	if best := c.restated.Best.Float(); known && (best < low*(1-bestWithin) || best > high*(1+bestWithin)) {
		return fmt.Errorf("best %.4g, truth %.4g to %.4g", best, low, high)
	}
	return nil
}

// TestRecordedTruth holds every recording that has a truth beside it against it:
// the truth is inside low and high, and best within 5 % where the precision is
// known. With -v it prints the table of docs/methods.md.
func TestRecordedTruth(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(recordings, "*", "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 2 {
		t.Fatalf("%d recordings with a truth", len(found))
	}
	for _, path := range found {
		var w truth
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &w); err != nil {
			t.Fatal(err)
		}
		t.Run(w.Workload, func(t *testing.T) {
			r, err := recording.Open(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			low, high := w.operations(t)
			c := count(t, r, &w)
			off := math.NaN()
			if low > 0 {
				off = 100 * (c.restated.Best.Float()/((low+high)/2) - 1)
			}
			t.Logf("| %s | %s | %s | %.4g | %s | %s | %+.1f %% | %v |", w.Workload, w.Source, w.Precision, low, c.first, c.restated, off, c.methods)
			if err := judge(c, low, high, w.PrecisionKnown); err != nil {
				t.Error(err)
			}
			// The check itself must be able to fail.
			if low > 0 && judge(c, 3*low, 3*high, w.PrecisionKnown) == nil {
				t.Errorf("three times the truth passes too: %s", c.restated)
			}
		})
	}
}

// A synthetic recording of a matrix product on an H200, from exact arithmetic:
// it tests the way from counters to operations, not the hardware. UPDATE=1
// writes it anew.
func TestMakeTruth(t *testing.T) {
	if os.Getenv("UPDATE") != "1" {
		t.Skip("UPDATE=1 makes the recordings")
	}
	m, _, _ := accel.Lookup(accel.Identity{Name: "NVIDIA H200"})
	for _, part := range []struct {
		name      string
		precision compute.Precision
		counters  bool
	}{{"h200-matmul-bf16-synthetic", compute.BF16, true}, {"h200-matmul-fp8-synthetic", compute.FP8, false}} {
		const mhz, active, lead, work = 1755.0, 0.75, 5, 30
		folder := filepath.Join(recordings, part.name)
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		w, err := recording.Create(folder, recording.Recording{
			Host: part.name, BootID: "00000000-0000-4000-8000-000000000002", Source: "synthetic",
			Devices: []measure.Device{{ID: "GPU-00000000-0000-4000-8000-000000000000", Name: "NVIDIA H200", SMCount: m.SMCount, MaxSMMHz: m.MaxSMMHz, MemoryMiB: 143771}},
		})
		if err != nil {
			t.Fatal(err)
		}
		const start = int64(1_790_000_000_000_000_000)
		var elapsed, hmma, energy float64
		for i := range 2*lead + work + 1 {
			busy := i > lead && i <= lead+work
			watts := 120.0
			s := measure.NewSample("GPU-00000000-0000-4000-8000-000000000000", start+int64(i)*1e9)
			share := 0.0
			if busy {
				watts, share = 640, active
			}
			elapsed, hmma, energy = elapsed+mhz*1e6, hmma+share*mhz*1e6, energy+watts*1000
			s.SetGauge(measure.PowerMW, watts*1000)
			s.SetGauge(measure.SMClockMeanMHz, mhz)
			s.SetGauge(measure.HMMA, share)
			s.SetGauge(measure.GPUUtilPct, math.Round(100*share))
			s.SetCounter(measure.EnergyMJ, uint64(energy))
			if part.counters {
				s.SetCounter(measure.CycSMElapsed, uint64(elapsed))
				s.SetCounter(measure.CycHMMA, uint64(hmma))
			}
			if err := w.Sample(&s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		operations := fmt.Sprintf("%.0f", active*mhz*1e6*work*float64(m.SMCount*m.OpsPerClock[part.precision]))
		text, err := json.MarshalIndent(truth{
			Workload: part.name, Precision: part.precision, PrecisionKnown: true, Source: "synthetic",
			StartNS: start + lead*1e9, EndNS: start + (lead+work)*1e9, Low: operations, High: operations,
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "truth.json"), append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
