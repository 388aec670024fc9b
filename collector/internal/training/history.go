package training

import (
	"cmp"
	"maps"
	"slices"
)

// Act says what became of a run.
type Act string

// The acts. A run that is gone says into which run it went, or that nothing is
// left of it; a run that is new says out of which it came, if any.
const (
	Begun  Act = "begun"
	Split  Act = "split"  // came out of the other run
	Merged Act = "merged" // went into the other run
	Ended  Act = "ended"  // corrections left nothing of it
)

// Change is one line of the history of runs.
type Change struct {
	Run   string
	Act   Act
	Other string // "" where there is none
}

// Changes tells what became of the runs of a tenant since the parts were in the
// runs that before says, ordered by run.
func Changes(before map[PartKey]string, runs []Run) []Change {
	old := map[string]bool{}
	for _, id := range before {
		old[id] = true
	}
	into := map[string]map[string]int{} // old run → new run → parts
	now := map[string]bool{}
	var out []Change
	for i := range runs {
		r := &runs[i]
		now[r.ID] = true
		from := map[string]int{}
		for _, p := range r.Parts {
			id := before[p.Key]
			if id == "" {
				continue
			}
			from[id]++
			if into[id] == nil {
				into[id] = map[string]int{}
			}
			into[id][r.ID]++
		}
		switch {
		case old[r.ID]:
		case len(from) > 0:
			out = append(out, Change{r.ID, Split, most(from)})
		default:
			out = append(out, Change{r.ID, Begun, ""})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(old)) {
		switch {
		case now[id]:
		case len(into[id]) > 0:
			out = append(out, Change{id, Merged, most(into[id])})
		default:
			out = append(out, Change{id, Ended, ""})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Run, b.Run) })
	return out
}
