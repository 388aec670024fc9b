package resolve

import (
	"cmp"
	"fmt"
	"slices"
)

// State is what became of a link.
type State string

// The states. Automatic and Accepted count, the others do not.
const (
	Proposed  State = "proposed"  // waits for a person
	Automatic State = "automatic" // decided by the rules
	Pending   State = "pending"   // accepted by one person; a second must approve
	Accepted  State = "accepted"
	Rejected  State = "rejected"
	Split     State = "split"     // was accepted or automatic, and a person took it apart
	Withdrawn State = "withdrawn" // its evidence is gone
)

// Counts reports whether the link joins.
func (s State) Counts() bool { return s == Automatic || s == Accepted }

// Said reports whether a person said it. What a person said only a person changes.
func (s State) Said() bool { return s == Pending || s == Accepted || s == Rejected || s == Split }

// Link is a link as it stood from one moment on. Links are never changed: the
// newest of an id is its state, those before are its history.
type Link struct {
	Found
	State      State
	By         string // who said it; "" for the rules
	Reason     string
	FromNS     int64    // since when it holds in the world; 0: always
	ToNS       int64    // until when, excluded; 0: for ever
	RecordedNS int64    // when it was recorded
	Against    []string // evidence that a person had seen when they rejected or split it
	Weights    string
}

// ValidAt reports whether the link holds in the world at an instant.
func (l *Link) ValidAt(ns int64) bool { return l.FromNS <= ns && (l.ToNS == 0 || ns < l.ToNS) }

// seen names the evidence that speaks for a link.
func (f *Found) seen() []string {
	var out []string
	for _, e := range f.Evidence {
		if e.Bits > 0 {
			out = append(out, e.Name+" "+e.Key)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Next returns what a link becomes by the evidence of now, and whether that is
// something new. Before is the link as it stands, nil if there is none; found is
// nil where the evidence no longer gives the link.
//
// What people said stays. A link that a person rejected or took apart is
// proposed again only for evidence that they had not seen, and then never
// decided by the rules.
func Next(before *Link, found *Found, weights string, nowNS int64) (Link, bool) {
	if found == nil {
		if before == nil || before.State != Proposed && before.State != Automatic {
			return Link{}, false
		}
		gone := *before
		gone.State, gone.By, gone.Reason, gone.RecordedNS = Withdrawn, "", "its evidence is gone", nowNS
		return gone, true
	}
	next := Link{Found: *found, State: Proposed, Reason: found.Needs, RecordedNS: nowNS, Weights: weights}
	if found.Automatic {
		next.State, next.Reason = Automatic, ""
	}
	if before == nil {
		return next, true
	}
	next.FromNS, next.ToNS = before.FromNS, before.ToNS
	switch before.State {
	case Accepted, Pending:
		return Link{}, false
	case Rejected, Split:
		fresh := slices.DeleteFunc(found.seen(), func(e string) bool { return slices.Contains(before.Against, e) })
		if len(fresh) == 0 {
			return Link{}, false
		}
		next.State, next.Automatic, next.Against = Proposed, false, before.Against
		next.Needs = "it was " + string(before.State) + ", and there is new evidence"
		next.Reason = next.Needs
	case Proposed:
		if before.Against != nil { // it was rejected once: the rules decide it no more
			next.State, next.Automatic, next.Needs, next.Reason, next.Against = Proposed, false, before.Needs, before.Reason, before.Against
		}
	}
	return next, next.State != before.State || !same(next.Found, before.Found)
}

// Verdict is what a person says of a link.
type Verdict string

// The verdicts.
const (
	Accept  Verdict = "accept"
	Reject  Verdict = "reject"
	TakeOut Verdict = "split"
	Approve Verdict = "approve" // the second word on a bridge
)

// Decide returns what a link becomes by a person's verdict. Bridge says that a
// second person must approve it; fromNS since when it holds, 0 for always.
func Decide(before Link, v Verdict, by, reason string, fromNS int64, bridge bool, nowNS int64) (Link, error) {
	next := before
	next.By, next.Reason, next.RecordedNS = by, reason, nowNS
	refuse := fmt.Errorf("a link that is %s cannot be decided so: %s", before.State, v)
	switch v {
	case Accept:
		if before.State != Proposed && before.State != Rejected && before.State != Split && before.State != Withdrawn {
			return Link{}, refuse
		}
		next.State, next.FromNS = Accepted, fromNS
		if bridge {
			next.State = Pending
		}
	case Approve:
		if before.State != Pending {
			return Link{}, refuse
		}
		next.State = Accepted
	case Reject:
		if before.State != Proposed && before.State != Pending {
			return Link{}, refuse
		}
		next.State = Rejected
	case TakeOut:
		if !before.State.Counts() {
			return Link{}, refuse
		}
		next.State = Split
	default:
		return Link{}, fmt.Errorf("verdict %.20q is not known", string(v))
	}
	if next.State == Rejected || next.State == Split {
		next.Against = append(slices.Clone(before.Against), before.seen()...)
		slices.Sort(next.Against)
		next.Against = slices.Compact(next.Against)
	}
	return next, nil
}

// At returns the links as they stood: of each the newest that was recorded by
// recordedNS, if it holds in the world at validNS. History is in the order of
// recording. The result is ordered by when each link came to its state, then by
// id: the order in which clusters grew.
func At(history []Link, validNS, recordedNS int64) []Link {
	last := map[string]int{}
	for i := range history {
		if history[i].RecordedNS <= recordedNS {
			last[history[i].ID] = i
		}
	}
	var out []Link
	for _, i := range last {
		if history[i].ValidAt(validNS) {
			out = append(out, history[i])
		}
	}
	slices.SortFunc(out, func(a, b Link) int {
		return cmp.Or(cmp.Compare(a.RecordedNS, b.RecordedNS), cmp.Compare(a.ID, b.ID))
	})
	return out
}
