package scrub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/flopwatch/flopwatch/pkg/attest"
)

// The frames of an evidence file, as package store writes them: length uint32,
// CRC-32C of the envelope uint32, envelope, little endian.
const (
	frameHeader = 8
	maxEnvelope = attest.MaxEnvelope
	stride      = 1 << 20 // bytes that are searched at a time
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	magic      = []byte("FWE1") // every envelope begins with it

	errFrame = errors.New("no whole frame")
)

// readFrame returns the envelope of the frame at an offset, which must end
// before limit. The error wraps errFrame when what is there is no frame.
func readFrame(r io.ReaderAt, at, limit int64, buf []byte) (envelope []byte, err error) {
	var head [frameHeader]byte
	if at+frameHeader > limit {
		return nil, fmt.Errorf("%d bytes are left: %w", limit-at, errFrame)
	}
	if _, err := r.ReadAt(head[:], at); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:4]))
	if n > maxEnvelope || at+frameHeader+n > limit {
		return nil, fmt.Errorf("length %d: %w", n, errFrame)
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := r.ReadAt(buf, at+frameHeader); err != nil {
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("checksum: %w", errFrame)
	}
	return buf, nil
}

// resume returns the offset of the first whole frame after at, limit if there is
// none.
func resume(r io.ReaderAt, at, limit int64) (int64, error) {
	// Strides overlap, so that no magic falls between two.
	buf := make([]byte, stride+len(magic))
	for from := at + 1; from < limit; from += stride {
		n, err := r.ReadAt(buf[:min(int64(len(buf)), limit-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := 0; ; i++ {
			next := bytes.Index(buf[i:n], magic)
			if next < 0 {
				break
			}
			i += next
			start := from + int64(i) - frameHeader
			if start <= at {
				continue
			}
			if _, err := readFrame(r, start, limit, nil); err == nil {
				return start, nil
			} else if !errors.Is(err, errFrame) {
				return 0, err
			}
		}
	}
	return limit, nil
}
