package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	framing "github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// What a crash left beyond the commit is cut; what is missing stops the start.
func TestEvidenceMeetsTheDatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flopwatch.db")
	file := filepath.Join(dir, "evidence", "2026-03-01.fwe")
	write := func(text string) {
		s, err := openOn(t, path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: ledger.Changes{}, Frames: framing.AppendFrame(nil, []byte(text)), FrameCount: 1})
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
	if err := os.WriteFile(uncommitted, framing.AppendFrame(nil, []byte("never counted")), 0o600); err != nil {
		t.Fatal(err)
	}
	write("two")
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := framing.AppendFrame(framing.AppendFrame(nil, []byte("one")), []byte("two")); !bytes.Equal(got, want) {
		t.Errorf("evidence is %q, want %q", got, want)
	}
	if info, err := os.Stat(uncommitted); err != nil || info.Size() != 0 {
		t.Errorf("uncommitted file was not cut: %v", err)
	}
	if err := os.Truncate(file, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := openOn(t, path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("short evidence: %v, want ErrDamaged", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := openOn(t, path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("missing evidence: %v, want ErrDamaged", err)
	}
}
