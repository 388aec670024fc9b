package resolve

import (
	"cmp"
	"slices"
)

// Why a person must decide what the evidence alone would.
const (
	NeedsBridge = "it is the only link between two groups"
	NeedsRule   = "it lifts the total over a warning level"
)

// Bridges returns the ids of the links that alone hold two groups of at least two
// parties each together: without such a link the cluster falls apart into them.
// A link to a party that nothing else joins is none; what is known of that one
// party decides it.
func Bridges(links []Link) map[string]bool {
	g := network{index: map[ID]int{}}
	for i := range links {
		g.add(i, links[i].A, links[i].B)
	}
	g.order = make([]int, len(g.edges))
	g.low = make([]int, len(g.edges))
	g.size = make([]int, len(g.edges))
	out := map[string]bool{}
	for n := range g.edges {
		if g.order[n] == 0 {
			g.walk(n, links, out)
		}
	}
	return out
}

// BridgesAmong returns the ids of the links asked for that a second person must
// approve: each that is a bridge among those that count and all that are asked
// for, each that would be one were they accepted one after the other, and each by
// which a link that one person accepted before becomes one: a chain that grows by a
// party at a time joins two groups as well. Links that are asked for between the
// same two parties are one way there: they would else hide each other. Counting are
// the links that count already.
func BridgesAmong(counting, asked []Link) map[string]bool {
	held := map[string]bool{}
	for {
		before := len(held)
		left := slices.DeleteFunc(slices.Clone(asked), func(l Link) bool { return held[l.ID] })
		holdWays(held, counting, left)
		holdNext(held, counting, left)
		holdGrown(held, counting, left)
		// What one that is held hid may be a bridge without it.
		if len(held) == before {
			return held
		}
	}
}

// holdWays holds the links that are bridges if all count.
func holdWays(held map[string]bool, counting, asked []Link) {
	ways := map[[2]ID][]string{}
	all := slices.Clone(counting)
	for _, l := range asked {
		pair := [2]ID{min(l.A, l.B), max(l.A, l.B)}
		if len(ways[pair]) == 0 {
			all = append(all, l)
		}
		ways[pair] = append(ways[pair], l.ID)
	}
	bridges := Bridges(all)
	for _, ids := range ways {
		if !bridges[ids[0]] {
			continue
		}
		for _, id := range ids {
			held[id] = true
		}
	}
}

// holdNext holds the links that join two groups when they come one after the other.
func holdNext(held map[string]bool, counting, asked []Link) {
	groups := newSets()
	for _, l := range counting {
		groups.join(l.A, l.B)
	}
	for _, l := range asked {
		switch {
		case held[l.ID]:
		case groups.find(l.A) != groups.find(l.B) && len(groups.members(l.A)) >= 2 && len(groups.members(l.B)) >= 2:
			held[l.ID] = true
		default:
			groups.join(l.A, l.B)
		}
	}
}

// holdGrown holds the links behind a party that hung on what is accepted by one link
// alone, where that one would become a bridge. What the rules decided goes back to a
// person by itself when it becomes one, and links from ownership are none, see Advance.
func holdGrown(held map[string]bool, counting, asked []Link) {
	var added []Link
	for _, l := range asked {
		if !held[l.ID] {
			added = append(added, l)
		}
	}
	if len(added) == 0 {
		return
	}
	ways, order := waysOf(counting)
	all, _ := waysOf(slices.Concat(counting, added))
	before, after := bridgePairs(ways), bridgePairs(all)
	for _, pair := range order {
		if !after[pair] || before[pair] || !decidedByOne(ways[pair]) {
			continue
		}
		behind := newSets()
		for other := range all {
			if other != pair {
				behind.join(other[0], other[1])
			}
		}
		for _, end := range pair {
			if neighbours(ways, end) > 1 {
				continue
			}
			for _, l := range added {
				if behind.find(l.A) == behind.find(end) {
					held[l.ID] = true
				}
			}
		}
	}
}

// waysOf are the links between each two parties that have any, and these pairs in the
// order in which they come.
func waysOf(links []Link) (ways map[[2]ID][]Link, order [][2]ID) {
	ways = map[[2]ID][]Link{}
	for _, l := range links {
		pair := [2]ID{min(l.A, l.B), max(l.A, l.B)}
		if len(ways[pair]) == 0 {
			order = append(order, pair)
		}
		ways[pair] = append(ways[pair], l)
	}
	return ways, order
}

// bridgePairs returns between which parties there is a bridge, if all links between
// the same two are one.
func bridgePairs(ways map[[2]ID][]Link) map[[2]ID]bool {
	one := make([]Link, 0, len(ways))
	pairs := make(map[string][2]ID, len(ways))
	for pair, links := range ways {
		one, pairs[links[0].ID] = append(one, links[0]), pair
	}
	out := map[[2]ID]bool{}
	for id := range Bridges(one) {
		out[pairs[id]] = true
	}
	return out
}

// decidedByOne reports whether the links between two parties count by a person's word
// and none follows from ownership.
func decidedByOne(ways []Link) bool {
	return !slices.ContainsFunc(ways, func(l Link) bool { return l.Directed }) && slices.ContainsFunc(ways, func(l Link) bool { return l.State == Accepted })
}

func neighbours(ways map[[2]ID][]Link, of ID) (n int) {
	for pair := range ways {
		if pair[0] == of || pair[1] == of {
			n++
		}
	}
	return n
}

// network is an undirected graph of parties. Links between the same two parties
// count as several ways.
type network struct {
	index map[ID]int
	edges [][]edge
	order []int // in which nodes were found, from 1
	low   []int // least order that the part below reaches
	size  []int // nodes below, with itself
	next  int
}

type edge struct{ to, link int }

func (g *network) node(id ID) int {
	n, ok := g.index[id]
	if !ok {
		n = len(g.edges)
		g.index[id] = n
		g.edges = append(g.edges, nil)
	}
	return n
}

func (g *network) add(link int, a, b ID) {
	x, y := g.node(a), g.node(b)
	g.edges[x] = append(g.edges[x], edge{y, link})
	g.edges[y] = append(g.edges[y], edge{x, link})
}

// frame is a node on the way down.
type frame struct{ node, from, at int }

// walk is Tarjan's search for bridges (Inf. Process. Lett. 2, 1974), without
// recursion: clusters may be long chains.
func (g *network) walk(root int, links []Link, out map[string]bool) {
	type candidate struct{ link, below int }
	var found []candidate
	stack := []frame{{root, -1, 0}}
	g.enter(root)
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		if f.at < len(g.edges[f.node]) {
			e := g.edges[f.node][f.at]
			f.at++
			switch {
			case e.link == f.from:
			case g.order[e.to] == 0:
				g.enter(e.to)
				stack = append(stack, frame{e.to, e.link, 0})
			default:
				g.low[f.node] = min(g.low[f.node], g.order[e.to])
			}
			continue
		}
		done := *f
		stack = stack[:len(stack)-1]
		if len(stack) == 0 {
			break
		}
		up := stack[len(stack)-1].node
		g.low[up] = min(g.low[up], g.low[done.node])
		g.size[up] += g.size[done.node]
		if g.low[done.node] > g.order[up] {
			found = append(found, candidate{done.from, g.size[done.node]})
		}
	}
	for _, c := range found {
		if c.below >= 2 && g.size[root]-c.below >= 2 {
			out[links[c.link].ID] = true
		}
	}
}

func (g *network) enter(n int) {
	g.next++
	g.order[n], g.low[n], g.size[n] = g.next, g.next, 1
}

// Admit holds back links that the rules decided but a person must see: bridges,
// and those by which a total comes over a warning level. Standing are the links
// that count already; fresh are new links in any state. Lifts, if not nil, is
// asked for each fresh automatic link with the parties of both sides, and says
// whether their total reaches a level that neither reaches alone. Strongest links
// come first. What is held back is returned as proposed.
//
// Links of class coordination are not held back: they count towards no
// threshold. Links from ownership are no bridges, see Advance.
func Admit(standing, fresh []Link, lifts func(a, b []ID) bool) []Link {
	out := slices.Clone(fresh)
	var joined []Link
	for _, l := range standing {
		if l.Class == Identity || l.Class == Control {
			joined = append(joined, l)
		}
	}
	counts := map[string]bool{}
	for i := range standing {
		counts[standing[i].ID] = true
	}
	var order []int
	for i := range out {
		if out[i].State == Automatic && out[i].Class != Coordination && !counts[out[i].ID] {
			joined = append(joined, out[i])
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return out
	}
	bridges := Bridges(joined)
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(out[b].Bits, out[a].Bits), cmp.Compare(out[a].ID, out[b].ID))
	})
	sets := newSets()
	for i := range standing {
		if standing[i].Class != Coordination {
			sets.join(standing[i].A, standing[i].B)
		}
	}
	for _, i := range order {
		l := &out[i]
		switch {
		case bridges[l.ID] && !l.Directed:
			l.hold(NeedsBridge)
		case sets.find(l.A) == sets.find(l.B):
		case lifts != nil && lifts(sets.members(l.A), sets.members(l.B)):
			l.hold(NeedsRule)
		default:
			sets.join(l.A, l.B)
		}
	}
	return out
}

func (l *Link) hold(needs string) {
	l.State, l.Automatic, l.Needs, l.Reason = Proposed, false, needs, needs
}

// sets is a forest of disjoint sets that knows its members.
type sets struct {
	parent map[ID]ID
	in     map[ID][]ID
}

func newSets() *sets { return &sets{parent: map[ID]ID{}, in: map[ID][]ID{}} }

func (s *sets) find(id ID) ID {
	for {
		up, ok := s.parent[id]
		if !ok || up == id {
			return id
		}
		if above, ok := s.parent[up]; ok {
			s.parent[id] = above
		}
		id = up
	}
}

func (s *sets) members(id ID) []ID {
	root := s.find(id)
	if m := s.in[root]; m != nil {
		return m
	}
	return []ID{root}
}

// join makes one set of two, named after the larger one.
func (s *sets) join(a, b ID) (root ID, joined bool) {
	x, y := s.find(a), s.find(b)
	if x == y {
		return x, false
	}
	mx, my := s.members(x), s.members(y)
	if len(mx) < len(my) || len(mx) == len(my) && y < x {
		x, y, mx, my = y, x, my, mx
	}
	s.parent[y], s.parent[x] = x, x
	s.in[x] = append(slices.Clip(mx), my...)
	delete(s.in, y)
	return x, true
}
