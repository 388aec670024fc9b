package bpf

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// HolderTable keeps who may hold the watched devices between two snapshots. It
// is an upper bound: a child inherits the files of its creator, and that it
// closed its copies since shows in the next snapshot only. A file passed over a
// socket shows in the next snapshot too. The zero value is empty; it is for one
// goroutine.
type HolderTable struct {
	begun     time.Duration
	processes map[int]*holding
}

// holding is one process with its open files of watched devices.
type holding struct {
	start  time.Duration
	cgroup uint64
	ppid   int
	files  map[openFile]bool
}

// openFile is a file by its number; without numbers, all files of a device.
type openFile struct {
	number       uint64
	major, minor uint32
}

func (f openFile) compare(g openFile) int {
	return cmp.Or(cmp.Compare(f.number, g.number), cmp.Compare(f.major, g.major), cmp.Compare(f.minor, g.minor))
}

// Reset replaces the table by a snapshot. Events that were told before it may
// still be applied afterwards.
func (t *HolderTable) Reset(s Snapshot) {
	t.begun = s.Begun
	t.processes = make(map[int]*holding, len(s.Holders))
	for _, h := range s.Holders {
		t.of(h.PID, h.Start, h.Cgroup, h.PPID).files[openFile{h.File, h.Major, h.Minor}] = true
	}
}

// Apply brings the table up to date with an event, in the order of [Monitor.Run].
func (t *HolderTable) Apply(e Event) {
	switch e.Kind {
	case Opened:
		t.of(e.PID, e.Start, e.Cgroup, e.PPID).files[openFile{e.File, e.Major, e.Minor}] = true
	case Closed:
		for pid, h := range t.processes {
			delete(h.files, openFile{e.File, e.Major, e.Minor})
			if len(h.files) == 0 {
				delete(t.processes, pid)
			}
		}
	case Forked:
		// The snapshot shows what a child inherited before it began; what its
		// creator opened later is not the child's.
		if creator := t.processes[e.Creator]; creator != nil && e.Time >= t.begun {
			maps.Copy(t.of(e.PID, e.Start, e.Cgroup, e.PPID).files, creator.files)
		}
	case Exited:
		if h := t.processes[e.PID]; h != nil && h.start == e.Start {
			delete(t.processes, e.PID)
		}
	case Executed, Moved:
		if h := t.processes[e.PID]; h != nil && h.start == e.Start {
			h.cgroup = e.Cgroup
		}
	}
}

// of returns the process, made anew if its id belonged to another one before.
func (t *HolderTable) of(pid int, start time.Duration, cgroup uint64, ppid int) *holding {
	if t.processes == nil {
		t.processes = map[int]*holding{}
	}
	h := t.processes[pid]
	if h == nil || h.start != start {
		h = &holding{start: start, cgroup: cgroup, ppid: ppid, files: map[openFile]bool{}}
		t.processes[pid] = h
	}
	return h
}

// Holders lists the table by process id and file.
func (t *HolderTable) Holders() []Holder {
	var all []Holder
	for _, pid := range slices.Sorted(maps.Keys(t.processes)) {
		h := t.processes[pid]
		for _, f := range slices.SortedFunc(maps.Keys(h.files), openFile.compare) {
			all = append(all, Holder{PID: pid, Start: h.start, Cgroup: h.cgroup, PPID: h.ppid, File: f.number, Major: f.major, Minor: f.minor})
		}
	}
	return all
}
