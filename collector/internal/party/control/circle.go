package control

import (
	"cmp"
	"maps"
	"slices"
)

// row is one subject of a circle: what goes to others of the circle, what
// arrives at the owner without them, and what does not arrive.
type row struct {
	inside   map[int]float64
	arrives  float64
	lost     float64
	leaves   float64 // to others or out of the circle, when the row was taken out
	partners []int
}

// settleCircle solves part(s) = Σ weight · part over the circle and sets part.
// It takes out one subject after the other and hands what went to it on to its
// owners, as Grassmann, Taksar and Heyman do for Markov chains (Oper. Res. 33,
// 1985): it only adds and divides, so near circles that hold almost all of each
// other nothing cancels. It reports false
// if it would hold more than maxFill numbers.
func settleCircle(circle []int, chosen [][]weight, part []float64, maxFill int) bool {
	rows := rowsOf(circle, chosen, part)
	from := map[int]map[int]bool{} // owner → subjects of the circle that it has
	size := map[int]int{}
	fill := 0
	for n, r := range rows {
		for m := range r.inside {
			if from[m] == nil {
				from[m] = map[int]bool{}
			}
			from[m][n] = true
			fill++
		}
	}
	order := slices.Sorted(maps.Keys(rows))
	for _, n := range order {
		size[n] = len(rows[n].inside) * len(from[n])
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size[a], size[b]) })
	for _, n := range order {
		r := rows[n]
		delete(r.inside, n)
		r.partners = slices.Sorted(maps.Keys(r.inside))
		r.leaves = r.arrives + r.lost
		for _, m := range r.partners {
			r.leaves += r.inside[m]
		}
		for s := range from[n] {
			if s == n {
				continue
			}
			to := rows[s]
			share := to.inside[n] / r.leaves
			delete(to.inside, n)
			for _, m := range r.partners {
				if _, there := to.inside[m]; !there {
					fill++
				}
				to.inside[m] += share * r.inside[m]
				from[m][s] = true
			}
			to.arrives += share * r.arrives
			to.lost += share * r.lost
		}
		for _, m := range r.partners {
			delete(from[m], n)
		}
		if fill > maxFill {
			return false
		}
	}
	for _, n := range slices.Backward(order) {
		r := rows[n]
		v := r.arrives
		for _, m := range r.partners {
			v += r.inside[m] * part[m]
		}
		part[n] = min(v/r.leaves, 1)
	}
	return true
}

// rowsOf leaves out the subjects from which nothing arrives, and sets their
// part to 0: of these a solution other than the least would hold as well.
func rowsOf(circle []int, chosen [][]weight, part []float64) map[int]*row {
	inCircle := map[int]bool{}
	for _, n := range circle {
		inCircle[n] = true
	}
	subjects := map[int][]int{}
	live := map[int]bool{}
	var queue []int
	for i, n := range circle {
		arrives := false
		for _, w := range chosen[i] {
			if inCircle[w.node] {
				subjects[w.node] = append(subjects[w.node], n)
			} else if part[w.node] > 0 {
				arrives = true
			}
		}
		if arrives {
			live[n] = true
			queue = append(queue, n)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, n := range subjects[queue[0]] {
			if !live[n] {
				live[n] = true
				queue = append(queue, n)
			}
		}
	}
	rows := map[int]*row{}
	for i, n := range circle {
		if !live[n] {
			part[n] = 0
			continue
		}
		r := &row{inside: map[int]float64{}}
		given := Share(0) // in whole millionths, so that what is lost is exact
		for _, w := range chosen[i] {
			given += Share(w.part*float64(Whole) + 0.5)
			switch {
			case live[w.node]:
				r.inside[w.node] = w.part
			case inCircle[w.node]:
				r.lost += w.part
			default:
				r.arrives += w.part * part[w.node]
				r.lost += w.part * (1 - part[w.node])
			}
		}
		r.lost += float64(Whole-given) / float64(Whole)
		rows[n] = r
	}
	return rows
}
