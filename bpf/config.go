package bpf

import (
	"errors"
	"fmt"
	"time"
)

// Method is how a monitor learns what happens.
type Method string

const (
	// AnyMethod is as much of Programs as the kernel allows, else Connector.
	AnyMethod Method = ""
	// Programs is BPF in the kernel: all events.
	Programs Method = "bpf"
	// Connector is the process connector of netlink: Forked, Executed and Exited
	// only, without start, cgroup and creator, and a process seems to end with
	// its first thread.
	Connector Method = "connector"
)

// Bounds and defaults of the settings.
const (
	DefaultRingBytes = 4 << 20
	DefaultInterval  = 20 * time.Millisecond
	minRingBytes     = 4096
	maxRingBytes     = 1 << 30
	minKeyBytes      = 16
	maxMajors        = 64
	maxFlows         = 1 << 20
	maxRecall        = 1 << 20
	// recalledPaths is how many paths of cgroups are kept beside them.
	recalledPaths = 2048
)

// Config says what to watch. The zero value watches processes only.
type Config struct {
	// Method is the way to use.
	Method Method
	// Devices watches opens and closes of the character devices whose majors
	// [Monitor.SetMajors] names.
	Devices bool
	// Majors are the first majors to watch, at most 64.
	Majors []uint32
	// Flows is how many pairs of cgroup and peer are counted between two calls of
	// [Monitor.Traffic]; 0 counts no traffic. More pairs are counted as drops.
	Flows int
	// Recall is how many processes the kernel keeps for [Monitor.Recall] instead of
	// telling of them in events; the ones not touched for longest are forgotten
	// first. 0 tells of each. With Programs only.
	Recall int
	// CommunicatorKey is the key of the hashes of communicators, at least 16
	// bytes and the same on all hosts that are to be compared. Without it
	// [Monitor.WatchCommunicators] refuses.
	CommunicatorKey []byte
	// RingBytes is the room for events that wait in the kernel, a power of two;
	// 0 is DefaultRingBytes, room for about 60,000 events.
	RingBytes int
	// Interval is how long an event may wait in the kernel while fewer than an
	// eighth of RingBytes wait; 0 is DefaultInterval.
	Interval time.Duration
}

func (c *Config) validate() error {
	var errs []error
	if c.Method != AnyMethod && c.Method != Programs && c.Method != Connector {
		errs = append(errs, fmt.Errorf("method %q is none of %q, %q", c.Method, Programs, Connector))
	}
	if len(c.Majors) > maxMajors {
		errs = append(errs, fmt.Errorf("%d majors, at most %d can be watched", len(c.Majors), maxMajors))
	}
	if len(c.Majors) > 0 && !c.Devices {
		errs = append(errs, errors.New("majors are given, but Devices is not set"))
	}
	if c.Flows < 0 || c.Flows > maxFlows {
		errs = append(errs, fmt.Errorf("%d flows, want 0 to %d", c.Flows, maxFlows))
	}
	if n := len(c.CommunicatorKey); n > 0 && n < minKeyBytes {
		errs = append(errs, fmt.Errorf("communicator key of %d bytes, want at least %d", n, minKeyBytes))
	}
	if n := c.RingBytes; n != 0 && (n < minRingBytes || n > maxRingBytes || n&(n-1) != 0) {
		errs = append(errs, fmt.Errorf("ring of %d bytes, want a power of two from %d to %d", n, minRingBytes, maxRingBytes))
	}
	if c.Recall < 0 || c.Recall > maxRecall {
		errs = append(errs, fmt.Errorf("%d processes to recall, want 0 to %d", c.Recall, maxRecall))
	}
	if c.Interval < 0 {
		errs = append(errs, fmt.Errorf("interval %v is negative", c.Interval))
	}
	return errors.Join(errs...)
}

// withDefaults returns the settings with the zeros that stand for defaults
// replaced.
func (c Config) withDefaults() Config {
	if c.RingBytes == 0 {
		c.RingBytes = DefaultRingBytes
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	return c
}
