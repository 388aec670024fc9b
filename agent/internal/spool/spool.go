// Package spool is the durable queue of signed batches on a host's disk.
//
// Batches are appended as checksummed frames to segment files and may be sent
// only after Sync has returned: a host that sent a batch and then lost it in a
// power cut would use its number again for other content. Frames are read back
// in the order of appending, and whole segments are removed once every frame in
// them is receipted. What a host needs to go on after a restart (its heads)
// stays when all segments are gone.
//
// Nothing is dropped silently. A spool that reaches its bound says ErrFull. A
// tail that a crash tore is cut off, because it was never synced; damage
// anywhere else is reported as a LostRange.
package spool

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
)

// Errors that callers decide on.
var (
	// ErrFull means that the bound, or the disk, is reached: wait on Space for a
	// release and append again.
	ErrFull = errors.New("spool is full")
	// ErrLocked means that another process holds the spool.
	ErrLocked = errors.New("spool is held by another process")
	// ErrFailed wraps the first failed write or fsync. The spool refuses all
	// work from then on, because after a failed fsync nobody knows what is on
	// disk; opening it again finds out.
	ErrFailed = errors.New("spool has failed and must be opened again")
	// ErrOrder means that a frame does not follow the one before of its host.
	ErrOrder = errors.New("batch is out of order")
	// ErrClosed is returned by a closed spool.
	ErrClosed = errors.New("spool is closed")
	// ErrCorrupt means that a frame that was good when the spool was opened is
	// not any more. Opening again reports what is lost.
	ErrCorrupt = errors.New("frame is damaged on disk")
)

// Options of a spool. Zero values take the defaults.
type Options struct {
	MaxBytes     int64 // bound of all segments together, default 512 MiB
	SegmentBytes int64 // a segment ends at or above this, default 8 MiB
	// RetainBytes keeps receipted segments up to this total, so that a collector
	// that was restored from a backup can be served again. Default 0.
	RetainBytes int64
	// Shared names the host whose spool another process reads, see Follow. Empty
	// keeps the spool to this process.
	Shared string
	// FirstEpoch is the smallest epoch that is numbered in, for a host of which a
	// collector counted others before.
	FirstEpoch uint64
	FS         FS // default the operating system's
}

// Position is a place between two frames of a spool.
type Position struct {
	Segment uint64
	Offset  int64
	// instance of the spool that it is a place of, 0 where that does not matter.
	instance uint64
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	return p.Segment < q.Segment || p.Segment == q.Segment && p.Offset < q.Offset
}

type segment struct {
	number uint64
	size   int64
	thin   bool // thinning it again would gain nothing
}

type epochOf struct {
	host  string
	epoch uint64
}

// Spool is an open spool. Its methods may be called from many goroutines.
type Spool struct {
	dir   string
	fs    FS
	opt   Options
	lock  *os.File
	wake  chan struct{}
	space chan struct{}

	recovery Recovery

	mu         sync.Mutex
	segments   []segment // oldest first; the last one is active when active != nil
	active     File
	base       int64 // where the batches of the active segment begin
	nextNumber uint64
	total      int64
	synced     Position
	released   Position
	generation uint64
	instance   uint64 // changes when positions lose their meaning
	heads      map[string]Head
	hidden     uint64             // segments from this number on are being replaced, 0 if none is
	orphans    map[epochOf]uint64 // batches with a greater number can not be delivered
	failed     error
	closed     bool
}

// Open takes the spool in dir, creating it if it is not there, and repairs what
// a crash left. It returns ErrLocked when another process holds the spool.
func Open(dir string, o Options) (*Spool, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 512 << 20
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 8 << 20
	}
	if o.FS == nil {
		o.FS = diskFS{}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create spool folder: %w", err)
	}
	lock, err := TakeLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	s := &Spool{
		dir: dir, fs: o.FS, opt: o, lock: lock,
		wake: make(chan struct{}, 1), space: make(chan struct{}, 1),
		heads: map[string]Head{}, orphans: map[epochOf]uint64{},
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", dir, err), lock.Close())
	}
	return s, nil
}

// Instance changes when positions in the spool lose their meaning.
func (s *Spool) Instance() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instance
}

// Dir returns the folder of the spool.
func (s *Spool) Dir() string { return s.dir }

// Recovery returns what Open found and repaired.
func (s *Spool) Recovery() Recovery { return s.recovery }

// Wake returns a channel that holds a value after a Sync that made new frames
// readable. It has one reader.
func (s *Spool) Wake() <-chan struct{} { return s.wake }

// Space returns a channel that holds a value after a release. A waiter that
// took the value and needs no more should not rely on others being woken.
func (s *Spool) Space() <-chan struct{} { return s.space }

// Head returns the newest batch of a host that was appended.
func (s *Spool) Head(host string) (Head, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.heads[host]
	return h, ok
}

// Heads returns the heads of all hosts.
func (s *Spool) Heads() map[string]Head {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.heads)
}

// NextEpoch returns the epoch in which a host starts to number its batches
// anew. It is greater than every epoch that can have been sent, even one whose
// frames are damaged beyond recognition: each opening of the spool stores a new
// lower bound first.
func (s *Spool) NextEpoch(host string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	epoch := max(s.heads[host].Last.Epoch+1, s.generation)
	if epoch > s.generation {
		s.generation = epoch
		if err := s.writeHeads(); err != nil {
			return 0, err
		}
	}
	return epoch, nil
}

// Bytes returns the size of all segments together.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// usable reports why nothing can be done any more. The lock is held.
func (s *Spool) usable() error {
	switch {
	case s.failed != nil:
		return s.failed
	case s.closed:
		return ErrClosed
	}
	return nil
}

// fail records the first failure; the lock is held.
func (s *Spool) fail(what string, err error) error {
	if s.failed == nil {
		s.failed = fmt.Errorf("%s: %w: %w", what, ErrFailed, err)
	}
	return s.failed
}

// Close syncs what was appended, stores the heads and lets go of the spool.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	err := s.failed
	if err == nil {
		err = s.writeHeads()
	}
	s.closed = true
	if s.active != nil {
		err = errors.Join(err, s.active.Close())
	}
	return errors.Join(err, s.lock.Close())
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
