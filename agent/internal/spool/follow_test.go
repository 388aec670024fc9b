package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func follow(t *testing.T, dir string) *Follower {
	t.Helper()
	f, err := Follow(dir, nil)
	must(t, err)
	return f
}

// seqs reads what a cursor gives now.
func seqs(t *testing.T, c *Cursor) (all []Mark) {
	t.Helper()
	for {
		f, _, err := c.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		all = append(all, f.Mark())
	}
}

// A follower sees what is synced and nothing else, over new segments, removed
// ones and a writer that starts again.
func TestFollowerSeesWhatIsSynced(t *testing.T) {
	dir := t.TempDir()
	if _, err := Follow(dir, nil); !errors.Is(err, ErrNotShared) {
		t.Fatalf("before any writer: %v", err)
	}
	s := open(t, dir, Options{SegmentBytes: 400, Shared: "a"})
	f := follow(t, dir)
	c := f.Cursor()
	defer func() { must(t, c.Close()) }()
	if f.Host() != "a" || len(seqs(t, c)) != 0 {
		t.Fatal("a new spool is not empty")
	}
	must(t, s.Append(batch("a", 1, 1)))
	if changed, err := f.refresh(); err != nil || len(seqs(t, c)) != 0 {
		t.Fatalf("a batch that is not synced can be read (%v, %v)", changed, err)
	}
	must(t, s.Sync())
	for seq := uint64(2); seq <= 9; seq++ {
		must(t, s.Append(batch("a", 1, seq)))
		must(t, s.Sync())
	}
	changed, err := f.refresh()
	must(t, err)
	if got := seqs(t, c); !changed || len(got) != 9 || got[8] != (Mark{1, 9}) {
		t.Fatalf("read %v", got)
	}
	if h, ok := f.Head("a"); !ok || h.Last != (Mark{1, 9}) || h.Hash != batch("a", 1, 9).Hash {
		t.Errorf("head %+v", h)
	}
	// The writer removes what is receipted while the follower knows it still.
	before := f.Instance()
	must(t, s.Release(s.synced))
	again := f.Cursor()
	if _, _, err := again.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("a removed segment: %v", err)
	}
	must(t, s.Close())
	s = open(t, dir, Options{SegmentBytes: 400, Shared: "a"})
	must(t, s.Append(batch("a", 2, 1)))
	must(t, s.Sync())
	_, err = f.refresh()
	must(t, err)
	if f.Instance() == before {
		t.Error("a writer that starts again is the same instance")
	}
	all := seqs(t, again)
	if len(all) == 0 || all[len(all)-1] != (Mark{2, 1}) {
		t.Errorf("after the restart: %v", all)
	}
	must(t, again.Close())
	must(t, s.Close())
}

// What a power cut may leave of the view is waited out, not read.
func TestFollowerRefusesHalfAView(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Shared: "a"})
	must(t, s.Append(batch("a", 1, 1)))
	must(t, s.Close())
	whole, err := os.ReadFile(filepath.Join(dir, readableName))
	must(t, err)
	for cut := range whole {
		must(t, os.WriteFile(filepath.Join(dir, readableName), whole[:cut], 0o600))
		if _, err := Follow(dir, nil); !errors.Is(err, ErrNotShared) {
			t.Fatalf("%d of %d bytes: %v", cut, len(whole), err)
		}
	}
}

func TestLockNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	defer func() { must(t, s.Close()) }()
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("second writer: %v", err)
	}
}
