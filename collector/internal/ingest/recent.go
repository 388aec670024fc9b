package ingest

import "github.com/flopwatch/flopwatch/pkg/ledger"

// recentBatches is how many of a host's newest batches are remembered. A shorter
// memory would miss a twin that comes late; the evidence files keep all of them.
const recentBatches = 16

// recent remembers the hashes of the batches of one host that were counted last,
// so that another batch under an old number is told from a repetition.
type recent struct {
	marks [recentBatches]ledger.Position
	next  int
}

func (r *recent) add(p ledger.Position) {
	r.marks[r.next] = p
	r.next = (r.next + 1) % recentBatches
}

// differs reports whether another batch was counted under the number of p. It
// says no when the number is not remembered.
func (r *recent) differs(p ledger.Position) bool {
	if r == nil {
		return false
	}
	for i := range r.marks {
		if m := &r.marks[i]; m.Epoch == p.Epoch && m.Seq == p.Seq && m.Epoch != 0 {
			return m.Hash != p.Hash
		}
	}
	return false
}
