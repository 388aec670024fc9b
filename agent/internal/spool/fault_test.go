package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var errInjected = errors.New("injected fault")

// faultyFS fails one call, counted from 1, and lets all others through.
type faultyFS struct {
	FS
	calls, failAt int
	err           error
	half          bool // a failing write leaves half of its bytes
	what          string
	onCreate      func() // called before a segment is created
}

func (f *faultyFS) fail(what string) error {
	f.calls++
	if f.calls == f.failAt {
		f.what = what
		return fmt.Errorf("%s: %w", what, f.err)
	}
	return nil
}

func (f *faultyFS) Open(name string, flag int) (File, error) {
	if err := f.fail("open"); err != nil {
		return nil, err
	}
	if f.onCreate != nil && flag&os.O_EXCL != 0 {
		f.onCreate()
	}
	file, err := f.FS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faultyFS) Rename(from, to string) error {
	if err := f.fail("rename"); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *faultyFS) Remove(name string) error {
	if err := f.fail("remove"); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *faultyFS) List(dir string) ([]string, error) {
	if err := f.fail("list"); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

func (f *faultyFS) SyncDir(dir string) error {
	if err := f.fail("sync folder"); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type faultyFile struct {
	File
	fs *faultyFS
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if err := f.fs.fail("write"); err != nil {
		n := 0
		if f.fs.half {
			n, _ = f.File.Write(b[:len(b)/2])
		}
		return n, err
	}
	return f.File.Write(b)
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.fs.fail("read"); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.fail("fsync"); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(n int64) error {
	if err := f.fs.fail("truncate"); err != nil {
		return err
	}
	return f.File.Truncate(n)
}

func (f *faultyFile) Close() error {
	if err := f.fs.fail("close"); err != nil {
		return errors.Join(err, f.File.Close())
	}
	return f.File.Close()
}

// story is one life of a spool. It returns the batches whose Sync succeeded and
// that were not released, and stops at the first error.
func story(dir string, fsys FS) (promised []string, err error) {
	s, err := Open(dir, Options{FS: fsys, SegmentBytes: 400, Shared: "a"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	epoch, err := s.NextEpoch("a")
	if err != nil {
		return nil, err
	}
	c := s.Cursor()
	defer func() { err = errors.Join(err, c.Close()) }()
	var waiting []string
	for seq := uint64(1); seq <= 9; seq++ {
		f := batch("a", epoch, seq)
		if err := s.Append(f); errors.Is(err, ErrFull) {
			err = s.Append(f) // the disk has room again
			if err != nil {
				return promised, err
			}
		} else if err != nil {
			return promised, err
		}
		waiting = append(waiting, string(f.Envelope))
		if seq%2 == 0 {
			if err := s.Sync(); err != nil {
				return promised, err
			}
			promised, waiting = append(promised, waiting...), nil
		}
		if seq == 6 {
			for range 4 {
				if _, _, err := c.Next(); err != nil {
					return promised, err
				}
			}
			promised = promised[4:]
			if err := s.Release(c.Position()); err != nil {
				return promised, err
			}
		}
	}
	return promised, nil
}

func TestEveryFileOperationFailsOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		err  error
		half bool
	}{{"io error", errInjected, false}, {"short write", errInjected, true}, {"disk full", syscall.ENOSPC, true}} {
		t.Run(kind.name, func(t *testing.T) {
			count := &faultyFS{FS: diskFS{}}
			if _, err := story(t.TempDir(), count); err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			if count.calls < 40 {
				t.Fatalf("the story makes %d file operations only", count.calls)
			}
			for n := 1; n <= count.calls; n++ {
				dir := filepath.Join(t.TempDir(), "s")
				faulty := &faultyFS{FS: diskFS{}, failAt: n, err: kind.err, half: kind.half}
				promised, err := story(dir, faulty)
				if faulty.what == "" {
					t.Fatalf("operation %d of %d did not come", n, count.calls)
				}
				if err == nil && !errors.Is(kind.err, syscall.ENOSPC) {
					t.Fatalf("operation %d (%s): the fault was swallowed", n, faulty.what)
				}
				found := onDisk(t, dir)
				checkPromise(t, fmt.Sprintf("operation %d (%s), on disk", n, faulty.what), promised, found)
				s := open(t, dir, Options{SegmentBytes: 400})
				if lost := s.Recovery().Lost; len(lost) > 0 {
					t.Fatalf("operation %d (%s): reported as lost: %v", n, faulty.what, lost)
				}
				var read []string
				for _, f := range readAll(t, s) {
					read = append(read, string(f.Envelope))
				}
				checkPromise(t, fmt.Sprintf("operation %d (%s), opened again", n, faulty.what), promised, read)
				must(t, s.Close())
				// A second life must work, in an epoch of its own.
				if _, err := story(dir, diskFS{}); err != nil {
					t.Fatalf("operation %d (%s): second life: %v", n, faulty.what, err)
				}
				seen := map[string]bool{}
				for _, e := range onDisk(t, dir) {
					if seen[e] {
						t.Fatalf("operation %d (%s): %q is on disk twice", n, faulty.what, strings.TrimRight(e, "\x00"))
					}
					seen[e] = true
				}
			}
		})
	}
}

// checkPromise fails unless the promised batches are there, in order.
func checkPromise(t *testing.T, what string, promised, found []string) {
	t.Helper()
	last := -1
	for _, p := range promised {
		i := slices.Index(found, p)
		if i < 0 {
			t.Fatalf("%s: lost %q", what, strings.TrimRight(p, "\x00"))
		}
		if i <= last {
			t.Fatalf("%s: %q is out of order", what, strings.TrimRight(p, "\x00"))
		}
		last = i
	}
}

// TestHeadsAreStoredBeforeSegmentsGo stops a spool at the moment when all its
// segments are removed and the next one is not there yet.
func TestHeadsAreStoredBeforeSegmentsGo(t *testing.T) {
	dir := t.TempDir()
	faulty := &faultyFS{FS: diskFS{}, err: errInjected}
	s := open(t, dir, Options{FS: faulty, MaxBytes: 1000})
	seq := uint64(1)
	for ; s.Append(batch("a", 1, seq)) == nil; seq++ {
	}
	must(t, s.Sync())
	must(t, s.Release(s.synced))
	copied := filepath.Join(t.TempDir(), "crashed")
	faulty.onCreate = func() { copyDir(t, dir, copied) }
	must(t, s.Append(batch("a", 1, seq)))
	if n := len(segmentFiles(t, copied)); n != 0 {
		t.Fatalf("%d segments at the moment of the crash, want none", n)
	}
	s = open(t, copied, Options{})
	want := batch("a", 1, seq-1)
	if h, _ := s.Head("a"); h.Last != want.Mark() || h.Hash != want.Hash || h.ResumeNS != want.ResumeNS {
		t.Fatalf("head after the crash is %+v, want batch %v", h, want.Mark())
	}
}

// TestFailedSyncIsFinal makes sure that a second fsync is never taken for good.
func TestFailedSyncIsFinal(t *testing.T) {
	faulty := &faultyFS{FS: diskFS{}, err: errInjected}
	s := open(t, t.TempDir(), Options{FS: faulty})
	must(t, s.Append(batch("a", 1, 1)))
	faulty.failAt = faulty.calls + 1
	if err := s.Sync(); !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
		t.Fatalf("failed fsync: %v", err)
	}
	for name, call := range map[string]func() error{
		"sync": s.Sync, "append": func() error { return s.Append(batch("a", 1, 2)) },
		"release": func() error { return s.Release(Position{Segment: 9, Offset: 9}) },
	} {
		if err := call(); !errors.Is(err, ErrFailed) {
			t.Errorf("%s after a failed fsync: %v", name, err)
		}
	}
	c := s.Cursor()
	if _, _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("a batch whose fsync failed can be sent: %v", err)
	}
}

func BenchmarkAppendSync1000(b *testing.B) {
	for _, size := range []int{2 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := open(b, b.TempDir(), Options{MaxBytes: 2 << 30})
			f := batch("a", 1, 1)
			f.Envelope = make([]byte, size)
			b.SetBytes(int64(1000 * size))
			for b.Loop() {
				for range 1000 {
					must(b, s.Append(f))
					f.Seq++
				}
				must(b, s.Sync())
				b.StopTimer()
				must(b, s.Release(s.synced))
				b.StartTimer()
			}
		})
	}
}
