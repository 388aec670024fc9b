package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/bpf"
)

func TestKernel(t *testing.T) {
	works := []bpf.Feature{
		{Name: "CAP_BPF", Answer: bpf.Yes}, {Name: "process events", Answer: bpf.Yes, Lost: "x"},
		{Name: "lockdown lets programs read", Answer: bpf.Unknown, Reason: "securityfs is not mounted", Lost: "all programs"},
	}
	if got := examineKernel(works); len(got) != 1 || got[0].Status != OK || !strings.Contains(got[0].Found, "2 of 3 work: CAP_BPF, process events") {
		t.Errorf("what works: %+v", got)
	}
	refused := []bpf.Feature{
		{Name: "CAP_BPF", Answer: bpf.No, Reason: "the agent does not hold it", Lost: "all programs"},
		{Name: "process events", Answer: bpf.No, Reason: "refused", Lost: "processes between two samples"},
		{Name: "kernel type information (BTF)", Answer: bpf.Unknown, Reason: "io error"},
	}
	got := examineKernel(refused)
	if len(got) != 4 || got[0].Status != Degraded || got[1].Name != "kernel: CAP_BPF" || got[1].Advice != "lost without it: all programs" ||
		!strings.HasPrefix(got[3].Found, "could not tell: io error") {
		t.Errorf("what is refused: %+v", got)
	}
}

func TestCgroups(t *testing.T) {
	for _, tt := range []struct {
		mounts, found string
		status        Status
	}{
		{"cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "version 2", OK},
		{"cgroup /sys/fs/cgroup/devices cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "beside it", Degraded},
		{"cgroup /sys/fs/cgroup/devices cgroup rw 0 0\n", "version 1 only", Degraded},
		{"tmpfs /tmp tmpfs rw 0 0\n", "none is mounted", Degraded},
	} {
		proc := t.TempDir()
		if err := os.MkdirAll(filepath.Join(proc, "self"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, "self/mounts"), []byte(tt.mounts), 0o600); err != nil {
			t.Fatal(err)
		}
		got := examineCgroups(Options{Proc: proc})
		if len(got) != 1 || got[0].Status != tt.status || !strings.Contains(got[0].Found, tt.found) || (tt.status != OK) != (got[0].Advice != "") {
			t.Errorf("%q: %+v", tt.mounts, got)
		}
	}
}

func TestPods(t *testing.T) {
	refused := examinePods(t.Context(), Options{Pods: func(context.Context) error { return errors.New("dial unix: permission denied") }})
	if refused.Status != Degraded || refused.Found != "dial unix: permission denied" || !strings.Contains(refused.Advice, "unattributed") {
		t.Errorf("refused: %+v", refused)
	}
	if works := examinePods(t.Context(), Options{Pods: func(context.Context) error { return nil }}); works.Status != OK || works.Advice != "" {
		t.Errorf("works: %+v", works)
	}
}
