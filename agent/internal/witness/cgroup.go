package witness

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupNames turns the kernel's id of a cgroup into its path. The id is a file
// handle of the cgroup file system, so that one call opens the folder; a cgroup
// that was removed has none any more, which is why ids are learned when they are
// first seen.
type cgroupNames struct {
	root  int    // the unified hierarchy, -1 if it is not mounted
	mount string // its path
	paths map[uint64]string
}

// kernfsHandle is the kernel's type of a handle that holds a 64-bit id alone.
const kernfsHandle = 0xfe

// maxPaths bounds what is remembered.
const maxPaths = 1 << 14

// openCgroupNames opens the unified hierarchy, at its usual place or beside the
// older ones.
func openCgroupNames() *cgroupNames {
	n := &cgroupNames{root: -1, paths: map[uint64]string{}}
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(mount, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		fd, err := unix.Open(mount, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			n.root, n.mount = fd, mount
			break
		}
	}
	return n
}

func (n *cgroupNames) close() error {
	if n.root < 0 {
		return nil
	}
	err := unix.Close(n.root)
	n.root = -1
	if err != nil {
		return fmt.Errorf("close the cgroup file system: %w", err)
	}
	return nil
}

// learn finds the path of an id while the cgroup is there.
func (n *cgroupNames) learn(id uint64) {
	if _, known := n.paths[id]; known || n.root < 0 {
		return
	}
	path, err := n.find(id)
	if err != nil {
		return // it was removed already, or handles are not allowed: then it stays unknown
	}
	if len(n.paths) >= maxPaths {
		clear(n.paths)
	}
	n.paths[id] = path
}

func (n *cgroupNames) find(id uint64) (string, error) {
	var raw [8]byte
	binary.NativeEndian.PutUint64(raw[:], id)
	fd, err := unix.OpenByHandleAt(n.root, unix.NewFileHandle(kernfsHandle, raw[:]), unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("open cgroup %d: %w", id, err)
	}
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	_ = unix.Close(fd) // opened for its name only
	if err != nil {
		return "", fmt.Errorf("name cgroup %d: %w", id, err)
	}
	path = strings.TrimSuffix(strings.TrimPrefix(path, n.mount), " (deleted)")
	if path == "" {
		path = "/"
	}
	return path, nil
}

// path returns the path of an id below the hierarchy's root.
func (n *cgroupNames) path(id uint64) (string, bool) {
	n.learn(id)
	path, ok := n.paths[id]
	return path, ok
}
