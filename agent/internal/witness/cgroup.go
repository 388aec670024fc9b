package witness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kernfsHandle is the kernel's type of a file handle that holds a 64-bit id alone.
const kernfsHandle = 0xfe

// cgroupMounts are where the unified hierarchy is: at its usual place, or beside
// the older ones.
var cgroupMounts = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

// cgroupPath turns the kernel's id of a cgroup that is there into its path. The
// id is a file handle of the cgroup file system, so that one call opens the
// folder. It needs CAP_DAC_READ_SEARCH.
func cgroupPath(id uint64) (string, error) {
	var errs []error
	for _, mount := range cgroupMounts {
		var fs unix.Statfs_t
		if unix.Statfs(mount, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		path, err := openCgroup(mount, id)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("name cgroup %d: %w", id, errors.Join(errs...))
}

func openCgroup(mount string, id uint64) (string, error) {
	root, err := unix.Open(mount, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", mount, err)
	}
	defer func() { _ = unix.Close(root) }() // opened for its handle only
	var raw [8]byte
	binary.NativeEndian.PutUint64(raw[:], id)
	fd, err := unix.OpenByHandleAt(root, unix.NewFileHandle(kernfsHandle, raw[:]), unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("open by its handle below %s: %w", mount, err)
	}
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	_ = unix.Close(fd) // opened for its name only
	if err != nil {
		return "", fmt.Errorf("read its name: %w", err)
	}
	path = strings.TrimSuffix(strings.TrimPrefix(path, mount), " (deleted)")
	if path == "" {
		path = "/"
	}
	return path, nil
}
