package bpf

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Holder is a process that has an open file of a watched device. A process that
// holds one file through several descriptors is one holder.
type Holder struct {
	PID          int
	Start        time.Duration // of the process, since boot
	Cgroup       uint64        // of the process, in the unified hierarchy
	PPID         int
	File         uint64 // number of the open file, as in events; 0 when they tell none
	Major, Minor uint32
}

// Snapshot is who held the watched devices at one time.
type Snapshot struct {
	Begun   time.Duration // since boot; the kernel was walked from then on
	Holders []Holder
}

// Holders walks the open files of all processes, which costs about a microsecond
// for each file. It sees inherited and passed descriptors, which events do not
// tell, but not a file that is only mapped any more. [ErrNotWatched] without
// Config.Devices.
func (m *Monitor) Holders() (Snapshot, error) {
	if m.programs == nil || m.programs.holders == nil {
		return Snapshot{}, fmt.Errorf("list holders of devices: %w", ErrNotWatched)
	}
	begun, err := SinceBoot()
	if err != nil {
		return Snapshot{}, fmt.Errorf("list holders of devices: %w", err)
	}
	walk, err := m.programs.holders.Open()
	if err != nil {
		return Snapshot{}, fmt.Errorf("list holders of devices: %w", err)
	}
	data, err := io.ReadAll(walk)
	if err := errors.Join(err, walk.Close()); err != nil {
		return Snapshot{}, fmt.Errorf("list holders of devices: %w", err)
	}
	holders, err := decodeHolders(data)
	if err != nil {
		return Snapshot{}, fmt.Errorf("list holders of devices: %w", err)
	}
	return Snapshot{Begun: begun, Holders: distinct(holders)}, nil
}

// distinct leaves each pair of process and file once.
func distinct(holders []Holder) []Holder {
	type pair struct {
		pid  int
		file openFile
	}
	seen := make(map[pair]bool, len(holders))
	kept := holders[:0]
	for _, h := range holders {
		if key := (pair{h.PID, openFile{h.File, h.Major, h.Minor}}); !seen[key] {
			seen[key] = true
			kept = append(kept, h)
		}
	}
	return kept
}

// TellsCloses says whether Closed is told, and opens have numbers. Where it is
// not, since the kernel lets no function be hooked, an Opened is an attempt that
// may have failed or a mere question (access), and only the next Holders shows
// that a file was closed.
func (m *Monitor) TellsCloses() bool {
	return m.programs != nil && m.config.Devices && m.programs.hooks.closes
}
