package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/recording"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// recordings is where recordings and the truth beside them lie.
var recordings = filepath.Join("..", "..", "..", "testdata", "recordings")

// truth is the counted operations of a recording, as truth.json holds it. The
// keys are explained in docs/gpu-truth.md.
type truth struct {
	Workload       string            `json:"workload"`
	Precision      compute.Precision `json:"precision"`
	PrecisionKnown bool              `json:"precision_known"`
	Source         string            `json:"source"`
	StartNS        int64             `json:"start_ns"`
	EndNS          int64             `json:"end_ns"`
	Operations     operations        `json:"operations"`
	Low            operations        `json:"operations_low"`
	High           operations        `json:"operations_high"`
	ExecutedMax    operations        `json:"executed_max"`
	Calls          int64             `json:"calls,omitempty"`
	Processes      []truthProcess    `json:"processes,omitempty"`
	Note           string            `json:"note,omitempty"`
	Torch          string            `json:"torch,omitempty"`
	Driver         string            `json:"driver,omitempty"`
	DeviceName     string            `json:"device_name,omitempty"`
}

// truthProcess is what one process of a workload did.
type truthProcess struct {
	Calls      int64      `json:"calls"`
	StartNS    int64      `json:"start_ns"`
	EndNS      int64      `json:"end_ns"`
	Operations operations `json:"operations"`
}

// operations is a decimal string in JSON.
type operations float64

func (o *operations) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 {
		return fmt.Errorf("%q: must be a whole number, not negative", text)
	}
	v, _ := new(big.Float).SetInt(n).Float64()
	*o = operations(v)
	return nil
}

// readTruth reads the truth beside a recording.
func readTruth(path string) (truth, error) {
	var w truth
	data, err := os.ReadFile(path)
	if err != nil {
		return w, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return w, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case w.Workload == "" || w.StartNS <= 0 || w.EndNS <= w.StartNS:
		return w, fmt.Errorf("%s: needs workload, start_ns and a later end_ns", path)
	case w.Low > w.Operations || w.Operations > w.High || w.High > w.ExecutedMax:
		return w, fmt.Errorf("%s: must have operations_low <= operations <= operations_high <= executed_max", path)
	}
	var sum operations
	for _, p := range w.Processes {
		sum += p.Operations
	}
	if len(w.Processes) > 0 && math.Abs(float64(sum-w.Operations)) > 1e-12*float64(w.Operations) {
		return w, fmt.Errorf("%s: operations of the processes do not add up", path)
	}
	return w, nil
}

// scaled returns a truth that claims other operations.
func (w truth) scaled(by float64) truth {
	f := operations(by)
	w.Operations, w.Low, w.High, w.ExecutedMax = f*w.Operations, f*w.Low, f*w.High, f*w.ExecutedMax
	return w
}

// formats are the formats of the float tensor pipe that a declaration of the
// precision would name; none where other pipes did the work.
func (w truth) formats() []compute.Precision {
	switch w.Precision {
	case "fp16":
		return []compute.Precision{compute.BF16}
	case compute.BF16, compute.TF32, compute.FP8:
		return []compute.Precision{w.Precision}
	}
	return nil
}

// counted is what the agent makes of a recording: as it is without knowing the
// precision, and restated with it.
type counted struct {
	first, restated compute.Bounds
	entries         int
	methods         []string // that operations come from
	coarse          bool     // some come from a method that counts no pipes
}

// replayed plays a whole recording by the path of every replay and adds up. The
// device idles before and after the workload, so the edges cost nothing.
func replayed(t *testing.T, r *recording.Recording, w truth) counted {
	t.Helper()
	models := map[measure.DeviceID]accel.Model{}
	for _, d := range r.Devices {
		models[d.ID], _, _ = accel.Lookup(accel.Identity{Name: d.Name, PCIID: d.PCIID, CC: d.CC, SMCount: d.SMCount, MaxSMMHz: d.MaxSMMHz})
	}
	host := func() *Fleet { return FromRecording(r, tenancy.NewTable(nil)) }
	var c counted
	for _, win := range play(t, host, 10*time.Second, nil) {
		for _, e := range win.Entries {
			c.entries++
			c.first = c.first.Add(e.Operations)
			c.restated = c.restated.Add(measure.Restate(e, models[win.Device], w.formats()...))
			if e.Operations.High == 0 {
				continue
			}
			name := string(e.Method.Name)
			if name == "" {
				name = "none"
			}
			if !slices.Contains(c.methods, name) {
				c.methods = append(c.methods, name)
			}
			c.coarse = c.coarse || (e.Method.Name != measure.Cycles && e.Method.Name != measure.GPM)
		}
	}
	return c
}

// bestWithin is how far best may be off where the precision is known.
const bestWithin = 0.05

// check says what is wrong with a count. The device executed at least
// operations_low and at most executed_max, so low must not be above the one and
// high not below the other; both are the same where nothing is padded.
func (w truth) check(c counted) error {
	slack := 1e9 * float64(c.entries+1) // operations are counted in units of 1e9
	least, most := float64(w.Low), float64(w.ExecutedMax)
	var faults []error
	for _, b := range []struct {
		name string
		compute.Bounds
	}{{"counted", c.first}, {"restated", c.restated}} {
		if b.Low.Float() > most+slack {
			faults = append(faults, fmt.Errorf("%s low %.4g is above the truth, at most %.4g", b.name, b.Low.Float(), most))
		}
		if b.High.Float() < least-slack {
			faults = append(faults, fmt.Errorf("%s high %.4g is below the truth, at least %.4g", b.name, b.High.Float(), least))
		}
	}
	best := c.restated.Best.Float()
	if w.PrecisionKnown && !c.coarse && (best < least*(1-bestWithin)-slack || best > most*(1+bestWithin)+slack) {
		faults = append(faults, fmt.Errorf("best %.4g is more than %.0f %% off the truth, %.4g to %.4g", best, 100*bestWithin, least, most))
	}
	return errors.Join(faults...)
}

// row is the truth and the count as a line of a table.
func (w truth) row(c counted) string {
	off := "–"
	if w.Operations > 0 {
		off = fmt.Sprintf("%+.1f %%", 100*(c.restated.Best.Float()/float64(w.Operations)-1))
	}
	span := fmt.Sprintf("%.4g", float64(w.Operations))
	if w.ExecutedMax > w.Operations {
		span += fmt.Sprintf(" (executed at most %.4g)", float64(w.ExecutedMax))
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %.4g | %.4g | %.4g | %.4g to %.4g | %s | %s |", w.Workload, w.Source, w.Precision, span,
		c.first.Low.Float(), c.first.Best.Float(), c.first.High.Float(), c.restated.Low.Float(), c.restated.High.Float(), off, strings.Join(c.methods, ", "))
}

// TestRecordedTruth holds every recording that has a truth beside it against it.
// With -v it prints a table of what was counted and how far best is off.
func TestRecordedTruth(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(recordings, "*", "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 2 {
		t.Fatalf("%d recordings with a truth", len(found))
	}
	table := []string{"",
		"| workload | source | precision | counted truth | low | best | high | restated low to high | error of best | method |",
		"|---|---|---|---|---|---|---|---|---|---|"}
	for _, path := range found {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			w, err := readTruth(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := recording.Open(filepath.Dir(path))
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Samples) == 0 || r.Samples[0].TimeNS > w.StartNS || r.Samples[len(r.Samples)-1].TimeNS < w.EndNS {
				t.Fatal("the recording does not span the workload")
			}
			c := replayed(t, r, w)
			table = append(table, w.row(c))
			if err := w.check(c); err != nil {
				t.Error(err)
			}
			if !w.PrecisionKnown || c.coarse || w.Low == 0 {
				return
			}
			// The check must be able to fail on these very numbers.
			for _, by := range []float64{2 * float64(w.ExecutedMax/w.Low), 0.5 * float64(w.Low/w.ExecutedMax)} {
				if w.scaled(by).check(c) == nil {
					t.Errorf("%.2g times the truth passes too", by)
				}
			}
		})
	}
	t.Log(strings.Join(table, "\n"))
}

func TestTruthCheck(t *testing.T) {
	exact := truth{Precision: "bf16", PrecisionKnown: true, Operations: 1e15, Low: 1e15, High: 1e15, ExecutedMax: 1e15}
	padded := exact
	padded.ExecutedMax = 1.2e15
	unknown := exact
	unknown.PrecisionKnown = false
	bounds := func(low, best, high float64) compute.Bounds {
		return compute.Bounds{Low: compute.Operations(low / 1e9), Best: compute.Operations(best / 1e9), High: compute.Operations(high / 1e9)}
	}
	wide := bounds(0.475e15, 1e15, 2.1e15)
	for _, test := range []struct {
		name            string
		truth           truth
		first, restated compute.Bounds
		coarse          bool
		want            string // "" passes
	}{
		{"exact", exact, wide, bounds(0.95e15, 1e15, 1.05e15), false, ""},
		{"twice the truth", exact.scaled(2), wide, bounds(0.95e15, 1e15, 1.05e15), false, "restated high"},
		{"half of the truth", exact.scaled(0.5), wide, bounds(0.95e15, 1e15, 1.05e15), false, "restated low"},
		{"beyond what was counted", exact.scaled(2.2), wide, wide, false, "counted high"},
		{"below what was counted", exact.scaled(0.4), wide, wide, false, "counted low"},
		{"best off", exact, wide, bounds(0.9e15, 1.06e15, 1.2e15), false, "best"},
		{"best off, precision not known", unknown, wide, bounds(0.9e15, 1.06e15, 1.2e15), false, ""},
		{"best off, no pipes counted", exact, wide, bounds(0.9e15, 1.06e15, 1.2e15), true, ""},
		{"padded", padded, wide, bounds(1.1e15, 1.16e15, 1.22e15), false, ""},
		{"beyond padding", padded, wide, bounds(1.25e15, 1.3e15, 1.4e15), false, "restated low"},
		{"nothing done and nothing counted", truth{}, compute.Bounds{}, compute.Bounds{}, false, ""},
		{"nothing done and something counted", truth{}, bounds(1e13, 1e13, 1e13), bounds(1e13, 1e13, 1e13), false, "counted low"},
	} {
		err := test.truth.check(counted{first: test.first, restated: test.restated, coarse: test.coarse, entries: 40})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestReadTruth(t *testing.T) {
	const good = `"workload": "w", "start_ns": 1, "end_ns": 2, "operations": "5", "operations_low": "5", "operations_high": "6", "executed_max": "7"`
	for text, want := range map[string]string{
		`{` + good + `}`:                      "",
		`{` + good + `, "x": 1}`:              "unknown field",
		`{` + good + `, "operations": "8"}`:   "operations_low <=",
		`{` + good + `, "operations": "5e9"}`: "whole number",
		`{` + good + `, "end_ns": 1}`:         "later end_ns",
		`{` + good + `, "processes": [{"operations": "2"}, {"operations": "3"}]}`: "",
		`{` + good + `, "processes": [{"operations": "2"}, {"operations": "2"}]}`: "add up",
	} {
		path := filepath.Join(t.TempDir(), "truth.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readTruth(path)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// A synthetic matrix product on an H200 in whole numbers: 132 SMs at 1755 MHz
// whose float tensor pipe is active three quarters of the time.
const (
	madeElapsed = 1_755_000_000 // SM cycles of one second
	madeActive  = madeElapsed * 3 / 4
	madeSMs     = 132
	madeLead    = 5 // seconds of idleness before and after
	madeWork    = 30
	madeStart   = int64(1_790_000_000_000_000_000)
)

// TestMakeTruth writes the synthetic recordings with a truth anew, with UPDATE=1.
// They test the way from counters to operations, not the hardware.
func TestMakeTruth(t *testing.T) {
	if os.Getenv("UPDATE") != "1" {
		t.Skip("UPDATE=1 makes the recordings")
	}
	for _, part := range []struct {
		name      string
		precision compute.Precision
		rate      int64 // operations per cycle and SM, as the vendor states them
		counters  bool
	}{
		{"h200-matmul-bf16-synthetic", compute.BF16, 4096, true},
		{"h200-matmul-fp8-synthetic", compute.FP8, 8192, false},
	} {
		folder := filepath.Join(recordings, part.name)
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := makeRecording(folder, part.name, part.counters); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(int64(madeActive) * madeWork * madeSMs * part.rate)
		data, err := json.MarshalIndent(map[string]any{
			"workload": part.name, "precision": part.precision, "precision_known": true, "source": "synthetic",
			"start_ns": madeStart + madeLead*1e9, "end_ns": madeStart + (madeLead+madeWork)*1e9,
			"operations": text, "operations_low": text, "operations_high": text, "executed_max": text,
			"device_name": "NVIDIA H200", "note": "made from whole numbers, not measured",
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "truth.json"), append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func makeRecording(folder, name string, counters bool) error {
	const id = "GPU-00000000-0000-4000-8000-000000000000"
	w, err := recording.Create(folder, recording.Recording{
		Host: name, BootID: "00000000-0000-4000-8000-000000000002", Source: "synthetic",
		Devices: []measure.Device{{ID: id, Name: "NVIDIA H200", SMCount: madeSMs, MaxSMMHz: 1980, MemoryMiB: 143771}},
	})
	if err != nil {
		return err
	}
	var elapsed, active, energy uint64
	for i := range 2*madeLead + madeWork + 1 {
		watts, share := 120, 0.0
		if i > madeLead && i <= madeLead+madeWork {
			watts, share = 640, 0.75
			active += madeActive
		}
		elapsed, energy = elapsed+madeElapsed, energy+uint64(watts)*1000
		s := measure.NewSample(id, madeStart+int64(i)*1e9)
		s.SetGauge(measure.PowerMW, float64(watts)*1000)
		s.SetGauge(measure.SMClockMeanMHz, madeElapsed/1e6)
		s.SetGauge(measure.HMMA, share)
		s.SetGauge(measure.GPUUtilPct, 100*share)
		s.SetCounter(measure.EnergyMJ, energy)
		if counters {
			s.SetCounter(measure.CycSMElapsed, elapsed)
			s.SetCounter(measure.CycHMMA, active)
		}
		if err := w.Sample(&s); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}
