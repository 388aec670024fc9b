package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// A frame on disk, all integers little-endian:
//
//	length u32 | CRC-32C of length and payload u32 | payload
//
// payload of a batch:  1 | flags | first u64 with flag 2 | len u8, host | epoch u64 | seq u64 |
//
//	first, last, resume ns i64 | hash [32] | envelope
//
// payload of heads:    2 | generation u64 | count u32 | count × (len u8, host |
//
//	epoch, seq u64 | hash [32] | resume ns i64 | receipted epoch, seq u64)
const (
	frameHead   = 8
	kindBatch   = 1
	kindHeads   = 2
	flagMore    = 1 // another frame of the same Append follows
	flagRange   = 2 // the frame stands for several batches: first u64 after the flags
	maxHostName = 255
	// maxPayload bounds what a length may claim; heads of 500,000 hosts fit.
	maxPayload = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShort   = errors.New("frame is cut short")
	errCorrupt = errors.New("frame is corrupt")
)

// Frame is one sealed batch with what the spool must know of it.
type Frame struct {
	Host       string
	Epoch, Seq uint64
	// FirstSeq is the number of the first batch that the frame stands for, when there
	// was no room for each of them; 0 for a frame that is one batch.
	FirstSeq uint64
	FirstNS  int64 // start of the earliest window, Unix nanoseconds
	LastNS   int64 // end of the latest window
	// ResumeNS is where the host goes on after a restart when this frame is
	// durable: no window before it has to be produced again.
	ResumeNS int64
	Hash     [32]byte // chain hash of Envelope
	Envelope []byte
}

// Mark is a place in a host's sequence of batches. The zero Mark is before all.
type Mark struct{ Epoch, Seq uint64 }

// Before reports whether m comes before n.
func (m Mark) Before(n Mark) bool {
	return m.Epoch < n.Epoch || m.Epoch == n.Epoch && m.Seq < n.Seq
}

// First returns the number of the first batch that the frame stands for.
func (f Frame) First() uint64 {
	if f.FirstSeq == 0 {
		return f.Seq
	}
	return f.FirstSeq
}

// Mark returns the place of the frame in its host's sequence.
func (f Frame) Mark() Mark { return Mark{f.Epoch, f.Seq} }

// Head is the newest known batch of a host.
type Head struct {
	Host      string
	Last      Mark
	Hash      [32]byte // chain hash of Last's envelope
	ResumeNS  int64    // end of the last durable window, 0 if none
	Receipted Mark     // last receipt that was stored with the heads
}

func appendFrame(dst, payload []byte) []byte {
	var head [frameHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(head[:4], castagnoli), castagnoli, payload)
	binary.LittleEndian.PutUint32(head[4:], sum)
	return append(append(dst, head[:]...), payload...)
}

// cutFrame returns the payload at the start of data and the bytes that the
// frame takes. errShort means that data ends inside the frame.
func cutFrame(data []byte) (payload []byte, size int, err error) {
	if len(data) < frameHead {
		return nil, 0, errShort
	}
	n := binary.LittleEndian.Uint32(data)
	if n == 0 || n > maxPayload {
		return nil, 0, errCorrupt
	}
	if uint64(len(data)) < frameHead+uint64(n) {
		return nil, 0, errShort
	}
	payload = data[frameHead : frameHead+int(n)]
	if crc32.Update(crc32.Checksum(data[:4], castagnoli), castagnoli, payload) != binary.LittleEndian.Uint32(data[4:]) {
		return nil, 0, errCorrupt
	}
	return payload, frameHead + int(n), nil
}

func appendHost(dst []byte, host string) []byte {
	return append(append(dst, byte(len(host))), host...)
}

func encodeBatch(f Frame, more bool) []byte {
	b := make([]byte, 0, 96+len(f.Host)+len(f.Envelope))
	b = append(b, kindBatch, 0)
	if more {
		b[1] = flagMore
	}
	if f.FirstSeq != 0 {
		b[1] |= flagRange
		b = binary.LittleEndian.AppendUint64(b, f.FirstSeq)
	}
	b = appendHost(b, f.Host)
	for _, v := range []uint64{f.Epoch, f.Seq, uint64(f.FirstNS), uint64(f.LastNS), uint64(f.ResumeNS)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, f.Hash[:]...)
	return append(b, f.Envelope...)
}

// cutter takes fields off the front of a payload; short stays true after the
// first field that was not there.
type cutter struct {
	data  []byte
	short bool
}

func (c *cutter) take(n int) []byte {
	if c.short || n > len(c.data) {
		c.short = true
		return make([]byte, min(n, maxHostName))
	}
	out := c.data[:n]
	c.data = c.data[n:]
	return out
}

func (c *cutter) uint64() uint64 { return binary.LittleEndian.Uint64(c.take(8)) }
func (c *cutter) byte() byte     { return c.take(1)[0] }
func (c *cutter) host() string   { return string(c.take(int(c.byte()))) }
func (c *cutter) hash() (h [32]byte) {
	copy(h[:], c.take(32))
	return h
}

// decodeBatch reads a batch payload. The envelope aliases the payload.
func decodeBatch(payload []byte) (f Frame, more bool, err error) {
	c := &cutter{data: payload}
	if c.byte() != kindBatch {
		return Frame{}, false, errCorrupt
	}
	flags := c.byte()
	if flags&flagRange != 0 {
		if f.FirstSeq = c.uint64(); f.FirstSeq == 0 {
			return Frame{}, false, errCorrupt
		}
	}
	f.Host = c.host()
	f.Epoch, f.Seq = c.uint64(), c.uint64()
	f.FirstNS, f.LastNS, f.ResumeNS = int64(c.uint64()), int64(c.uint64()), int64(c.uint64())
	f.Hash = c.hash()
	f.Envelope = c.data
	if c.short || flags&^(flagMore|flagRange) != 0 || f.check() != nil {
		return Frame{}, false, errCorrupt
	}
	return f, flags&flagMore != 0, nil
}

// check reports a frame that may not be in a spool.
func (f Frame) check() error {
	switch {
	case f.Host == "" || len(f.Host) > maxHostName:
		return fmt.Errorf("host name of %d bytes: want 1 to %d", len(f.Host), maxHostName)
	case f.Epoch == 0 || f.Seq == 0:
		return fmt.Errorf("epoch %d, sequence %d: both start at 1", f.Epoch, f.Seq)
	case f.FirstSeq > f.Seq:
		return fmt.Errorf("frame stands for batches %d to %d", f.FirstSeq, f.Seq)
	case len(f.Envelope) == 0 || len(f.Envelope) > maxPayload/2:
		return fmt.Errorf("envelope of %d bytes: want 1 to %d", len(f.Envelope), maxPayload/2)
	}
	return nil
}

func encodeHeads(generation uint64, heads map[string]Head) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{kindHeads}, generation)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(heads)))
	for _, name := range sortedHosts(heads) {
		h := heads[name]
		b = appendHost(b, h.Host)
		b = binary.LittleEndian.AppendUint64(b, h.Last.Epoch)
		b = binary.LittleEndian.AppendUint64(b, h.Last.Seq)
		b = append(b, h.Hash[:]...)
		for _, v := range []uint64{uint64(h.ResumeNS), h.Receipted.Epoch, h.Receipted.Seq} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	return b
}

func decodeHeads(payload []byte) (generation uint64, heads []Head, err error) {
	c := &cutter{data: payload}
	if c.byte() != kindHeads {
		return 0, nil, errCorrupt
	}
	generation = c.uint64()
	count := int(binary.LittleEndian.Uint32(c.take(4)))
	for range count {
		h := Head{Host: c.host(), Last: Mark{c.uint64(), c.uint64()}, Hash: c.hash(), ResumeNS: int64(c.uint64())}
		h.Receipted = Mark{c.uint64(), c.uint64()}
		if c.short || h.Host == "" {
			return 0, nil, errCorrupt
		}
		heads = append(heads, h)
	}
	if c.short || len(c.data) > 0 {
		return 0, nil, errCorrupt
	}
	return generation, heads, nil
}

func sortedHosts(heads map[string]Head) []string {
	names := make([]string, 0, len(heads))
	for name := range heads {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
