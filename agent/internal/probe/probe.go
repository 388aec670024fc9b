// Package probe turns a process id into the workload that it belongs to.
//
// It reads /proc/PID/stat for the start time, which tells a process from a
// later one with the same id, /proc/PID/cgroup for the path that the scheduler
// chose, and the user id of /proc/PID/status. It never reads environments, command lines or memory.
// Everything in /proc that a tenant can influence (names of commands and of
// delegated cgroups) is treated as hostile.
package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ErrGone says that no process has the id any more, or that the id passed to
// another process while it was read.
var ErrGone = errors.New("process is gone")

// cacheLimit bounds the processes that are remembered; a host has far fewer
// that hold a device.
const cacheLimit = 8192

// readLimit bounds one file of /proc.
const readLimit = 64 << 10

// Process is a process and what it belongs to.
type Process struct {
	PID        int
	StartTicks uint64 // clock ticks from boot to its start
	UID        int    // real user id: who started it; -1 if it could not be read
	Workload   measure.Workload
	Names      Names
	Ended      bool // it ended after it was first seen; the rest is from then
}

// Prober looks processes up below one /proc. It is for one goroutine.
type Prober struct {
	root  string
	known map[int]*entry
	buf   []byte
	watch *watch // nil unless processes are watched
}

// entry is a process with the bytes of its cgroup file when it was resolved.
type entry struct {
	process    Process
	cgroup     []byte
	descriptor int // watched, -1 if not
	next       int // tick of the next look at a watched process
}

// New returns a prober for the /proc at root, "/proc" on a live host. It must
// be the host's: the driver names processes by their ids on the host.
func New(root string) *Prober {
	return &Prober{root: root, known: map[int]*entry{}, buf: make([]byte, 4096)}
}

// Check reports whether processes can be looked up at all, by looking up self.
func (p *Prober) Check() error {
	if _, err := os.Stat(filepath.Join(p.root, "self", "cgroup")); err != nil {
		return fmt.Errorf("look up processes below %s: %w", p.root, err)
	}
	return nil
}

// Lookup returns the process with the id. A process that has ended is answered
// from memory if it was looked up before, marked Ended, because the driver may
// still list it; otherwise the error is ErrGone. Other errors name the file.
func (p *Prober) Lookup(pid int) (Process, error) {
	if pid <= 0 {
		return Process{}, fmt.Errorf("look up process %d: not a process id", pid)
	}
	old := p.known[pid]
	if old != nil && p.current(old) {
		return old.process, nil
	}
	descriptor := -1
	if old == nil || old.descriptor < 0 {
		descriptor = p.pin(pid)
		defer func() {
			if descriptor >= 0 {
				_ = syscall.Close(descriptor) // nothing follows it
			}
		}()
	}
	start, err := p.start(pid)
	if errors.Is(err, ErrGone) && old != nil {
		ended := old.process
		ended.Ended = true
		return ended, nil
	}
	if err != nil {
		return Process{}, err
	}
	cgroup, err := p.read(pid, "cgroup")
	if err != nil {
		return Process{}, err
	}
	if old != nil && old.process.StartTicks == start && bytes.Equal(old.cgroup, cgroup) {
		if p.watch != nil {
			// Spread over the ticks, so that not all are looked at in the same one.
			old.next = p.watch.tick + recheckAfter/2 + 1 + pid%(recheckAfter/2)
		}
		return old.process, nil
	}
	fresh := &entry{cgroup: bytes.Clone(cgroup)}
	fresh.process = Process{PID: pid, StartTicks: start, UID: p.owner(pid)}
	paths, err := ParseCgroup(fresh.cgroup)
	if err != nil {
		return Process{}, fmt.Errorf("read cgroup of process %d: %w", pid, err)
	}
	fresh.process.Names, fresh.process.Workload = Resolve(paths)
	// The files were read one after the other: only an unchanged start time
	// shows that they are of one process.
	if again, err := p.start(pid); err != nil || again != start {
		return Process{}, fmt.Errorf("look up process %d: %w", pid, ErrGone)
	}
	if len(p.known) >= cacheLimit {
		for _, e := range p.known {
			p.forget(e)
		}
		clear(p.known)
		old = nil
	}
	fresh.descriptor = -1
	switch {
	case descriptor >= 0:
		p.follow(fresh, descriptor)
		descriptor = -1
	case old != nil && old.process.StartTicks == start: // moved to another cgroup
		fresh.descriptor, old.descriptor = old.descriptor, -1
		if p.watch != nil {
			fresh.next = p.watch.tick + 1
		}
	case old != nil:
		p.forget(old)
	}
	p.known[pid] = fresh
	return fresh.process, nil
}

func (p *Prober) start(pid int) (uint64, error) {
	data, err := p.read(pid, "stat")
	if err != nil {
		return 0, err
	}
	stat, err := ParseStat(data)
	if err != nil {
		return 0, fmt.Errorf("read stat of process %d: %w", pid, err)
	}
	if stat.PID != pid {
		return 0, fmt.Errorf("read stat of process %d: it names process %d", pid, stat.PID)
	}
	return stat.StartTicks, nil
}

// owner is the user who started a process, -1 if that cannot be read. The owner
// of its directory would not do: that is root for a process that forbids to be
// dumped, which any process may do.
func (p *Prober) owner(pid int) int {
	status, err := p.read(pid, "status")
	if err != nil {
		return -1
	}
	user, err := parseOwner(status)
	if err != nil {
		return -1
	}
	return user
}

// read returns a file of a process; the bytes are valid until the next read.
func (p *Prober) read(pid int, name string) ([]byte, error) {
	path := p.root + "/" + strconv.Itoa(pid) + "/" + name
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, readError(path, err)
	}
	defer func() { _ = syscall.Close(fd) }() // opened for reading: nothing to lose
	n := 0
	for {
		if n == len(p.buf) {
			if n >= readLimit {
				return nil, fmt.Errorf("read %s: longer than %d bytes", path, readLimit)
			}
			p.buf = append(p.buf, make([]byte, len(p.buf))...)
		}
		m, err := syscall.Read(fd, p.buf[n:])
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, readError(path, err)
		}
		if m == 0 {
			return p.buf[:n], nil
		}
		n += m
	}
}

// readError maps "no such process" and "no such file" to ErrGone.
func readError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("read %s: %w", path, ErrGone)
	}
	return fmt.Errorf("read %s: %w", path, err)
}
