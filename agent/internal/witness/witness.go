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
	Log    *slog.Logger
}

// Witness remembers processes. Its methods may be called from any goroutine.
type Witness struct {
	monitor *bpf.Monitor // nil: knows nothing
	keep    time.Duration
	log     *slog.Logger
	names   *cgroupNames

	mu        sync.Mutex
	processes map[int]*process // newest of each id
	ended     []ending         // in the order of their ends
	holders   bpf.HolderTable
	drops     bpf.Drops
}

// process is one process as events told it.
type process struct {
	start  time.Duration // since boot
	cgroup uint64
	ended  bool
}

// ending is the end of a process, after which it is forgotten.
type ending struct {
	pid   int
	start time.Duration
	at    time.Duration
}

// maxProcesses bounds what is remembered; beyond it processes are forgotten at
// their end.
const maxProcesses = 1 << 17

// Open begins to watch. A host that allows neither way is no error: By then says
// ByProc, and why is logged.
func Open(ctx context.Context, c Config) *Witness {
	if c.Keep <= 0 {
		c.Keep = 5 * time.Second
	}
	w := &Witness{keep: c.Keep, log: c.Log, names: openCgroupNames(), processes: map[int]*process{}}
	// Events are taken when they are asked for, or twice a second: waking for
	// each would cost more than all the rest of the agent. A cgroup that comes and
	// goes in between has no name then.
	config := bpf.Config{Method: c.Method, Interval: 500 * time.Millisecond, RingBytes: 1 << 20}
	if c.Method != bpf.Connector {
		config.Devices, config.Majors = true, majors(ctx, c.Log)
	}
	monitor, err := bpf.Open(config)
	debug.FreeOSMemory() // what the kernel's types took to read is not needed again
	if err != nil {
		c.Log.WarnContext(ctx, "processes between samples are not seen", slog.Any("error", err))
		return w
	}
	w.monitor = monitor
	if err := monitor.Refused(); err != nil {
		c.Log.WarnContext(ctx, "BPF is not allowed here", slog.Any("error", err))
	}
	w.snapshot(ctx)
	return w
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
	err := w.names.close()
	if w.monitor != nil {
		err = errors.Join(err, w.monitor.Close())
	}
	return err
}

// take brings what is known up to date with an event.
func (w *Witness) take(e bpf.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders.Apply(e)
	switch e.Kind {
	case bpf.Forked, bpf.Executed, bpf.Moved:
		p := w.processes[e.PID]
		if p == nil || p.start != e.Start {
			if len(w.processes) >= maxProcesses {
				return
			}
			p = &process{start: e.Start}
			w.processes[e.PID] = p
		}
		if e.Cgroup != 0 {
			p.cgroup = e.Cgroup
			w.names.learn(e.Cgroup)
		}
	case bpf.Exited:
		p := w.processes[e.PID]
		if p == nil || (e.Start != 0 && p.start != e.Start) {
			// It began before the watch: its last cgroup comes with its end.
			if len(w.processes) >= maxProcesses {
				return
			}
			p = &process{start: e.Start}
			w.processes[e.PID] = p
		}
		if e.Cgroup != 0 {
			p.cgroup = e.Cgroup
			w.names.learn(e.Cgroup)
		}
		p.ended = true
		w.ended = append(w.ended, ending{e.PID, p.start, e.Time})
	}
	w.forget(e.Time)
}

// forget drops the processes that ended long enough ago.
func (w *Witness) forget(now time.Duration) {
	n := 0
	for ; n < len(w.ended) && now-w.ended[n].at > w.keep; n++ {
		gone := w.ended[n]
		if p := w.processes[gone.pid]; p != nil && p.ended && p.start == gone.start {
			delete(w.processes, gone.pid)
		}
	}
	if n > 0 {
		w.ended = append(w.ended[:0], w.ended[n:]...)
	}
}

// catchUpWait bounds how long CatchUp takes.
const catchUpWait = 200 * time.Millisecond

// CatchUp takes the events that wait in the kernel, so that what happened before
// the call is known after it.
func (w *Witness) CatchUp(ctx context.Context) {
	if w.monitor == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	if err := w.monitor.CatchUp(ctx); err != nil && !errors.Is(err, context.Canceled) {
		w.log.WarnContext(ctx, "events of processes are late", slog.Any("error", err))
	}
}

// Ended returns a process that is gone, if it ended within the time that ended
// processes are kept and its cgroup is known.
func (w *Witness) Ended(pid int) (probe.Process, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.processes[pid]
	if p == nil || p.cgroup == 0 {
		return probe.Process{}, false
	}
	path, ok := w.names.path(p.cgroup)
	if !ok {
		return probe.Process{}, false
	}
	names, workload := probe.Resolve([]string{path})
	return probe.Process{PID: pid, UID: -1, Names: names, Workload: workload, Ended: p.ended}, true
}

// Holders returns the ids of the processes that may hold a device file, without
// the caller's own children. It is an upper bound: to hold is not to use.
func (w *Witness) Holders(major, minor uint32) []int {
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
