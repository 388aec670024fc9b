package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/ledger"
)

func TestFramesAtEveryCutAndFlip(t *testing.T) {
	whole := AppendFrame(AppendFrame(nil, []byte("first")), []byte("second"))
	first := frameHeader + len("first")
	read := func(b []byte) (n int, err error) {
		for _, e := range Frames(bytes.NewReader(b)) {
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
		if clean != (err == nil) || (err != nil && !errors.Is(err, ErrDamaged)) || n != min(cut/first, 1) {
			t.Errorf("cut at %d: %d frames, %v", cut, n, err)
		}
	}
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if n, err := read(b); !errors.Is(err, ErrDamaged) || n > 1 {
			t.Errorf("bit %d flipped: %d frames, %v", bit, n, err)
		}
	}
}

// What a crash left beyond the commit is cut; what is missing stops the start.
func TestEvidenceMeetsTheDatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flopwatch.db")
	file := filepath.Join(dir, "evidence", "2026-03-01.fwe")
	write := func(text string) {
		s, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: ledger.Changes{}, Frames: AppendFrame(nil, []byte(text)), FrameCount: 1})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	torn, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(torn, "half a fra"...), 0o600); err != nil {
		t.Fatal(err)
	}
	uncommitted := filepath.Join(dir, "evidence", "2026-03-02.fwe")
	if err := os.WriteFile(uncommitted, AppendFrame(nil, []byte("never counted")), 0o600); err != nil {
		t.Fatal(err)
	}
	write("two")
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := AppendFrame(AppendFrame(nil, []byte("one")), []byte("two")); !bytes.Equal(got, want) {
		t.Errorf("evidence is %q, want %q", got, want)
	}
	if info, err := os.Stat(uncommitted); err != nil || info.Size() != 0 {
		t.Errorf("uncommitted file was not cut: %v", err)
	}
	if err := os.Truncate(file, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("short evidence: %v, want ErrDamaged", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("missing evidence: %v, want ErrDamaged", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(AppendFrame(AppendFrame(nil, []byte("first")), nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var again []byte
		damaged := false
		for envelope, err := range Frames(bytes.NewReader(data)) {
			if err != nil {
				damaged = true
				break
			}
			again = AppendFrame(again, envelope)
		}
		if !bytes.HasPrefix(data, again) || (!damaged && len(again) != len(data)) {
			t.Errorf("frames of %x read as %x", data, again)
		}
	})
}
