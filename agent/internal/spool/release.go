package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

// Release says that every frame that starts before p is receipted, and removes
// the segments that hold nothing else. Going back has no effect: what is
// removed is gone. An error is final: see ErrFailed.
func (s *Spool) Release(p Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if !s.released.Before(p) || p.instance != 0 && p.instance != s.instance {
		return nil // of another instance: the next receipt says it again
	}
	s.released = p
	// A disk that is full keeps them: Append lets go when it needs the room.
	if err := s.collect(s.opt.RetainBytes); err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	signal(s.space)
	return nil
}

// Rewind says that the collector stands at m again, as after a restore of a
// backup: everything that is still here behind m may be needed once more.
func (s *Spool) Rewind(host string, m Mark) {
	s.Receipted(host, m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = Position{}
}

// Receipted records the last receipt of a host. It is stored with the next heads
// and only saves sending again after a restart.
func (s *Spool) Receipted(host string, m Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, ok := s.heads[host]; ok {
		h.Receipted = m
		s.heads[host] = h
	}
}

// collect removes released segments until no more than retain bytes are left.
func (s *Spool) collect(retain int64) error {
	count, freed := 0, int64(0)
	for i, seg := range s.segments {
		isActive := s.active != nil && i == len(s.segments)-1
		if isActive || s.total-freed <= retain || s.released.Before(Position{Segment: seg.number, Offset: seg.size}) {
			break
		}
		count++
		freed += seg.size
	}
	if count == 0 {
		return nil
	}
	// The heads must be on disk before the segments that they stand for go.
	if err := s.writeHeads(); err != nil {
		return err
	}
	for _, seg := range s.segments[:count] {
		if err := s.fs.Remove(s.segmentPath(seg.number)); err != nil {
			return s.fail("remove spool segment", err)
		}
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return s.fail("sync spool folder", err)
	}
	s.segments = append([]segment(nil), s.segments[count:]...)
	s.total -= freed
	return s.publish()
}

// writeHeads stores the heads file. Frames are synced first: heads that knew of
// a frame which a crash then took would hide its loss.
func (s *Spool) writeHeads() error {
	if err := s.syncActive(); err != nil {
		return err
	}
	data := appendFrame([]byte(headsMagic), encodeHeads(s.generation, s.heads))
	err := writeWhole(s.fs, filepath.Join(s.dir, headsName), data)
	if errors.Is(err, syscall.ENOSPC) {
		// The heads of before are untouched, and nothing was removed for these.
		return fmt.Errorf("write spool heads: %w: %w", ErrFull, err)
	}
	if err != nil {
		return s.fail("write spool heads", err)
	}
	return nil
}
