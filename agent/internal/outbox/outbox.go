// Package outbox seals windows into signed batches and puts them into the spool.
//
// One outbox serves one host, or the many hosts of a replay. Each host has a
// lane; opening a lane begins a new epoch, whose first batch carries the hash of
// the last batch of the epoch before, so that the collector sees a lost spool.
//
// Windows wait in a lane until a batch is due. What waits there when the process
// dies is gone, and the caller produces it again from Lane.ResumeNS.
package outbox

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Errors that callers decide on.
var (
	// ErrLaneOpen means that the host already has a lane.
	ErrLaneOpen = errors.New("host already has an open lane")
	// ErrClosed is returned by a closed outbox or lane.
	ErrClosed = errors.New("outbox is closed")
	// ErrTooLarge means that one window alone is more than a batch may hold.
	ErrTooLarge = errors.New("window is larger than a batch may be")
)

// Options of an outbox. KeyFor and AgentVersion are required; zero values of the
// others take the defaults.
type Options struct {
	// KeyFor returns the signing key of the host with a name.
	KeyFor func(name string) (ed25519.PrivateKey, error)
	// Host is the id that the collector chose for the one host that there is. Empty
	// lets the id follow from the key; it never follows from the name.
	Host         string
	AgentVersion string
	// A batch is sealed when it holds BatchWindows windows (default 512) or spans
	// BatchSpan of time (default 10 s), and at the end of a Put only: the windows
	// of one Put stay together.
	BatchWindows int
	BatchSpan    time.Duration
	// Thin lets a full spool make windows coarser, and then drop the oldest with a
	// tombstone, so that Put does not wait. Without it Put waits for receipts.
	Thin          bool
	MaxBatchBytes int // largest envelope, default 900 KiB
	// Now returns the wall clock and the time since boot, both in nanoseconds.
	Now   func() (wallNS, boottimeNS int64)
	Spool spool.Options
}

// Outbox owns the spool of a process. Its methods and those of its lanes may be
// called from many goroutines; each lane by one at a time.
type Outbox struct {
	opt   Options
	spool *spool.Spool

	done chan struct{}

	mu     sync.Mutex
	lanes  map[string]*Lane
	closed bool
}

// Open takes the spool in dir. See spool.Open for the errors.
func Open(dir string, o Options) (*Outbox, error) {
	if o.KeyFor == nil {
		return nil, errors.New("open outbox: no way to find the key of a host")
	}
	if o.BatchWindows <= 0 {
		o.BatchWindows = 512
	}
	if o.BatchSpan <= 0 {
		o.BatchSpan = 10 * time.Second
	}
	if o.MaxBatchBytes <= 0 {
		o.MaxBatchBytes = 900 << 10
	}
	if o.Now == nil {
		o.Now = clocks
	}
	s, err := spool.Open(dir, o.Spool)
	if err != nil {
		return nil, fmt.Errorf("open outbox: %w", err)
	}
	return &Outbox{opt: o, spool: s, done: make(chan struct{}), lanes: map[string]*Lane{}}, nil
}

// clocks reads the wall clock and the clock that runs on while a host sleeps
// and can not be set.
func clocks() (wallNS, boottimeNS int64) {
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		panic(fmt.Sprintf("CLOCK_BOOTTIME, in Linux since 2.6.39, can not be read: %v", err))
	}
	return time.Now().UnixNano(), boot.Nano()
}

// Spool returns the spool, for the uplink that ships from it.
func (o *Outbox) Spool() *spool.Spool { return o.spool }

// Open begins an epoch for the host with the given name. The rows describe its
// devices and travel with every batch. It returns ErrLaneOpen while the host has
// a lane that is not closed.
func (o *Outbox) Open(name string, facts wire.HostFacts, bootID string, rows []wire.DeviceRow) (*Lane, error) {
	key, err := o.opt.KeyFor(name)
	if err != nil {
		return nil, fmt.Errorf("key of host %s: %w", name, err)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("key of host %s: not an Ed25519 key", name)
	}
	host := o.opt.Host
	if host == "" {
		host = attest.HostID(public)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, ErrClosed
	}
	if o.lanes[host] != nil {
		return nil, fmt.Errorf("open lane of %s: %w", name, ErrLaneOpen)
	}
	// ResumeNS promises what is durable.
	if err := o.spool.Sync(); err != nil {
		return nil, fmt.Errorf("open lane of %s: %w", name, err)
	}
	epoch, err := o.spool.NextEpoch(host)
	if err != nil {
		return nil, fmt.Errorf("open lane of %s: %w", name, err)
	}
	head, _ := o.spool.Head(host)
	if facts.AgentVersion == "" {
		facts.AgentVersion = o.opt.AgentVersion
	}
	l := &Lane{
		box: o, host: host, facts: facts, bootID: bootID, rows: rows,
		prev: head.Hash, resumeNS: head.ResumeNS, durableNS: head.ResumeNS, span: o.opt.BatchSpan,
	}
	l.key.Store(&key)
	l.epoch.Store(epoch)
	o.lanes[host] = l
	return l, nil
}

// Renew lets the lane of a host, if it still numbers in the given epoch, begin a
// new one with its next batch. It is for an uplink that finds that the collector
// can not take the rest of the epoch.
func (o *Outbox) Renew(host string, epoch uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.lanes[host]; l != nil && l.epoch.Load() == epoch {
		l.renew.Store(true)
	}
}

// Rekey lets the lane of a host sign with another key from the next batch on. The
// chain goes on.
func (o *Outbox) Rekey(host string, key ed25519.PrivateKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.lanes[host]; l != nil {
		l.key.Store(&key)
	}
}

// Sync makes everything that was sealed before the call durable, at the price of
// one fsync for all lanes. It seals nothing: windows that wait in a lane stay
// there. The context is not used, since an fsync can not be broken off.
func (o *Outbox) Sync(context.Context) error { return o.spool.Sync() }

// Close syncs and closes the spool. Lanes that are still open lose what waits in
// them, as a crash would.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	o.closed = true
	close(o.done)
	return o.spool.Close()
}
