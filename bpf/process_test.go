package bpf

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process that lives 20 ms, between two looks at /proc, is told with its
// cgroup.
func TestShortProcess(t *testing.T) {
	m := openMonitor(t, Config{})
	r := watch(t, m)
	group := newCgroup(t)
	before, err := SinceBoot()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, group, syscall.SysProcAttr{}, self("sleep")...)
	p.wait()
	exit := r.find(1, "exit", func(e Event) bool { return e.Kind == Exited && e.PID == p.pid() })[0]
	mine := r.find(3, "fork, exec and exit", func(e Event) bool { return e.PID == p.pid() && e.Start == exit.Start })
	for i, kind := range []Kind{Forked, Executed, Exited} {
		e := mine[i]
		if e.Kind != kind || e.Cgroup != group.id || e.PPID != os.Getpid() {
			t.Errorf("event %d is %+v, want kind %d, cgroup %d, parent %d", i, e, kind, group.id, os.Getpid())
		}
	}
	if len(mine) != 3 {
		t.Errorf("%d events of one process: %+v", len(mine), mine)
	}
	if mine[0].Creator != os.Getpid() {
		t.Errorf("creator %d, want %d", mine[0].Creator, os.Getpid())
	}
	if exit.Start < before || exit.Start > mine[0].Time || exit.Time-exit.Start < 20*time.Millisecond {
		t.Errorf("start %v, fork %v, exit %v: it was started after %v and slept 20 ms", exit.Start, mine[0].Time, exit.Time, before)
	}
}

// The many threads of a process are one process, and it ends once.
func TestThreadsAreNoProcesses(t *testing.T) {
	m := openMonitor(t, Config{})
	r := watch(t, m)
	p := start(t, nil, syscall.SysProcAttr{}, self("sleep")...) // a Go program has threads
	p.wait()
	r.find(1, "exit", func(e Event) bool { return e.Kind == Exited && e.PID == p.pid() })
	r.settle()
	for _, e := range r.all() {
		if e.PPID == p.pid() || e.Creator == p.pid() {
			t.Errorf("a thread is told as a process: %+v", e)
		}
	}
	if n := len(r.find(1, "exit", func(e Event) bool { return e.Kind == Exited && e.PID == p.pid() })); n != 1 {
		t.Errorf("%d exits of one process", n)
	}
}

// A process that is put into another cgroup, as container runtimes do.
func TestMove(t *testing.T) {
	m := openMonitor(t, Config{})
	r := watch(t, m)
	group := newCgroup(t)
	p := start(t, nil, syscall.SysProcAttr{}, self("device", "/dev/null")...)
	p.ask("open")
	if err := os.WriteFile(filepath.Join(group.path, "cgroup.procs"), []byte(strconv.Itoa(p.pid())), 0); err != nil {
		t.Fatal(err)
	}
	moves := r.find(1, "move", func(e Event) bool { return e.Kind == Moved && e.PID == p.pid() })
	if len(moves) != 1 || moves[0].Cgroup != group.id {
		t.Errorf("moves %+v, want one to %d", moves, group.id)
	}
	p.wait()
	r.find(1, "exit", func(e Event) bool { return e.Kind == Exited && e.PID == p.pid() && e.Cgroup == group.id })
}

// 10,000 processes in a burst, from two cgroups at once: each is told with the
// right owner or counted as dropped.
func TestBurst(t *testing.T) {
	const each = 5000
	for _, c := range []struct {
		name    string
		bytes   int
		running bool // the reader reads during the burst
	}{{"roomy", 0, true}, {"small", 64 << 10, true}, {"no reader", minRingBytes, false}} {
		t.Run(c.name, func(t *testing.T) {
			m := openMonitor(t, Config{RingBytes: c.bytes})
			var r *record
			if c.running {
				r = watch(t, m)
			}
			owner, makers := burst(t, each)
			if !c.running {
				r = watch(t, m)
			}
			r.settle()
			told, wrong := map[int]bool{}, 0
			for _, e := range r.all() {
				group := owner[e.PID]
				if group == nil || e.Kind != Forked && e.Kind != Exited || !makers[e.PPID] {
					continue // where ids come round, another process may have had one of them
				}
				if e.Kind == Forked {
					told[e.PID] = true
				}
				if e.Cgroup != group.id {
					wrong++
				}
			}
			drops, err := m.Drops()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d forks with ids of their own, %d told, %d wrong owners, %d process events dropped", len(owner), len(told), wrong, drops.Processes)
			if wrong != 0 {
				t.Errorf("%d wrong owners", wrong)
			}
			missing := uint64(len(owner) - len(told))
			if missing > drops.Processes {
				t.Errorf("%d forks were not told, and only %d events are counted as dropped", missing, drops.Processes)
			}
			// Kernels that let programs be preempted miss an event when another comes
			// on that CPU meanwhile. That is counted, and rare.
			if c.name == "roomy" && drops.Processes > each/100 {
				t.Errorf("drops %+v with room for all", drops)
			}
			if !c.running && (missing == 0 || len(told) == 0) {
				t.Errorf("%d forks told through a ring of %d bytes that nobody read", len(told), c.bytes)
			}
		})
	}
}

// burst makes processes in two cgroups at once, and says whose each was and which
// two processes made them; those whose id came twice are left out.
func burst(t testing.TB, each int) (owner map[int]*cgroup, parents map[int]bool) {
	t.Helper()
	groups := []*cgroup{newCgroup(t), newCgroup(t)}
	var makers []*process
	for _, group := range groups {
		makers = append(makers, start(t, group, syscall.SysProcAttr{}, self("forks", strconv.Itoa(each), "0")...))
	}
	owner, parents = map[int]*cgroup{}, map[int]bool{}
	twice := map[int]bool{}
	for i, maker := range makers {
		parents[maker.pid()] = true
		for lines := bufio.NewScanner(strings.NewReader(maker.wait())); lines.Scan(); {
			pid, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			twice[pid] = twice[pid] || owner[pid] != nil
			owner[pid] = groups[i]
		}
	}
	// Where others start many processes besides, ids come round during the burst.
	for pid := range twice {
		if twice[pid] {
			delete(owner, pid)
		}
	}
	if len(owner) < each {
		t.Fatalf("%d processes were made with ids of their own, want %d", len(owner), 2*each)
	}
	return owner, parents
}
