package policy

import (
	"cmp"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// The levels of crossings that lie ahead.
const (
	CouldReach      = "could reach"           // all that is reserved, at peak, would cross
	ForecastLikely  = "forecast likely"       // soon, more likely than not
	ForecastCertain = "forecast near certain" // so likely that it is known: a clock starts, as for a crossing
)

// Foreseen returns the finding that a crossing of the rule's threshold lies ahead.
func (p *Pack) Foreseen(r *Rule, s Subject, level, severity, reason string) Finding {
	return Finding{ID: identify(p, r, s, level), Pack: p, Rule: r.ID, Citation: r.Citation, Level: level, Severity: severity, Subject: s, Threshold: compute.Operations(r.threshold), Reason: reason}
}

// Named returns the facts that rules and conditions of the packs name, each once
// and in order.
func Named(packs []*Pack) []FactKey {
	seen := map[FactKey]bool{}
	var all []FactKey
	add := func(k FactKey) {
		if k.Measure != "" && !seen[k] {
			seen[k] = true
			all = append(all, k)
		}
	}
	var conditions func(list []Condition)
	conditions = func(list []Condition) {
		for i := range list {
			c := &list[i]
			add(FactKey{c.Measure, c.WindowDays, c.NetworkGbitS, c.CountryGroup})
			conditions(c.All)
			conditions(c.Any)
		}
	}
	for _, p := range packs {
		for i := range p.Rules {
			add(p.Rules[i].Key())
			conditions(p.Rules[i].And)
		}
	}
	slices.SortFunc(all, func(a, b FactKey) int {
		return cmp.Or(cmp.Compare(a.Measure, b.Measure), cmp.Compare(a.WindowDays, b.WindowDays), cmp.Compare(a.NetworkGbitS, b.NetworkGbitS), cmp.Compare(a.CountryGroup, b.CountryGroup))
	})
	return all
}
