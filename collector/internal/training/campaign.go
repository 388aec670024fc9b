package training

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Effort is a run as campaigns see it.
type Effort struct {
	Run            string
	StartNS, EndNS int64
	Read, Wrote    []string // checkpoints, ascending
}

// Campaign is runs of one customer that follow each other: successive runs and
// fine-tunes of what may be one model. Whether they are is for a person to say,
// so what they did is summed and the runs stay what they are.
type Campaign struct {
	ID      string // cmp_…, after its first run
	Runs    []string
	StartNS int64
	EndNS   int64
	Why     string // in words
}

// Campaigns groups the runs of one customer, whichever of its tenants they are
// of, ordered by start. Runs are of one campaign while none of it has paused for
// longer than campaign.gap, or where one read the checkpoint that another wrote.
func Campaigns(customer string, efforts []Effort, w *Weights) []Campaign {
	if w == nil {
		w = Default()
	}
	efforts = slices.Clone(efforts)
	slices.SortFunc(efforts, func(a, b Effort) int { return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.Run, b.Run)) })
	g := newGroups(len(efforts))
	newest := 0 // the one that ended last
	wrote := map[string][]int{}
	carried := 0
	for i := range efforts {
		e := &efforts[i]
		if i > 0 && e.StartNS-efforts[newest].EndNS <= int64(w.Campaign.Gap) {
			g.join(newest, i)
		}
		for _, checkpoint := range e.Read {
			for _, from := range wrote[checkpoint] {
				if g.join(from, i) {
					carried++
				}
			}
		}
		for _, checkpoint := range e.Wrote {
			wrote[checkpoint] = append(wrote[checkpoint], i)
		}
		if e.EndNS > efforts[newest].EndNS {
			newest = i
		}
	}
	at := map[int]int{}
	var out []Campaign
	pauses := []time.Duration{}
	for i := range efforts {
		e := &efforts[i]
		k, known := at[g.root(i)]
		if !known {
			k = len(out)
			at[g.root(i)] = k
			out = append(out, Campaign{ID: identify("cmp_", customer, e.Run), StartNS: e.StartNS, EndNS: e.EndNS})
			pauses = append(pauses, 0)
		}
		c := &out[k]
		pauses[k] = max(pauses[k], time.Duration(e.StartNS-c.EndNS))
		c.Runs, c.EndNS = append(c.Runs, e.Run), max(c.EndNS, e.EndNS)
	}
	for k := range out {
		c := &out[k]
		switch {
		case len(c.Runs) == 1:
			c.Why = "one run"
		case pauses[k] > time.Duration(w.Campaign.Gap):
			c.Why = fmt.Sprintf("%d runs; a checkpoint was carried over a pause of %s", len(c.Runs), pause(pauses[k]))
		case pauses[k] > 0:
			c.Why = fmt.Sprintf("%d runs, never more than %s without one", len(c.Runs), pause(pauses[k]))
		default:
			c.Why = fmt.Sprintf("%d runs that overlap", len(c.Runs))
		}
	}
	return out
}
