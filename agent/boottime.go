package agent

import "golang.org/x/sys/unix"

// boottime returns nanoseconds since the host booted, sleep included, so that
// durations do not depend on the wall clock. 0 when the kernel does not say.
func boottime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}
