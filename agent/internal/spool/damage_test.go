package spool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// copyDir copies the files of a spool, without the lock.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	must(t, os.MkdirAll(to, 0o700))
	entries, err := os.ReadDir(from)
	must(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, e.Name()), data, 0o600))
	}
}

// crashed returns the folder of a spool as a crash leaves it: frames synced, the
// heads file as old as the opening.
func crashed(t testing.TB, o Options, frames int) string {
	t.Helper()
	live, dir := filepath.Join(t.TempDir(), "live"), filepath.Join(t.TempDir(), "crashed")
	s := open(t, live, o)
	for i := range frames {
		must(t, s.Append(batch("a", 1, uint64(i)+1)))
		must(t, s.Sync())
	}
	copyDir(t, live, dir)
	return dir
}

// hastyFS skips fsync, for tests that open thousands of spools and cut no power.
type hastyFS struct{ diskFS }

type hastyFile struct{ File }

func (hastyFile) Sync() error        { return nil }
func (hastyFS) SyncDir(string) error { return nil }
func (h hastyFS) Open(name string, flag int) (File, error) {
	f, err := h.diskFS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return hastyFile{f}, nil
}

func TestTruncateAtEveryOffset(t *testing.T) {
	t.Parallel()
	const frames = 3
	dir := crashed(t, Options{}, frames)
	name := segmentFiles(t, dir)[0]
	whole, err := os.ReadFile(name)
	must(t, err)
	for cut := range len(whole) {
		at := filepath.Join(t.TempDir(), "s")
		copyDir(t, dir, at)
		must(t, os.WriteFile(filepath.Join(at, filepath.Base(name)), whole[:cut], 0o600))
		s := open(t, at, Options{FS: hastyFS{}})
		if lost := s.Recovery().Lost; len(lost) > 0 {
			t.Fatalf("cut at %d: a torn tail is no loss: %v", cut, lost)
		}
		got := readAll(t, s)
		for i, f := range got {
			if f.Seq != uint64(i)+1 || !bytes.Equal(f.Envelope, batch("a", 1, f.Seq).Envelope) {
				t.Fatalf("cut at %d: frame %d is %d.%d", cut, i, f.Epoch, f.Seq)
			}
		}
		if head, _ := s.Head("a"); head.Last.Seq != uint64(len(got)) {
			t.Fatalf("cut at %d: head %v with %d frames", cut, head.Last, len(got))
		}
		// The host goes on in an epoch that was never used.
		epoch, err := s.NextEpoch("a")
		must(t, err)
		if epoch < 2 {
			t.Fatalf("cut at %d: epoch %d is used again", cut, epoch)
		}
		must(t, s.Append(batch("a", epoch, 1)))
		must(t, s.Sync())
		if n := len(onDisk(t, at)); n != len(got)+1 {
			t.Fatalf("cut at %d: %d frames on disk, want %d", cut, n, len(got)+1)
		}
		must(t, s.Close())
	}
}

func TestFlipBits(t *testing.T) {
	t.Parallel()
	dir := crashed(t, Options{SegmentBytes: 400}, 6)
	names := segmentFiles(t, dir)
	if len(names) != 3 {
		t.Fatalf("%d segments, want 3", len(names))
	}
	// Every bit takes a minute under the race detector; 13 meets each place in a
	// byte and, with the sizes here, every field.
	flipStep := 13
	if os.Getenv("FLIP_EVERY_BIT") != "" {
		flipStep = 1
	}
	originals := map[string]bool{}
	for seq := uint64(1); seq <= 6; seq++ {
		originals[string(batch("a", 1, seq).Envelope)] = true
	}
	at := filepath.Join(t.TempDir(), "s")
	for _, name := range names {
		whole, err := os.ReadFile(name)
		must(t, err)
		for bit := 0; bit < len(whole)*8; bit += flipStep {
			must(t, os.RemoveAll(at))
			copyDir(t, dir, at)
			flipped := bytes.Clone(whole)
			flipped[bit/8] ^= 1 << (bit % 8)
			must(t, os.WriteFile(filepath.Join(at, filepath.Base(name)), flipped, 0o600))
			s, err := Open(at, Options{SegmentBytes: 400, FS: hastyFS{}})
			must(t, err)
			got := readAll(t, s)
			for i, f := range got {
				if !originals[string(f.Envelope)] {
					t.Fatalf("%s bit %d: accepted a frame that was never written", name, bit)
				}
				if f.Seq != uint64(i)+1 {
					t.Fatalf("%s bit %d: read %d.%d after %d frames: never to be accepted", name, bit, f.Epoch, f.Seq, i)
				}
			}
			r := s.Recovery()
			switch missing := 6 - len(got); {
			case missing == 0:
				t.Fatalf("%s bit %d: flip not noticed", name, bit)
			case missing == 1 && name == names[2] && r.TornBytes > 0: // as a torn write would look
			case len(r.Lost) == 0:
				t.Fatalf("%s bit %d: %d frames missing and nothing reported", name, bit, missing)
			}
			head, _ := s.Head("a")
			if want := batch("a", 1, uint64(len(got))).ResumeNS; len(got) > 0 && head.ResumeNS != want {
				t.Fatalf("%s bit %d: resumes at %d after %d frames, want %d", name, bit, head.ResumeNS, len(got), want)
			}
			epoch, err := s.NextEpoch("a")
			must(t, err)
			if epoch < 2 {
				t.Fatalf("%s bit %d: epoch %d is used again", name, bit, epoch)
			}
			must(t, s.Close())
		}
	}
}

func TestLostRangeNamesWhatIsMissing(t *testing.T) {
	dir := crashed(t, Options{SegmentBytes: 400}, 6)
	name := segmentFiles(t, dir)[1]
	data, err := os.ReadFile(name)
	must(t, err)
	i := bytes.Index(data, []byte("envelope a 1.3"))
	if i < 0 {
		t.Fatalf("segment %s does not hold batch 1.3", name)
	}
	data[i] ^= 1
	must(t, os.WriteFile(name, data, 0o600))
	s := open(t, dir, Options{SegmentBytes: 400})
	var ranges []string
	for _, l := range s.Recovery().Lost {
		if l.Host != "" {
			ranges = append(ranges, fmt.Sprintf("%s %v %v", l.Host, l.From, l.To))
		}
	}
	// 1.4 to 1.6 are whole, but the collector would wait for 1.3 for ever.
	if want := []string{"a {1 2} {1 6}"}; !slices.Equal(ranges, want) {
		t.Fatalf("lost %q, want %q", ranges, want)
	}
	if got := readAll(t, s); len(got) != 2 {
		t.Fatalf("%d frames can be delivered, want 2", len(got))
	}
	must(t, s.Append(batch("a", 2, 1)))
	must(t, s.Sync())
	if got := readAll(t, s); len(got) != 3 || got[2].Epoch != 2 {
		t.Fatalf("the next epoch is not readable: %d frames", len(got))
	}
}

func TestDamagedFrameWhileOpenIsNotSent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	must(t, s.Append(batch("a", 1, 1)))
	must(t, s.Sync())
	name := segmentFiles(t, dir)[0]
	data, err := os.ReadFile(name)
	must(t, err)
	data[len(data)-1] ^= 1
	must(t, os.WriteFile(name, data, 0o600))
	c := s.Cursor()
	defer func() { must(t, c.Close()) }()
	if _, _, err := c.Next(); err == nil || !strings.Contains(err.Error(), ErrCorrupt.Error()) {
		t.Fatalf("read of a damaged frame: %v", err)
	}
}

func TestDamagedHeadsAreAnError(t *testing.T) {
	dir := crashed(t, Options{}, 1)
	name := filepath.Join(dir, headsName)
	data, err := os.ReadFile(name)
	must(t, err)
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		must(t, os.WriteFile(name, bad, 0o600))
		if s, err := Open(dir, Options{}); err == nil {
			must(t, s.Close())
			t.Fatalf("byte %d flipped: heads accepted", i)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, encodeBatch(batch("a", 1, 1), false)))
	f.Add(appendFrame(nil, encodeHeads(3, map[string]Head{"a": {Host: "a", Last: Mark{1, 2}}})))
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksum would stop most of the input; the payload decoders must
		// stand without it.
		for _, payload := range [][]byte{data, data[min(len(data), frameHead):]} {
			if f, more, err := decodeBatch(payload); err == nil && !bytes.Equal(encodeBatch(f, more), payload) {
				t.Fatalf("batch %+v does not encode to what it was read from", f)
			}
			if _, heads, err := decodeHeads(payload); err == nil && len(heads)*66 > len(payload) {
				t.Fatalf("%d heads from %d bytes", len(heads), len(payload))
			}
		}
		if payload, size, err := cutFrame(data); err == nil && !bytes.Equal(appendFrame(nil, payload), data[:size]) {
			t.Fatal("frame does not encode to what it was read from")
		}
		c := &scan{stored: map[string]Head{}, heads: map[string]Head{}, orphans: map[epochOf]uint64{}, orphaned: map[epochOf]int{}}
		if good := c.segment(1, append([]byte(segmentMagic), data...)); good > len(data)+len(segmentMagic) {
			t.Fatalf("%d of %d bytes are good", good, len(data))
		}
		holdsFrame(data)
		c.follow(1, data)
	})
}
