package witness

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/bpf"
)

// briefTable keeps the cgroups of processes that the process connector told of.
// It tells no cgroup, so each is read from /proc when a process runs a program,
// which most do within moments of their start.
type briefTable struct {
	proc      string
	keep      time.Duration
	processes map[int]*brief
	ended     []ending // in the order of their ends
	budget    int      // reads that are left in this second
	second    time.Duration
}

type brief struct {
	paths []string
	ended bool
}

// ending is the end of a process, after which it is forgotten.
type ending struct {
	pid int
	at  time.Duration
}

// readsPerSecond bounds what reading /proc may cost; processes beyond it are not
// known once they have ended.
const readsPerSecond = 500

func newBriefTable(proc string, keep time.Duration) *briefTable {
	return &briefTable{proc: proc, keep: keep, processes: map[int]*brief{}}
}

func (t *briefTable) take(e bpf.Event) {
	if e.Time-t.second >= time.Second {
		t.second, t.budget = e.Time, readsPerSecond
	}
	switch e.Kind {
	case bpf.Forked, bpf.Executed:
		if t.budget == 0 {
			delete(t.processes, e.PID)
			break
		}
		t.budget--
		if paths := t.read(e.PID); paths != nil {
			t.processes[e.PID] = &brief{paths: paths}
		}
	case bpf.Exited:
		if p := t.processes[e.PID]; p != nil && !p.ended {
			p.ended = true
			t.ended = append(t.ended, ending{e.PID, e.Time})
		}
	}
	n := 0
	for ; n < len(t.ended) && e.Time-t.ended[n].at > t.keep; n++ {
		if p := t.processes[t.ended[n].pid]; p != nil && p.ended {
			delete(t.processes, t.ended[n].pid)
		}
	}
	if n > 0 {
		t.ended = append(t.ended[:0], t.ended[n:]...)
	}
}

// read returns the cgroups of a process that lives, nil if it does not.
func (t *briefTable) read(pid int) []string {
	data, err := os.ReadFile(filepath.Join(t.proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return nil
	}
	paths, err := probe.ParseCgroup(bytes.Clone(data))
	if err != nil {
		return nil
	}
	return paths
}

func (t *briefTable) paths(pid int) ([]string, bool) {
	p := t.processes[pid]
	if p == nil {
		return nil, false
	}
	return p.paths, true
}
