package training

import (
	"fmt"
	"slices"
)

// Verdict is what a person said of a join.
type Verdict string

// The verdicts.
const (
	Apart    Verdict = "apart"    // the join is undone: its parts are never in one run
	Together Verdict = "together" // the join is confirmed: its parts always are
	Open     Verdict = "open"     // what was said is taken back: the evidence decides
)

// Verdicts are all of them.
var Verdicts = []Verdict{Apart, Together, Open}

// Decision is what a person said of two parts. Of the decisions on the same two
// the last in the list counts. Who, when and why are kept by the store.
type Decision struct {
	From, To PartKey
	Verdict  Verdict
}

// Validate says whether the verdict is one of them.
func (v Verdict) Validate() error {
	if !slices.Contains(Verdicts, v) {
		return fmt.Errorf("verdict %.20q: must be one of %v", string(v), Verdicts)
	}
	return nil
}

type pair struct{ a, b PartKey }

func pairOf(a, b PartKey) pair {
	if b < a {
		a, b = b, a
	}
	return pair{a, b}
}

// standing returns the decisions that hold.
func standing(all []Decision) map[pair]Verdict {
	holds := map[pair]Verdict{}
	for _, d := range all {
		p := pairOf(d.From, d.To)
		if holds[p] = d.Verdict; d.Verdict == Open {
			delete(holds, p)
		}
	}
	return holds
}
