package ingest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// hostileCount is how many hostile envelopes a run makes: ENVELOPES, or 5,000.
func hostileCount(t *testing.T) int {
	t.Helper()
	text := os.Getenv("ENVELOPES")
	if text == "" {
		return 5000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ENVELOPES=%s: want a number above 0", text)
	}
	return n
}

// fleetLog is what honest hosts sent, all of it counted.
type fleetLog struct {
	hosts []*host
	sent  [][]letter // by host, in order
	all   map[[32]byte]bool
}

func honest(t *testing.T, d *intake, hosts, batches int) *fleetLog {
	t.Helper()
	f := &fleetLog{all: map[[32]byte]bool{}}
	for i := range hosts {
		h := newHost("honest"+strconv.Itoa(i), 2)
		f.hosts, f.sent = append(f.hosts, h), append(f.sent, nil)
		for range batches {
			l := h.letter(h.next(t, 2))
			f.sent[i] = append(f.sent[i], l)
			f.all[attest.Hash(l.envelope)] = true
		}
		d.takeAll(f.sent[i], now)
	}
	return f
}

// Envelopes that are mutated, replayed, shuffled, sent as or for another host,
// or signed anew by the wrong key are never counted, and what was counted before
// stays as it was.
func TestHostileEnvelopesAreNeverCounted(t *testing.T) {
	d := testIntake(Config{})
	f := honest(t, d, 5, 12)
	c, _ := d.drain(true)
	if c.FrameCount != 60 {
		t.Fatalf("%d of 60 honest batches counted", c.FrameCount)
	}
	before := map[ledger.HostID]ledger.Position{}
	for _, h := range f.hosts {
		before[ledger.HostID(h.id)] = d.book.Position(ledger.HostID(h.id))
	}
	thief := newHost("thief", 2)
	rng := rand.New(rand.NewPCG(5, 100_000))
	kinds := map[string]int{}
	made, total := 0, hostileCount(t)
	for made < total {
		n := min(64, total-made)
		letters := make([]letter, n)
		for i := range letters {
			kind, l := f.hostile(t, rng, thief)
			letters[i] = l
			kinds[kind]++
		}
		made += n
		d.takeAll(letters, now)
		c, _ := d.drain(true)
		if c.FrameCount != 0 || c.Changes.Windows != 0 || !c.Changes.Empty() {
			t.Fatalf("after %d hostile envelopes: %d batches and %d windows counted", made, c.FrameCount, c.Changes.Windows)
		}
	}
	for id, p := range before {
		if d.book.Position(id) != p {
			t.Errorf("host %s moved from %d/%d to %d/%d", id, p.Epoch, p.Seq, d.book.Position(id).Epoch, d.book.Position(id).Seq)
		}
	}
	if thiefAt := d.book.Position(ledger.HostID(thief.id)); thiefAt != (ledger.Position{}) {
		t.Errorf("the thief has a position: %+v", thiefAt)
	}
	for _, kind := range []string{"bytes flipped", "cut", "grown", "spliced", "replayed", "sent as another", "for another, by its own key", "key swapped", "renumbered", "other domain"} {
		if kinds[kind] == 0 {
			t.Errorf("no envelope of the kind %q was made", kind)
		}
	}
	t.Logf("%d hostile envelopes, 0 counted: %v", made, kinds)
}

// hostile makes one envelope that must not be counted.
func (f *fleetLog) hostile(t *testing.T, rng *rand.Rand, thief *host) (string, letter) {
	t.Helper()
	i := rng.IntN(len(f.hosts))
	h, l := f.hosts[i], f.sent[i][rng.IntN(len(f.sent[i]))]
	e := bytes.Clone(l.envelope)
	other := f.hosts[(i+1+rng.IntN(len(f.hosts)-1))%len(f.hosts)]
	kind := ""
	switch rng.IntN(10) {
	case 0:
		kind = "bytes flipped"
		for range 1 + rng.IntN(8) {
			e[rng.IntN(len(e))] ^= byte(1 + rng.IntN(255))
		}
	case 1:
		kind, e = "cut", e[:rng.IntN(len(e))]
	case 2:
		kind, e = "grown", append(e, make([]byte, 1+rng.IntN(300))...)
	case 3: // the front of one batch, the rest of another
		kind = "spliced"
		at := attest.Overhead - rng.IntN(40)
		from := f.sent[i][rng.IntN(len(f.sent[i]))].envelope
		e = append(bytes.Clone(e[:at]), from[min(at, len(from)):]...)
	case 4:
		return "replayed", l
	case 5:
		return "sent as another", letter{wire.BatchSubject(other.id), e}
	case 6:
		b := h.reopened(t, e)
		return "for another, by its own key", thief.letter(attest.Seal(thief.key, attest.DomainBatch, encoded(t, b)))
	case 7:
		kind = "key swapped"
		copy(e[4:], other.key[32:])
	case 8: // the thief makes the batch that would come next, under his own key
		b := h.reopened(t, e)
		b.Seq, b.PrevHash = h.seq+1, h.prev
		return "renumbered", h.letter(attest.Seal(thief.key, attest.DomainBatch, encoded(t, b)))
	default: // a receipt that the host might be brought to sign is no batch
		kind = "other domain"
		b := h.reopened(t, e)
		b.Seq, b.PrevHash = h.seq+1, h.prev
		e = attest.Seal(h.key, attest.DomainReceipt, encoded(t, b))
	}
	if f.all[attest.Hash(e)] {
		return "replayed", l
	}
	return kind, letter{l.subject, e}
}

func (h *host) reopened(t *testing.T, envelope []byte) *wire.Batch {
	t.Helper()
	_, body, err := attest.Open(attest.DomainBatch, envelope)
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encoded(t *testing.T, b *wire.Batch) []byte {
	t.Helper()
	body, err := wire.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
