package control

import (
	"maps"
	"slices"
)

// Member is a party of a group, and why it is one.
type Member struct {
	Party   ID
	Kind    Kind
	Holders []ID     // of the group, before this member joined
	Held    Interval // what they have together
}

// Group is who an owner decides for: the owner first, the others in the order
// in which they joined. It can be replayed: each member joined because of
// holders that were there before it.
type Group struct {
	Owner   ID
	Members []Member
}

// Has reports whether the party is in the group.
func (g Group) Has(id ID) bool {
	return slices.ContainsFunc(g.Members, func(m Member) bool { return m.Party == id })
}

// Group returns the parties that the owner controls with certainty, or, if
// possible is asked, those that it may control. A party belongs to the group if
// the group together has the cascading share of its shares or its votes, or
// power over it. It is the least such set, so a circle of companies that own
// each other controls nobody by that alone.
func (g *Graph) Group(owner ID, possible bool) Group {
	at, ok := g.index[owner]
	if !ok || owner == Undisclosed {
		return Group{Owner: owner}
	}
	c := closure{graph: g, possible: possible, inside: map[int]bool{at: true}, held: map[[2]int]edgeSum{}}
	out := Group{Owner: owner}
	for round := []int{at}; len(round) > 0; {
		round = c.next(round, &out)
	}
	return out
}

type closure struct {
	graph    *Graph
	possible bool
	inside   map[int]bool
	held     map[[2]int]edgeSum // by kind and subject, of what the group has
}

// next lets join whom the group controls since those of the last round are in.
func (c *closure) next(round []int, out *Group) (joined []int) {
	var touched []int
	for _, n := range round {
		for k := range kinds {
			for _, e := range c.graph.holds[k][n] {
				if c.inside[e.node] {
					continue
				}
				key := [2]int{int(k), e.node}
				have := c.held[key]
				c.held[key] = edgeSum{have.low + int64(e.low), have.high + int64(e.high)}
				touched = append(touched, e.node)
			}
		}
	}
	slices.Sort(touched)
	for _, n := range slices.Compact(touched) {
		for k := range kinds {
			if held, yes := c.controls(k, n); yes {
				out.Members = append(out.Members, Member{c.graph.ids[n], k, c.holders(k, n), held})
				joined = append(joined, n)
				break
			}
		}
	}
	for _, n := range joined {
		c.inside[n] = true
	}
	return joined
}

func (c *closure) controls(k Kind, subject int) (Interval, bool) {
	held := c.held[[2]int{int(k), subject}]
	if k == Power {
		held.low, held.high = min(held.low, int64(Whole)), min(held.high, int64(Whole))
		in := held.interval()
		return in, held.low > 0 || c.possible && held.high > 0
	}
	// What the others certainly have the group cannot have.
	held.high = min(held.high, int64(Whole)-c.graph.lows[k][subject]+held.low)
	line := int64(c.graph.rules.Cascade)
	return held.interval(), held.low >= line || c.possible && held.high >= line
}

func (s edgeSum) interval() Interval {
	return Interval{float64(s.low) / float64(Whole), float64(s.high) / float64(Whole)}
}

func (c *closure) holders(k Kind, subject int) (ids []ID) {
	for _, e := range c.graph.owners[k][subject] {
		if c.inside[e.node] && e.high > 0 && (c.possible || e.low > 0) {
			ids = append(ids, c.graph.ids[e.node])
		}
	}
	return ids
}

// Groups returns the certain groups of more than the owner, of those owners
// whom no other party's group contains, ordered by owner. Groups may share
// members: two owners may both control a joint venture. Where parties control
// each other, the first by id stands for them.
func (g *Graph) Groups() []Group {
	var roots, rest []int
	for n := 1; n < len(g.ids); n++ {
		holds, held := false, false
		for k := range kinds {
			holds = holds || len(g.holds[k][n]) > 0
			held = held || len(g.owners[k][n]) > 0
		}
		switch {
		case holds && !held:
			roots = append(roots, n)
		case holds:
			rest = append(rest, n)
		}
	}
	kept := map[ID]Group{}
	covered := map[ID]bool{} // its group is part of one that is kept
	for _, n := range append(roots, rest...) {
		if covered[g.ids[n]] {
			continue
		}
		group := g.Group(g.ids[n], false)
		for _, m := range group.Members {
			covered[m.Party] = true
			delete(kept, m.Party)
		}
		if len(group.Members) > 0 {
			kept[group.Owner] = group
		}
	}
	all := make([]Group, 0, len(kept))
	for _, owner := range slices.Sorted(maps.Keys(kept)) {
		all = append(all, kept[owner])
	}
	return all
}
