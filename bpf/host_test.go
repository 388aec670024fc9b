package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// needHost skips a test that this host cannot run: without rights, or with a
// kernel that is too old. A kernel that is new enough and refuses is a failure.
func needHost(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, f := range conditions() {
		if f.Answer == No {
			t.Skipf("%s: %s", f.Name, f.Reason)
		}
	}
	if _, err := cgroupRoot(); err != nil {
		t.Skip(err)
	}
}

// needCloses skips where the kernel's policy or the processor lets no function be
// hooked. With all rights, EPERM is policy.
func needCloses(t testing.TB, m *Monitor) {
	t.Helper()
	if m.TellsCloses() {
		return
	}
	err := m.programs.hooks.refusal
	if errors.Is(err, fs.ErrPermission) || runtime.GOARCH != "amd64" {
		t.Skipf("closes are not told here: %v", err)
	}
	t.Fatalf("this kernel should let its functions be hooked: %v", err)
}

func openMonitor(t testing.TB, config Config) *Monitor {
	t.Helper()
	needHost(t)
	if config.Method == AnyMethod {
		config.Method = Programs
	}
	m, err := Open(config)
	if err != nil {
		var verifier *ebpf.VerifierError
		if errors.As(err, &verifier) {
			t.Logf("%+v", verifier)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// record is what a monitor told while it ran.
type record struct {
	t      testing.TB
	m      *Monitor
	mu     sync.Mutex
	events []Event
}

// watch runs the monitor until the test ends.
func watch(t testing.TB, m *Monitor) *record {
	r := &record{t: t, m: m}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- m.Run(ctx, func(e Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// patience is how long a test waits for an event: emulated kernels are slow.
const patience = 20 * time.Second

// find waits for n events that match and returns them.
func (r *record) find(n int, what string, match func(Event) bool) []Event {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		var found []Event
		for _, e := range r.events {
			if match(e) {
				found = append(found, e)
			}
		}
		r.mu.Unlock()
		if len(found) >= n {
			return found
		}
		if time.Now().After(deadline) {
			drops, err := r.m.Drops()
			r.t.Fatalf("%s: %d events after %v, want %d; drops %+v %v", what, len(found), patience, n, drops, err)
		}
	}
}

// settle lets everything that happened before be told.
func (r *record) settle() { time.Sleep(5 * r.m.config.Interval) }

func (r *record) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// cgroup is a folder of the unified hierarchy that the test made.
type cgroup struct {
	path string
	id   uint64
}

func newCgroup(t testing.TB) *cgroup {
	t.Helper()
	needHost(t)
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.MkdirTemp(root, "flopwatch-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The last process may still be on its way out.
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if err = os.Remove(path); err == nil || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return &cgroup{path: path, id: info.Sys().(*syscall.Stat_t).Ino}
}

// node makes a character device in a folder that allows devices.
func node(t testing.TB, major, minor uint32) string {
	t.Helper()
	needHost(t)
	path := filepath.Join(t.TempDir(), fmt.Sprintf("device-%d-%d", major, minor))
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(major, minor))); err != nil {
		t.Fatal(err)
	}
	return path
}
