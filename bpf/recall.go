package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// Recalled is a process that the kernel kept. Times are since boot.
type Recalled struct {
	Start  time.Duration
	Ended  time.Duration // 0 while it lives
	Reused time.Duration // when the id passed to it from an earlier process, 0 if it did not since it is kept
	Cgroup uint64        // the last one, in the unified hierarchy
}

// Recall returns the newest process of an id, if the kernel keeps one.
// [ErrNotWatched] without Config.Recall.
func (m *Monitor) Recall(pid int) (Recalled, bool, error) {
	if m.programs == nil || m.config.Recall == 0 {
		return Recalled{}, false, fmt.Errorf("recall process %d: %w", pid, ErrNotWatched)
	}
	var r monitorRecalled
	err := m.programs.loaded.Maps[monitorMapProcesses].Lookup(uint32(pid), &r)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return Recalled{}, false, nil
	}
	if err != nil {
		return Recalled{}, false, fmt.Errorf("recall process %d: %w", pid, err)
	}
	return Recalled{Start: time.Duration(r.Start), Ended: time.Duration(r.Ended), Reused: time.Duration(r.Reused), Cgroup: r.Cgroup}, true, nil
}

// CgroupPath returns the path of a cgroup that was made since Open, below the
// root of the unified hierarchy, also when it is gone. A path longer than 254
// bytes is not kept. [ErrNotWatched] without Config.Recall.
func (m *Monitor) CgroupPath(id uint64) (string, bool, error) {
	if m.programs == nil || m.config.Recall == 0 {
		return "", false, fmt.Errorf("recall cgroup %d: %w", id, ErrNotWatched)
	}
	var path [256]byte
	err := m.programs.loaded.Maps[monitorMapCgroupPaths].Lookup(id, &path)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("recall cgroup %d: %w", id, err)
	}
	text, _, _ := bytes.Cut(path[:], []byte{0})
	return string(text), true, nil
}
