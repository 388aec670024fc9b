package resolve

import (
	"cmp"
	"slices"
)

// Advance returns what is to be recorded when the evidence of now is held against
// the links as they stand: new links, and links that became something else.
// Nothing is returned of a link that stays what it is, so doing it again returns
// nothing. Lifts is that of Admit.
//
// A link that counts because the rules decided it goes back to a person when it
// turns out to be a bridge. Links from ownership do not: they are facts of
// record and make trees, in which every link is the only one.
func Advance(standing []Link, found []Found, lifts func(a, b []ID) bool, weights string, nowNS int64) []Link {
	before := make(map[string]*Link, len(standing))
	for i := range standing {
		before[standing[i].ID] = &standing[i]
	}
	now := make(map[string]*Found, len(found))
	for i := range found {
		now[found[i].ID] = &found[i]
	}
	var kept, fresh []Link
	consider := func(was *Link, is *Found) {
		next, moved := Next(was, is, weights, nowNS)
		switch {
		case moved && next.State == Automatic && was != nil && was.State == Automatic:
			// More evidence for what counts already: it is not asked for again.
			fresh = append(fresh, next)
			kept = append(kept, next)
		case moved:
			fresh = append(fresh, next)
		case was != nil && was.State.Counts():
			kept = append(kept, *was)
		}
	}
	for i := range standing {
		consider(&standing[i], now[standing[i].ID])
	}
	for i := range found {
		if before[found[i].ID] == nil {
			consider(nil, &found[i])
		}
	}
	fresh = Admit(kept, fresh, lifts)
	fresh = append(fresh, demoted(kept, fresh, nowNS)...)
	fresh = slices.DeleteFunc(fresh, func(l Link) bool {
		was := before[l.ID]
		return was != nil && was.State == l.State && same(was.Found, l.Found)
	})
	slices.SortFunc(fresh, func(a, b Link) int { return cmp.Compare(a.ID, b.ID) })
	return fresh
}

// demoted returns the links that counted by the rules and have become bridges.
func demoted(kept, fresh []Link, nowNS int64) (out []Link) {
	joined := map[string]Link{}
	for _, l := range slices.Concat(kept, fresh) {
		joined[l.ID] = l
	}
	var all []Link
	for _, l := range joined {
		if l.State.Counts() && l.Class != Coordination {
			all = append(all, l)
		}
	}
	bridges := Bridges(all)
	for _, l := range kept {
		if l.State == Automatic && !l.Directed && bridges[l.ID] && l.Class != Coordination {
			l.hold(NeedsBridge)
			l.By, l.RecordedNS = "", nowNS
			out = append(out, l)
		}
	}
	return out
}
