package draft

import (
	"cmp"
	"slices"
	"time"
)

// Standing of approved policies, by the time.
const (
	Scheduled  State = "scheduled"
	InForce    State = "in force"
	Superseded State = "superseded"
)

// Current returns the approved policies of a kind that are in force at an
// instant, in order of their names: of each name the one that came into force
// last.
func Current(all []Policy, kind Kind, now time.Time) []Policy {
	newest := map[string]Policy{}
	for _, p := range all {
		if p.Kind != kind || p.State != Approved || p.From().After(now) {
			continue
		}
		if q, known := newest[p.Name]; !known || later(p, q) {
			newest[p.Name] = p
		}
	}
	var out []Policy
	for _, p := range newest {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Policy) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// later reports whether a came into force after b; of the same instant, whether
// its text has the higher version.
func later(a, b Policy) bool {
	return cmp.Or(a.From().Compare(b.From()), cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID, b.ID)) > 0
}

// Standing returns the state of a policy among all at an instant.
func (p Policy) Standing(all []Policy, now time.Time) State {
	if p.State != Approved {
		return p.State
	}
	if p.From().After(now) {
		return Scheduled
	}
	for _, q := range Current(all, p.Kind, now) {
		if q.ID == p.ID {
			return InForce
		}
	}
	return Superseded
}

// Next returns when another policy comes into force after an instant, zero if none does.
func Next(all []Policy, now time.Time) time.Time {
	var next time.Time
	for _, p := range all {
		if from := p.From(); p.State == Approved && from.After(now) && (next.IsZero() || from.Before(next)) {
			next = from
		}
	}
	return next
}
