package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// pairs makes one short frame of every two, and of an odd last one itself.
func pairs(frames []Frame) ([]Frame, error) {
	var out []Frame
	for len(frames) > 1 {
		if frames[0].FirstSeq != 0 || frames[1].FirstSeq != 0 || frames[0].Epoch != frames[1].Epoch {
			out, frames = append(out, frames[0]), frames[1:]
			continue
		}
		out, frames = append(out, standIn(frames[:2])), frames[2:]
	}
	return append(out, frames...), nil
}

// one makes one short frame of all of an epoch.
func one(frames []Frame) (out []Frame, err error) {
	for len(frames) > 0 {
		n := 1
		for n < len(frames) && frames[n].Epoch == frames[0].Epoch {
			n++
		}
		out, frames = append(out, standIn(frames[:n])), frames[n:]
	}
	return out, nil
}

func standIn(frames []Frame) Frame {
	f := frames[len(frames)-1]
	f.FirstSeq, f.FirstNS, f.Envelope = frames[0].First(), frames[0].FirstNS, fmt.Appendf(nil, "%d-%d", frames[0].First(), f.Seq)
	return f
}

// covers fails unless frames of one epoch hold every number up to the last, in
// order, and returns the last.
func covers(t *testing.T, what string, frames []Frame) uint64 {
	t.Helper()
	last := uint64(0)
	for _, f := range frames {
		if f.First() > last+1 || f.Seq <= last {
			t.Fatalf("%s: batches %d to %d come after %d", what, f.First(), f.Seq, last)
		}
		last = f.Seq
	}
	return last
}

// thinStory is a life in which a spool becomes thin and then drops. It returns up to
// which number it promised.
func thinStory(dir string, fsys FS) (promised uint64, err error) {
	s, err := Open(dir, Options{FS: fsys, SegmentBytes: 500, Shared: "a"})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for seq := uint64(1); seq <= 16; seq++ {
		if err := s.Append(batch("a", 1, seq)); err != nil {
			return promised, err
		}
		if err := s.Sync(); err != nil {
			return promised, err
		}
		promised = seq
		if seq%6 != 0 {
			continue
		}
		if _, err := s.Thin(pairs); err != nil {
			return promised, err
		}
		if seq == 12 {
			if _, err := s.Drop(one); err != nil {
				return promised, err
			}
		}
	}
	return promised, nil
}

// Each file operation of thinning and dropping fails once. Whatever was synced is
// still there, itself or in what stands for it, and the next life goes on.
func TestThinningFailsAtEveryFileOperation(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name string
		err  error
		half bool
	}{{"io error", errInjected, false}, {"short write", errInjected, true}, {"disk full", syscall.ENOSPC, true}} {
		t.Run(kind.name, func(t *testing.T) {
			count := &faultyFS{FS: diskFS{}}
			if _, err := thinStory(t.TempDir(), count); err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			for n := 1; n <= count.calls; n++ {
				dir := filepath.Join(t.TempDir(), "s")
				faulty := &faultyFS{FS: diskFS{}, failAt: n, err: kind.err, half: kind.half}
				promised, err := thinStory(dir, faulty)
				what := fmt.Sprintf("operation %d (%s)", n, faulty.what)
				if err == nil && !errors.Is(kind.err, syscall.ENOSPC) {
					t.Fatalf("%s: the fault was swallowed", what)
				}
				s := open(t, dir, Options{SegmentBytes: 500})
				if lost := s.Recovery().Lost; len(lost) > 0 {
					t.Fatalf("%s: reported as lost: %v", what, lost)
				}
				if last := covers(t, what, readAll(t, s)); last < promised {
					t.Fatalf("%s: up to %d is there, %d was promised", what, last, promised)
				}
				head, _ := s.Head("a")
				must(t, s.Append(batch("a", 1, head.Last.Seq+1)))
				must(t, s.Sync())
				for range 10 { // it can be thinned and dropped to the end
					if freed, err := s.Thin(pairs); err != nil || freed == 0 {
						must(t, err)
						break
					}
				}
				if _, err := s.Drop(one); err != nil {
					t.Fatalf("%s: drop: %v", what, err)
				}
				covers(t, what+", dropped", readAll(t, s))
				must(t, s.Close())
			}
		})
	}
}

// Who reads the spool of another process is at a place that is replaced under him:
// he begins anew and reads everything, with what he knows of the old place unused.
func TestFollowerOfASpoolThatBecomesThin(t *testing.T) {
	for _, reading := range []bool{true, false} {
		dir := t.TempDir()
		s := open(t, dir, Options{SegmentBytes: 500, Shared: "a"})
		for seq := uint64(1); seq <= 20; seq++ {
			must(t, s.Append(batch("a", 1, seq)))
		}
		must(t, s.Sync())
		f := follow(t, dir)
		c := f.Cursor()
		for range 3 {
			if _, _, err := c.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if !reading {
			must(t, c.Close()) // the file is opened anew, at a place of the old one
		}
		before := f.Instance()
		for range 3 {
			if freed, err := s.Thin(pairs); err != nil || freed == 0 {
				t.Fatalf("thinned: %d, %v", freed, err)
			}
		}
		var seen []Frame
		for range 2 { // the first may end at what was replaced
			for _, fr := range drain(t, c) {
				if len(seen) > 0 && fr.Seq <= seen[len(seen)-1].Seq {
					seen = nil // he began anew
				}
				seen = append(seen, fr)
			}
			_, err := f.refresh()
			must(t, err)
		}
		if f.Instance() == before {
			t.Error("positions are said to mean what they did")
		}
		if last := covers(t, "follower", seen); last != 20 || len(seen) >= 20 {
			t.Errorf("read %d frames up to %d", len(seen), last)
		}
		must(t, c.Close())
	}
}

func drain(t *testing.T, c *Cursor) (all []Frame) {
	t.Helper()
	for range 200 {
		f, _, err := c.Next()
		if err != nil {
			return all
		}
		all = append(all, f)
	}
	t.Fatal("there is no end")
	return nil
}

// A receipt whose position is of the spool before it became thin releases nothing:
// at that offset may be something else.
func TestReleaseOfAPlaceThatWasReplaced(t *testing.T) {
	s := open(t, t.TempDir(), Options{SegmentBytes: 500})
	for seq := uint64(1); seq <= 20; seq++ {
		must(t, s.Append(batch("a", 1, seq)))
	}
	must(t, s.Sync())
	c := s.Cursor()
	defer func() { must(t, c.Close()) }()
	for range 4 {
		if _, _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
	}
	old := c.Position()
	if freed, err := s.Thin(pairs); err != nil || freed == 0 {
		t.Fatalf("thinned: %d, %v", freed, err)
	}
	must(t, s.Release(old))
	if last := covers(t, "after the release", readAll(t, s)); last != 20 {
		t.Errorf("up to %d", last)
	}
}
