package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/flopwatch/flopwatch/bpf"
)

// Joined is a process that set up a communicator of NCCL: evidence that it works
// together with the processes of equal hash, on this host and on others.
type Joined struct {
	PID          int
	Communicator bpf.Communicator
}

// maxJoined bounds what waits to be taken, and maxLibraries the files of NCCL
// that are watched, one for each image of a container.
const (
	maxJoined    = 1024
	maxLibraries = 64
)

// library is a file by its device and inode, as /proc/PID/maps has them.
type library struct {
	device, inode string
}

// libraries are the files of NCCL that are watched.
type libraries struct {
	watched map[library]bool
	looked  map[int]bool // processes whose mappings were looked at
}

// WatchLibraries watches the files of NCCL that the processes have mapped, of
// those that were not looked at before. It does nothing unless a key was given.
// Only names of mapped files are read. A process that set its communicators up
// before it was first seen is not told; the next one that maps the same file is.
func (w *Witness) WatchLibraries(ctx context.Context, pids []int) {
	if w.libraries == nil {
		return
	}
	for _, pid := range pids {
		if w.libraries.looked[pid] {
			continue
		}
		if len(w.libraries.looked) > maxProcessesLooked {
			clear(w.libraries.looked)
		}
		w.libraries.looked[pid] = true
		maps, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
		if err != nil {
			continue // it has ended, or may not be looked at: no evidence then
		}
		for path, file := range mappedNCCL(maps) {
			if w.libraries.watched[file] || len(w.libraries.watched) >= maxLibraries {
				continue
			}
			w.libraries.watched[file] = true // also if it fails: it would again
			if _, err := w.monitor.WatchCommunicators(pid, path); err != nil {
				w.log.WarnContext(ctx, "communicators of a library are not seen", slog.Any("error", err))
			}
		}
	}
}

// maxProcessesLooked bounds the ids that are remembered.
const maxProcessesLooked = 1 << 14

// mappedNCCL returns the paths of NCCL libraries in a /proc/PID/maps. Paths are
// the process's word and only handed to a call that resolves them below its root.
func mappedNCCL(maps []byte) map[string]library {
	found := map[string]library{}
	for line := range bytes.Lines(maps) {
		fields := bytes.Fields(line)
		if len(fields) != 6 || !bytes.Contains(fields[5], []byte("/libnccl.so")) {
			continue
		}
		found[string(fields[5])] = library{string(fields[3]), string(fields[4])}
	}
	return found
}

// TakeJoined returns who joined a communicator since the last call.
func (w *Witness) TakeJoined() []Joined {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.joined
	w.joined = nil
	return list
}

// ReadKey reads the key of the hashes of communicators from a file that nobody
// else may read. It must be the same on all hosts that are to be compared.
func ReadKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key of communicators: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read key of communicators: %s may be read by others: chmod 600", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key of communicators: %w", err)
	}
	key := bytes.TrimSpace(data)
	if len(key) < 16 {
		return nil, errors.New("read key of communicators: shorter than 16 bytes")
	}
	return key, nil
}
