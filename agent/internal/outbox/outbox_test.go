package outbox

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const slot = int64(10 * time.Second)

// noise is text that does not compress.
func noise(i int) string {
	sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
	return base64.StdEncoding.EncodeToString(sum[:])
}

// window is the account of the i-th slot.
func window(i int) measure.Window {
	start := 1_700_000_000_000_000_000 + int64(i)*slot
	return measure.Window{Device: "GPU-1", StartNS: start, EndNS: start + slot, Entries: []measure.Entry{{
		State: measure.Attributed, Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: noise(i)}, Tenant: "t",
		Method: measure.Method{Name: measure.Allocation, Version: 1, Grade: "A"}, Duration: time.Duration(slot), EnergyMJ: -1,
	}}}
}

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func options() Options {
	return Options{
		KeyFor:       func(name string) (ed25519.PrivateKey, error) { return key(name[0]), nil },
		AgentVersion: "1.2.3", BatchSpan: 3 * time.Duration(slot),
		Now: func() (int64, int64) { return 77, 66 },
	}
}

func open(t testing.TB, dir string, o Options) *Outbox {
	t.Helper()
	box, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() }) // closing twice is allowed
	return box
}

var (
	facts = wire.HostFacts{Name: "a", OS: "linux", Kernel: "6.1"}
	rows  = []wire.DeviceRow{{Device: measure.Device{ID: "GPU-1", Name: "Test"}, SKU: "test", Grade: "A", Peak: 1, Ceiling: 2}}
)

func lane(t testing.TB, box *Outbox, name string) *Lane {
	t.Helper()
	l, err := box.Open(name, facts, "boot-1", rows)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shipped opens every batch that may be sent and checks numbers and hashes.
func shipped(t testing.TB, s *spool.Spool) []*wire.Batch {
	t.Helper()
	c := s.Cursor()
	defer func() { must(t, c.Close()) }()
	last := map[string]spool.Frame{}
	var out []*wire.Batch
	for {
		f, _, err := c.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		must(t, err)
		pub, body, err := attest.Open(attest.DomainBatch, f.Envelope)
		must(t, err)
		b, err := wire.Decode(body)
		must(t, err)
		before := last[f.Host]
		if b.Host != attest.HostID(pub) || b.Host != f.Host || b.Epoch != f.Epoch || b.Seq != f.Seq || f.Hash != attest.Hash(f.Envelope) {
			t.Fatalf("frame %s %d.%d holds batch %s %d.%d", f.Host, f.Epoch, f.Seq, b.Host, b.Epoch, b.Seq)
		}
		if b.PrevHash != before.Hash {
			t.Fatalf("batch %d.%d does not chain to %d.%d", b.Epoch, b.Seq, before.Epoch, before.Seq)
		}
		if b.FirstNS != f.FirstNS || b.LastNS != f.LastNS {
			t.Fatalf("batch %d.%d covers [%d, %d), its frame says [%d, %d)", b.Epoch, b.Seq, b.FirstNS, b.LastNS, f.FirstNS, f.LastNS)
		}
		last[f.Host] = f
		out = append(out, b)
	}
}

func TestBatchSaysWhoAndWhen(t *testing.T) {
	box := open(t, t.TempDir(), options())
	l := lane(t, box, "a")
	l.Steady(55)
	must(t, l.Put([]measure.Window{window(0), window(1), window(2)}))
	must(t, box.Sync(context.Background()))
	got := shipped(t, box.Spool())
	if len(got) != 1 {
		t.Fatalf("%d batches, want 1", len(got))
	}
	want := &wire.Batch{
		Header: wire.Header{
			Version: got[0].Version, Host: l.Host(), Epoch: 1, Seq: 1, BootID: "boot-1", BoottimeNS: 66, WallNS: 77,
			FirstNS: window(0).StartNS, LastNS: window(2).EndNS, ClockNS: 55, Receipts: wire.ReceiptsTogether,
		},
		Facts:   wire.HostFacts{Name: "a", OS: "linux", Kernel: "6.1", AgentVersion: "1.2.3"},
		Devices: rows, Windows: []measure.Window{window(0), window(1), window(2)},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestBatchIsSealedWhenDue(t *testing.T) {
	for name, tc := range map[string]struct {
		windows int
		span    time.Duration
		puts    int
		want    int
	}{
		"span not reached": {100, 3 * time.Duration(slot), 2, 0},
		"span reached":     {100, 3 * time.Duration(slot), 3, 1},
		"twice":            {100, 3 * time.Duration(slot), 7, 2},
		"count":            {2, time.Hour, 5, 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.BatchWindows, o.BatchSpan = tc.windows, tc.span
			box := open(t, t.TempDir(), o)
			l := lane(t, box, "a")
			for i := range tc.puts {
				must(t, l.Put([]measure.Window{window(i)}))
			}
			must(t, box.Sync(context.Background()))
			if got := len(shipped(t, box.Spool())); got != tc.want {
				t.Fatalf("%d batches after %d puts, want %d", got, tc.puts, tc.want)
			}
			must(t, l.Close())
			must(t, box.Sync(context.Background()))
			n := 0
			for _, b := range shipped(t, box.Spool()) {
				n += len(b.Windows)
			}
			if n != tc.puts {
				t.Fatalf("%d windows after Close, want %d", n, tc.puts)
			}
		})
	}
}

func TestLargeBatchIsSplit(t *testing.T) {
	o := options()
	o.MaxBatchBytes = 4 << 10
	dir := t.TempDir()
	box := open(t, dir, o)
	l := lane(t, box, "a")
	var want []measure.Window
	for i := range 200 {
		want = append(want, window(i))
	}
	must(t, l.Put(want))
	must(t, box.Sync(context.Background()))
	batches := shipped(t, box.Spool())
	var got []measure.Window
	for _, b := range batches {
		got = append(got, b.Windows...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if len(batches) < 2 {
		t.Fatal("one batch of 200 windows in 4 KiB")
	}
	huge := window(200)
	huge.Entries = nil
	const parts = 200
	for i := range parts {
		e := window(1000 + i).Entries[0]
		e.Duration = time.Duration(slot / parts)
		huge.Entries = append(huge.Entries, e)
	}
	if err := l.Put([]measure.Window{huge, window(203)}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a window larger than a batch: %v, want ErrTooLarge", err)
	}
}

// TestPartOfAPutIsNeverDurable cuts the spool after each byte of a split batch:
// a host must not resume behind windows that a torn write took.
func TestPartOfAPutIsNeverDurable(t *testing.T) {
	o := options()
	o.MaxBatchBytes = 700
	dir := t.TempDir()
	box := open(t, dir, o)
	var windows []measure.Window
	for i := range 12 {
		windows = append(windows, window(i))
	}
	l := lane(t, box, "a")
	must(t, l.Put(windows[:3]))
	must(t, box.Sync(context.Background()))
	must(t, l.Put(windows[3:]))
	must(t, box.Sync(context.Background()))
	if n := len(shipped(t, box.Spool())); n < 3 {
		t.Fatalf("%d batches: the second Put was not split", n)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	must(t, err)
	whole, err := os.ReadFile(names[0])
	must(t, err)
	heads, err := os.ReadFile(filepath.Join(dir, "heads"))
	must(t, err)
	for cut := 0; cut <= len(whole); cut += 29 {
		at := t.TempDir()
		must(t, os.WriteFile(filepath.Join(at, filepath.Base(names[0])), whole[:cut], 0o600))
		must(t, os.WriteFile(filepath.Join(at, "heads"), heads, 0o600))
		again := open(t, at, o)
		n := 0
		for _, b := range shipped(t, again.Spool()) {
			n += len(b.Windows)
		}
		want := int64(0)
		if n > 0 {
			want = windows[n-1].EndNS
		}
		if n != 0 && n != 3 && n != 12 {
			t.Fatalf("cut at %d: %d windows, part of a Put", cut, n)
		}
		if got := lane(t, again, "a").ResumeNS(); got != want {
			t.Fatalf("cut at %d: resumes at %d with %d windows, want %d", cut, got, n, want)
		}
		must(t, again.Close())
	}
}

// TestLives puts windows over random lives and wants each exactly once.
func TestLives(t *testing.T) {
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		dir := filepath.Join(root, fmt.Sprint(run))
		total := rapid.IntRange(1, 40).Draw(t, "windows")
		counted := map[int64]int{}
		for life := 0; ; life++ {
			box, err := Open(dir, options())
			if err != nil {
				t.Fatal(err)
			}
			l, err := box.Open("a", facts, "boot", rows)
			if err != nil {
				t.Fatal(err)
			}
			at := 0
			if ns := l.ResumeNS(); ns > 0 {
				at = int((ns - window(0).StartNS) / slot)
			}
			stop := at + rapid.IntRange(1, 10).Draw(t, "life")
			for ; at < min(stop, total); at++ {
				if err := l.Put([]measure.Window{window(at)}); err != nil {
					t.Fatal(err)
				}
			}
			finished := at == total && rapid.Bool().Draw(t, "finish")
			if finished {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			// Closing the outbox syncs; what waits in the lane is lost.
			if err := box.Close(); err != nil {
				t.Fatal(err)
			}
			if finished {
				break
			}
		}
		s, err := spool.Open(dir, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		c := s.Cursor()
		defer func() { _ = c.Close() }()
		var prev [32]byte
		for {
			f, _, err := c.Next()
			if err != nil {
				break
			}
			_, body, err := attest.Open(attest.DomainBatch, f.Envelope)
			if err != nil {
				t.Fatal(err)
			}
			b, err := wire.Decode(body)
			if err != nil {
				t.Fatal(err)
			}
			if b.PrevHash != prev {
				t.Fatalf("%d.%d breaks the chain", b.Epoch, b.Seq)
			}
			prev = f.Hash
			for _, w := range b.Windows {
				counted[w.StartNS]++
			}
		}
		for i := range total {
			if n := counted[window(i).StartNS]; n != 1 {
				t.Fatalf("window %d is in the spool %d times", i, n)
			}
		}
	})
}

func TestLaneIsExclusive(t *testing.T) {
	box := open(t, t.TempDir(), options())
	l := lane(t, box, "a")
	if _, err := box.Open("a", facts, "boot", rows); !errors.Is(err, ErrLaneOpen) {
		t.Fatalf("second lane: %v", err)
	}
	must(t, l.Put([]measure.Window{window(0)}))
	must(t, l.Close())
	if err := l.Put([]measure.Window{window(1)}); !errors.Is(err, ErrClosed) {
		t.Fatalf("put into a closed lane: %v", err)
	}
	l2 := lane(t, box, "a")
	if l2.Epoch() <= l.Epoch() || l2.ResumeNS() != window(0).EndNS {
		t.Fatalf("second lane has epoch %d after %d and resumes at %d", l2.Epoch(), l.Epoch(), l2.ResumeNS())
	}
}

func TestFullSpoolHoldsTheCallerBack(t *testing.T) {
	o := options()
	o.BatchWindows = 1
	o.Spool = spool.Options{MaxBytes: 4 << 10} // one segment: only Put can sync it
	box := open(t, t.TempDir(), o)
	l := lane(t, box, "a")
	done := make(chan error, 1)
	const total = 40
	go func() {
		for i := range total {
			if err := l.Put([]measure.Window{window(i)}); err != nil {
				done <- err
				return
			}
		}
		done <- box.Sync(context.Background())
	}()
	select {
	case err := <-done:
		t.Fatalf("%d batches fit into 4 KiB: %v", total, err)
	case <-time.After(50 * time.Millisecond):
	}
	// What was held back is all there: read and release until the writer is done.
	c := box.Spool().Cursor()
	defer func() { must(t, c.Close()) }()
	seen := 0
	for deadline := time.Now().Add(10 * time.Second); seen < total; {
		f, _, err := c.Next()
		if errors.Is(err, io.EOF) {
			must(t, box.Spool().Release(c.Position()))
			time.Sleep(time.Millisecond)
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d batches came", seen, total)
			}
			continue
		}
		must(t, err)
		seen++
		if f.Seq != uint64(seen) {
			t.Fatalf("batch %d came as number %d", f.Seq, seen)
		}
	}
	must(t, <-done)
}

func TestCloseFreesAWaitingLane(t *testing.T) {
	o := options()
	o.BatchWindows = 1
	o.Spool = spool.Options{MaxBytes: 2 << 10}
	box := open(t, t.TempDir(), o)
	l := lane(t, box, "a")
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			err = l.Put([]measure.Window{window(i)})
		}
		done <- err
	}()
	time.Sleep(20 * time.Millisecond)
	must(t, box.Close())
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatalf("put into a closed outbox: %v", err)
	}
}
