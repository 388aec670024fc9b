package bpf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotWatched says that a monitor cannot answer: it was not asked to watch
// this, or its method cannot.
var ErrNotWatched = errors.New("not watched")

// Monitor watches the host. Its methods may be called from several goroutines;
// Run by one at a time. It starts no goroutine of its own.
type Monitor struct {
	config    Config
	programs  *programs  // nil with Connector
	connector *connector // nil with Programs
	refused   error
}

// Open starts watching: events from now on wait for [Monitor.Run]. With
// AnyMethod what the kernel does not let watch is left out, and the process
// connector takes the place of programs that are refused altogether; see
// [Monitor.Refused]. With Programs and Connector, all is watched that the method
// promises, or nothing. The error names every way that was tried, and matches
// fs.ErrPermission when rights are missing.
func Open(config Config) (*Monitor, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("open monitor: %w", err)
	}
	m := &Monitor{config: config.withDefaults()}
	if config.Method != Connector {
		if m.programs, m.refused = openPrograms(&m.config); m.refused == nil {
			return m, nil
		}
		if config.Method == Programs {
			return nil, fmt.Errorf("open monitor: %w", m.refused)
		}
	}
	var err error
	if m.connector, err = openConnector(); err != nil {
		return nil, fmt.Errorf("open monitor: %w", errors.Join(m.refused, err))
	}
	return m, nil
}

// Method says which way is in use: Programs or Connector.
func (m *Monitor) Method() Method {
	if m.programs != nil {
		return Programs
	}
	return Connector
}

// Refused says what was asked for and is not watched, and why; nil if all is.
func (m *Monitor) Refused() error {
	if m.programs != nil {
		return m.programs.missing
	}
	return m.refused
}

// Run hands each event to handle, in the order in which the kernel told them,
// until ctx ends; then it returns nil. Any other end is an error. Events come at
// most Config.Interval late. handle is called on the caller's goroutine and
// holds up the following events.
func (m *Monitor) Run(ctx context.Context, handle func(Event)) error {
	if m.programs != nil {
		return m.programs.run(ctx, m.config.Interval, handle)
	}
	return m.connector.run(ctx, m.config.Interval, handle)
}

// Drops counts what could not be told since Open.
func (m *Monitor) Drops() (Drops, error) {
	if m.programs != nil {
		return m.programs.readDrops()
	}
	return m.connector.readDrops(), nil
}

// Close detaches everything. A Run that is under way ends with an error.
func (m *Monitor) Close() error {
	if m.programs != nil {
		return m.programs.close()
	}
	return m.connector.close()
}

// SinceBoot is the present on the clock of the events: time since boot,
// suspended time included.
func SinceBoot() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read the clock since boot: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
