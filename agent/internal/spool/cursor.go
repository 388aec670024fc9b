package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Cursor reads synced frames in the order of appending. It belongs to one
// goroutine.
type Cursor struct {
	s        segments
	at       Position
	file     File
	number   uint64
	instance uint64 // of the spool when file was opened
}

// segments is where a cursor reads: a spool, or another process's spool.
type segments interface {
	// locate moves p past what is removed or damaged to where a frame can be, and
	// returns the end of the readable part of its segment and the instance of the
	// spool: what was opened of another instance is not that file any more.
	locate(p *Position) (limit int64, instance uint64, ok bool)
	// deliverable reports whether the collector can ever accept a frame.
	deliverable(Frame) bool
	// replaced reports whether the spool is of another instance by now, so that what
	// was read at a position of the given one means nothing.
	replaced(instance uint64) bool
	openSegment(number uint64) (File, error)
}

// Cursor returns a reader at the oldest frame.
func (s *Spool) Cursor() *Cursor { return &Cursor{s: s} }

// Position returns where the next frame would start.
func (c *Cursor) Position() Position { return c.at }

// Seek moves to p, which must be a position that Next or Position gave, or the
// zero Position for the oldest frame.
func (c *Cursor) Seek(p Position) { c.at = p }

// Close lets go of the open segment.
func (c *Cursor) Close() error {
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// Next returns the next frame that may be sent and where it starts. It returns
// io.EOF at the end of what is synced, and ErrCorrupt for a frame that went bad
// after the spool was opened.
func (c *Cursor) Next() (Frame, Position, error) {
	for {
		limit, instance, ok := c.s.locate(&c.at)
		if !ok {
			return Frame{}, Position{}, io.EOF
		}
		if c.instance != instance {
			if err := c.Close(); err != nil {
				return Frame{}, Position{}, fmt.Errorf("close segment %d: %w", c.number, err)
			}
			c.instance = instance
		}
		if c.at.instance != 0 && c.at.instance != instance {
			c.at = Position{} // it meant another place
			continue
		}
		c.at.instance = instance
		payload, size, err := c.read(limit)
		if err != nil {
			if c.s.replaced(instance) {
				return Frame{}, Position{}, io.EOF
			}
			return Frame{}, Position{}, err
		}
		start := c.at
		c.at.Offset += size
		if payload[0] == kindHeads {
			continue
		}
		f, _, err := decodeBatch(payload)
		if err != nil && c.s.replaced(instance) {
			return Frame{}, Position{}, io.EOF
		} else if err != nil {
			return Frame{}, Position{}, fmt.Errorf("segment %d offset %d: %w", start.Segment, start.Offset, ErrCorrupt)
		}
		if c.s.deliverable(f) {
			return f, start, nil
		}
	}
}

func (s *Spool) openSegment(number uint64) (File, error) {
	return s.fs.Open(s.segmentPath(number), os.O_RDONLY)
}

func (s *Spool) locate(p *Position) (limit int64, instance uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		if seg.number < p.Segment {
			continue
		}
		if seg.number > p.Segment {
			*p = Position{Segment: seg.number, instance: p.instance}
		}
		if p.Offset == 0 {
			p.Offset = int64(len(segmentMagic))
		}
		limit = seg.size
		if bad, damaged := s.recovery.damage(seg.number); damaged {
			limit = bad
		}
		if !p.Before(s.synced) {
			return 0, 0, false
		}
		if seg.number == s.synced.Segment {
			limit = min(limit, s.synced.Offset)
		}
		if p.Offset < limit {
			return limit, s.instance, true
		}
	}
	return 0, 0, false
}

func (s *Spool) replaced(instance uint64) bool { return s.Instance() != instance }

// damage returns where the readable part of a segment ends.
func (r Recovery) damage(number uint64) (int64, bool) {
	for _, l := range r.Lost {
		if l.Segment == number && l.Bytes > 0 {
			return l.Offset, true
		}
	}
	return 0, false
}

func (s *Spool) deliverable(f Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	after, ok := s.orphans[epochOf{f.Host, f.Epoch}]
	return !ok || f.Seq <= after
}

func (c *Cursor) read(limit int64) (payload []byte, size int64, err error) {
	if c.file == nil || c.number != c.at.Segment {
		if err := c.Close(); err != nil {
			return nil, 0, fmt.Errorf("close segment %d: %w", c.number, err)
		}
		f, err := c.s.openSegment(c.at.Segment)
		if err != nil {
			return nil, 0, fmt.Errorf("open segment: %w", err)
		}
		c.file, c.number = f, c.at.Segment
	}
	var head [frameHead]byte
	if err := c.readAt(head[:], c.at.Offset); err != nil {
		return nil, 0, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n > limit-c.at.Offset-frameHead {
		return nil, 0, fmt.Errorf("segment %d offset %d: %w", c.at.Segment, c.at.Offset, ErrCorrupt)
	}
	frame := make([]byte, frameHead+n)
	if err := c.readAt(frame, c.at.Offset); err != nil {
		return nil, 0, err
	}
	payload, whole, err := cutFrame(frame)
	if err != nil {
		return nil, 0, fmt.Errorf("segment %d offset %d: %w", c.at.Segment, c.at.Offset, ErrCorrupt)
	}
	return payload, int64(whole), nil
}

func (c *Cursor) readAt(b []byte, offset int64) error {
	if n, err := c.file.ReadAt(b, offset); n < len(b) {
		if errors.Is(err, io.EOF) {
			err = ErrCorrupt // it was longer when it was synced
		}
		return fmt.Errorf("read segment %d offset %d: %w", c.number, offset, err)
	}
	return nil
}
