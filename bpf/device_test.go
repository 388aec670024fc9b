package bpf

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// nvidia is the major of NVIDIA's devices, which have no driver here: an open
// fails, and is told all the same.
const nvidia = 195

// memory and zero are the numbers of /dev/zero, which opens anywhere.
const (
	memory = 1
	zero   = 5
)

func TestOpenOfNVIDIA(t *testing.T) {
	m := openMonitor(t, Config{Devices: true, Majors: []uint32{nvidia}})
	r := watch(t, m)
	group := newCgroup(t)
	p := start(t, group, syscall.SysProcAttr{}, self("device", node(t, nvidia, 3))...)
	if answer := p.ask("open"); !strings.Contains(answer, "no such device") {
		t.Skipf("major %d has a driver here: open says %s", nvidia, answer)
	}
	e := r.find(1, "open", func(e Event) bool { return e.Kind == Opened && e.PID == p.pid() })[0]
	if e.Major != nvidia || e.Minor != 3 || e.Cgroup != group.id || e.PPID != os.Getpid() || e.Start == 0 || e.Time < e.Start {
		t.Errorf("open %+v, want device %d.3, cgroup %d", e, nvidia, group.id)
	}
	needCloses(t, m)
	if e.File == 0 {
		t.Error("the open file has no number")
	}
	// The open failed, so that nobody holds the file.
	r.find(1, "close", func(c Event) bool { return c.Kind == Closed && c.File == e.File })
}

func TestHolders(t *testing.T) {
	path := node(t, memory, zero)
	group := newCgroup(t)
	earlier := start(t, group, syscall.SysProcAttr{}, self("device", path)...)
	if answer := earlier.ask("open"); strings.Contains(answer, "denied") || strings.Contains(answer, "not permitted") {
		t.Skipf("the temporary folder allows no devices: %s", answer)
	}
	m := openMonitor(t, Config{Devices: true, Majors: []uint32{memory}})
	r := watch(t, m)

	holders := holdersOf(t, m, earlier.pid())
	if len(holders) != 1 || holders[0].Cgroup != group.id || holders[0].Major != memory || holders[0].Minor != zero || holders[0].PPID != os.Getpid() {
		t.Fatalf("holders %+v, want one of device %d.%d in cgroup %d", holders, memory, zero, group.id)
	}
	child, err := strconv.Atoi(earlier.ask("inherit"))
	if err != nil {
		t.Fatal(err)
	}
	inherited := holdersOf(t, m, child)
	if !slices.ContainsFunc(inherited, func(h Holder) bool { return h.File == holders[0].File && h.PPID == earlier.pid() }) {
		t.Errorf("the child inherits file %d, but holds %+v", holders[0].File, inherited)
	}
	earlier.ask("close")
	if left := holdersOf(t, m, earlier.pid()); len(left) != 0 {
		t.Errorf("it closed the file, but holds %+v", left)
	}
	if left := holdersOf(t, m, child); len(left) == 0 {
		t.Error("the child still holds the file, but is not listed")
	}
	if m.TellsCloses() {
		r.settle()
		if slices.ContainsFunc(r.all(), func(e Event) bool { return e.Kind == Closed && e.File == holders[0].File }) {
			t.Error("the file is told as closed while the child holds it")
		}
	}
	earlier.ask("disinherit")
	if left := holdersOf(t, m, child); len(left) != 0 {
		t.Errorf("the child has ended, but holds %+v", left)
	}
	needCloses(t, m)
	closes := r.find(1, "close", func(e Event) bool { return e.Kind == Closed && e.File == holders[0].File })
	if e := closes[0]; len(closes) != 1 || e.PID != earlier.pid() || e.Cgroup != group.id || e.Major != memory || e.Minor != zero {
		t.Errorf("closes %+v, want one of process %d", closes, earlier.pid())
	}
}

// holdersOf lists the files of /dev/zero that one process holds: any process may
// hold /dev/null, of the same major.
func holdersOf(t *testing.T, m *Monitor, pid int) []Holder {
	t.Helper()
	s, err := m.Holders()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(s.Holders, func(h Holder) bool { return h.PID != pid || h.Minor != zero })
}

func TestOpenAndClose(t *testing.T) {
	m := openMonitor(t, Config{Devices: true, Majors: []uint32{memory}})
	needCloses(t, m)
	r := watch(t, m)
	p := start(t, nil, syscall.SysProcAttr{}, self("device", node(t, memory, zero))...)
	p.ask("open")
	open := r.find(1, "open", func(e Event) bool { return e.Kind == Opened && e.PID == p.pid() && e.Minor == zero })
	last := open[len(open)-1]
	p.ask("close")
	closed := r.find(1, "close", func(e Event) bool { return e.Kind == Closed && e.File == last.File })[0]
	if closed.PID != p.pid() || closed.Start != last.Start || closed.Time < last.Time {
		t.Errorf("open %+v, close %+v", last, closed)
	}
}

// A file of a major that is watched no more is told no more.
func TestSetMajors(t *testing.T) {
	m := openMonitor(t, Config{Devices: true, Majors: []uint32{memory, nvidia}})
	r := watch(t, m)
	if err := m.SetMajors([]uint32{nvidia}); err != nil {
		t.Fatal(err)
	}
	first := start(t, nil, syscall.SysProcAttr{}, self("device", node(t, memory, zero))...)
	first.ask("open")
	second := start(t, nil, syscall.SysProcAttr{}, self("device", node(t, nvidia, 0))...)
	second.ask("open")
	r.find(1, "open", func(e Event) bool { return e.Kind == Opened && e.PID == second.pid() })
	for _, e := range r.all() {
		if e.Kind == Opened && e.PID == first.pid() {
			t.Errorf("an open of a major that is not watched: %+v", e)
		}
	}
	if err := m.SetMajors(make([]uint32, maxMajors+1)); err == nil {
		t.Error("more majors than the table holds are taken")
	}
}

func TestDeviceMajors(t *testing.T) {
	const devices = "Character devices:\n  1 mem\n 10 misc\n195 nvidia\n195 nvidia-modeset\n195 nvidiactl\n226 drm\n234 kfd\n" +
		"505 nvidia-caps\n508 nvidia-uvm\n511 vfio\n 99999 nvidia-x\nx nvidia\n\nBlock devices:\n  7 nvidia-block\n259 blkext\n"
	got, err := DeviceMajors(strings.NewReader(devices))
	if want := []uint32{195, 226, 234, 505, 508, 511}; err != nil || !slices.Equal(got, want) {
		t.Errorf("majors %v %v, want %v", got, err, want)
	}
}
