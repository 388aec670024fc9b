package exporter_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/flopwatch/flopwatch/agent/internal/exporter"
	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// start is when the readings of filled were taken.
var start = time.Unix(1_700_000_000, 0)

func devices() []nvml.Device {
	return []nvml.Device{
		{Device: measure.Device{ID: "GPU-0", Name: "NVIDIA H100 80GB HBM3", MemoryMiB: 81559}, Index: 0, Minor: 0},
		{Device: measure.Device{ID: "MIG-1", Name: "NVIDIA H100 80GB HBM3", Parent: "GPU-1"}, Index: 1, Minor: -1},
	}
}

func readings() []nvml.DeviceReading {
	s := measure.NewSample("GPU-0", 1e9)
	s.SetGauge(measure.PowerMW, 650_500)
	s.SetGauge(measure.HMMA, 0.41)
	s.SetGauge(measure.SMClockMHz, 1980)
	s.SetGauge(measure.SMClockMeanMHz, 1755.5)
	s.SetGauge(measure.MemUsedBytes, 1<<30)
	s.SetCounter(measure.EnergyMJ, 123456789)
	return []nvml.DeviceReading{
		{Device: "GPU-0", Sample: s, Condition: nvml.Condition{ECCKnown: true}},
		{Device: "MIG-1", Err: nvml.ErrDeadline},
	}
}

func window(id measure.DeviceID, tenant measure.TenantID) measure.Window {
	return measure.Window{Device: id, StartNS: 0, EndNS: 10e9, Entries: []measure.Entry{
		{State: measure.Attributed, Tenant: tenant, Method: measure.Method{Name: measure.GPM, Precision: "tf32..bf16..fastest float", Grade: "A"},
			Duration: 9 * time.Second, Operations: compute.Bounds{Low: 1, Best: 2_000_000, High: 3_000_000_000_000}},
		{State: measure.Idle, Method: measure.Method{Name: measure.NoMethod}, Duration: time.Second},
	}}
}

func filled() *exporter.Exporter {
	e := exporter.New("gpu-node-7", "1.2.3")
	e.SetClock(func() time.Time { return start })
	e.Devices(devices())
	e.Read(readings())
	e.SetClock(func() time.Time { return start.Add(1500 * time.Millisecond) })
	e.Event(measure.Event{Device: "GPU-0", Kind: measure.EventXid, Code: 79})
	e.Windows([]measure.Window{window("GPU-0", "ten-a"), window("GPU-0", "ten-a"), window("GPU-9", "ten-b")})
	e.Holder("GPU-0", "ten-a")
	e.Waiting(3)
	return e
}

func text(t testing.TB, e *exporter.Exporter) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := e.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parse reads the metrics as Prometheus does.
func parse(t testing.TB, s string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(s))
	if err != nil {
		t.Fatalf("%v in\n%s", err, s)
	}
	seen := map[string]bool{}
	for name, f := range families {
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				key += "," + l.GetName() + "=" + l.GetValue()
			}
			if seen[key] {
				t.Errorf("series %s is there twice", key)
			}
			seen[key] = true
		}
	}
	return families
}

func TestGolden(t *testing.T) {
	got := text(t, filled())
	path := filepath.Join("testdata", "metrics.golden.txt")
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	families := parse(t, got)
	ops := families["flopwatch_operations_total"]
	if n := len(ops.GetMetric()); n != 6 {
		t.Errorf("%d series of operations, want low, best and high of two", n)
	}
	for _, m := range ops.GetMetric() {
		if strings.Contains(m.String(), `"high"`) && strings.Contains(m.String(), "ten-a") && m.GetCounter().GetValue() != 6e21 {
			t.Errorf("high is %v, want the sum of two windows, 6e21", m.GetCounter().GetValue())
		}
	}
	for _, absent := range []string{"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_PIPE_FP64_ACTIVE", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"} {
		if families[absent] != nil {
			t.Errorf("%s is exported, though it was not read", absent)
		}
	}
}

// A device that does not answer shows as down and has no readings; it keeps its
// sums.
func TestDeviceThatDoesNotAnswer(t *testing.T) {
	e := filled()
	e.Read([]nvml.DeviceReading{{Device: "GPU-0", Err: nvml.ErrDeviceLost}})
	families := parse(t, text(t, e))
	if families["DCGM_FI_DEV_POWER_USAGE"] != nil || families["flopwatch_operations_total"] == nil {
		t.Errorf("families %v", families)
	}
	for _, m := range families["flopwatch_device_up"].GetMetric() {
		if m.GetGauge().GetValue() != 0 {
			t.Errorf("%v is up", m)
		}
	}
}

// Readings that are too old to be the present are a gap; how old they are stays.
func TestStaleReadings(t *testing.T) {
	e := filled()
	e.SetClock(func() time.Time { return start.Add(10 * time.Minute) })
	families := parse(t, text(t, e))
	if families["DCGM_FI_DEV_POWER_USAGE"] != nil || families["flopwatch_power_watts"] != nil {
		t.Error("power of ten minutes ago shows as the present")
	}
	for _, m := range families["flopwatch_device_up"].GetMetric() {
		if m.GetGauge().GetValue() != 0 {
			t.Errorf("%v is up", m)
		}
	}
	if age := families["flopwatch_sample_age_seconds"].GetMetric(); len(age) != 1 || age[0].GetGauge().GetValue() != 600 {
		t.Errorf("ages %v, want 600 s for the device that answered once", age)
	}
}

// A device's counter is one series, whoever holds it.
func TestHolderIsNotOnCounters(t *testing.T) {
	e := filled()
	for name, family := range parse(t, text(t, e)) {
		device := strings.HasPrefix(name, "DCGM_") || name == "flopwatch_energy_joules_total" || name == "flopwatch_ecc_uncorrected_total"
		for _, m := range family.GetMetric() {
			held := strings.Contains(m.String(), `"tenant"`)
			if counter := family.GetType() == dto.MetricType_COUNTER; device && held == counter {
				t.Errorf("%s: tenant label %v, counter %v", name, held, counter)
			}
		}
	}
}

// Both names of a reading show the same quantity.
func TestUnits(t *testing.T) {
	families := parse(t, text(t, filled()))
	for _, c := range []struct {
		dcgm, own string
		factor    float64
	}{
		{"DCGM_FI_DEV_SM_CLOCK", "flopwatch_sm_clock_hertz", 1e6},
		{"DCGM_FI_DEV_POWER_USAGE", "flopwatch_power_watts", 1},
		{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "flopwatch_energy_joules_total", 1e-3},
		{"DCGM_FI_DEV_FB_USED", "flopwatch_memory_used_bytes", 1 << 20},
		{"DCGM_FI_DEV_FB_FREE", "flopwatch_memory_free_bytes", 1 << 20},
	} {
		if got, want := value(families[c.own]), value(families[c.dcgm])*c.factor; got == 0 || math.Abs(got/want-1) > 1e-12 {
			t.Errorf("%s is %v, %s is %v", c.own, got, c.dcgm, want/c.factor)
		}
	}
}

// Free memory below zero is not known, rather than false.
func TestMoreMemoryUsedThanThere(t *testing.T) {
	e, d := filled(), devices()
	d[0].MemoryMiB = 1_000
	e.Devices(d)
	families := parse(t, text(t, e))
	if families["DCGM_FI_DEV_FB_USED"] == nil || families["DCGM_FI_DEV_FB_FREE"] != nil || families["flopwatch_memory_free_bytes"] != nil {
		t.Errorf("used %v, free %v", families["DCGM_FI_DEV_FB_USED"], families["DCGM_FI_DEV_FB_FREE"])
	}
}

// value returns the value of a family's first series, 0 if there is none.
func value(f *dto.MetricFamily) float64 {
	if len(f.GetMetric()) == 0 {
		return 0
	}
	return f.Metric[0].GetGauge().GetValue() + f.Metric[0].GetCounter().GetValue()
}
