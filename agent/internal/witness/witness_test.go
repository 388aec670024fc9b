package witness_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/bpf"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// keep is how long a process is known after its end.
const keep = 2 * time.Second

// watch opens a witness and runs it until the test ends.
func watch(t testing.TB, method bpf.Method) *witness.Witness {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("watching processes needs root")
	}
	w := witness.Open(t.Context(), witness.Config{Method: method, Keep: keep, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// cgroup makes a cgroup of the unified hierarchy.
func cgroup(t testing.TB, name string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("making a cgroup needs root")
	}
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(mount, "cgroup.procs")); err == nil {
			dir := filepath.Join(mount, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				for range 50 { // a process may still be leaving
					if err := os.Remove(dir); err == nil || os.IsNotExist(err) {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
			return dir
		}
	}
	t.Skip("no unified cgroup hierarchy is mounted")
	return ""
}

// brief runs a process that lives for a moment in the cgroup and returns its id.
func brief(t testing.TB, dir string) int {
	t.Helper()
	script := fmt.Sprintf("echo $$ > %s/cgroup.procs; exec sleep 0.02", dir)
	c := exec.Command("sh", "-c", script)
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// A process that lives for 20 ms between two samples is known after its end, with
// the workload of its cgroup, also when the cgroup is gone; and forgotten later.
func TestBriefProcess(t *testing.T) {
	w := watch(t, bpf.Programs)
	if w.By() != witness.ByBPF {
		t.Skipf("BPF is not allowed here, which the tests of package bpf judge: by %s", w.By())
	}
	slice := cgroup(t, "flopwatch-brief-"+strconv.Itoa(os.Getpid()))
	pid := brief(t, slice)
	if err := os.Remove(slice); err != nil {
		t.Logf("the cgroup stays: %v", err)
	}
	p, ok := w.Ended(pid)
	if !ok || !p.Ended || p.Names.Cgroup != "/"+filepath.Base(slice) || p.Workload.Kind != measure.KindCgroup || p.PID != pid || p.UID != -1 {
		t.Errorf("process %+v, %t", p, ok)
	}
	time.Sleep(2500 * time.Millisecond)
	if p, ok := w.Ended(pid); ok {
		t.Errorf("it is never forgotten: %+v", p)
	}
	if p, ok := w.Ended(1 << 22); ok {
		t.Errorf("nobody is %+v", p)
	}
}

// A cgroup from before the watch is named by its handle.
func TestOlderCgroup(t *testing.T) {
	slice := cgroup(t, "flopwatch-older-"+strconv.Itoa(os.Getpid()))
	w := watch(t, bpf.Programs)
	if p, ok := w.Ended(brief(t, slice)); !ok || p.Names.Cgroup != "/"+filepath.Base(slice) {
		t.Errorf("process %+v, %t", p, ok)
	}
}

// Without BPF the cgroup is read while the process lives.
func TestConnector(t *testing.T) {
	w := watch(t, bpf.Connector)
	if w.By() != witness.ByConnector {
		t.Skipf("the process connector is not there: by %s", w.By())
	}
	slice := cgroup(t, "flopwatch-connector-"+strconv.Itoa(os.Getpid()))
	pid := brief(t, slice)
	time.Sleep(100 * time.Millisecond)
	p, ok := w.Ended(pid)
	if !ok || p.Names.Cgroup == "" {
		t.Errorf("process %+v, %t", p, ok)
	}
	if w.KnowsHolders() {
		t.Error("a connector that tells no opens knows holders")
	}
	if _, err := w.Holdings(); !errors.Is(err, witness.ErrUnknown) {
		t.Errorf("holdings: %v", err)
	}
}

// Processes by the hundred in two cgroups: none is given to the wrong one.
func TestBurst(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	w := watch(t, bpf.Programs)
	const each, groups = 120, 2
	var wait sync.WaitGroup
	wrong, unknown := make([]int, groups), make([]int, groups)
	for g := range groups {
		dir := cgroup(t, fmt.Sprintf("flopwatch-burst-%d-%d", os.Getpid(), g))
		wait.Go(func() {
			for range each / 10 {
				var pids []int
				var begun []time.Time
				for range 10 {
					begun = append(begun, time.Now())
					pids = append(pids, brief(t, dir))
				}
				for i, pid := range pids {
					p, ok := w.Ended(pid)
					switch {
					case !ok && time.Since(begun[i]) > keep:
						// So slow a machine that it may be forgotten.
					case !ok:
						unknown[g]++
					case p.Names.Cgroup != "/"+filepath.Base(dir):
						wrong[g]++
					}
				}
			}
		})
	}
	wait.Wait()
	lost := w.Refresh(t.Context())
	if wrong[0]+wrong[1] > 0 {
		t.Errorf("%v processes have the wrong cgroup", wrong)
	}
	if unknown[0]+unknown[1] > int(lost) {
		t.Errorf("%v processes are not known, %d events were lost", unknown, lost)
	}
}
