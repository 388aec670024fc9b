package bpf

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHolderTable(t *testing.T) {
	var table HolderTable
	holder := func(pid int, start time.Duration, cgroup, file uint64) Holder {
		return Holder{PID: pid, Start: start, Cgroup: cgroup, File: file, Major: 195}
	}
	want := func(step string, holders ...Holder) {
		t.Helper()
		if got := table.Holders(); !slices.Equal(got, holders) {
			t.Errorf("%s: %+v, want %+v", step, got, holders)
		}
	}
	table.Apply(Event{Kind: Opened, Time: 10, PID: 1, Start: 1, Cgroup: 7, File: 1, Major: 195})
	want("open", holder(1, 1, 7, 1))
	table.Apply(Event{Kind: Forked, Time: 20, PID: 2, Start: 20, Cgroup: 7, Creator: 1})
	want("inherited", holder(1, 1, 7, 1), holder(2, 20, 7, 1))
	table.Apply(Event{Kind: Moved, Time: 30, PID: 2, Start: 20, Cgroup: 8})
	table.Apply(Event{Kind: Exited, Time: 40, PID: 1, Start: 1})
	want("moved, creator ended", holder(2, 20, 8, 1))
	table.Apply(Event{Kind: Exited, Time: 41, PID: 2, Start: 5})
	want("another process of that id ended", holder(2, 20, 8, 1))
	table.Apply(Event{Kind: Opened, Time: 42, PID: 2, Start: 30, Cgroup: 9, File: 2, Major: 195})
	want("the id is used again", holder(2, 30, 9, 2))
	table.Apply(Event{Kind: Closed, Time: 50, File: 2, Major: 195})
	want("closed")

	table.Reset(Snapshot{Begun: 100, Holders: []Holder{holder(3, 60, 7, 5)}})
	table.Apply(Event{Kind: Forked, Time: 90, PID: 4, Start: 90, Creator: 3})
	want("a fork of before the snapshot", holder(3, 60, 7, 5))
	table.Apply(Event{Kind: Forked, Time: 110, PID: 4, Start: 110, Cgroup: 7, Creator: 3})
	want("a fork after it", holder(3, 60, 7, 5), holder(4, 110, 7, 5))
}

// The table holds at least what a host of processes, files and descriptors holds,
// after any history.
func TestHolderTableIsAnUpperBound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var table HolderTable
	host := map[int]map[uint64]bool{1: {}} // process → files
	starts := map[int]time.Duration{1: 1}
	pids := func() []int {
		var all []int
		for pid := range host {
			all = append(all, pid)
		}
		slices.Sort(all)
		return all
	}
	nextPID, nextFile := 2, uint64(1)
	for now := time.Duration(2); now < 20_000; now++ {
		alive := pids()
		pid := alive[random.IntN(len(alive))]
		switch random.IntN(6) {
		case 0:
			host[pid][nextFile] = true
			table.Apply(Event{Kind: Opened, Time: now, PID: pid, Start: starts[pid], File: nextFile})
			nextFile++
		case 1:
			if len(alive) > 30 {
				continue
			}
			host[nextPID], starts[nextPID] = map[uint64]bool{}, now
			for file := range host[pid] {
				host[nextPID][file] = true
			}
			table.Apply(Event{Kind: Forked, Time: now, PID: nextPID, Start: now, Creator: pid})
			nextPID++
		case 2:
			if pid == 1 {
				continue
			}
			table.Apply(Event{Kind: Exited, Time: now, PID: pid, Start: starts[pid]})
			ended := host[pid]
			delete(host, pid)
			for file := range ended {
				closeUnheld(&table, host, file, now)
			}
		case 3, 4:
			for file := range host[pid] {
				delete(host[pid], file)
				closeUnheld(&table, host, file, now)
				break
			}
		case 5:
			if now%100 == 0 {
				table.Reset(snapshotOf(host, starts, now))
			}
		}
		told := map[int]map[uint64]bool{}
		for _, h := range table.Holders() {
			if told[h.PID] == nil {
				told[h.PID] = map[uint64]bool{}
			}
			told[h.PID][h.File] = true
		}
		for pid, files := range host {
			for file := range files {
				if !told[pid][file] {
					t.Fatalf("at %d process %d holds file %d, which the table does not know", now, pid, file)
				}
			}
		}
	}
	table.Reset(snapshotOf(host, starts, 20_000))
	exact := 0
	for _, files := range host {
		exact += len(files)
	}
	if n := len(table.Holders()); n != exact {
		t.Errorf("%d holders after a snapshot of %d", n, exact)
	}
}

func closeUnheld(table *HolderTable, host map[int]map[uint64]bool, file uint64, now time.Duration) {
	for _, files := range host {
		if files[file] {
			return
		}
	}
	table.Apply(Event{Kind: Closed, Time: now, File: file})
}

func snapshotOf(host map[int]map[uint64]bool, starts map[int]time.Duration, now time.Duration) Snapshot {
	s := Snapshot{Begun: now}
	for pid, files := range host {
		for file := range files {
			s.Holders = append(s.Holders, Holder{PID: pid, Start: starts[pid], File: file})
		}
	}
	return s
}
