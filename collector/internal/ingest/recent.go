package ingest

import "github.com/flopwatch/flopwatch/pkg/ledger"

// recentBatches is how many of a host's newest batches are remembered. A shorter
// memory would miss a twin that comes late; the evidence files keep all of them.
const recentBatches = 16

// recent remembers the hashes of the batches of one host that were counted last,
// so that another batch under an old number is told from a repetition.
type recent struct {
	marks []mark // oldest is overwritten first, once there are as many as are remembered
	next  int
}

// mark is a batch that was counted. Half of its hash tells it from any other that
// somebody could make: there are many hosts, and each has as many marks.
type mark struct {
	epoch, seq uint64
	hash       [16]byte
}

func (r *recent) add(p ledger.Position) {
	m := mark{p.Epoch, p.Seq, [16]byte(p.Hash[:16])}
	if len(r.marks) < recentBatches {
		r.marks = append(r.marks, m)
		return
	}
	r.marks[r.next] = m
	r.next = (r.next + 1) % recentBatches
}

// differs reports whether another batch was counted under the number of p. It
// says no when the number is not remembered.
func (r *recent) differs(p ledger.Position) bool {
	if r == nil {
		return false
	}
	for i := range r.marks {
		if m := &r.marks[i]; m.epoch == p.Epoch && m.seq == p.Seq && m.epoch != 0 {
			return m.hash != [16]byte(p.Hash[:16])
		}
	}
	return false
}
