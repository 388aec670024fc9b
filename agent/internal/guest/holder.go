package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Holding is an open file of a device.
type Holding struct {
	PID          int
	Major, Minor uint32
}

// Holders are the open device files of a host.
type Holders struct {
	All      []Holding
	Complete bool // no other process can hold one
}

// of returns the processes that hold one of some device files.
func (h Holders) of(files []number) []int {
	var pids []int
	for _, held := range h.All {
		if held.PID > 0 && slices.Contains(files, number{held.Major, held.Minor}) {
			pids = append(pids, held.PID)
		}
	}
	return pids
}

// ScanHolders looks through the open files of all processes of the /proc below
// root for those of accelerators bound to VFIO. It takes the device's numbers from
// the open file and not from its name, which is the word of the process. It is for
// hosts without BPF: it needs the right to look into other processes
// (CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH); without it the result is not Complete.
func ScanHolders(root string) (Holders, error) {
	devices, err := readDevices(root)
	if err != nil {
		return Holders{}, err
	}
	var wanted []number
	for _, d := range devices {
		wanted = append(wanted, d.files...)
	}
	holders := Holders{Complete: true}
	if len(wanted) == 0 {
		return holders, nil
	}
	proc := filepath.Join(root, "proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return Holders{}, fmt.Errorf("look for holders: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 0 {
			continue
		}
		found, err := heldBy(filepath.Join(proc, e.Name(), "fd"), wanted)
		if err != nil {
			holders.Complete = false
		}
		for _, n := range found {
			holders.All = append(holders.All, Holding{pid, n.major, n.minor})
		}
	}
	return holders, nil
}

// heldBy returns which of the wanted device files a process has open. A process
// that has ended holds nothing.
func heldBy(dir string, wanted []number) ([]number, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []number
	for _, f := range files {
		var s unix.Statx_t
		// Nothing is asked of a network file system that may hang.
		err := unix.Statx(unix.AT_FDCWD, filepath.Join(dir, f.Name()), unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &s)
		switch {
		case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH): // closed by now
		case err != nil:
			return found, err
		case s.Mode&unix.S_IFMT == unix.S_IFCHR:
			if n := (number{s.Rdev_major, s.Rdev_minor}); slices.Contains(wanted, n) && !slices.Contains(found, n) {
				found = append(found, n)
			}
		}
	}
	return found, nil
}
