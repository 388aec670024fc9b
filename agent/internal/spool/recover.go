package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Recovery is what Open found.
type Recovery struct {
	Segments  int
	Frames    int   // batches that can be read
	TornBytes int64 // cut off the newest segment: never synced, so never sent
	Lost      []LostRange
}

// LostRange is damage that swallowed batches which may not have been receipted,
// or batches behind it in the same epoch: the collector takes an epoch without
// holes only, so these can never be accepted.
type LostRange struct {
	Segment uint64 // 0 when the loss shows in the heads only
	Offset  int64
	Bytes   int64 // bytes that were skipped, 0 when only numbers are missing
	Host    string
	From    Mark // last batch known before the loss, receipted or readable
	To      Mark // newest batch known to be missing or not deliverable; From when nothing tells how many
}

// String says what is lost and where.
func (l LostRange) String() string {
	return fmt.Sprintf("segment %d offset %d: %d bytes, host %q: batches after %d.%d to %d.%d",
		l.Segment, l.Offset, l.Bytes, l.Host, l.From.Epoch, l.From.Seq, l.To.Epoch, l.To.Seq)
}

// scan is the state of one pass over the segments of a spool.
type scan struct {
	stored   map[string]Head // of the heads file
	heads    map[string]Head
	orphans  map[epochOf]uint64
	orphaned map[epochOf]int // index in rec.Lost of the range to extend
	rec      Recovery
	topEpoch uint64
	isFirst  bool
}

func (s *Spool) recover() error {
	numbers, err := s.listSegments()
	if err != nil {
		return err
	}
	generation, stored, err := s.readHeads()
	if err != nil {
		return err
	}
	c := &scan{stored: map[string]Head{}, heads: map[string]Head{}, orphans: s.orphans, orphaned: map[epochOf]int{}, topEpoch: generation, isFirst: true}
	for _, h := range stored {
		c.stored[h.Host] = h
	}
	for i, number := range numbers {
		size, err := s.recoverSegment(c, number, i == len(numbers)-1)
		if err != nil {
			return err
		}
		s.nextNumber = number + 1
		if size == 0 {
			continue
		}
		s.segments = append(s.segments, segment{number: number, size: size})
		s.total += size
	}
	// The heads file is the last word: it may know of batches whose segments are
	// gone because they were receipted, or because they are lost.
	if len(s.segments) == 0 {
		c.heads = c.stored
	} else {
		for _, h := range stored {
			c.reconcile(h, 0, 0)
		}
	}
	for host, h := range c.heads {
		if st := c.stored[host]; h.Receipted.Before(st.Receipted) {
			h.Receipted = st.Receipted
			c.heads[host] = h
		}
		c.topEpoch = max(c.topEpoch, h.Last.Epoch)
	}
	s.heads, s.recovery = c.heads, c.rec
	s.recovery.Segments = len(s.segments)
	s.nextNumber = max(s.nextNumber, 1)
	s.synced = s.end()
	s.generation = max(c.topEpoch+1, s.opt.FirstEpoch)
	// Every opening stores a generation of its own, so it names the instance too.
	s.instance = s.generation << 16
	if err := s.writeHeads(); err != nil {
		return err
	}
	return s.publish()
}

// listSegments returns the numbers of the segments in order, and removes what an
// interrupted atomic write left.
func (s *Spool) listSegments() ([]uint64, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var numbers []uint64
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) {
			if err := s.fs.Remove(filepath.Join(s.dir, name)); err != nil {
				return nil, fmt.Errorf("remove %s: %w", name, err)
			}
			continue
		}
		hex, ok := strings.CutSuffix(name, segmentSuffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(hex, 16, 64)
		if err != nil || len(hex) != 16 {
			return nil, fmt.Errorf("%s is not the name of a segment", name)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// readHeads reads the heads file. A spool without one is new. A damaged one is
// an error, because numbering a host anew would look like a forgery.
func (s *Spool) readHeads() (uint64, []Head, error) {
	data, err := readWhole(s.fs, filepath.Join(s.dir, headsName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	} else if err != nil {
		return 0, nil, fmt.Errorf("read heads: %w", err)
	}
	body, ok := strings.CutPrefix(string(data), headsMagic)
	if !ok {
		return 0, nil, fmt.Errorf("read heads: %w", errCorrupt)
	}
	payload, size, err := cutFrame([]byte(body))
	if err != nil || size != len(body) {
		return 0, nil, fmt.Errorf("read heads: %w", errCorrupt)
	}
	return decodeHeads(payload)
}

// recoverSegment checks one segment and returns the bytes of it that count. The
// newest one is written anew: after a failed fsync its pages may be in memory
// only and count as clean, and no later fsync would ever write them.
func (s *Spool) recoverSegment(c *scan, number uint64, newest bool) (int64, error) {
	name := s.segmentPath(number)
	data, err := readWhole(s.fs, name)
	if err != nil {
		return 0, fmt.Errorf("read segment %d: %w", number, err)
	}
	good := c.segment(number, data)
	if good < len(data) {
		rest := data[good:]
		switch {
		case newest && !holdsFrame(rest):
			c.rec.TornBytes += int64(len(rest))
			data = data[:good]
		default:
			// Behind the damage nothing is read, but the bytes stay as evidence.
			c.rec.Lost = append(c.rec.Lost, LostRange{Segment: number, Offset: int64(good), Bytes: int64(len(rest))})
			c.follow(number, rest)
		}
	}
	if !newest {
		return int64(len(data)), nil
	}
	if len(data) == 0 {
		if err := s.fs.Remove(name); err != nil {
			return 0, fmt.Errorf("remove empty segment %d: %w", number, err)
		}
		return 0, s.fs.SyncDir(s.dir)
	}
	if err := writeWhole(s.fs, name, data); err != nil {
		return 0, fmt.Errorf("secure segment %d: %w", number, err)
	}
	return int64(len(data)), nil
}

// segment takes the frames of one segment into the scan and returns how many
// bytes, up to the last complete unit, are good.
func (c *scan) segment(number uint64, data []byte) (good int) {
	first := c.isFirst
	c.isFirst = false
	if !strings.HasPrefix(string(data[:min(len(data), len(segmentMagic))]), segmentMagic) {
		return 0
	}
	at := len(segmentMagic)
	payload, size, err := cutFrame(data[at:])
	if err != nil {
		return 0
	}
	generation, heads, err := decodeHeads(payload)
	if err != nil {
		return 0
	}
	c.topEpoch = max(c.topEpoch, generation)
	for _, h := range heads {
		if first {
			c.heads[h.Host] = h
		} else {
			c.reconcile(h, number, 0)
		}
	}
	at += size
	good = at
	var unit []Frame
	for at < len(data) {
		payload, size, err := cutFrame(data[at:])
		if err != nil {
			return good
		}
		f, more, err := decodeBatch(payload)
		if err != nil {
			return good
		}
		at += size
		unit = append(unit, f)
		if more {
			continue
		}
		for _, f := range unit {
			c.take(f, number, int64(good))
		}
		unit, good = unit[:0], at
	}
	return good
}
