package evidence_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/evidence"
)

func TestFramesAtEveryCutAndFlip(t *testing.T) {
	whole := evidence.AppendFrame(evidence.AppendFrame(nil, []byte("first")), []byte("second"))
	first := evidence.FrameHeader + len("first")
	read := func(b []byte) (n int, err error) {
		for _, e := range evidence.Frames(bytes.NewReader(b)) {
			if e != nil {
				return n, e
			}
			n++
		}
		return n, nil
	}
	if n, err := read(whole); n != 2 || err != nil {
		t.Fatalf("whole file: %d frames, %v", n, err)
	}
	for cut := range len(whole) {
		n, err := read(whole[:cut])
		clean := cut == 0 || cut == first
		if clean != (err == nil) || (err != nil && !errors.Is(err, evidence.ErrDamaged)) || n != min(cut/first, 1) {
			t.Errorf("cut at %d: %d frames, %v", cut, n, err)
		}
	}
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if n, err := read(b); !errors.Is(err, evidence.ErrDamaged) || n > 1 {
			t.Errorf("bit %d flipped: %d frames, %v", bit, n, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(evidence.AppendFrame(evidence.AppendFrame(nil, []byte("first")), nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var again []byte
		damaged := false
		for envelope, err := range evidence.Frames(bytes.NewReader(data)) {
			if err != nil {
				damaged = true
				break
			}
			again = evidence.AppendFrame(again, envelope)
		}
		if !bytes.HasPrefix(data, again) || (!damaged && len(again) != len(data)) {
			t.Errorf("frames of %x read as %x", data, again)
		}
	})
}
