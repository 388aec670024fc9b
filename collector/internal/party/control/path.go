package control

import (
	"cmp"
	"container/heap"
	"slices"
)

// Path is one way from an owner down to a subject.
type Path struct {
	Parties []ID     // owner first, subject last, nobody twice
	Part    Interval // product of the shares along it; power counts as 0 to 1
	Power   bool     // a step of it is power, not shares
}

// Paths explains how an owner comes to a subject: at most limit paths, those
// that may carry most first; more reports whether there are others. The parts
// of the paths do not add up to Effective where parties own each other.
func (g *Graph) Paths(owner, subject ID, limit int) (paths []Path, more bool) {
	from, ok := g.index[owner]
	to, there := g.index[subject]
	if !ok || !there || from == to {
		return nil, false
	}
	// Best first, upwards from the subject: a part only shrinks on its way.
	q := &trails{{nodes: []int{to}, low: 1, high: 1}}
	reach := map[int]bool{}
	for _, n := range g.above(to) {
		reach[n] = true
	}
	below := g.reaches(from, reach)
	for tries := 0; q.Len() > 0; tries++ {
		t := heap.Pop(q).(trail)
		if n := t.nodes[len(t.nodes)-1]; n == from {
			if len(paths) == limit {
				return paths, true
			}
			paths = append(paths, g.path(t))
			continue
		} else {
			g.extend(q, t, n, below)
		}
		if tries > 1000*(limit+1) {
			return paths, true
		}
	}
	return paths, false
}

// reaches returns those of the nodes that the owner is above, and the owner.
func (g *Graph) reaches(from int, among map[int]bool) map[int]bool {
	seen := map[int]bool{from: true}
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for k := range kinds {
			for _, e := range g.holds[k][queue[0]] {
				if among[e.node] && !seen[e.node] {
					seen[e.node] = true
					queue = append(queue, e.node)
				}
			}
		}
	}
	return seen
}

func (g *Graph) extend(q *trails, t trail, n int, below map[int]bool) {
	for _, k := range []Kind{Shares, Power} {
		for _, e := range g.owners[k][n] {
			if e.high == 0 || !below[e.node] || slices.Contains(t.nodes, e.node) {
				continue
			}
			next := trail{append(slices.Clone(t.nodes), e.node), t.low * fraction(e.low), t.high * fraction(e.high), t.power || k == Power}
			if k == Power {
				next.low, next.high = 0, t.high
			}
			heap.Push(q, next)
		}
	}
}

func (g *Graph) path(t trail) Path {
	p := Path{Part: Interval{t.low, t.high}, Power: t.power}
	for _, n := range slices.Backward(t.nodes) {
		p.Parties = append(p.Parties, g.ids[n])
	}
	return p
}

// trail is a path upwards that has not arrived yet.
type trail struct {
	nodes     []int
	low, high float64
	power     bool
}

// trails is a heap, the trail that may carry most first.
type trails []trail

func (q trails) Len() int      { return len(q) }
func (q trails) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q trails) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(cmp.Compare(b.high, a.high), cmp.Compare(len(a.nodes), len(b.nodes)), slices.Compare(a.nodes, b.nodes)) < 0
}
func (q *trails) Push(x any) { *q = append(*q, x.(trail)) }
func (q *trails) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
