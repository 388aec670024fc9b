package control

import (
	"cmp"
	"slices"
)

// step is how little a value may still grow for the fixed point to be reached.
const step = 1e-13

// Effective is what part of each subject ends at the owner, for every party of
// which that part may be above 0. It is the least solution of
//
//	part(s) = held(owner, s) + Σ held(m, s) · part(m)    over m other than owner
//
// which is the chance that a walk from s, going to each owner by its share,
// comes to the owner: products along paths, summed, circles solved and not
// walked. Low takes all shares at their low. High is the largest solution any
// completion has: each subject gives what is not certainly another's to those
// owners through whom most arrives. Both are exact up to rounding; where a
// circle is too large to solve, High is 1 and Low 0.
func (g *Graph) Effective(owner ID) map[ID]Interval {
	at, ok := g.index[owner]
	if !ok {
		return nil
	}
	return g.parts(at, make([]float64, len(g.ids)), make([]float64, len(g.ids)))
}

// parts is Effective. low and high have room for every party, hold zeros, and
// do so again afterwards.
func (g *Graph) parts(owner int, low, high []float64) map[ID]Interval {
	out := map[ID]Interval{}
	circles, into := g.below(owner)
	for _, circle := range circles {
		g.solve(circle, owner, into, low, false)
		g.solve(circle, owner, into, high, true)
		for _, n := range circle {
			if n != owner && high[n] > 0 {
				out[g.ids[n]] = Interval{min(low[n], high[n]), high[n]}
			}
		}
	}
	for _, circle := range circles {
		for _, n := range circle {
			low[n], high[n] = 0, 0
		}
	}
	return out
}

// below returns the parties in which the node has shares, over any number of
// steps, in groups that hold each other in circles; owners come before
// subjects. into are the owners of each that are below too: from all others
// nothing arrives.
func (g *Graph) below(at int) (circles [][]int, into map[int][]edge) {
	w := walk{graph: g, start: at, number: map[int]int{}, low: map[int]int{}, onStack: map[int]bool{}, into: map[int][]edge{}}
	w.visit(at)
	slices.Reverse(w.circles)
	return w.circles, w.into
}

// walk is Tarjan's search for strongly connected components (SIAM J. Comput. 1,
// 1972). The start is taken as if nobody held it: a walk ends there.
type walk struct {
	graph       *Graph
	start       int
	number, low map[int]int
	onStack     map[int]bool
	stack       []int
	circles     [][]int
	into        map[int][]edge
}

func (w *walk) visit(n int) {
	w.number[n] = len(w.number) + 1
	w.low[n] = w.number[n]
	w.stack = append(w.stack, n)
	w.onStack[n] = true
	for _, e := range w.graph.holds[Shares][n] {
		if e.node == w.start {
			continue
		}
		w.into[e.node] = append(w.into[e.node], edge{n, e.low, e.high})
		switch {
		case w.number[e.node] == 0:
			w.visit(e.node)
			w.low[n] = min(w.low[n], w.low[e.node])
		case w.onStack[e.node]:
			w.low[n] = min(w.low[n], w.number[e.node])
		}
	}
	if w.low[n] < w.number[n] {
		return
	}
	first := slices.Index(w.stack, n)
	circle := slices.Clone(w.stack[first:])
	w.stack = w.stack[:first]
	for _, m := range circle {
		delete(w.onStack, m)
	}
	slices.Sort(circle)
	w.circles = append(w.circles, circle)
}

// solve sets part of the parties of one circle; those before it are set.
func (g *Graph) solve(circle []int, owner int, into map[int][]edge, part []float64, most bool) {
	if len(circle) == 1 && circle[0] == owner {
		part[owner] = 1
		return
	}
	if len(circle) == 1 {
		part[circle[0]] = value(g.shares(circle[0], into[circle[0]], part, most), part)
		return
	}
	// Each round solves the circle for the shares that are best by the values
	// of the round before. A subject changes its shares only if it gains, so no
	// round loses, no group of subjects feeds on itself, and the last round is
	// the least solution of all.
	chosen := make([][]weight, len(circle))
	for i, n := range circle {
		chosen[i] = g.shares(n, into[n], part, most)
	}
	for range 10 * len(circle) {
		if !settleCircle(circle, chosen, part, g.fill) {
			break
		}
		changed := false
		for i, n := range circle {
			if next := g.shares(n, into[n], part, most); most && value(next, part) > part[n]+step {
				chosen[i], changed = next, true
			}
		}
		if !changed {
			return
		}
	}
	for _, n := range circle {
		part[n] = 0
		if most {
			part[n] = 1
		}
	}
}

// weight is how much of a subject goes to an owner.
type weight struct {
	node int
	part float64
}

func value(all []weight, part []float64) (v float64) {
	for _, w := range all {
		v += w.part * part[w.node]
	}
	return min(v, 1)
}

// shares settles what those owners of a subject have from which anything
// arrives: the lows, and if most is asked what is left to those through whom
// most arrives.
func (g *Graph) shares(subject int, into []edge, part []float64, most bool) []weight {
	left := Share(int64(Whole) - g.lows[Shares][subject])
	all := slices.Clone(into)
	slices.SortFunc(all, func(a, b edge) int {
		return cmp.Or(cmp.Compare(part[b.node], part[a.node]), cmp.Compare(a.node, b.node))
	})
	out := make([]weight, 0, len(all))
	for _, e := range all {
		held := e.low
		if most && part[e.node] > 0 {
			more := min(e.high-e.low, left)
			held += more
			left -= more
		}
		if held > 0 {
			out = append(out, weight{e.node, float64(held) / float64(Whole)})
		}
	}
	slices.SortFunc(out, func(a, b weight) int { return cmp.Compare(a.node, b.node) })
	return out
}
