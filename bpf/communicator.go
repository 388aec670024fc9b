package bpf

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// CommunicatorWatch is a library of NCCL that is being watched.
type CommunicatorWatch struct {
	set   *joins
	links []io.Closer
}

// WatchCommunicators tells of processes that set up a communicator through the
// NCCL library at path, as seen by process pid, whose mount namespace may differ
// from the caller's; pid 0 is the caller's own root. Only set-up calls are
// probed. All processes that map the same file are seen. The library is held
// until the watch is closed, which Monitor.Close does too.
//
// The path is resolved below the root of the process, so that no link in a
// container leads out of it. The error matches [ErrNotWatched] without
// Config.CommunicatorKey, and [link.ErrNoSymbol] when the file has none of the
// functions: a program may contain NCCL itself.
func (m *Monitor) WatchCommunicators(pid int, path string) (*CommunicatorWatch, error) {
	if m.programs == nil || m.programs.joins == nil {
		return nil, fmt.Errorf("watch communicators: %w", ErrNotWatched)
	}
	w, err := m.programs.joins.watch(pid, path)
	if err != nil {
		return nil, fmt.Errorf("watch communicators in %s of process %d: %w", path, pid, err)
	}
	return w, nil
}

// Close detaches the probes from the library.
func (w *CommunicatorWatch) Close() error {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	delete(w.set.watches, w)
	return w.detach()
}

func (w *CommunicatorWatch) detach() error {
	var errs []error
	for _, l := range w.links {
		errs = append(errs, l.Close())
	}
	w.links = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach probes of communicators: %w", err)
	}
	return nil
}

// joins are the programs that see set-up calls, and where they are attached.
type joins struct {
	rank, scalable *ebpf.Program
	multi          bool // by uprobe_multi, which needs fewer rights
	mac            hash.Hash

	mu      sync.Mutex
	watches map[*CommunicatorWatch]bool
}

func newJoins(loaded map[string]*ebpf.Program, key []byte, multi bool) *joins {
	return &joins{
		rank:     loaded[monitorProgJoinRank],
		scalable: loaded[monitorProgJoinScalable],
		multi:    multi,
		mac:      newHasher(key),
		watches:  map[*CommunicatorWatch]bool{},
	}
}

// hasher is for the one goroutine that runs the monitor; nil without joins.
func (j *joins) hasher() hash.Hash {
	if j == nil {
		return nil
	}
	return j.mac
}

func (j *joins) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var errs []error
	for w := range j.watches {
		errs = append(errs, w.detach())
	}
	clear(j.watches)
	return errors.Join(errs...)
}

func (j *joins) watch(pid int, path string) (*CommunicatorWatch, error) {
	library, err := openBelow(pid, path)
	if err != nil {
		return nil, err
	}
	defer library.Close() // the probes hold the file themselves
	file, err := link.OpenExecutable(fmt.Sprintf("/proc/self/fd/%d", library.Fd()))
	if err != nil {
		return nil, err
	}
	w := &CommunicatorWatch{set: j}
	for symbol, program := range map[string]*ebpf.Program{
		"ncclCommInitRank":         j.rank,
		"ncclCommInitRankConfig":   j.rank,
		"ncclCommInitRankScalable": j.scalable,
	} {
		var l link.Link
		if j.multi {
			l, err = file.UprobeMulti([]string{symbol}, program, nil)
		} else {
			l, err = file.Uprobe(symbol, program, nil)
		}
		if errors.Is(err, link.ErrNoSymbol) {
			continue // older versions lack the newer functions
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attach to %s: %w", symbol, err), w.detach())
		}
		w.links = append(w.links, l)
	}
	if len(w.links) == 0 {
		return nil, fmt.Errorf("functions of NCCL: %w", link.ErrNoSymbol)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watches[w] = true
	return w, nil
}

// openBelow opens a regular file by its path below the root of a process.
func openBelow(pid int, path string) (*os.File, error) {
	root := "/"
	if pid != 0 {
		root = fmt.Sprintf("/proc/%d/root", pid)
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	defer func() { _ = unix.Close(dir) }() // a path only: nothing to lose
	fd, err := unix.Openat2(dir, strings.TrimLeft(path, "/"), &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return nil, fmt.Errorf("open it below %s: %w", root, err)
	}
	file := os.NewFile(uintptr(fd), path)
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is no regular file: %v", info.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
