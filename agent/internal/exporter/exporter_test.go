package exporter_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	e.Devices(devices())
	e.Read(readings())
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

func TestHostileLabels(t *testing.T) {
	e := exporter.New("a\"b\\c\nd", "v")
	d := devices()
	d[0].Name = "\xff\xfe" + strings.Repeat("é", 300) + "\n} 1\nevil 2"
	e.Devices(d)
	e.Read(readings())
	e.Windows([]measure.Window{window("GPU-0", "t\"\n} 3\nevil 4")})
	families := parse(t, text(t, e))
	if families["evil"] != nil {
		t.Error("a label became a metric")
	}
}

func FuzzLabel(f *testing.F) {
	for _, s := range []string{"", "a", "\"", "\\", "\n", "\xff", "é\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := exporter.New(s, s)
		d := devices()
		d[0].Name = s
		e.Devices(d)
		e.Read(readings())
		e.Windows([]measure.Window{window("GPU-0", measure.TenantID(s))})
		if parse(t, text(t, e))["flopwatch_agent_info"] == nil {
			t.Error("no metrics")
		}
	})
}

func TestTooManyTenants(t *testing.T) {
	e := filled()
	for i := range 20_000 {
		e.Windows([]measure.Window{window("GPU-0", measure.TenantID(strings.Repeat("x", 1+i%7)+string(rune('a'+i%26))+time.Duration(i).String()))})
	}
	got := text(t, e)
	if n := strings.Count(got, "flopwatch_device_seconds_total{"); n > 5_100 {
		t.Errorf("%d series", n)
	}
	if !strings.Contains(got, `tenant="_other"`) || strings.Contains(got, "flopwatch_series_overflow_total 0\n") {
		t.Error("what was too much is not shown")
	}
	parse(t, got)
}

func TestServe(t *testing.T) {
	e := filled()
	if err := e.Serve(t.Context(), "0.0.0.0:0", nil); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("an address of the network: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	bound, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- e.Serve(ctx, "127.0.0.1:0", func(a net.Addr) { bound <- a }) }()
	url := "http://" + (<-bound).String() + "/metrics"
	get := func(method, url, host string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if status, body := get("GET", url, ""); status != 200 || body != text(t, e) {
		t.Errorf("GET gives %d", status)
	}
	if status, _ := get("GET", url, "evil.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("another name gives %d", status)
	}
	if status, _ := get("POST", url, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("POST gives %d", status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Reading allocates nothing, and scrapes beside it see whole values.
func TestReadAllocatesNothing(t *testing.T) {
	e := filled()
	r, w := readings(), []measure.Window{window("GPU-0", "ten-a")}
	var wait sync.WaitGroup
	stop := make(chan struct{})
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				parse(t, text(t, e))
			}
		}
	})
	for range 100 {
		e.Read(r)
		e.Windows(w)
	}
	close(stop)
	wait.Wait()
	if n := testing.AllocsPerRun(100, func() { e.Read(r); e.Windows(w) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScrape(b *testing.B) {
	e := filled()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
