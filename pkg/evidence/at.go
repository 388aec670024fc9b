package evidence

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const stride = 1 << 20 // bytes that are searched at a time

var magic = []byte("FWE1") // every envelope begins with it

// FrameAt returns the envelope of the frame at an offset, which must end before
// limit. It reads into buf where that is long enough. The error wraps ErrDamaged
// when what is there is no frame; any other is one of reading.
func FrameAt(r io.ReaderAt, at, limit int64, buf []byte) (envelope []byte, err error) {
	var head [FrameHeader]byte
	if at+FrameHeader > limit {
		return nil, fmt.Errorf("frame at %d: %d bytes are left: %w", at, limit-at, ErrDamaged)
	}
	if _, err := r.ReadAt(head[:], at); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:4]))
	if n > maxEnvelope || at+FrameHeader+n > limit {
		return nil, fmt.Errorf("frame at %d: length %d: %w", at, n, ErrDamaged)
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := r.ReadAt(buf, at+FrameHeader); err != nil {
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("frame at %d: checksum: %w", at, ErrDamaged)
	}
	return buf, nil
}

// Resume returns the offset of the first whole frame after at, limit if there is
// none, so that damage costs no more than what it touched.
func Resume(r io.ReaderAt, at, limit int64) (int64, error) {
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
			start := from + int64(i) - FrameHeader
			if start <= at {
				continue
			}
			if _, err := FrameAt(r, start, limit, nil); err == nil {
				return start, nil
			} else if !errors.Is(err, ErrDamaged) {
				return 0, err
			}
		}
	}
	return limit, nil
}
