package probe_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
)

func watched(t testing.TB) *probe.Prober {
	t.Helper()
	p := probe.New("/proc")
	if err := p.Watch(); err != nil {
		t.Skipf("this kernel has no process descriptors: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func sleeper(t testing.TB) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A watched process is answered from memory while it lives and as ended from the
// tick after its end, and its descriptor is given back.
func TestWatchSeesTheEnd(t *testing.T) {
	p := watched(t)
	c := sleeper(t)
	pid := c.Process.Pid
	before := descriptors(t)
	for tick := range 30 {
		p.Tick()
		got, err := p.Lookup(pid)
		if err != nil || got.PID != pid || got.Ended {
			t.Fatalf("tick %d: %+v, %v", tick, got, err)
		}
	}
	if n := descriptors(t); n != before+1 {
		t.Errorf("%d descriptors more for one process", n-before)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed; this gives back a descriptor of its own
	before--
	p.Tick()
	if got, err := p.Lookup(pid); err != nil || !got.Ended {
		t.Errorf("after its end: %+v, %v", got, err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors are left", n-before)
	}
	if _, err := p.Lookup(1 << 22); !errors.Is(err, probe.ErrGone) {
		t.Errorf("nobody: %v", err)
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors are left after a lookup that failed", n-before)
	}
}

// Nothing is read of processes that live on.
func TestWatchedLookupsAllocateNothing(t *testing.T) {
	p := watched(t)
	c := sleeper(t)
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may be gone
		_ = c.Wait()
	})
	pid := c.Process.Pid
	for range 5 {
		p.Tick()
		if _, err := p.Lookup(pid); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := p.Lookup(pid); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkLookup is one tick with 1,000 processes that live on.
func BenchmarkLookup(b *testing.B) {
	for _, watch := range []bool{false, true} {
		name := map[bool]string{false: "read", true: "watched"}[watch]
		b.Run(name, func(b *testing.B) {
			p := probe.New("/proc")
			if watch {
				p = watched(b)
			}
			var pids []int
			for range 1000 {
				c := sleeper(b)
				pids = append(pids, c.Process.Pid)
				b.Cleanup(func() {
					_ = c.Process.Kill() // it may be gone
					_ = c.Wait()
				})
			}
			time.Sleep(10 * time.Millisecond)
			b.ReportAllocs()
			for b.Loop() {
				p.Tick()
				for _, pid := range pids {
					if _, err := p.Lookup(pid); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
