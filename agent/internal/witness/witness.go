// Package witness knows what ran on this host between two samples: which
// processes lived and ended, in which cgroup, and which of them held a device.
//
// It hears of them from the kernel (package bpf) and remembers those that ended
// for a while, because the driver still reports what they used. Where the kernel
// allows no BPF it hears from the process connector, and without that it knows
// nothing: then only processes that live at a sample can be told.
package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/bpf"
)

// The ways in which a host learns who holds its devices, as batches name them.
const (
	ByBPF       = "bpf"
	ByConnector = "connector"
	ByProc      = "proc"
)

// Config of a witness.
type Config struct {
	Method bpf.Method    // bpf.AnyMethod takes the best that there is
	Keep   time.Duration // how long an ended process is remembered, default 5 s
	// CommunicatorKey lets the set-up of NCCL communicators be seen, as hashes by
	// this key; nil does not probe anything.
	CommunicatorKey []byte
	// Traffic lets bytes be counted by cgroup and peer, see [Witness.Traffic].
	Traffic bool
	Log     *slog.Logger
}

// Witness remembers processes. Its methods may be called from any goroutine.
type Witness struct {
	monitor *bpf.Monitor // nil: knows nothing
	keep    time.Duration
	log     *slog.Logger

	mu      sync.Mutex
	brief   *briefTable // by the process connector; nil with BPF
	holders bpf.HolderTable
	drops   bpf.Drops
	joined  []Joined

	flowDrops uint64 // socket calls without room, until the last look

	libraries *libraries // nil unless communicators are watched; of one goroutine
}

// recalled is how many processes the kernel keeps: those of the last seconds on
// a host that starts thousands a second.
const recalled = 1 << 15

// Open begins to watch. A host that allows neither way is no error: By then says
// ByProc, and why is logged.
func Open(ctx context.Context, c Config) *Witness {
	if c.Keep <= 0 {
		c.Keep = 5 * time.Second
	}
	w := &Witness{keep: c.Keep, log: c.Log}
	monitor, err := open(ctx, c)
	debug.FreeOSMemory() // what the kernel's types took to read is not needed again
	if err != nil {
		c.Log.WarnContext(ctx, "processes between samples are not seen", slog.Any("error", err))
		return w
	}
	w.monitor = monitor
	if err := monitor.Refused(); err != nil {
		c.Log.WarnContext(ctx, "not all that the kernel could tell is told here", slog.Any("error", err))
	}
	if monitor.Method() == bpf.Connector {
		w.brief = newBriefTable("/proc", c.Keep)
	}
	if len(c.CommunicatorKey) > 0 && monitor.Method() == bpf.Programs {
		w.libraries = &libraries{watched: map[library]bool{}, looked: map[int]bool{}}
	}
	w.snapshot(ctx)
	return w
}

// open takes BPF, with which the kernel itself keeps what is asked for here, so
// that nothing wakes the agent; or else the process connector, whose events must
// be taken while the processes live.
func open(ctx context.Context, c Config) (*bpf.Monitor, error) {
	if c.Method != bpf.Connector {
		config := bpf.Config{
			Method: bpf.Programs, Recall: recalled, Devices: true, Majors: majors(ctx, c.Log), Interval: 5 * time.Second, RingBytes: 1 << 18,
			CommunicatorKey: c.CommunicatorKey,
		}
		if c.Traffic {
			config.Flows = flows
		}
		monitor, err := openMost(ctx, config, c.Log)
		if err == nil || c.Method == bpf.Programs {
			return monitor, err
		}
		c.Log.WarnContext(ctx, "BPF is not allowed here", slog.Any("error", err))
	}
	return bpf.Open(bpf.Config{Method: bpf.Connector})
}

// openMost opens as much of the config as the kernel allows: without traffic, then
// without opens of devices, then without both.
func openMost(ctx context.Context, all bpf.Config, log *slog.Logger) (*bpf.Monitor, error) {
	var errs []error
	for _, without := range []struct {
		traffic, devices bool
		what             string
	}{{}, {traffic: true, what: "traffic"}, {devices: true, what: "opens of devices"}, {true, true, "opens of devices, traffic"}} {
		config := all
		if without.traffic {
			if all.Flows == 0 {
				continue
			}
			config.Flows = 0
		}
		if without.devices {
			config.Devices, config.Majors = false, nil
		}
		monitor, err := bpf.Open(config)
		if err == nil {
			if without.what != "" {
				log.WarnContext(ctx, "not all that was asked for is told", slog.String("missing", without.what), slog.Any("error", errors.Join(errs...)))
			}
			return monitor, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// majors are the device majors of accelerators that the kernel knows now.
func majors(ctx context.Context, log *slog.Logger) []uint32 {
	f, err := os.Open("/proc/devices")
	if err != nil {
		log.WarnContext(ctx, "device files are not watched", slog.Any("error", err))
		return nil
	}
	defer func() { _ = f.Close() }() // opened for reading: nothing to lose
	list, err := bpf.DeviceMajors(f)
	if err != nil {
		log.WarnContext(ctx, "device files are not watched", slog.Any("error", err))
	}
	return list
}

// By says how the witness learns of processes.
func (w *Witness) By() string {
	switch {
	case w.monitor == nil:
		return ByProc
	case w.monitor.Method() == bpf.Programs:
		return ByBPF
	}
	return ByConnector
}

// Run takes events until ctx ends.
func (w *Witness) Run(ctx context.Context) error {
	if w.monitor == nil {
		<-ctx.Done()
		return nil
	}
	if err := w.monitor.Run(ctx, w.take); err != nil && ctx.Err() == nil {
		return fmt.Errorf("watch processes: %w", err)
	}
	return nil
}

// Close ends watching; Run must have returned.
func (w *Witness) Close() error {
	if w.monitor == nil {
		return nil
	}
	if err := w.monitor.Close(); err != nil {
		return fmt.Errorf("end watching processes: %w", err)
	}
	return nil
}

// take brings what is known up to date with an event.
func (w *Witness) take(e bpf.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders.Apply(e)
	if e.Kind == bpf.Joined && len(w.joined) < maxJoined {
		w.joined = append(w.joined, Joined{PID: e.PID, Communicator: e.Communicator})
	}
	if w.brief != nil {
		w.brief.take(e)
	}
}

// Ended returns a process that is gone, if it ended not long ago and its cgroup
// is known. An id that passed to another process meanwhile is nobody's: which of
// the two the driver speaks of cannot be told.
func (w *Witness) Ended(pid int) (probe.Process, bool) {
	paths, ok := w.paths(pid)
	if !ok {
		return probe.Process{}, false
	}
	names, workload := probe.Resolve(paths)
	return probe.Process{PID: pid, UID: -1, Names: names, Workload: workload, Ended: true}, true
}

// paths returns the cgroups that a process was in last.
func (w *Witness) paths(pid int) ([]string, bool) {
	if w.monitor == nil {
		return nil, false
	}
	if w.brief != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.brief.paths(pid)
	}
	r, ok, err := w.monitor.Recall(pid)
	now, clockErr := bpf.SinceBoot()
	if err := errors.Join(err, clockErr); err != nil {
		w.log.Error("a process is not known", slog.Any("error", err))
		return nil, false
	}
	if !ok || r.Reused > now-w.keep || r.Ended != 0 && r.Ended < now-w.keep {
		return nil, false
	}
	path, ok := w.cgroup(r.Cgroup)
	return []string{path}, ok
}

// cgroup names a cgroup: as the kernel kept it when it was made, or as it is now.
func (w *Witness) cgroup(id uint64) (string, bool) {
	path, ok, err := w.monitor.CgroupPath(id)
	if err == nil && ok {
		return path, true
	}
	path, err = cgroupPath(id)
	return path, err == nil
}

// Holders returns the ids of the processes that may hold a device file, without
// the caller's own children: those that hold it now, and those that opened it
// since they were last looked at and are not known to have closed it. It is an
// upper bound: to hold is not to use.
func (w *Witness) Holders(major, minor uint32) []int {
	w.snapshot(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	var pids []int
	for _, h := range w.holders.Holders() {
		if h.Major == major && h.Minor == minor && h.PPID != os.Getpid() && h.PID != os.Getpid() {
			if n := len(pids); n == 0 || pids[n-1] != h.PID {
				pids = append(pids, h.PID)
			}
		}
	}
	return pids
}

// ErrUnknown says that the kernel does not tell who holds device files here.
var ErrUnknown = errors.New("the kernel does not tell who holds device files here")

// Holdings lists the open files of accelerators of all processes. The error is
// ErrUnknown where the kernel does not tell.
func (w *Witness) Holdings() (guest.Holders, error) {
	if w.monitor == nil || w.monitor.Method() != bpf.Programs {
		return guest.Holders{}, ErrUnknown
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	held := guest.Holders{Complete: true}
	for _, h := range w.holders.Holders() {
		held.All = append(held.All, guest.Holding{PID: h.PID, Major: h.Major, Minor: h.Minor})
	}
	return held, nil
}

// KnowsHolders says whether Holders can be asked.
func (w *Witness) KnowsHolders() bool {
	return w.monitor != nil && w.monitor.Method() == bpf.Programs && len(majors(context.Background(), w.log)) > 0
}

// Refresh takes the holders anew, and returns how many events were lost since
// the last call.
func (w *Witness) Refresh(ctx context.Context) (lost uint64) {
	if w.monitor == nil {
		return 0
	}
	drops, err := w.monitor.Drops()
	if err != nil {
		w.log.ErrorContext(ctx, "how many events were lost is not known", slog.Any("error", err))
		return 0
	}
	w.mu.Lock()
	before := w.drops
	w.drops = drops
	w.mu.Unlock()
	w.snapshot(ctx)
	return drops.Processes + drops.Opens + drops.Closes + drops.Files - before.Processes - before.Opens - before.Closes - before.Files
}

func (w *Witness) snapshot(ctx context.Context) {
	s, err := w.monitor.Holders()
	if errors.Is(err, bpf.ErrNotWatched) {
		return
	}
	if err != nil {
		w.log.ErrorContext(ctx, "who holds the devices is not known", slog.Any("error", err))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders.Reset(s)
}
