package outbox

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// busy is the account of the i-th slot of a device at work.
func busy(i int) measure.Window {
	w := window(i)
	w.Entries[0].Workload.ID = "4711"
	w.Entries[0].Operations = compute.Bounds{Low: 1_000, Best: 2_000 + compute.Operations(i), High: 3_000 + compute.Operations(i)}
	w.Entries[0].EnergyMJ = 7_000_000
	return w
}

// kept is what a spool of a host adds up to for a collector that knows nothing yet.
type kept struct {
	batches, thin, tombstones int
	dropped                   int64 // batches that tombstones stand for
	windows                   int
	duration                  time.Duration
	best                      compute.Operations
	energy                    int64
	position                  ledger.Position
	first, last               int64 // of the windows
}

// count takes everything that the spool holds as a collector would: in order, each
// batch where its chain has a place for it.
func count(t *testing.T, s *spool.Spool) kept {
	t.Helper()
	c := s.Cursor()
	defer func() { must(t, c.Close()) }()
	var k kept
	for {
		f, _, err := c.Next()
		if errors.Is(err, io.EOF) {
			return k
		}
		must(t, err)
		_, body, err := attest.Open(attest.DomainBatch, f.Envelope)
		must(t, err)
		b, err := wire.Decode(body)
		must(t, err)
		chain := b.Chain(attest.Hash(f.Envelope))
		if v := k.position.JudgeRange(b.Epoch, b.First(), b.Seq, b.PrevHash, chain); v != ledger.Next || f.Hash != chain || f.Mark() != (spool.Mark{Epoch: b.Epoch, Seq: b.Seq}) || f.First() != b.First() {
			t.Fatalf("batch %d.%d to %d after %d.%d: %s", b.Epoch, b.First(), b.Seq, k.position.Epoch, k.position.Seq, v)
		}
		k.position = ledger.Position{Epoch: b.Epoch, Seq: b.Seq, Hash: chain}
		k.batches++
		switch {
		case b.FirstSeq == 0:
		case len(b.Windows) > 0:
			k.thin++
		default:
			k.tombstones++
			if len(b.Events) != 1 || b.Events[0].Kind != measure.EventDropped || b.Events[0].Code != int64(b.Seq-b.First()+1) {
				t.Fatalf("tombstone with %+v", b.Events)
			}
			k.dropped += b.Events[0].Code
		}
		for _, w := range b.Windows {
			k.windows++
			if k.last != 0 && w.StartNS != k.last {
				t.Fatalf("window begins at %d, the one before ends at %d", w.StartNS, k.last)
			}
			if k.first == 0 {
				k.first = w.StartNS
			}
			k.last = w.EndNS
			for _, e := range w.Entries {
				k.duration, k.best, k.energy = k.duration+e.Duration, k.best.Add(e.Operations.Best), k.energy+e.EnergyMJ
			}
		}
	}
}

func thinOptions(bound int64) Options {
	o := options()
	o.Thin, o.BatchSpan = true, time.Duration(slot)
	o.Spool = spool.Options{MaxBytes: bound, SegmentBytes: 8 << 10}
	return o
}

// A spool that is full makes windows coarser and keeps every total; nothing waits,
// and what is sent after goes on in the same chain.
func TestFullSpoolThinsAndKeepsTotals(t *testing.T) {
	dir := t.TempDir()
	box := open(t, dir, thinOptions(40<<10))
	l := lane(t, box, "a")
	var want kept
	n := 0
	for ; n < 400; n++ {
		w := busy(n)
		must(t, l.Put([]measure.Window{w}))
		want.duration += w.Elapsed()
		want.best += w.Entries[0].Operations.Best
		want.energy += w.Entries[0].EnergyMJ
	}
	must(t, box.Sync(context.Background()))
	check := func(box *Outbox) {
		t.Helper()
		got := count(t, box.Spool())
		if got.tombstones != 0 || got.thin == 0 || got.windows >= n/2 {
			t.Errorf("%d batches, %d thin, %d tombstones, %d windows of %d", got.batches, got.thin, got.tombstones, got.windows, n)
		}
		if got.duration != want.duration || got.best != want.best || got.energy != want.energy || got.position.Seq != uint64(n) {
			t.Errorf("%s, %d operations, %d mJ, up to %d; put were %s, %d, %d, %d", got.duration, got.best, got.energy, got.position.Seq, want.duration, want.best, want.energy, n)
		}
		if size := box.Spool().Bytes(); size > 40<<10 {
			t.Errorf("%d bytes", size)
		}
	}
	check(box)
	must(t, l.Close())
	must(t, box.Close())
	again := open(t, dir, thinOptions(40<<10))
	if lost := again.Spool().Recovery().Lost; len(lost) > 0 {
		t.Errorf("lost %v", lost)
	}
	check(again)
}

// Where all is thin already the oldest goes, and one tombstone says how much: the
// rest is there without a hole, and every batch is either there or named.
func TestFullSpoolDropsWithATombstone(t *testing.T) {
	dir := t.TempDir()
	box := open(t, dir, thinOptions(20<<10))
	l := lane(t, box, "a")
	const n = 1500
	for i := range n {
		must(t, l.Put([]measure.Window{busy(i)}))
	}
	must(t, box.Sync(context.Background()))
	check := func(box *Outbox) {
		t.Helper()
		got := count(t, box.Spool())
		if got.tombstones != 1 || got.position.Seq != n || got.last != busy(n-1).EndNS {
			t.Errorf("%d tombstones, up to batch %d", got.tombstones, got.position.Seq)
		}
		if missing := got.first - busy(0).StartNS; missing != got.dropped*slot {
			t.Errorf("%s is missing, tombstones stand for %d batches", time.Duration(missing), got.dropped)
		}
		var best compute.Operations
		for i := int(got.dropped); i < n; i++ {
			best += busy(i).Entries[0].Operations.Best
		}
		if got.best != best || got.duration != time.Duration(int64(n-got.dropped)*slot) {
			t.Errorf("%d operations in %s, want %d in %d slots", got.best, got.duration, best, n-got.dropped)
		}
	}
	check(box)
	must(t, l.Close())
	must(t, box.Close())
	check(open(t, dir, thinOptions(20<<10)))
}

// A batch whose place has to be kept says so only with a hash and a range that fit.
func TestStandInsAreChecked(t *testing.T) {
	b := wire.Batch{Header: wire.Header{Version: wire.Version, Host: attest.HostID(key(1).Public().(ed25519.PublicKey)), Epoch: 1, Seq: 5, FirstSeq: 6}}
	if _, err := wire.Encode(&b); err == nil {
		t.Error("a batch that stands for batches after itself was encoded")
	}
}
