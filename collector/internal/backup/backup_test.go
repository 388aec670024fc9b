package backup_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/backup"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// count stores batches of one host from number first on, one checkpoint each.
func count(t *testing.T, data string, first, n int, at time.Time) {
	t.Helper()
	if _, err := countOn(t, data, store.Options{}, first, n, at); err != nil {
		t.Fatal(err)
	}
}

// countOn does the same on other files, and returns how many batches it promised.
func countOn(t *testing.T, data string, options store.Options, first, n int, at time.Time) (promised int, err error) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(data, "flopwatch.db"), options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	key, err := attest.LoadOrCreateKey(filepath.Join(data, "host.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.LoadOrCreateKey(filepath.Join(data, "collector.key")); err != nil {
		t.Fatal(err)
	}
	id := attest.HostID(key.Public().(ed25519.PublicKey))
	book, err := s.LoadLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		was := book.Position(ledger.HostID(id))
		from := noon.UnixNano() + int64(first+i)*int64(10*time.Second)
		to := from + int64(10*time.Second)
		w := measure.Window{Device: "GPU-1", StartNS: from, EndNS: to, Entries: []measure.Entry{{State: measure.Attributed, Tenant: "ten-a",
			Workload: measure.Workload{Kind: "slurm", ID: "7"}, Method: measure.Method{Name: measure.GPM, Version: 1}, Duration: 10 * time.Second,
			Operations: compute.Bounds{Low: 1, Best: 2, High: 3}, Ceiling: 5, EnergyMJ: 7}}}
		row := ledger.Device{Device: measure.Device{ID: "GPU-1", Name: "Made Up"}, Peak: 10, Ceiling: 20}
		body, err := wire.Encode(&wire.Batch{Header: wire.Header{Version: wire.Version, Host: id, Epoch: 1, Seq: was.Seq + 1, PrevHash: was.Hash, BootID: "b", WallNS: from, FirstNS: from, LastNS: to},
			Devices: []wire.DeviceRow{wire.DeviceRow(row)}, Windows: []measure.Window{w}})
		if err != nil {
			t.Fatal(err)
		}
		envelope := attest.Seal(key, attest.DomainBatch, body)
		err = book.Apply(&ledger.Batch{Host: ledger.HostID(id), PublicKey: key.Public().(ed25519.PublicKey), BootID: "b",
			Position: ledger.Position{Epoch: 1, Seq: was.Seq + 1, Hash: attest.Hash(envelope)}, Devices: []ledger.Device{row}, Windows: []measure.Window{w}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Checkpoint(t.Context(), store.Checkpoint{At: at, Changes: book.Take(), Frames: evidence.AppendFrame(nil, envelope), FrameCount: 1}); err != nil {
			return promised, err
		}
		promised++
	}
	return promised, nil
}

func names(all []backup.Backup) (out []string) {
	for _, b := range all {
		out = append(out, b.Name())
	}
	return out
}

func TestBackUpAndRestore(t *testing.T) {
	dir := t.TempDir()
	data, folder := filepath.Join(dir, "data"), filepath.Join(dir, "backups")
	count(t, data, 0, 3, noon)
	first, err := backup.Take(t.Context(), data, folder, "v1", noon)
	if err != nil {
		t.Fatal(err)
	}
	if first.Batches != 3 || first.Hosts != 1 {
		t.Errorf("manifest %+v", first.Manifest)
	}
	count(t, data, 3, 2, noon.AddDate(0, 0, 1))
	second, err := backup.Take(t.Context(), data, folder, "v1", noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	// The evidence of a day that is over is stored once.
	a, err1 := os.Stat(filepath.Join(first.Path, "evidence", "2026-03-01.fwe"))
	b, err2 := os.Stat(filepath.Join(second.Path, "evidence", "2026-03-01.fwe"))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(a, b) {
		t.Errorf("the file of the first day is stored twice: %v", err)
	}
	for _, c := range []struct {
		from    backup.Backup
		batches int64
	}{{first, 3}, {second, 5}} {
		to := filepath.Join(dir, "restored-"+c.from.Name())
		v, err := backup.Restore(t.Context(), c.from, to, "drill")
		if err != nil || v.Batches != c.batches || v.Devices != 1 {
			t.Fatalf("restore %s: %+v, %v", c.from.Name(), v, err)
		}
		if v, err := backup.Check(t.Context(), to); err != nil || !v.Sound() || v.Batches != c.batches || v.Entries == 0 {
			t.Errorf("check of what was restored: %+v, %v", v, err)
		}
		if _, err := backup.Restore(t.Context(), c.from, to, "drill"); !errors.Is(err, backup.ErrOccupied) {
			t.Errorf("restore over data: %v", err)
		}
	}
	// What was restored goes on.
	count(t, filepath.Join(dir, "restored-"+first.Name()), 3, 2, noon.AddDate(0, 0, 1))
	if v, err := backup.Check(t.Context(), filepath.Join(dir, "restored-"+first.Name())); err != nil || !v.Sound() || v.Batches != 5 {
		t.Errorf("after going on: %+v, %v", v, err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// A backup is dropped when the collector's own data does not hold, and a backup
// that was damaged later is not restored.
func TestDamageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	data, folder := filepath.Join(dir, "data"), filepath.Join(dir, "backups")
	count(t, data, 0, 3, noon)
	good, err := backup.Take(t.Context(), data, folder, "v1", noon)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(path string, at int64) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, err1 := f.ReadAt(b, at)
		b[0] ^= 4
		_, err2 := f.WriteAt(b, at)
		if err := errors.Join(err1, err2, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	count(t, data, 3, 1, noon) // or the file of the good backup would be taken once more
	flip(filepath.Join(data, "evidence", "2026-03-01.fwe"), 300)
	_, err = backup.Take(t.Context(), data, folder, "v1", noon.Add(time.Hour))
	var unsound *backup.Unsound
	if !errors.As(err, &unsound) || !strings.Contains(unsound.Verdict.Problems[0], "batch 1/1 of host") {
		t.Errorf("backup of damaged evidence: %v", err)
	}
	if all, err := backup.List(folder); err != nil || len(all) != 1 {
		t.Errorf("backups %v, %v", names(all), err)
	}
	for _, f := range good.Files {
		flip(filepath.Join(good.Path, f.Name), f.Bytes/2)
		if _, err := backup.Restore(t.Context(), good, filepath.Join(dir, "to"), "drill"); !errors.As(err, &unsound) || !strings.Contains(unsound.Verdict.Problems[0], f.Name) {
			t.Errorf("restore with %s damaged: %v", f.Name, err)
		}
		flip(filepath.Join(good.Path, f.Name), f.Bytes/2)
		if _, err := os.Stat(filepath.Join(dir, "to")); err == nil {
			t.Fatal("a damaged backup was restored")
		}
	}
}

func TestPrune(t *testing.T) {
	folder := t.TempDir()
	var want []string
	for h := range 24 * 10 { // ten days by the hour
		at := noon.Add(time.Duration(h) * time.Hour)
		name := "flopwatch-" + at.Format("20060102T150405Z")
		if err := os.MkdirAll(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"kind":"flopwatch/backup/v1","at":%q}`, at.Format(time.RFC3339))
		if err := os.WriteFile(filepath.Join(folder, name, "manifest.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		lastOfDay := at.Hour() == 23
		if h >= 24*10-3 || lastOfDay && h > 24*10-48 || lastOfDay && at.Weekday() == time.Sunday {
			want = append(want, name)
		}
	}
	if _, err := backup.Prune(folder, backup.Retention{Hourly: 3, Daily: 3, Weekly: 3}); err != nil {
		t.Fatal(err)
	}
	all, err := backup.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, names(all)); d != "" {
		t.Errorf("kept (-want +got):\n%s", d)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"kind":"flopwatch/backup/v1","at":"2026-03-01T12:00:00Z","files":[{"name":"flopwatch.db","bytes":1,"sha256":""}]}`))
	f.Add([]byte(`{"kind":"flopwatch/backup/v1","files":[{"name":"../../etc/passwd"}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := backup.Read(dir)
		if err != nil {
			return
		}
		for _, file := range b.Files {
			if !filepath.IsLocal(file.Name) || file.Bytes < 0 {
				t.Errorf("file %+v was accepted", file)
			}
		}
	})
}
