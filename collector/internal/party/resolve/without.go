package resolve

import (
	"cmp"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Without is what a set would be without a link, or without everything that
// rests on one value.
type Without struct {
	Link     string // lnk_…, "" where it is about a value
	Evidence string // kind and key of the value, "" where it is about a link
	Links    []string
	Parts    []Set          // that are left, the one with most operations first
	Left     compute.Bounds // of that one
}

// maxWithout bounds how many links of a set are tried.
const maxWithout = 500

// Counterfactuals returns, for each link that holds a set together and each value
// on which several of them rest, what is left without it: those that change
// nothing are not told. More reports that the set has more links than are tried.
func (g *Grouping) Counterfactuals(s Set, totals map[string]compute.Bounds) (out []Without, more bool) {
	var links []Link
	for _, id := range s.Links {
		links = append(links, *g.links[id])
	}
	tried := links
	if more = len(tried) > maxWithout; more {
		tried = tried[:maxWithout]
	}
	rests := map[string][]string{} // value → links that do not hold without it
	for i := range tried {
		l := &tried[i]
		if w := g.without(s, links, []string{l.ID}, totals); w != nil {
			w.Link = l.ID
			out = append(out, *w)
		}
		for _, e := range l.Evidence {
			if e.Key != "" && e.Bits > 0 && l.Bits-e.Bits < e.Bits {
				name := e.Name + " " + e.Key
				rests[name] = append(rests[name], l.ID)
			}
		}
	}
	for name, ids := range rests {
		if len(ids) < 2 {
			continue
		}
		if w := g.without(s, links, ids, totals); w != nil {
			w.Evidence = name
			out = append(out, *w)
		}
	}
	slices.SortFunc(out, func(a, b Without) int {
		return cmp.Or(cmp.Compare(a.Left.Best, b.Left.Best), cmp.Compare(a.Evidence, b.Evidence), cmp.Compare(a.Link, b.Link))
	})
	return out, more
}

// without groups the accounts of a set anew without some of its links. It is nil
// if they stay together.
func (g *Grouping) without(s Set, links []Link, dropped []string, totals map[string]compute.Bounds) *Without {
	var owners []Owner
	for _, o := range g.owners {
		if slices.Contains(s.Accounts, o.Account) {
			owners = append(owners, o)
		}
	}
	kept := slices.DeleteFunc(slices.Clone(links), func(l Link) bool { return slices.Contains(dropped, l.ID) })
	parts := group(owners, kept, s.Level)
	for i := range parts {
		if len(parts[i].Accounts) == len(s.Accounts) {
			return nil
		}
	}
	slices.SortStableFunc(parts, func(a, b Set) int {
		return cmp.Compare(b.Sum(totals).Best, a.Sum(totals).Best)
	})
	w := Without{Links: dropped, Parts: parts}
	if len(parts) > 0 {
		w.Left = parts[0].Sum(totals)
	}
	return &w
}

// Merge is a step in which a set grew.
type Merge struct {
	Link string
	AtNS int64 // when that link came to count
	A, B []ID  // the two sides before
}

// Merges returns how a set grew, in the order in which its links came to count.
// Replayed, the steps give the set.
func (g *Grouping) Merges(s Set) []Merge {
	sets := newSets()
	var out []Merge
	for _, id := range s.Links {
		l := g.links[id]
		a, b := slices.Clone(sets.members(l.A)), slices.Clone(sets.members(l.B))
		if _, joined := sets.join(l.A, l.B); joined {
			slices.Sort(a)
			slices.Sort(b)
			out = append(out, Merge{l.ID, l.RecordedNS, a, b})
		}
	}
	return out
}
