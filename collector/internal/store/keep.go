package store

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// keptBytes bounds what is kept of pages and lists as they are sent.
const keptBytes = 32 << 20

// made is an answer as it is sent.
type made struct {
	value any
	size  int
}

// shelf keeps what was made of answers, the least lately asked for going first.
type shelf struct {
	mu    sync.Mutex
	items map[string]*list.Element
	order list.List // of *item, the latest asked for first
	bytes int
}

type item struct {
	what string
	size int // as counted in bytes of the shelf; of what is not made yet, that of its words
	kept remembered[made]
}

var _ desk.Keeper = (*Reader)(nil)

// Keep returns what make returned for these words, or makes it if something was
// written since, by this program or another, or if it is older than ten seconds: what
// is due is told in days and hours.
func (r *Reader) Keep(ctx context.Context, what string, make func() (any, int, error)) (any, error) {
	it := r.shelf.of(what)
	got, err := it.kept.get(ctx, r.store, func() (made, error) {
		value, size, err := make()
		return made{value, size}, err
	})
	if err != nil {
		return nil, err
	}
	r.shelf.weigh(it, got.size)
	return got.value, nil
}

// of returns the place of what is kept.
func (s *shelf) of(what string) *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.items[what]; ok {
		s.order.MoveToFront(e)
		return e.Value.(*item)
	}
	if s.items == nil {
		s.items = map[string]*list.Element{}
	}
	it := &item{what: what, size: len(what) + itemBytes, kept: remembered[made]{fresh: 10 * time.Second, exact: true}}
	s.items[what] = s.order.PushFront(it)
	s.bytes += it.size
	s.makeRoom()
	return it
}

// itemBytes is about what an item takes beside its words and its answer.
const itemBytes = 512

// weigh counts what an item holds, and makes room.
func (s *shelf) weigh(it *item, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, there := s.items[it.what]; !there || e.Value != it {
		return // it went meanwhile
	}
	size += len(it.what) + itemBytes
	s.bytes += size - it.size
	it.size = size
	s.makeRoom()
}

// makeRoom forgets what was asked for longest ago. The caller holds the lock.
func (s *shelf) makeRoom() {
	for s.bytes > keptBytes && s.order.Len() > 0 {
		last := s.order.Back()
		oldest := last.Value.(*item)
		s.order.Remove(last)
		delete(s.items, oldest.what)
		s.bytes -= oldest.size
	}
}
