package bpf

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// release is the version of the running kernel.
type release struct {
	text         string
	major, minor int
}

func kernelRelease() (release, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return release{}, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	return parseRelease(unix.ByteSliceToString(uts.Release[:]))
}

func parseRelease(text string) (release, error) {
	r := release{text: text}
	if _, err := fmt.Sscanf(text, "%d.%d", &r.major, &r.minor); err != nil {
		return release{}, fmt.Errorf("the kernel's release %q has no number: %w", text, err)
	}
	return r, nil
}

func (r release) atLeast(major, minor int) bool {
	return r.major > major || r.major == major && r.minor >= minor
}

// liftLockedMemory lifts this process's limit where the kernel charges maps to
// it, which is before 5.11.
func liftLockedMemory() error {
	r, err := kernelRelease()
	if err != nil {
		return err
	}
	if r.atLeast(5, 11) {
		return nil
	}
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("lift the limit of locked memory, which Linux %s charges for maps: %w", r.text, err)
	}
	return nil
}
