package agent

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// steady tells the time by the clock that runs since boot, also while the host
// sleeps, and that nobody can set. It agrees with the wall clock of the moment in
// which it was made: however that is set later, no interval between two samples is
// longer or shorter than it was.
type steady struct {
	offsetNS int64 // added to the time since boot; never 0
}

func newSteady() (steady, error) {
	boot, err := sinceBoot()
	if err != nil {
		return steady{}, err
	}
	// A host without a clock may believe that it is 1970.
	return steady{max(1, time.Now().UnixNano()-boot)}, nil
}

// now is the present, whose time zone is UTC.
func (s steady) now() time.Time {
	boot, err := sinceBoot()
	if err != nil {
		panic(err) // it could be read when s was made
	}
	return time.Unix(0, boot+s.offsetNS).UTC()
}

// skew is how far the wall clock was set since s was made.
func (s steady) skew() time.Duration { return time.Since(s.now()) }

func sinceBoot() (int64, error) {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at); err != nil {
		return 0, fmt.Errorf("read the time since boot, which Linux has since 2.6.39: %w", err)
	}
	return at.Nano(), nil
}
