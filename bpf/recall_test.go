package bpf

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A process that lived for 20 ms in a cgroup that is gone is recalled with both.
func TestRecall(t *testing.T) {
	m := openMonitor(t, Config{Recall: 4096})
	r := watch(t, m)
	before, err := SinceBoot()
	if err != nil {
		t.Fatal(err)
	}
	group := newCgroup(t)
	p := start(t, group, syscall.SysProcAttr{}, self("sleep")...)
	if got, ok, err := m.Recall(p.pid()); err != nil || !ok || got.Ended != 0 || got.Start < before || got.Cgroup != group.id {
		t.Errorf("while it lives: %+v, %t, %v", got, ok, err)
	}
	p.wait()
	if err := os.Remove(group.path); err != nil {
		t.Logf("the cgroup stays: %v", err)
	} else if err := os.Mkdir(group.path, 0o755); err != nil { // for the clean-up; it is another one
		t.Fatal(err)
	}
	got, ok, err := m.Recall(p.pid())
	if err != nil || !ok || got.Cgroup != group.id || got.Ended-got.Start < 20*time.Millisecond || got.Reused != 0 {
		t.Errorf("after its end: %+v, %t, %v, want cgroup %d", got, ok, err, group.id)
	}
	if path, ok, err := m.CgroupPath(group.id); err != nil || !ok || path != "/"+filepath.Base(group.path) {
		t.Errorf("path %q, %t, %v, want /%s", path, ok, err, filepath.Base(group.path))
	}
	if got, ok, err := m.Recall(1 << 22); err != nil || ok {
		t.Errorf("nobody: %+v, %t, %v", got, ok, err)
	}
	r.settle()
	for _, e := range r.all() {
		if e.PID == p.pid() {
			t.Errorf("what is recalled is told besides: %+v", e)
		}
	}
	other := openMonitor(t, Config{})
	if _, _, err := other.Recall(1); !errors.Is(err, ErrNotWatched) {
		t.Errorf("without Config.Recall: %v", err)
	}
	if _, _, err := other.CgroupPath(1); !errors.Is(err, ErrNotWatched) {
		t.Errorf("without Config.Recall: %v", err)
	}
}

// 10,000 processes from two cgroups at once: each is recalled with the right
// owner, or not at all.
func TestRecallBurst(t *testing.T) {
	m := openMonitor(t, Config{Recall: 1 << 16})
	owner, _ := burst(t, 5000)
	known, wrong, reused := 0, 0, 0
	for pid, group := range owner {
		got, ok, err := m.Recall(pid)
		switch {
		case err != nil:
			t.Fatal(err)
		case !ok:
		case got.Reused != 0: // another process may have had the id since
			reused++
		case got.Cgroup != group.id:
			wrong++
		default:
			known++
		}
	}
	drops, err := m.Drops()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d processes, %d recalled, %d with an id used again, %d wrong owners, drops %+v", len(owner), known, reused, wrong, drops)
	if wrong > 0 || known+reused < len(owner)*9/10 {
		t.Errorf("%d of %d are recalled, %d with wrong owners", known, len(owner), wrong)
	}
}

// A small table forgets; it never mixes up.
func TestRecallForgets(t *testing.T) {
	m := openMonitor(t, Config{Recall: 256})
	owner, _ := burst(t, 1000)
	known := 0
	for pid, group := range owner {
		got, ok, err := m.Recall(pid)
		if err != nil {
			t.Fatal(err)
		}
		if ok && got.Reused == 0 && got.Cgroup != group.id {
			t.Errorf("process %d is recalled as of cgroup %d, want %d", pid, got.Cgroup, group.id)
		}
		if ok {
			known++
		}
	}
	if known > 256 {
		t.Errorf("%d processes in a table of 256", known)
	}
}
