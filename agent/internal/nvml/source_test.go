package nvml

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestDevicesAndReadings(t *testing.T) {
	p := play(t, scene{script: "devices=2\ncycles=1\n" + h100 + "process=4242:2147483648:70\nprocess=4243:1:0\n", ticks: 2})
	if p.OpenError != "" || p.CloseErr != "" {
		t.Fatalf("open: %q, close: %q", p.OpenError, p.CloseErr)
	}
	want := Device{Device: measure.Device{
		ID: "GPU-00000000-0000-0000-0000-000000000000", Name: "NVIDIA H100 80GB HBM3", PCIID: "2330",
		CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81559,
	}, Method: measure.Cycles, Accounting: No}
	if diff := cmp.Diff(want, p.Devices[0]); diff != "" || len(p.Devices) != 2 || p.Driver != "590.10" {
		t.Errorf("devices (-want +got):\n%s driver %q, %d devices", diff, p.Driver, len(p.Devices))
	}
	wantValues := map[string]float64{
		"power_mw": 650000, "energy_mj": 1300000, "gpu_util_pct": 100, "mem_used_bytes": 1 << 30, "sm_clock_mhz": 1755,
		"sm_active": 0.91, "sm_occupancy": 0.2, "any_tensor": 0.4, "hmma": 0.4, "imma": 0.05, "dram_active": 0.33, "fp32": 0.06,
		"pcie_tx_bytes_s": 100 << 20,
		"cyc_sm_elapsed":  2 * 1755e6, "cyc_sm_active": 2 * 1755e6 * 0.91, "cyc_hmma": 2 * 1755e6 * 0.4, "cyc_imma": 2 * 1755e6 * 0.05,
		"cyc_mma": 0, "cyc_dmma": 0, "cyc_dfma": 0, "cyc_integer": 0, "cyc_fp64": 0, "cyc_fp32": 0, "cyc_fp16": 0,
	}
	near := cmp.Comparer(func(a, b float64) bool {
		return math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b))+1e-12 || math.Abs(a-b) < 1 && a > 1e6
	})
	for _, r := range p.Ticks[1] {
		if diff := cmp.Diff(wantValues, r.Values, near); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", r.Device, diff)
		}
		wantProcesses := []playedProcess{{4242, 2147483648, 70}, {4243, -1, -1}}
		if diff := cmp.Diff(wantProcesses, r.Processes); diff != "" || !r.Holders {
			t.Errorf("%s: processes (-want +got):\n%s", r.Device, diff)
		}
		if r.TimeNS < 2e9 || r.TimeNS > 2.4e9 {
			t.Errorf("%s: time %d, want the call's time and what passed since", r.Device, r.TimeNS)
		}
	}
}

func TestNoDriver(t *testing.T) {
	empty := filepath.Join(t.TempDir(), libraryName)
	if err := os.WriteFile(empty, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, library, script string
		noDriver              bool
		message               string
	}{
		{"no file", filepath.Join(t.TempDir(), "none.so"), "", true, "library not found, tried "},
		{"not a library", empty, "", true, "file too short"},
		{"another library", standIn(t, "WITHOUT_INIT"), "", true, "exports no nvmlInit"},
		{"kernel driver not loaded", "", "init=9\n", true, "kernel driver is not loaded"},
		{"no permission", "", "init=4\n", false, "no permission on /dev/nvidiactl"},
		{"versions differ", "", "init=18\n", false, "library and kernel driver have different versions (NVML 18)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := play(t, scene{library: tt.library, script: tt.script})
			if p.NoDriver != tt.noDriver || !strings.Contains(p.OpenError, tt.message) {
				t.Errorf("open: %q (no driver: %t), want no driver %t and %q", p.OpenError, p.NoDriver, tt.noDriver, tt.message)
			}
		})
	}
}

func TestMissingSymbols(t *testing.T) {
	p := play(t, scene{library: standIn(t, "WITHOUT_GPM", "WITHOUT_ENERGY"), script: h100, ticks: 2})
	if p.OpenError != "" {
		t.Fatal(p.OpenError)
	}
	if d := p.Devices[0]; d.Method != measure.Activity || d.Reason != "the driver has no GPM" {
		t.Errorf("method %s because %q, want activity", d.Method, d.Reason)
	}
	values := p.Ticks[1][0].Values
	if _, ok := values["energy_mj"]; ok || values["gpu_util_pct"] != 100 {
		t.Errorf("values = %v, want utilization and no energy", values)
	}
}

func TestMethods(t *testing.T) {
	tests := []struct {
		name, script string
		method       measure.MethodName
		reason       string
	}{
		{"cycles", h100 + "cycles=1\n", measure.Cycles, ""},
		{"gpm", h100, measure.GPM, "the driver has no cycle counters"},
		{"no GPM", h100 + "gpm=0\n", measure.Activity, "the device has no GPM"},
		{"nothing", "name=GRID\nmemory=1024\nno_util=1\n", measure.Allocation, "the device has no GPM; no utilization"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := play(t, scene{script: tt.script, ticks: 1})
			if len(p.Devices) != 1 || p.Devices[0].Method != tt.method || p.Devices[0].Reason != tt.reason {
				t.Errorf("got %+v %s, want %s because %q", p.Devices, p.OpenError, tt.method, tt.reason)
			}
		})
	}
}

func TestOneMetricIsAbsent(t *testing.T) {
	for _, fault := range []string{"nan_metric=7\n", "fail_metric=7\n", "metric.7=140\n", "metric.7=-1\n"} {
		t.Run(strings.TrimSpace(fault), func(t *testing.T) {
			values := play(t, scene{script: h100 + fault, ticks: 2}).Ticks[1][0].Values
			if v, ok := values["hmma"]; ok {
				t.Errorf("hmma = %v, want it absent", v)
			}
			if values["sm_active"] != 0.91 {
				t.Errorf("sm_active = %v, want the other metrics untouched", values["sm_active"])
			}
		})
	}
	if v := play(t, scene{script: h100 + "metric.7=100.5\n", ticks: 2}).Ticks[1][0].Values["hmma"]; v != 1 {
		t.Errorf("hmma = %v for 100.5 %%, want 1", v)
	}
}

// A hung device must cost its own readings only, and the averages of the first
// reading after must cover the time of those that were dropped.
func TestHungDevice(t *testing.T) {
	p := play(t, scene{
		script: "devices=3\n" + h100 + "ramp=1\nmetric.7=10\nhang_device=1\nhang_tick=2\nhang_ms=2500\n",
		ticks:  6, period: 600 * time.Millisecond, deadline: 800 * time.Millisecond,
	})
	var hung, after int
	for i, tick := range p.Ticks {
		for d, r := range tick {
			if i > 0 && d != 1 && (r.Error != "" || math.Abs(r.Values["hmma"]-0.1) > 1e-9) {
				t.Errorf("tick %d device %d: %q hmma %v, want it undisturbed", i, d, r.Error, r.Values["hmma"])
			}
		}
		switch r := tick[1]; {
		case r.Late:
			hung++
		case hung > 0 && after == 0:
			after = i
			// One tick of the stand-in was dropped and one is new.
			if math.Abs(r.Values["hmma"]-0.2) > 1e-9 {
				t.Errorf("hmma after the hang = %v, want 0.2: the pair must span the dropped reading", r.Values["hmma"])
			}
		}
	}
	if hung < 2 || after == 0 {
		t.Errorf("%d late readings, back at tick %d: want at least 2 gaps and a return", hung, after)
	}
	for i, ms := range p.WallMS {
		if late := p.Ticks[i][1].Late; late && i > 1 && ms > 700 {
			t.Errorf("tick %d took %d ms: a device known to hang must not be waited for", i, ms)
		}
	}
	if p.CloseErr != "" {
		t.Errorf("close: %s", p.CloseErr)
	}
}

func TestCloseWithHungDevice(t *testing.T) {
	p := play(t, scene{
		script: "devices=2\n" + h100 + "hang_device=0\nhang_tick=1\nhang_ms=60000\n",
		ticks:  1, deadline: 2 * time.Second, // long enough for the device that answers, on a busy machine
	})
	if !strings.Contains(p.CloseErr, "close device GPU-00000000-0000-0000-0000-000000000000: device did not answer in time") {
		t.Errorf("close: %q, want it to name the hung device", p.CloseErr)
	}
	if r := p.Ticks[0][1]; r.Error != "" {
		t.Errorf("the other device: %s", r.Error)
	}
}

func TestLostDevice(t *testing.T) {
	p := play(t, scene{script: "devices=2\n" + h100 + "lost_device=0\nlost_tick=2\nback_tick=4\n", ticks: 4})
	for i, wantLost := range []bool{false, true, true, false} {
		if r := p.Ticks[i][0]; r.Lost != wantLost || wantLost && len(r.Values) > 0 {
			t.Errorf("tick %d: lost %t %q, want %t", i+1, r.Lost, r.Error, wantLost)
		}
		if r := p.Ticks[i][1]; r.Error != "" {
			t.Errorf("tick %d: the other device: %s", i+1, r.Error)
		}
	}
}

// Up to two failed GPM samples make gaps that the next pair covers; more make
// the device go on without.
func TestFailedGPMSamples(t *testing.T) {
	p := play(t, scene{script: h100 + "ramp=1\nmetric.7=10\ngpm_fail_from=2\ngpm_fail_to=3\n", ticks: 4})
	for i, want := range []float64{0, -1, -1, 0.3} { // the first has counters only
		r := p.Ticks[i][0]
		if (want < 0) != (r.Error != "") || want >= 0 && math.Abs(r.Values["hmma"]-want) > 1e-9 {
			t.Errorf("short: tick %d: %q hmma %v, want %v", i+1, r.Error, r.Values["hmma"], want)
		}
	}
	p = play(t, scene{script: h100 + "ramp=1\nmetric.7=10\ngpm_fail_from=2\ngpm_fail_to=5\n", ticks: 7})
	for i, want := range []string{"none", "error", "error", "none", "none", "none", "hmma"} {
		r := p.Ticks[i][0]
		_, has := r.Values["hmma"]
		got := map[bool]string{true: "hmma", false: "none"}[has]
		if r.Error != "" {
			got = "error"
		}
		if got != want {
			t.Errorf("long: tick %d: %s (%s), want %s", i+1, got, r.Error, want)
		}
		if has && math.Abs(r.Values["hmma"]-0.1) > 1e-9 {
			t.Errorf("long: tick %d: hmma %v: no pair may span readings that were used", i+1, r.Values["hmma"])
		}
	}
}

func TestProcesses(t *testing.T) {
	t.Run("unknown is not nobody", func(t *testing.T) {
		r := play(t, scene{script: h100 + "processes_supported=0\nuse_supported=0\n", ticks: 1}).Ticks[0][0]
		if r.Holders || r.Error != "" {
			t.Errorf("holders known %t, error %q", r.Holders, r.Error)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		r := play(t, scene{script: h100, ticks: 1}).Ticks[0][0]
		if !r.Holders || len(r.Processes) != 0 {
			t.Errorf("holders known %t, %v", r.Holders, r.Processes)
		}
	})
	t.Run("ended since", func(t *testing.T) {
		r := play(t, scene{script: h100 + "process=7:1024:10\nprocess=8:0:55\n", ticks: 1}).Ticks[0][0]
		if diff := cmp.Diff([]playedProcess{{7, 1024, 10}, {8, -1, 55}}, r.Processes); diff != "" {
			t.Errorf("processes (-want +got):\n%s", diff)
		}
	})
	t.Run("answer grew", func(t *testing.T) {
		r := play(t, scene{script: h100 + "process=7:1024:10\ngrow=1\n", ticks: 1}).Ticks[0][0]
		// A list that grows each time it is asked for: who holds the device is known,
		// how much each used it is asked again with the next reading.
		if diff := cmp.Diff([]playedProcess{{7, 1024, -1}}, r.Processes); diff != "" || r.Error != "" || !r.Holders {
			t.Errorf("error %q, processes (-want +got):\n%s", r.Error, diff)
		}
	})
	t.Run("many", func(t *testing.T) {
		script := h100 + strings.Repeat("process=7:1024:0\n", 200)
		if r := play(t, scene{script: script, ticks: 1}).Ticks[0][0]; len(r.Processes) != 200 {
			t.Errorf("%d processes, want 200", len(r.Processes))
		}
	})
}

func TestPartitions(t *testing.T) {
	p := play(t, scene{script: h100 + "mig=3\nprocess=7:1024:0\n", ticks: 2})
	if len(p.Devices) != 3 {
		t.Fatalf("%d devices (%s), want 3 partitions", len(p.Devices), p.OpenError)
	}
	wantMethods := []measure.MethodName{measure.Allocation, measure.Allocation, measure.GPM}
	for i, d := range p.Devices {
		if d.Parent == "" || !strings.HasPrefix(string(d.ID), "MIG-") || d.SMCount != 16 || d.MemoryMiB != 10240 || d.Method != wantMethods[i] {
			t.Errorf("partition %d = %+v, want method %s", i, d, wantMethods[i])
		}
		r := p.Ticks[1][i]
		if _, ok := r.Values["power_mw"]; ok || r.Error != "" || !r.Holders {
			t.Errorf("partition %d: %+v, want no power of its own", i, r)
		}
		if _, ok := r.Values["hmma"]; ok != (wantMethods[i] == measure.GPM) {
			t.Errorf("partition %d: hmma present %t: compute instances that share an instance have none", i, ok)
		}
	}
}

func TestPlaces(t *testing.T) {
	for _, p := range Places() {
		if filepath.Base(p) != libraryName || !filepath.IsAbs(p) {
			t.Errorf("place %q on %s", p, runtime.GOARCH)
		}
	}
}

func TestCoresPerSM(t *testing.T) {
	tests := []struct{ major, minor, want int }{
		{7, 0, 64}, {7, 5, 64}, {8, 0, 64}, {8, 6, 128}, {8, 9, 128}, {9, 0, 128}, {10, 0, 128}, {12, 0, 128}, {6, 0, 64}, {6, 1, 128}, {99, 0, 0}, {0, 0, 0},
	}
	for _, tt := range tests {
		if got := coresPerSM(tt.major, tt.minor); got != tt.want {
			t.Errorf("coresPerSM(%d, %d) = %d, want %d", tt.major, tt.minor, got, tt.want)
		}
	}
}

// BenchmarkReadings costs one tick of a host with 8 devices.
func BenchmarkReadings(b *testing.B) {
	script := filepath.Join(b.TempDir(), "scenario")
	if err := os.WriteFile(script, []byte("devices=8\ncycles=1\n"+h100+"process=42:1024:50\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Setenv("FAKE_NVML", script)
	s, err := Open(b.Context(), Options{LibraryPath: standIn(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, r := range s.Readings(b.Context(), int64(i+1)*1e9) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
