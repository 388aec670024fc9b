package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batch makes a frame whose content follows from its place.
func batch(host string, epoch, seq uint64) Frame {
	f := Frame{Host: host, Epoch: epoch, Seq: seq, FirstNS: int64(seq) * 10, LastNS: int64(seq)*10 + 10, ResumeNS: int64(epoch*1000+seq)*10 + 10}
	f.Envelope = fmt.Appendf(nil, "envelope %s %d.%d %s", host, epoch, seq, string(make([]byte, 40)))
	f.Hash = [32]byte{byte(epoch), byte(seq), byte(seq >> 8), host[0]}
	return f
}

func open(t testing.TB, dir string, o Options) *Spool {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // closing twice is allowed; tests that care check the error
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readAll returns every frame that may be sent.
func readAll(t testing.TB, s *Spool) []Frame {
	t.Helper()
	c := s.Cursor()
	defer func() { must(t, c.Close()) }()
	var out []Frame
	for {
		f, _, err := c.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		must(t, err)
		out = append(out, f)
	}
}

func segmentFiles(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	must(t, err)
	return names
}

func TestNothingIsReadableBeforeSync(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	must(t, s.Append(batch("a", 1, 1), batch("b", 1, 1)))
	if got := readAll(t, s); len(got) != 0 {
		t.Fatalf("%d frames readable before Sync", len(got))
	}
	must(t, s.Sync())
	if diff := cmp.Diff([]Frame{batch("a", 1, 1), batch("b", 1, 1)}, readAll(t, s)); diff != "" {
		t.Fatalf("after Sync (-want +got):\n%s", diff)
	}
	must(t, s.Append(batch("a", 1, 2)))
	if got := readAll(t, s); len(got) != 2 {
		t.Fatalf("%d frames readable, 2 are synced", len(got))
	}
	select {
	case <-s.Wake():
	default:
		t.Fatal("Sync did not wake the reader")
	}
}

func TestAppendKeepsOrder(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	must(t, s.Append(batch("a", 2, 1), batch("a", 2, 2)))
	for name, f := range map[string]Frame{
		"repeated": batch("a", 2, 2), "hole": batch("a", 2, 4), "older epoch": batch("a", 1, 1), "epoch not from 1": batch("a", 3, 2),
	} {
		if err := s.Append(f); !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v, want ErrOrder", name, err)
		}
	}
	must(t, s.Append(batch("a", 2, 3), batch("a", 5, 1)))
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second open: %v, want ErrLocked", err)
	}
	must(t, s.Close())
	open(t, dir, Options{})
	if err := s.Append(batch("a", 1, 1)); !errors.Is(err, ErrClosed) {
		t.Fatalf("append to closed spool: %v", err)
	}
}

func TestHeadsOutliveSegments(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{SegmentBytes: 300, MaxBytes: 4000})
	for seq := uint64(1); seq <= 30; seq++ {
		must(t, s.Append(batch("a", 1, seq), batch("b", 4, seq)))
		must(t, s.Sync())
		c := s.Cursor()
		for range readAll(t, s) {
			if _, _, err := c.Next(); err != nil {
				t.Fatal(err)
			}
		}
		s.Receipted("a", Mark{1, seq})
		s.Receipted("b", Mark{4, seq})
		must(t, s.Release(c.Position()))
		must(t, c.Close())
	}
	must(t, s.Close())
	for _, name := range segmentFiles(t, dir) {
		must(t, os.Remove(name))
	}
	s = open(t, dir, Options{})
	want := map[string]Head{
		"a": {Host: "a", Last: Mark{1, 30}, Hash: batch("a", 1, 30).Hash, ResumeNS: batch("a", 1, 30).ResumeNS, Receipted: Mark{1, 30}},
		"b": {Host: "b", Last: Mark{4, 30}, Hash: batch("b", 4, 30).Hash, ResumeNS: batch("b", 4, 30).ResumeNS, Receipted: Mark{4, 30}},
	}
	if diff := cmp.Diff(want, s.Heads()); diff != "" {
		t.Fatalf("heads (-want +got):\n%s", diff)
	}
	if lost := s.Recovery().Lost; len(lost) > 0 {
		t.Fatalf("receipted segments reported as lost: %v", lost)
	}
	if epoch, err := s.NextEpoch("a"); err != nil || epoch <= 4 {
		t.Fatalf("next epoch %d, %v: want above every epoch of the spool", epoch, err)
	}
}

func TestFullSpoolWaitsForRelease(t *testing.T) {
	s := open(t, t.TempDir(), Options{SegmentBytes: 400, MaxBytes: 1500})
	seq := uint64(1)
	var full error
	for ; full == nil; seq++ {
		full = s.Append(batch("a", 1, seq))
	}
	if !errors.Is(full, ErrFull) {
		t.Fatalf("append to full spool: %v", full)
	}
	seq--
	if s.Bytes() > 1500+200 {
		t.Fatalf("spool holds %d bytes, bound 1500", s.Bytes())
	}
	must(t, s.Sync())
	if got := len(readAll(t, s)); got != int(seq)-1 {
		t.Fatalf("full spool holds %d frames, %d were taken", got, seq-1)
	}
	if err := s.Append(batch("a", 1, seq)); !errors.Is(err, ErrFull) {
		t.Fatalf("append without release: %v", err)
	}
	c := s.Cursor()
	for range seq - 1 {
		_, _, err := c.Next()
		must(t, err)
	}
	must(t, s.Release(c.Position()))
	must(t, c.Close())
	select {
	case <-s.Space():
	default:
		t.Fatal("release did not signal space")
	}
	must(t, s.Append(batch("a", 1, seq)))
	must(t, s.Sync())
	rest := readAll(t, s)
	if diff := cmp.Diff(batch("a", 1, seq), rest[len(rest)-1]); diff != "" {
		t.Fatalf("after release (-want +got):\n%s", diff)
	}
	if s.Bytes() > 1500+200 {
		t.Fatalf("spool holds %d bytes after release, bound 1500", s.Bytes())
	}
}

func TestRetainKeepsReceiptedSegments(t *testing.T) {
	s := open(t, t.TempDir(), Options{SegmentBytes: 300, RetainBytes: 1 << 20})
	for seq := uint64(1); seq <= 20; seq++ {
		must(t, s.Append(batch("a", 1, seq)))
	}
	must(t, s.Sync())
	must(t, s.Release(s.synced))
	if got := len(readAll(t, s)); got != 20 {
		t.Fatalf("%d frames kept, want 20", got)
	}
}

// TestModel compares the spool with a list in memory over random calls,
// including closing and opening again.
func TestModel(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		dir := filepath.Join(root, fmt.Sprint(run))
		o := Options{SegmentBytes: 500, MaxBytes: 6000}
		s, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		var appended []Frame // not released
		marks := map[string]Mark{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "sync", "release", "reopen"}).Draw(t, "step") {
			case "append":
				host := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "host")
				m := Mark{max(marks[host].Epoch, 1), marks[host].Seq + 1}
				if rapid.IntRange(0, 9).Draw(t, "new epoch") == 0 {
					m = Mark{m.Epoch + 1, 1}
				}
				err := s.Append(batch(host, m.Epoch, m.Seq))
				if errors.Is(err, ErrFull) {
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				marks[host] = m
				appended = append(appended, batch(host, m.Epoch, m.Seq))
			case "sync":
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
			case "release":
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
				c := s.Cursor()
				n := 0
				for ; ; n++ {
					if _, _, err := c.Next(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						t.Fatal(err)
					}
				}
				if n != len(appended) {
					t.Fatalf("%d frames readable, %d synced and not removed", n, len(appended))
				}
				if err := errors.Join(s.Release(c.Position()), c.Close()); err != nil {
					t.Fatal(err)
				}
				// Frames of segments that stay are read again; only the order counts.
				left := 0
				c = s.Cursor()
				for {
					if _, _, err := c.Next(); err != nil {
						break
					}
					left++
				}
				_ = c.Close()
				appended = appended[n-left:]
			case "reopen":
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = Open(dir, o); err != nil {
					t.Fatal(err)
				}
				if r := s.Recovery(); r.TornBytes > 0 || len(r.Lost) > 0 {
					t.Fatalf("clean close, but %+v", r)
				}
			}
			for host, m := range marks {
				if h, _ := s.Head(host); h.Last != m {
					t.Fatalf("head of %s is %v, want %v", host, h.Last, m)
				}
			}
		}
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		c := s.Cursor()
		defer func() { _ = c.Close() }()
		for i, want := range appended {
			f, _, err := c.Next()
			if err != nil {
				t.Fatalf("frame %d of %d: %v", i, len(appended), err)
			}
			if diff := cmp.Diff(want, f); diff != "" {
				t.Fatalf("frame %d (-want +got):\n%s", i, diff)
			}
		}
	})
}
