// Package layered places the nodes of a graph in layers from left to right, so that
// edges lead onwards and cross little. It is the method of Sugiyama, in its simplest
// form: break cycles, put each node behind all that lead to it, order each layer by
// where its neighbours stand, and space the layers out. The same graph gives the same
// picture, whatever the order of its parts.
package layered

import (
	"cmp"
	"slices"
)

// Edge leads from one node to another, by their numbers.
type Edge struct{ From, To int }

// Place is where a node stands: its layer, and its position within it from above.
type Place struct {
	Layer int
	Y     float64 // in rows; nodes of a layer are a row apart at least
}

// Sweeps over the layers. After a handful the order changes no more.
const sweeps = 12

// Layout places n nodes, and says through which places an edge passes on its way, so
// that it keeps clear of nodes. Node numbers decide between equals, so callers number
// nodes in an order that does not change. An edge from a node to itself, or to a
// number that is no node, is ignored.
func Layout(n int, edges []Edge) (places []Place, through func(Edge) []Place) {
	g := newGraph(n, edges)
	g.layers()
	g.fill()
	g.order()
	g.space()
	return g.places[:n], g.through
}

func (g *graph) through(e Edge) (out []Place) {
	stands, straight := g.stands[e]
	if !straight {
		stands = slices.Clone(g.stands[Edge{e.To, e.From}])
		slices.Reverse(stands)
	}
	for _, v := range stands {
		out = append(out, g.places[v])
	}
	return out
}

type graph struct {
	places  []Place
	out, in [][]int
	rows    [][]int // nodes of each layer, in order
	stands  map[Edge][]int
}

// newGraph keeps the edges once each, all in a direction without a cycle.
func newGraph(n int, edges []Edge) *graph {
	g := &graph{places: make([]Place, n), out: make([][]int, n), in: make([][]int, n), stands: map[Edge][]int{}}
	sorted := slices.DeleteFunc(slices.Clone(edges), func(e Edge) bool {
		return e.From == e.To || e.From < 0 || e.To < 0 || e.From >= n || e.To >= n
	})
	slices.SortFunc(sorted, func(a, b Edge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	next := make([][]int, n)
	for _, e := range slices.Compact(sorted) {
		next[e.From] = append(next[e.From], e.To)
	}
	// What leads back to a node from which it was reached is turned round.
	const fresh, open, done = 0, 1, 2
	state := make([]int, n)
	var visit func(int)
	visit = func(v int) {
		state[v] = open
		for _, w := range next[v] {
			switch {
			case state[w] == open:
				g.link(w, v)
			case state[w] == fresh:
				g.link(v, w)
				visit(w)
			default:
				g.link(v, w)
			}
		}
		state[v] = done
	}
	led := make([]bool, n)
	for _, e := range sorted {
		led[e.To] = true
	}
	for _, again := range []bool{false, true} {
		for v := range n {
			if state[v] == fresh && (again || !led[v]) {
				visit(v)
			}
		}
	}
	return g
}

func (g *graph) link(from, to int) {
	if !slices.Contains(g.out[from], to) {
		g.out[from], g.in[to] = append(g.out[from], to), append(g.in[to], from)
	}
}

// layers puts each node behind all that lead to it.
func (g *graph) layers() {
	waits := make([]int, len(g.in))
	var ready []int
	for v := range g.in {
		if waits[v] = len(g.in[v]); waits[v] == 0 {
			ready = append(ready, v)
		}
	}
	var order []int
	for len(ready) > 0 {
		v := ready[0]
		ready = ready[1:]
		order = append(order, v)
		for _, w := range g.out[v] {
			g.places[w].Layer = max(g.places[w].Layer, g.places[v].Layer+1)
			if waits[w]--; waits[w] == 0 {
				ready = append(ready, w)
			}
		}
	}
	// A node that nothing leads to stands just before the first that it leads to.
	for _, v := range slices.Backward(order) {
		if len(g.in[v]) == 0 && len(g.out[v]) > 0 {
			first := g.places[g.out[v][0]].Layer
			for _, w := range g.out[v] {
				first = min(first, g.places[w].Layer)
			}
			g.places[v].Layer = first - 1
		}
	}
}

// fill puts a stand-in into each layer that an edge passes, so that edges keep clear
// of nodes, and lists the nodes of each layer.
func (g *graph) fill() {
	for v := range len(g.out) {
		for i, w := range g.out[v] {
			from := v
			for layer := g.places[v].Layer + 1; layer < g.places[w].Layer; layer++ {
				stand := len(g.places)
				g.places = append(g.places, Place{Layer: layer})
				g.out, g.in = append(g.out, nil), append(g.in, []int{from})
				g.stands[Edge{v, w}] = append(g.stands[Edge{v, w}], stand)
				if from == v {
					g.out[v][i] = stand
				} else {
					g.out[from] = []int{stand}
				}
				from = stand
			}
			if from != v {
				g.out[from] = []int{w}
				g.in[w][slices.Index(g.in[w], v)] = from
			}
		}
	}
	last := 0
	for _, p := range g.places {
		last = max(last, p.Layer)
	}
	g.rows = make([][]int, last+1)
	for v, p := range g.places {
		g.rows[p.Layer] = append(g.rows[p.Layer], v)
	}
	g.number()
}

func (g *graph) number() {
	for _, row := range g.rows {
		for i, v := range row {
			g.places[v].Y = float64(i)
		}
	}
}

// order sorts each layer by the middle of its neighbours, there and back, and keeps
// the best that was seen.
func (g *graph) order() {
	best, least := g.clone(), g.crossings()
	for sweep := range sweeps {
		if least == 0 {
			break
		}
		if sweep%2 == 0 {
			for l := 1; l < len(g.rows); l++ {
				g.sort(l, g.in)
			}
		} else {
			for l := len(g.rows) - 2; l >= 0; l-- {
				g.sort(l, g.out)
			}
		}
		if n := g.crossings(); n < least {
			best, least = g.clone(), n
		}
	}
	g.rows = best
	g.number()
}

func (g *graph) clone() [][]int {
	out := make([][]int, len(g.rows))
	for i, row := range g.rows {
		out[i] = slices.Clone(row)
	}
	return out
}

// sort orders a layer by its neighbours on one side.
func (g *graph) sort(layer int, beside [][]int) {
	row := g.rows[layer]
	middle := make(map[int]float64, len(row))
	for _, v := range row {
		middle[v] = g.mean(beside[v], g.places[v].Y)
	}
	slices.SortStableFunc(row, func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
	for i, v := range row {
		g.places[v].Y = float64(i)
	}
}

// mean is the middle of nodes, or what it is without any.
func (g *graph) mean(of []int, without float64) float64 {
	if len(of) == 0 {
		return without
	}
	sum := 0.0
	for _, v := range of {
		sum += g.places[v].Y
	}
	return sum / float64(len(of))
}

func (g *graph) crossings() int {
	count := 0
	for _, row := range g.rows {
		var ends []float64 // of edges, by where they begin
		for _, v := range row {
			begin := len(ends)
			for _, w := range g.out[v] {
				for _, other := range ends[:begin] {
					if other > g.places[w].Y {
						count++
					}
				}
				ends = append(ends, g.places[w].Y)
			}
		}
	}
	return count
}

// space moves nodes towards their neighbours without changing their order and with
// a row between them.
func (g *graph) space() {
	for range sweeps {
		for _, row := range g.rows {
			g.settle(row)
		}
		for _, row := range slices.Backward(g.rows) {
			g.settle(row)
		}
	}
	top := 0.0
	for i, p := range g.places {
		if i == 0 || p.Y < top {
			top = p.Y
		}
	}
	for i := range g.places {
		g.places[i].Y -= top
	}
}

// settle puts a layer where its nodes want to be: neighbours that would come too
// close share the middle of where they want to be.
func (g *graph) settle(row []int) {
	type block struct {
		sum  float64 // of where its nodes want to be, less their place in the block
		size int
	}
	var blocks []block
	for _, v := range row {
		want := g.places[v].Y
		if all := len(g.in[v]) + len(g.out[v]); all > 0 {
			want = (g.mean(g.in[v], 0)*float64(len(g.in[v])) + g.mean(g.out[v], 0)*float64(len(g.out[v]))) / float64(all)
		}
		b := block{want, 1}
		for len(blocks) > 0 {
			last := blocks[len(blocks)-1]
			if last.sum/float64(last.size)+float64(last.size) <= b.sum/float64(b.size) {
				break
			}
			b = block{last.sum + b.sum - float64(b.size*last.size), last.size + b.size}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	i := 0
	for _, b := range blocks {
		for k := range b.size {
			g.places[row[i]].Y = b.sum/float64(b.size) + float64(k)
			i++
		}
	}
}
