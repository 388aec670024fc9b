package policy

// What makes several customers one subject. Identity always counts towards a
// threshold, control where the rule says so, shared means never: they are for
// review.
const (
	OneIdentity = "identity"
	OneControl  = "control"
	OneMeans    = "coordination"
)

// Review is the level of customers that may be one and could have crossed
// together. It starts no clock.
const Review = "review"

// counts reports whether the figure of a subject counts towards the rule's
// threshold.
func (r *Rule) counts(s *Subject) bool {
	switch s.Aggregate {
	case "", OneIdentity:
		return true
	case OneControl:
		return r.Aggregate == OneControl
	}
	return false
}

// LevelReached returns the highest level that operations of a customer reach
// under any rule of the packs about customers since first use, in percent of its
// threshold; 0 if none.
func LevelReached(packs []*Pack, best int64) (percent int) {
	for _, p := range packs {
		for i := range p.Rules {
			r := &p.Rules[i]
			if r.Key() != (FactKey{Measure: CustomerOperations}) {
				continue
			}
			if best >= r.threshold {
				return 100
			}
			for _, w := range r.WarnPercent {
				if best >= percentOf(r.threshold, w) {
					percent = max(percent, w)
				}
			}
		}
	}
	return percent
}
