package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	framing "github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
)

// A wrong database beside evidence must not cut it to nothing.
func TestEvidenceOfAnotherDatabaseIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "evidence")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	days := []string{"2026-03-01.fwe", "2026-03-02.fwe", "2026-03-03.fwe"}
	for _, day := range days {
		if err := os.WriteFile(filepath.Join(folder, day), framing.AppendFrame(nil, []byte(day)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openOn(t, filepath.Join(dir, "flopwatch.db"), Options{}); err == nil || !strings.Contains(err.Error(), "is it the database of this folder?") {
		t.Fatalf("opened: %v", err)
	}
	for _, day := range days {
		got, err := os.ReadFile(filepath.Join(folder, day))
		if want := framing.AppendFrame(nil, []byte(day)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s was changed: %v", day, err)
		}
	}
}

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

// How far a host is counted is what its evidence says, also while its row waits.
func TestExtentOfCarriedHosts(t *testing.T) {
	s := open(t, t.TempDir())
	book := ledger.New()
	for seq := uint64(1); seq <= 3; seq++ {
		b := &ledger.Batch{Host: "h", PublicKey: []byte{1}, Position: ledger.Position{Epoch: 1, Seq: seq, Hash: [32]byte{byte(seq)}}, Devices: []ledger.Device{ledgertest.Device("GPU-0")}}
		if err := book.Apply(b); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.TakeDue(1000+int64(seq), 100)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := rowsOf(t, s.read, "SELECT CAST(count(*) AS TEXT) FROM carried")[0][0]; n != "1" {
		t.Fatalf("%s hosts are carried, so this test shows nothing", n)
	}
	e, err := s.Extent(t.Context())
	if want := (ledger.Position{Epoch: 1, Seq: 3, Hash: [32]byte{3}}); err != nil || e.Counted["h"] != want {
		t.Errorf("counted to %+v, want %+v: %v", e.Counted["h"], want, err)
	}
}
