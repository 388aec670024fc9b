// Package evidence is the form in which signed batches are kept and handed on,
// and how one becomes what the ledger counts. The collector and whoever checks it
// read batches by the same code.
//
// Evidence is a row of frames:
//
//	length uint32 | CRC-32C of the envelope uint32 | envelope
//
// in little-endian order.
package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"

	"github.com/flopwatch/flopwatch/pkg/attest"
)

// FrameHeader is what a frame adds to its envelope, in bytes.
const FrameHeader = 8

const maxEnvelope = attest.MaxEnvelope

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged means that evidence does not hold what was written.
var ErrDamaged = errors.New("evidence is damaged")

// AppendFrame appends the envelope as a frame to b.
func AppendFrame(b, envelope []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(envelope)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(envelope, castagnoli))
	return append(b, envelope...)
}

// Frames yields the envelopes of a row of frames, each valid until the next. A
// torn or damaged frame ends it with an error that wraps ErrDamaged.
func Frames(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var head [FrameHeader]byte
		var buf []byte
		for at := int64(0); ; at += int64(FrameHeader + len(buf)) {
			if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				yield(nil, fmt.Errorf("frame at %d: %w: %w", at, ErrDamaged, err))
				return
			}
			n := binary.LittleEndian.Uint32(head[:4])
			if n > maxEnvelope {
				yield(nil, fmt.Errorf("frame at %d: length %d: %w", at, n, ErrDamaged))
				return
			}
			if uint32(cap(buf)) < n {
				buf = make([]byte, n)
			}
			buf = buf[:n]
			if _, err := io.ReadFull(r, buf); err != nil {
				yield(nil, fmt.Errorf("frame at %d: %w: %w", at, ErrDamaged, err))
				return
			}
			if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
				yield(nil, fmt.Errorf("frame at %d: checksum: %w", at, ErrDamaged))
				return
			}
			if !yield(buf, nil) {
				return
			}
		}
	}
}
