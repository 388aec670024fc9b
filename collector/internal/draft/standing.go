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
// instant, in order of their names: of each name the one with the highest version.
// One that was scheduled for later, and that a higher version overtook, so never
// brings an older text back.
func Current(all []Policy, kind Kind, now time.Time) []Policy {
	newest := map[string]Policy{}
	for _, p := range all {
		if p.Kind != kind || p.State != Approved || p.From().After(now) {
			continue
		}
		if q, known := newest[p.Name]; !known || above(p, q) {
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

// above reports whether the text of a has the higher version; of two with the same
// one the first that comes into force stays.
func above(a, b Policy) bool {
	return cmp.Or(cmp.Compare(a.Number, b.Number), b.From().Compare(a.From()), cmp.Compare(a.ID, b.ID)) > 0
}

// comes reports whether an approved policy is in force when its time has come: another
// one may have overtaken it.
func (p Policy) comes(all []Policy) bool {
	return slices.ContainsFunc(Current(all, p.Kind, p.From()), func(q Policy) bool { return q.ID == p.ID })
}

// Standing returns the state of a policy among all at an instant. One that was
// scheduled and overtaken is superseded before its time.
func (p Policy) Standing(all []Policy, now time.Time) State {
	if p.State != Approved {
		return p.State
	}
	if p.From().After(now) && p.comes(all) {
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
		if from := p.From(); p.State == Approved && from.After(now) && (next.IsZero() || from.Before(next)) && p.comes(all) {
			next = from
		}
	}
	return next
}
