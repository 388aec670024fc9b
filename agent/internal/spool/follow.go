package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// ErrNotShared means that no process has offered this spool for reading yet.
var ErrNotShared = errors.New("spool is not offered for reading: is the sampler running?")

// How often a follower looks for more: often where the kernel does not tell of
// changes, since a host seals a batch every ten seconds and this is added to its
// way; seldom where it does, since each look wakes the processor.
const (
	followEvery   = 200 * time.Millisecond
	followWatched = 5 * time.Second
)

// Follower reads a spool that another process writes. It changes nothing in the
// spool's folder: what is receipted is for the writer to find out and to remove.
type Follower struct {
	// Looked, if set before Run, is called after each look that could be made.
	Looked func()

	dir  string
	fs   FS
	wake chan struct{}

	mu        sync.Mutex
	view      view
	receipted map[string]Mark
}

// Follow opens the spool in dir for reading. It returns ErrNotShared as long as
// no writer has been there.
func Follow(dir string, fsys FS) (*Follower, error) {
	if fsys == nil {
		fsys = diskFS{}
	}
	f := &Follower{dir: dir, fs: fsys, wake: make(chan struct{}, 1), receipted: map[string]Mark{}}
	if _, err := f.refresh(); err != nil {
		return nil, err
	}
	return f, nil
}

// Run looks for more to read until ctx ends. A writer that is away is waited for.
func (f *Follower) Run(ctx context.Context) error {
	changes, every := make(chan struct{}, 1), followEvery
	watching := make(chan struct{})
	ctx, stop := context.WithCancel(ctx)
	if w, err := watchFolder(f.dir); err != nil {
		close(watching)
	} else {
		every = followWatched
		go func() {
			defer close(watching)
			w.run(ctx, changes)
		}()
	}
	defer func() {
		stop()
		<-watching
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := f.look(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		case <-tick.C:
			if every == followWatched && closed(watching) {
				every = followEvery
				tick.Reset(every)
			}
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// look refreshes, and wakes the reader when there is more.
func (f *Follower) look() error {
	changed, err := f.refresh()
	if err != nil && !errors.Is(err, ErrNotShared) {
		return err
	}
	if changed {
		signal(f.wake)
	}
	if f.Looked != nil {
		f.Looked()
	}
	return nil
}

// refresh reads the view and reports whether it is another one.
func (f *Follower) refresh() (changed bool, err error) {
	data, err := readWhole(f.fs, filepath.Join(f.dir, readableName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("follow %s: %w", f.dir, ErrNotShared)
	} else if err != nil {
		return false, fmt.Errorf("follow spool: %w", err)
	}
	var v view
	if err := json.Unmarshal(data, &v); err != nil || v.Host == "" {
		// After a power cut the file may be empty until the writer is back.
		return false, fmt.Errorf("follow %s: %w", f.dir, ErrNotShared)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	same := v.Instance == f.view.Instance && slices.Equal(v.Segments, f.view.Segments)
	f.view = v
	return !same, nil
}

// Host returns the host whose batches the spool holds.
func (f *Follower) Host() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view.Host
}

// Dir returns the folder of the spool.
func (f *Follower) Dir() string { return f.dir }

// Wake returns a channel that holds a value after more became readable.
func (f *Follower) Wake() <-chan struct{} { return f.wake }

// Instance changes when positions in the spool lose their meaning.
func (f *Follower) Instance() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view.Instance
}

// Heads returns the newest batch of each host.
func (f *Follower) Heads() map[string]Head {
	f.mu.Lock()
	defer f.mu.Unlock()
	heads := make(map[string]Head, len(f.view.Heads))
	for _, v := range f.view.Heads {
		h := Head{Host: v.Host, Last: v.Last, Receipted: v.Receipted}
		copy(h.Hash[:], v.Hash)
		heads[v.Host] = h
	}
	for host, m := range f.receipted {
		if h, ok := heads[host]; ok {
			h.Receipted = m
			heads[host] = h
		}
	}
	return heads
}

// Head returns the newest batch of one host.
func (f *Follower) Head(host string) (Head, bool) {
	h, ok := f.Heads()[host]
	return h, ok
}

// Receipted remembers a receipt for Heads. The writer hears of it elsewhere.
func (f *Follower) Receipted(host string, m Mark) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receipted[host] = m
}

// Rewind is for the writer: a follower removes nothing that it would want back.
func (f *Follower) Rewind(string, Mark) {}

// Release does nothing: only the writer removes, by receipts that it verified.
func (f *Follower) Release(Position) error { return nil }

// Cursor returns a reader at the oldest batch.
func (f *Follower) Cursor() *Cursor { return &Cursor{s: f} }

func (f *Follower) locate(p *Position) (limit int64, instance uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, seg := range f.view.Segments {
		if seg.Number < p.Segment {
			continue
		}
		if seg.Number > p.Segment {
			*p = Position{Segment: seg.Number, instance: p.instance}
		}
		if p.Offset == 0 {
			p.Offset = int64(len(segmentMagic))
		}
		if p.Offset < seg.Size {
			return seg.Size, f.view.Instance, true
		}
	}
	return 0, 0, false
}

func (f *Follower) deliverable(b Frame) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.view.Orphans {
		if o.Host == b.Host && o.Epoch == b.Epoch && b.Seq > o.After {
			return false
		}
	}
	return true
}

// replaced looks at what the writer says now. A reader that holds what was put in
// place of what it knew is woken to begin anew.
func (f *Follower) replaced(instance uint64) bool {
	if changed, err := f.refresh(); err != nil {
		return errors.Is(err, ErrNotShared) // the writer is beginning anew
	} else if changed {
		signal(f.wake)
	}
	return f.Instance() != instance
}

// openSegment returns io.EOF for a segment that the writer has removed since the
// view was read: the next view does not name it.
func (f *Follower) openSegment(number uint64) (File, error) {
	file, err := f.fs.Open(segmentPath(f.dir, number), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, io.EOF
	}
	return file, err
}
