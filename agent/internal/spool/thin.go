package spool

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Replace makes frames that stand for others: each of its results for some that
// follow each other, in their order and without leaving one out. It must keep the
// hash of the last of them, which is what comes after knows.
type Replace func([]Frame) ([]Frame, error)

// worthThinning is the part of a segment, in percent, that must go for thinning to
// be worth it.
const worthThinning = 20

// Thin puts coarser frames in place of those of the oldest segment that was not
// thinned, and returns how many bytes that freed: 0 when there is none left. An
// error other than ErrFull, which a full disk gives, and other than that of replace
// is final: see ErrFailed.
func (s *Spool) Thin(replace Replace) (freed int64, err error) {
	return s.lighten(func(i int) (int64, error) {
		seg := &s.segments[i]
		if seg.thin {
			return 0, nil
		}
		seg.thin = true
		head, frames, err := s.contents(seg.number)
		if err != nil {
			return 0, err
		}
		data, err := s.rewritten(head, frames, replace)
		if err != nil || !worthwhile(seg.size, data) {
			return 0, err
		}
		return s.put(i, i, data)
	})
}

// Drop puts tombstones in place of the frames of the oldest segment that holds
// more than that, and of all before it, and returns how many bytes that freed: 0
// when there is none. Errors are as of Thin.
func (s *Spool) Drop(replace Replace) (freed int64, err error) {
	return s.lighten(func(i int) (int64, error) {
		first := i // what is damaged stays as evidence, and what is before it
		for first > 0 && !s.damaged(first-1) {
			first--
		}
		var head []byte
		var frames []Frame
		var size int64
		for _, seg := range s.segments[first : i+1] {
			h, more, err := s.contents(seg.number)
			if err != nil {
				return 0, err
			}
			if head == nil {
				head = h
			}
			frames, size = append(frames, more...), size+seg.size
		}
		data, err := s.rewritten(head, frames, replace)
		if err != nil || !worthwhile(size, data) {
			return 0, err
		}
		s.segments[i].thin = true
		return s.put(first, i, data)
	})
}

// lighten tries the segments that take no more frames, oldest first, until one
// freed something, and then the one that does.
func (s *Spool) lighten(try func(i int) (int64, error)) (freed int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return 0, err
	}
	for from := 0; ; {
		for ; from < len(s.segments) && (s.active == nil || from < len(s.segments)-1); from++ {
			if s.damaged(from) {
				continue
			}
			if freed, err := try(from); err != nil || freed > 0 {
				return freed, err
			}
		}
		if s.active == nil || s.end().Offset == s.base {
			return 0, nil
		}
		if err := s.retire(); err != nil {
			return 0, err
		}
	}
}

func (s *Spool) damaged(i int) bool {
	_, damaged := s.recovery.damage(s.segments[i].number)
	return damaged
}

// worthwhile says whether data takes so much less than size that it should be put
// in its place.
func worthwhile(size int64, data []byte) bool {
	return (size-int64(len(data)))*100 >= size*worthThinning
}

// contents reads the heads frame and the batches of a whole segment.
func (s *Spool) contents(number uint64) (head []byte, frames []Frame, err error) {
	bad := func(err error) error {
		return fmt.Errorf("segment %d: %w: %w", number, ErrCorrupt, err)
	}
	data, err := readWhole(s.fs, s.segmentPath(number))
	if err != nil {
		return nil, nil, s.fail("read spool segment", err)
	}
	if !strings.HasPrefix(string(data[:min(len(data), len(segmentMagic))]), segmentMagic) {
		return nil, nil, bad(errCorrupt)
	}
	at := len(segmentMagic)
	for first := true; at < len(data); first = false {
		payload, size, err := cutFrame(data[at:])
		if err != nil {
			return nil, nil, bad(err)
		}
		if first {
			head = payload
		} else {
			f, _, err := decodeBatch(payload)
			if err != nil {
				return nil, nil, bad(err)
			}
			frames = append(frames, f)
		}
		at += size
	}
	return head, frames, nil
}

// rewritten returns a segment of the frames that replace makes.
func (s *Spool) rewritten(head []byte, frames []Frame, replace Replace) ([]byte, error) {
	data := appendFrame([]byte(segmentMagic), head)
	made, err := replace(frames)
	if err != nil {
		return nil, err
	}
	if err := standFor(made, frames); err != nil {
		return nil, err
	}
	for _, f := range made {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("replace batch: %w", err)
		}
		data = appendFrame(data, encodeBatch(f, false))
	}
	return data, nil
}

// standFor reports why frames are no replacement for others.
func standFor(made, frames []Frame) error {
	i := 0
	for _, f := range made {
		if i == len(frames) || f.Host != frames[i].Host || f.Epoch != frames[i].Epoch || f.First() != frames[i].First() {
			return fmt.Errorf("replace batches: %d.%d of %s does not begin where those before end", f.Epoch, f.First(), f.Host)
		}
		for i < len(frames) && frames[i].Host == f.Host && frames[i].Epoch == f.Epoch && frames[i].Seq < f.Seq {
			i++
		}
		if i == len(frames) || frames[i].Mark() != f.Mark() || frames[i].Host != f.Host || frames[i].Hash != f.Hash {
			return fmt.Errorf("replace batches: %d.%d of %s does not end with one of them", f.Epoch, f.Seq, f.Host)
		}
		i++
	}
	if i != len(frames) {
		return errors.New("replace batches: some are left out")
	}
	return nil
}

// put writes data in place of the segments first to last, under the number of the
// last. Readers of other processes are told before that nothing from there on is to
// be read, and after what is: what they know by then of places means nothing.
func (s *Spool) put(first, last int, data []byte) (freed int64, err error) {
	gone := append([]segment(nil), s.segments[first:last+1]...)
	kept := gone[len(gone)-1]
	s.instance++
	s.hidden = gone[0].number
	if err := s.publish(); err != nil {
		return 0, err
	}
	err = writeWhole(s.fs, s.segmentPath(kept.number), data)
	s.hidden = 0
	if errors.Is(err, syscall.ENOSPC) {
		s.segments[last].thin = false // another time, when there is room to write it
		return 0, errors.Join(fmt.Errorf("replace spool segment: %w: %w", ErrFull, err), s.publish())
	}
	if err != nil {
		return 0, s.fail("replace spool segment", err)
	}
	for _, seg := range gone {
		freed += seg.size
	}
	kept.size = int64(len(data))
	freed -= kept.size
	s.segments = append(append(append([]segment(nil), s.segments[:first]...), kept), s.segments[last+1:]...)
	s.total -= freed
	if s.released.Segment >= gone[0].number && s.released.Segment <= kept.number {
		s.released = Position{Segment: kept.number}
	}
	if s.synced.Segment == kept.number {
		s.synced = Position{Segment: kept.number, Offset: kept.size}
	}
	// The tombstone is durable, so what it stands for may go.
	for _, seg := range gone[:len(gone)-1] {
		if err := s.fs.Remove(s.segmentPath(seg.number)); err != nil {
			return 0, s.fail("remove spool segment", err)
		}
	}
	if len(gone) > 1 {
		if err := s.fs.SyncDir(s.dir); err != nil {
			return 0, s.fail("sync spool folder", err)
		}
	}
	return freed, s.publish()
}
