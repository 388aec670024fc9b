package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// chained are batches of one host with what stands for some of them.
type chained struct {
	host    *host
	batches []*wire.Batch // by number, from 1
	sealed  [][]byte
}

func newChained(t *testing.T, n int) *chained {
	t.Helper()
	c := &chained{host: newHost(t.Name(), 1), batches: make([]*wire.Batch, 1), sealed: make([][]byte, 1)}
	for range n {
		b := c.host.batch(1)
		c.batches, c.sealed = append(c.batches, b), append(c.sealed, c.host.seal(t, b))
	}
	return c
}

// standIn seals what stands for the batches from first to last: with their windows
// made coarser, or without any.
func (c *chained) standIn(t *testing.T, first, last int, tombstone bool) []byte {
	t.Helper()
	b := *c.batches[last]
	b.FirstSeq, b.PrevHash, b.ChainHash = uint64(first), c.batches[first].PrevHash, attest.Hash(c.sealed[last])
	b.FirstNS = c.batches[first].FirstNS
	b.Windows = nil
	if tombstone {
		b.Events = []measure.Event{{TimeNS: b.FirstNS, Kind: measure.EventDropped, Code: int64(last - first + 1), Detail: "the spool was full"}}
	} else {
		var all []measure.Window
		for i := first; i <= last; i++ {
			all = append(all, c.batches[i].Windows...)
		}
		b.Windows = measure.Thin(all, time.Minute)
	}
	body, err := wire.Encode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return attest.Seal(c.host.key, attest.DomainBatch, body)
}

// counted takes letters and returns the ledger's sums by state, and why anything was
// refused.
func (c *chained) counted(t *testing.T, letters ...[]byte) (by map[measure.State]compute.Bounds, account ledger.Account, refused []string) {
	t.Helper()
	d := testIntake(Config{})
	by = map[measure.State]compute.Bounds{}
	for _, e := range letters {
		d.takeAll([]letter{c.host.letter(e)}, time.Unix(0, c.host.atNS))
	}
	done, _ := d.drain(true)
	for _, s := range done.Changes.Opened {
		by[s.Key.State] = by[s.Key.State].Add(s.Operations)
	}
	for _, q := range done.Quarantine {
		refused = append(refused, q.Reason)
	}
	return by, done.Changes.Accounts[0], refused
}

// What was put in place of batches counts as they would have, in one chain with what
// comes after, however often it comes and whatever of it was counted before.
func TestThinnedBatchesCountAsTheirs(t *testing.T) {
	c := newChained(t, 40)
	s := c.sealed[1:]
	want, _, _ := c.counted(t, s...)
	thin := func(a, b int) []byte { return c.standIn(t, a, b, false) }
	for name, letters := range map[string][][]byte{
		"six":                    append([][]byte{s[0], s[1], thin(3, 8)}, s[8:]...),
		"all of them":            {thin(1, 30), thin(31, 40)},
		"twice":                  append([][]byte{s[0], s[1], thin(3, 8), thin(3, 8), s[5], s[7]}, s[8:]...),
		"all of it was counted":  append(append([][]byte{}, s[:8]...), append([][]byte{thin(3, 8)}, s[8:]...)...),
		"in another order first": append([][]byte{s[0], s[1], s[9], thin(3, 8)}, s[8:]...),
	} {
		got, account, refused := c.counted(t, letters...)
		if got[measure.Attributed] != want[measure.Attributed] || len(got) != 1 || account.OverlapNS != 0 || len(refused) > 0 {
			t.Errorf("%s: %v, overlap %d, refused %v, want %v", name, got, account.OverlapNS, refused, want)
		}
	}
	// Where a part was counted, what it repeats is clipped: low is never too high, and
	// high never too low.
	got, account, refused := c.counted(t, append([][]byte{s[0], s[1], s[2], s[3], s[4], thin(3, 8)}, s[8:]...)...)
	if g, w := got[measure.Attributed], want[measure.Attributed]; g.Low > w.Low || g.High < w.High || account.LastNS-account.FirstNS != 400*second || len(refused) > 0 {
		t.Errorf("a part was counted: %v, want about %v, refused %v", g, w, refused)
	}
}

// A tombstone is a gap that the host declares: nothing in low, the ceiling in high,
// no break of the chain, and one finding however often it comes.
func TestTombstoneIsADeclaredGap(t *testing.T) {
	c := newChained(t, 20)
	s := c.sealed[1:]
	tomb := c.standIn(t, 6, 15, true)
	letters := append(append([][]byte{}, s[:5]...), append([][]byte{tomb, tomb}, s[15:]...)...)
	got, account, refused := c.counted(t, letters...)
	if len(refused) > 0 || account.LastNS-account.FirstNS != 200*second {
		t.Errorf("refused %v, account of %d s", refused, (account.LastNS-account.FirstNS)/second)
	}
	gap := got[measure.Unobserved]
	if ceiling := c.host.rows[0].Ceiling.Over(100*time.Second, compute.Up); gap.Low != 0 || gap.Best == 0 || gap.High != ceiling {
		t.Errorf("dropped time counts as %v, the ceiling is %d", gap, ceiling)
	}
	ten, _, _ := c.counted(t, append(append([][]byte{}, s[:5]...), tomb)...)
	if ten[measure.Unobserved] != (compute.Bounds{}) {
		t.Error("time is charged before anything comes after it")
	}
	// With the key of another host, or a bit of it changed, it is no tombstone.
	forged := append([]byte{}, tomb...)
	forged[len(forged)-1] ^= 1
	if _, _, refused := c.counted(t, append(append([][]byte{}, s[:5]...), forged)...); len(refused) != 1 || refused[0] != reasonSignature {
		t.Errorf("a forged tombstone: %v", refused)
	}

	db := openStore(t, t.TempDir())
	defer func() { _ = db.Close() }()
	d := testIntake(Config{})
	for _, e := range letters {
		d.takeAll([]letter{c.host.letter(e)}, time.Unix(0, c.host.atNS))
	}
	done, _ := d.drain(true)
	done.At = time.Unix(0, c.host.atNS)
	if _, err := db.Checkpoint(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	all, err := store.NewReader(db, "", false).Findings(t.Context(), desk.FindingQuery{})
	if err != nil || len(all) != 1 || all[0].Rule != store.RuleDeclared || !strings.Contains(all[0].Reason, "dropped 10 batches (cause: declared)") {
		t.Errorf("%+v, %v", all, err)
	}
}
