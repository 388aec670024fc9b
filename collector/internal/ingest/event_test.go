package ingest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// tell makes the next batch with one event, whose code says which batch it is.
func (h *host) tell(t *testing.T, code int64) letter {
	t.Helper()
	b := h.batch(1)
	if code == forged {
		b.Windows[0].Entries[0].Operations.High = 1 << 60
	}
	b.Events = []measure.Event{{TimeNS: b.WallNS, Device: h.rows[0].ID, Kind: measure.EventXid, Code: code, Detail: "told"}}
	return h.letter(h.seal(t, b))
}

// forged is the code of the batch that claims more than a device can do.
const forged = 2

// What a host tells is read back once, also what it tells in a batch whose
// windows cannot be counted: such a batch keeps its place in the chain, and its
// events may say why. What was not taken as the host's word tells nothing.
func TestEventsOfGoodAndRefusedBatches(t *testing.T) {
	told := func(s *store.Store, batches func(h *host) []letter) (*store.Reader, []int64) {
		h, d := newHost("a", 2), testIntake(Config{MaxAhead: 5 * time.Minute})
		for _, l := range batches(h) {
			d.takeAll([]letter{l}, now)
			c, _ := d.drain(true)
			c.At = now
			if _, err := s.Checkpoint(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		r := store.NewReader(s, "", false)
		events, err := r.Events(t.Context(), desk.EventFilter{Host: h.id, Kind: "xid"})
		if err != nil {
			t.Fatal(err)
		}
		var codes []int64
		for _, e := range events {
			codes = append(codes, e.Code)
			if e.Host != h.id || e.HostName != "node" || e.Device != h.rows[0].ID || e.Detail != "told" {
				t.Errorf("event %+v", e)
			}
		}
		return r, codes
	}
	s := openStore(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r, codes := told(s, func(h *host) []letter {
		good := h.tell(t, 1)
		twin := *h
		refused := h.tell(t, forged)
		other := twin.tell(t, 90) // of the same number: equivocation
		atNS := h.atNS
		h.atNS = now.Add(time.Hour).UnixNano()
		future := h.tell(t, 3)
		h.atNS = atNS
		last := h.tell(t, 4)
		flipped := letter{last.subject, append([]byte(nil), last.envelope...)}
		flipped.envelope[len(flipped.envelope)-1] ^= 1
		return []letter{good, good, refused, refused, other, future, future, flipped, last, good}
	})
	if d := cmp.Diff([]int64{4, 3, forged, 1}, codes); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	check, err := r.Check(t.Context())
	if err != nil || !check.Balanced {
		t.Errorf("check %+v: %v", check, err)
	}
	hosts, err := r.Hosts(t.Context())
	if err != nil || len(hosts) != 1 || hosts[0].Seq != 4 || hosts[0].LastNS != startNS+30*second {
		t.Errorf("hosts %+v: %v", hosts, err)
	}
	if book, err := s.LoadLedger(t.Context()); err != nil || book.Pending() != 0 {
		t.Errorf("the ledger does not go on: %v", err)
	}
}
