package control

import (
	"cmp"
	"slices"
)

// Standing is what one party is to a subject, by both limbs.
type Standing struct {
	Owner     ID
	Effective Interval // part of the shares that ends at the owner
	Together  Interval // shares, or votes if they are more, of the owner and all it controls
	Owns      Answer   // at least Rules.Own, effective or together
	Controls  Answer   // the subject is in the owner's group
	Ultimate  bool     // nobody is stated to own it, but those whom it owns itself
}

// Beneficial reports whether the owner meets one of the limbs. That only an
// individual can be a beneficial owner is for the caller to say.
func (s Standing) Beneficial() Answer {
	switch {
	case s.Owns == Yes || s.Controls == Yes:
		return Yes
	case s.Owns == Unknown || s.Controls == Unknown:
		return Unknown
	}
	return No
}

// Report is who is above a subject.
type Report struct {
	Subject   ID
	Standings []Standing
	// Undisclosed is the part that ends at nobody who is named. A named owner
	// may have some of it besides. More reports whether it leaves room for an
	// owner who meets the ownership limb and was not named.
	Undisclosed Interval
	More        bool
}

// Owners returns everybody above a subject, who owns most first.
func (g *Graph) Owners(subject ID) Report {
	out := Report{Subject: subject}
	at, ok := g.index[subject]
	if !ok {
		return out
	}
	// Who is not above the subject bears on nothing that is.
	g = g.restrict(g.above(at))
	low, high := make([]float64, len(g.ids)), make([]float64, len(g.ids))
	for n, id := range g.ids {
		if id == subject {
			continue
		}
		effective := g.parts(n, low, high)[subject]
		if n == 0 {
			out.Undisclosed = effective
			continue
		}
		out.Standings = append(out.Standings, g.standing(n, g.index[subject], effective))
	}
	slices.SortStableFunc(out.Standings, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(b.Effective.Low, a.Effective.Low), cmp.Compare(b.Effective.High, a.Effective.High))
	})
	out.More = out.Undisclosed.High >= fraction(g.rules.Own)
	return out
}

// restrict returns the part of the graph that the nodes make, to which all their
// owners belong.
func (g *Graph) restrict(nodes []int) *Graph {
	if nodes[0] != 0 {
		nodes = slices.Insert(nodes, 0, 0)
	}
	r := &Graph{rules: g.rules, index: map[ID]int{}, fill: g.fill}
	to := map[int]int{}
	for i, n := range nodes {
		to[n] = i
		r.ids = append(r.ids, g.ids[n])
		r.index[g.ids[n]] = i
	}
	for k := range kinds {
		r.owners[k], r.holds[k], r.lows[k] = make([][]edge, len(nodes)), make([][]edge, len(nodes)), make([]int64, len(nodes))
		for i, n := range nodes {
			r.lows[k][i] = g.lows[k][n]
			for _, e := range g.owners[k][n] {
				if o, in := to[e.node]; in {
					r.owners[k][i] = append(r.owners[k][i], edge{o, e.low, e.high})
					if e.high > 0 {
						r.holds[k][o] = append(r.holds[k][o], edge{i, e.low, e.high})
					}
				}
			}
		}
	}
	return r
}

func fraction(s Share) float64 { return float64(s) / float64(Whole) }

// above returns the node and all that have an interest in it over any number of
// steps, ordered.
func (g *Graph) above(at int) []int {
	seen := map[int]bool{at: true}
	queue := []int{at}
	for i := 0; i < len(queue); i++ {
		for k := range kinds {
			for _, e := range g.owners[k][queue[i]] {
				if e.high > 0 && !seen[e.node] {
					seen[e.node] = true
					queue = append(queue, e.node)
				}
			}
		}
	}
	slices.Sort(queue)
	return queue
}

func (g *Graph) standing(n, subject int, effective Interval) Standing {
	s := Standing{Owner: g.ids[n], Effective: effective, Owns: No, Controls: No, Ultimate: g.ultimate(n)}
	certain, possible := g.Group(s.Owner, false), g.Group(s.Owner, true)
	id := g.ids[subject]
	switch {
	case certain.Has(id):
		s.Controls = Yes
	case possible.Has(id):
		s.Controls = Unknown
	}
	s.Together = g.together(certain, possible, subject)
	switch line := fraction(g.rules.Own); {
	case max(s.Together.Low, effective.Low) >= line:
		s.Owns = Yes
	case max(s.Together.High, effective.High) >= line:
		s.Owns = Unknown
	}
	return s
}

// together is what an owner and those it controls have of a subject: at least
// what the certain group has, at most what the possible group may have.
func (g *Graph) together(certain, possible Group, subject int) (out Interval) {
	for _, k := range []Kind{Shares, Votes} {
		var low, ours, high int64
		for i := -1; i < len(possible.Members); i++ {
			id := possible.Owner
			if i >= 0 {
				id = possible.Members[i].Party
			}
			for _, e := range g.holds[k][g.index[id]] {
				if e.node != subject {
					continue
				}
				ours += int64(e.low)
				high += int64(e.high)
				if id == certain.Owner || certain.Has(id) {
					low += int64(e.low)
				}
			}
		}
		high = min(high, int64(Whole)-g.lows[k][subject]+ours)
		out.Low = max(out.Low, float64(low)/float64(Whole))
		out.High = max(out.High, float64(high)/float64(Whole))
	}
	return out
}

// ultimate reports whether everybody above the node is also below it.
func (g *Graph) ultimate(n int) bool {
	for _, m := range g.above(n) {
		if m != n && m != 0 && !slices.Contains(g.above(m), n) {
			return false
		}
	}
	return true
}
