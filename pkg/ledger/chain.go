package ledger

// Position is how far a host's chain of batches has been counted. The zero
// value is a host of which nothing was counted.
type Position struct {
	Epoch, Seq uint64
	Hash       [32]byte // of the envelope at (Epoch, Seq)
}

// Verdict says what to do with a batch, given the host's position.
type Verdict int

// The verdicts.
const (
	Next         Verdict = iota // the batch continues the chain: count it
	ChainBreak                  // next by number, but it follows another batch than the one counted: count it and record the break
	Orphan                      // first batch of a newer epoch that follows a batch that was not counted
	Duplicate                   // counted already
	Missing                     // batches before it are missing: the sender must go back
	Equivocation                // another batch was counted under its number
)

// String returns the verdict as it is written in quarantine and logs.
func (v Verdict) String() string {
	switch v {
	case Next:
		return "next"
	case ChainBreak:
		return "chain_break"
	case Orphan:
		return "orphan"
	case Duplicate:
		return "duplicate"
	case Missing:
		return "missing"
	case Equivocation:
		return "equivocation"
	}
	return "invalid"
}

// Judge decides on the batch (epoch, seq) whose envelope has the given hash and
// names prev as the hash of the one before it. Numbers start at 1.
//
// An Orphan is not counted at once, because counting it would make the batches
// of the older epoch that are still on their way look like duplicates. The
// caller asks the sender to go back, and counts it when nothing older comes.
func (p Position) Judge(epoch, seq uint64, prev, hash [32]byte) Verdict {
	return p.JudgeRange(epoch, seq, seq, prev, hash)
}

// JudgeRange decides on a batch that stands for those from first to seq, and whose
// hash is that of the last of them. Where a part of them was counted, it is next:
// what it repeats lies in time that the accounts hold.
func (p Position) JudgeRange(epoch, first, seq uint64, prev, hash [32]byte) Verdict {
	none := [32]byte{}
	switch {
	case epoch == p.Epoch && seq == p.Seq:
		if hash == p.Hash {
			return Duplicate
		}
		return Equivocation
	case epoch < p.Epoch || (epoch == p.Epoch && seq < p.Seq):
		return Duplicate
	case epoch == p.Epoch && first <= p.Seq:
		return Next // its past was counted beyond what it names
	case epoch == p.Epoch && first == p.Seq+1:
		if prev == p.Hash {
			return Next
		}
		return ChainBreak
	case epoch > p.Epoch && first == 1:
		if prev == p.Hash {
			return Next
		}
		if prev == none {
			return ChainBreak // the sender says that it has no past to go back to
		}
		return Orphan
	}
	return Missing
}
