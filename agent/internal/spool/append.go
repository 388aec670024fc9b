package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	segmentMagic  = "FWSPOOL\x01"
	headsMagic    = "FWHEADS\x01"
	segmentSuffix = ".seg"
	headsName     = "heads"
	tmpSuffix     = ".tmp"
)

func (s *Spool) segmentPath(number uint64) string { return segmentPath(s.dir, number) }

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", number, segmentSuffix))
}

// Append writes frames as one unit: after a crash either all of them are there
// or none. They must not be sent before the next Sync. ErrFull leaves the spool
// as it was; ErrOrder means that a frame does not follow the host's head.
func (s *Spool) Append(frames ...Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	heads := make(map[string]Head, 1)
	var data []byte
	for i, f := range frames {
		if err := f.check(); err != nil {
			return fmt.Errorf("append batch: %w", err)
		}
		h, ok := heads[f.Host]
		if !ok {
			h = s.heads[f.Host]
		}
		if f.FirstSeq != 0 || !follows(h.Last, f) {
			return fmt.Errorf("append batch %d.%d of %s after %d.%d: %w", f.Epoch, f.Seq, f.Host, h.Last.Epoch, h.Last.Seq, ErrOrder)
		}
		heads[f.Host] = advance(h, f)
		data = appendFrame(data, encodeBatch(f, i < len(frames)-1))
	}
	if len(data) == 0 {
		return nil
	}
	err := s.place(data)
	if errors.Is(err, ErrFull) {
		// The disk is full before the bound is reached: what is receipted goes.
		before := s.total
		if cerr := s.collectAll(); cerr != nil && !errors.Is(cerr, ErrFull) {
			return cerr
		}
		if s.total < before {
			err = s.place(data)
		}
	}
	if err != nil {
		return err
	}
	for host, h := range heads {
		s.heads[host] = h
	}
	return nil
}

// place puts data where there is room for it.
func (s *Spool) place(data []byte) error {
	if err := s.room(int64(len(data))); err != nil {
		return err
	}
	return s.write(data)
}

// collectAll removes everything that is receipted, the active segment too.
func (s *Spool) collectAll() error {
	if s.active != nil && !s.released.Before(s.end()) {
		if err := s.retire(); err != nil {
			return err
		}
	}
	return s.collect(0)
}

// follows reports whether next may come after last: it holds the next number of the
// same epoch, or the first of a later one.
func follows(last Mark, next Frame) bool {
	if next.Epoch == last.Epoch {
		return next.First() <= last.Seq+1 && last.Seq < next.Seq
	}
	return next.Epoch > last.Epoch && next.First() == 1
}

func advance(h Head, f Frame) Head {
	return Head{Host: f.Host, Last: f.Mark(), Hash: f.Hash, ResumeNS: max(h.ResumeNS, f.ResumeNS), Receipted: h.Receipted}
}

// room makes sure that size bytes fit: it begins a new segment where one is due
// and frees a receipted one where the bound is reached.
func (s *Spool) room(size int64) error {
	if s.total+size > s.opt.MaxBytes {
		// The active segment may be all receipted, and then it need not stay.
		if err := s.collectAll(); err != nil {
			return err
		}
		if s.total+size > s.opt.MaxBytes {
			return fmt.Errorf("append %d bytes to %d of %d: %w", size, s.total, s.opt.MaxBytes, ErrFull)
		}
	}
	// Counted from behind the heads, which alone may be longer than a segment.
	if at := s.end().Offset; s.active != nil && at > s.base && at-s.base+size > s.opt.SegmentBytes {
		if err := s.retire(); err != nil {
			return err
		}
	}
	if s.active == nil {
		return s.begin()
	}
	return nil
}

// begin creates a segment whose first frame holds the heads, so that the older
// segments can go without taking the numbers of the hosts with them.
func (s *Spool) begin() error {
	number := s.nextNumber
	f, err := s.fs.Open(s.segmentPath(number), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND)
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("create spool segment: %w: %w", ErrFull, err)
	} else if err != nil {
		return s.fail("create spool segment", err)
	}
	s.active = f
	s.nextNumber++
	s.segments = append(s.segments, segment{number: number})
	err = s.write(appendFrame([]byte(segmentMagic), encodeHeads(s.generation, s.heads)))
	if errors.Is(err, ErrFull) {
		return s.abandon(err)
	} else if err != nil {
		return err
	}
	s.base = s.end().Offset
	if err := s.fs.SyncDir(s.dir); err != nil {
		return s.fail("sync spool folder", err)
	}
	return nil
}

// abandon removes a segment that the disk had no room to begin, and returns why.
func (s *Spool) abandon(why error) error {
	last := s.segments[len(s.segments)-1]
	err := s.active.Close()
	s.active = nil
	s.segments = s.segments[:len(s.segments)-1]
	if err == nil {
		err = s.fs.Remove(s.segmentPath(last.number))
	}
	if err != nil {
		return s.fail("remove spool segment", err)
	}
	return why
}

// retire syncs and closes the active segment, which takes no more frames.
func (s *Spool) retire() error {
	if err := s.syncActive(); err != nil {
		return err
	}
	err := s.active.Close()
	s.active = nil
	if err != nil {
		return s.fail("close spool segment", err)
	}
	return nil
}

func (s *Spool) end() Position {
	if len(s.segments) == 0 {
		return Position{Segment: s.nextNumber}
	}
	last := s.segments[len(s.segments)-1]
	return Position{Segment: last.number, Offset: last.size}
}

// write puts data at the end of the active segment. A disk that is full is
// back-pressure like the bound; everything else is a failure.
func (s *Spool) write(data []byte) error {
	last := &s.segments[len(s.segments)-1]
	n, err := s.active.Write(data)
	if err == nil && n < len(data) {
		err = fmt.Errorf("wrote %d of %d bytes", n, len(data))
	}
	if err == nil {
		last.size += int64(n)
		s.total += int64(n)
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) {
		if terr := s.active.Truncate(last.size); terr == nil {
			return fmt.Errorf("write spool segment: %w: %w", ErrFull, err)
		}
	}
	return s.fail("write spool segment", err)
}

// Sync makes every frame that was appended before the call durable and readable.
// Many appends cost one Sync. An error is final: see ErrFailed.
func (s *Spool) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	return s.syncActive()
}

func (s *Spool) syncActive() error {
	if s.active == nil || !s.synced.Before(s.end()) {
		return nil
	}
	if err := s.active.Sync(); err != nil {
		return s.fail("fsync spool segment", err)
	}
	s.synced = s.end()
	signal(s.wake)
	return s.publish()
}
