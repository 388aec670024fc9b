package backup_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/backup"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// faultyFiles fails one call, counted from 1, and lets all others through.
type faultyFiles struct {
	calls, failAt int
	err           error
	half          bool // a failing write leaves half of its bytes
	what          string
}

func (f *faultyFiles) fail(what string) error {
	f.calls++
	if f.calls == f.failAt {
		f.what = what
		return fmt.Errorf("%s: %w", what, f.err)
	}
	return nil
}

func (f *faultyFiles) MkdirAll(dir string) error {
	return first(f.fail("make folder"), func() error { return os.MkdirAll(dir, 0o700) })
}

func (f *faultyFiles) Truncate(name string, size int64) error {
	return first(f.fail("cut file"), func() error { return os.Truncate(name, size) })
}

func (f *faultyFiles) SyncDir(dir string) error {
	return first(f.fail("sync folder"), func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}

func (f *faultyFiles) ReadDir(dir string) ([]os.DirEntry, error) {
	if err := f.fail("list folder"); err != nil {
		return nil, err
	}
	return os.ReadDir(dir)
}

func (f *faultyFiles) Open(name string) (store.File, error) {
	if err := f.fail("open"); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

func first(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

type faultyFile struct {
	*os.File
	files *faultyFiles
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.files.fail("write"); err != nil {
		n := 0
		if f.files.half {
			n, _ = f.File.WriteAt(b[:len(b)/2], at)
		}
		return n, err
	}
	return f.File.WriteAt(b, at)
}

func (f *faultyFile) Seek(at int64, whence int) (int64, error) {
	if err := f.files.fail("seek"); err != nil {
		return 0, err
	}
	return f.File.Seek(at, whence)
}

func (f *faultyFile) Sync() error { return first(f.files.fail("fsync"), f.File.Sync) }

func (f *faultyFile) Truncate(size int64) error {
	return first(f.files.fail("truncate"), func() error { return f.File.Truncate(size) })
}

func (f *faultyFile) Close() error {
	if err := f.files.fail("close"); err != nil {
		return errors.Join(err, f.File.Close())
	}
	return f.File.Close()
}

// evidenceStory counts batches over two days in two lives, of which the first leaves
// something behind that was never committed. It stops at the first error.
func evidenceStory(t *testing.T, data string, files *faultyFiles) (promised int, err error) {
	t.Helper()
	options := store.Options{Files: files}
	for life := range 2 {
		for day := range 2 {
			done, err := countOn(t, data, options, promised, 2, noon.AddDate(0, 0, 2*life+day))
			promised += done
			if err != nil {
				return promised, err
			}
		}
		if life == 0 {
			left, err := os.OpenFile(filepath.Join(data, "evidence", noon.AddDate(0, 0, 1).Format(time.DateOnly)+".fwe"), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = left.WriteString("torn")
				err = errors.Join(err, left.Close())
			}
			if err != nil {
				return promised, err
			}
		}
	}
	return promised, nil
}

// Every operation on files of evidence fails once, each third without
// FLOPWATCH_LONG: what was promised is there, the
// checker finds nothing wrong, and the next start goes on.
func TestEveryEvidenceOperationFailsOnce(t *testing.T) {
	t.Parallel()
	step := 3
	if os.Getenv("FLOPWATCH_LONG") != "" {
		step = 1
	}
	for _, kind := range []struct {
		name string
		err  error
		half bool
	}{{"io error", syscall.EIO, false}, {"short write on a full disk", syscall.ENOSPC, true}} {
		t.Run(kind.name, func(t *testing.T) {
			whole := &faultyFiles{}
			if n, err := evidenceStory(t, filepath.Join(t.TempDir(), "data"), whole); err != nil || n != 8 {
				t.Fatalf("without a fault: %d batches, %v", n, err)
			}
			whats := map[string]int{}
			for n := 1; n <= whole.calls; n += step {
				data := filepath.Join(t.TempDir(), "data")
				files := &faultyFiles{failAt: n, err: kind.err, half: kind.half}
				promised, err := evidenceStory(t, data, files)
				if files.what == "" || err == nil {
					t.Fatalf("operation %d of %d (%s): the fault was swallowed", n, whole.calls, files.what)
				}
				whats[files.what]++
				if promised == 0 {
					count(t, data, 0, 1, noon) // keys and schema may not be there yet
					promised = 1
				}
				v, err := backup.Check(t.Context(), data)
				if err != nil || !v.Sound() || v.Batches < int64(promised) {
					t.Fatalf("operation %d (%s): promised %d batches, found %+v, %v", n, files.what, promised, v, err)
				}
				count(t, data, int(v.Batches), 1, noon.AddDate(0, 0, 5))
				if again, err := backup.Check(t.Context(), data); err != nil || !again.Sound() || again.Batches != v.Batches+1 {
					t.Fatalf("operation %d (%s): after going on: %+v, %v", n, files.what, again, err)
				}
			}
			t.Logf("%d file operations, each %d. failed: %v", whole.calls, step, whats)
		})
	}
}
