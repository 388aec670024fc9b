package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// host is a host made of fixtures; its folder stands for / in what is compared.
type host struct {
	root    string
	devices []nvml.Device
	openErr error
	close   error
	secret  nvml.Answer
}

func (h *host) Library() (string, string) { return "/usr/lib64/libnvidia-ml.so.1", "590.10" }
func (h *host) Devices() []nvml.Device    { return h.devices }
func (h *host) Close() error              { return h.close }
func (h *host) Confidential() nvml.Answer { return h.secret }

func (h *host) write(t *testing.T, path, content string) {
	t.Helper()
	full := filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *host) link(t *testing.T, path, target string) {
	t.Helper()
	full := filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

func (h *host) examine(t *testing.T, leases string) Report {
	return Examine(t.Context(), Options{
		Proc: filepath.Join(h.root, "proc"), Dev: filepath.Join(h.root, "dev"), Leases: leases, Now: time.Unix(1_800_000_000, 0),
		Open: func(context.Context, string) (Devices, error) {
			if h.openErr != nil {
				return nil, h.openErr
			}
			return h, nil
		},
	})
}

func device(n int, name string, method measure.MethodName, reason string) nvml.Device {
	return nvml.Device{Method: method, Reason: reason, Device: measure.Device{
		ID: measure.DeviceID(fmt.Sprintf("GPU-%d", n)), Name: name, PCIID: "2330", CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81559,
	}}
}

const lease = `{"selector":{"kind":"slurm_job","value":"7"},"tenant":"ten-a","from":"2026-01-01T00:00:00Z"}` + "\n"

func TestReports(t *testing.T) {
	tests := []struct {
		name  string
		code  int
		build func(t *testing.T, h *host) (leases string)
	}{
		{"confidential", 1, func(t *testing.T, h *host) string {
			d := device(0, "NVIDIA H100 80GB HBM3", measure.Activity, "GPM sample: no permission (NVML 4)")
			d.Accounting = nvml.Yes
			h.devices, h.secret = []nvml.Device{d}, nvml.Yes
			h.write(t, "leases.ndjson", lease)
			return filepath.Join(h.root, "leases.ndjson")
		}},
		{"good", 0, func(t *testing.T, h *host) string {
			h.devices = []nvml.Device{device(0, "NVIDIA H100 80GB HBM3", measure.Cycles, ""), device(1, "NVIDIA H100 80GB HBM3", measure.GPM, "the driver has no cycle counters")}
			h.write(t, "leases.ndjson", lease)
			return filepath.Join(h.root, "leases.ndjson")
		}},
		{"no_driver", 2, func(t *testing.T, h *host) string {
			h.openErr = fmt.Errorf("%w: library not found, tried /usr/lib64/libnvidia-ml.so.1", nvml.ErrNoDriver)
			if err := os.Remove(filepath.Join(h.root, "dev/nvidiactl")); err != nil {
				t.Fatal(err)
			}
			return ""
		}},
		{"degraded", 1, func(t *testing.T, h *host) string {
			h.devices = []nvml.Device{
				device(0, "NVIDIA H100 80GB HBM3", measure.Activity, "GPM sample: no permission (NVML 4)"),
				{Method: measure.Allocation, Reason: "no utilization", Device: measure.Device{ID: "GPU-1", Name: "Evil\x1b[31m\u202eCard"}},
			}
			h.close = errors.New("close device GPU-1: device did not answer in time")
			h.write(t, "proc/driver/nvidia/params", "EnableMSI: 1\nRmProfilingAdminOnly: 1\n")
			if err := os.Remove(filepath.Join(h.root, "proc/self/ns/pid")); err != nil {
				t.Fatal(err)
			}
			h.link(t, "proc/self/ns/pid", "pid:[4026532999]")
			h.write(t, "leases.ndjson", lease+strings.Replace(lease, "ten-a", "ten-b", 1))
			return filepath.Join(h.root, "leases.ndjson")
		}},
		{"bad_files", 2, func(t *testing.T, h *host) string {
			if err := os.RemoveAll(filepath.Join(h.root, "proc")); err != nil {
				t.Fatal(err)
			}
			h.write(t, "leases.ndjson", lease+"{}\n")
			return filepath.Join(h.root, "leases.ndjson")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &host{root: t.TempDir()}
			h.write(t, "proc/self/cgroup", "0::/\n")
			h.link(t, "proc/self/ns/pid", initialPIDNamespace)
			h.write(t, "dev/nvidiactl", "")
			report := h.examine(t, tt.build(t, h))
			if got := report.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			var table, js strings.Builder
			if err := report.WriteTable(&table); err != nil {
				t.Fatal(err)
			}
			if err := report.WriteJSON(&js); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name+".txt", strings.ReplaceAll(table.String(), h.root, ""))
			golden(t, tt.name+".json", strings.ReplaceAll(js.String(), h.root, ""))
			for _, r := range table.String() {
				if r != '\n' && (r < ' ' || r > '~') && r != '→' {
					t.Errorf("the table holds %U", r)
				}
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s (-want +got), UPDATE=1 rewrites it:\n%s", name, diff)
	}
}

func TestStatusIsTheWorst(t *testing.T) {
	r := Report{Checks: []Check{{Status: OK}, {Status: Broken}, {Status: Degraded}}}
	if r.Status() != Broken || r.ExitCode() != 2 || (Report{}).ExitCode() != 0 {
		t.Errorf("status %s, exit code %d", r.Status(), r.ExitCode())
	}
}
