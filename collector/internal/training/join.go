package training

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Runs groups the stretches of one tenant into runs, ordered by id. The order of
// the stretches changes nothing but the indexes.
//
// Tenants are never joined: what two of them have in common is a finding that a
// person looks at (package evasion), because one customer's total must not rest
// on a likeness with another's work.
func Runs(tenant measure.TenantID, stretches []Stretch, k Knowledge) []Run {
	w := k.Weights
	if w == nil {
		w = Default()
	}
	j := &joiner{tenant: tenant, w: w, parts: partsOf(stretches, w, k.UntilNS), said: standing(k.Decisions)}
	j.g = newGroups(len(j.parts))
	j.decisions()
	j.space()
	attempts := attemptsOf(j.parts, j.g)
	for _, l := range timeLinks(j.parts, j.g, attempts, w, j.together) {
		j.note(Time, l)
	}
	j.confirmed()
	runs := j.runs(attempts)
	name(tenant, runs, k.Runs)
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Compare(a.ID, b.ID) })
	return runs
}

type joiner struct {
	tenant   measure.TenantID
	w        *Weights
	parts    []part
	said     map[pair]Verdict
	together map[int][]int // part → parts that a person joined with it
	g        *groups
	joins    [][]Join // of each part those with an earlier one
}

// decisions puts what people said in force. Of two parts that are kept apart and
// brought together by way of others, being kept apart wins.
func (j *joiner) decisions() {
	j.together, j.joins = map[int][]int{}, make([][]Join, len(j.parts))
	if len(j.said) == 0 {
		return
	}
	at := make(map[PartKey]int, len(j.parts))
	for i := range j.parts {
		at[j.parts[i].Key] = i
	}
	for p, verdict := range j.said {
		from, known := at[p.a]
		to, also := at[p.b]
		if !known || !also {
			continue // of parts that corrections gave to another tenant
		}
		if verdict == Apart {
			j.g.keepApart(from, to)
		} else {
			j.together[from], j.together[to] = append(j.together[from], to), append(j.together[to], from)
		}
	}
	for i := range j.together {
		slices.Sort(j.together[i])
	}
}

// space joins what ran at the same time.
func (j *joiner) space() {
	for _, i := range slices.Sorted(maps.Keys(j.together)) {
		for _, k := range j.together[i] {
			a, b := &j.parts[i], &j.parts[k]
			if k < i || b.StartNS > a.EndNS || !j.g.join(i, k) {
				continue
			}
			s := inSpace(a, b, j.w, true)
			if s.bits < j.w.Threshold {
				s = saidSo(j.w)
			}
			j.note(Space, link{i, k, s})
		}
	}
	for _, e := range spaceEdges(j.parts, j.w) {
		if from, to := int(e.from), int(e.to); j.g.join(from, to) {
			j.note(Space, link{from, to, inSpace(&j.parts[from], &j.parts[to], j.w, true)})
		}
	}
}

// confirmed joins what a person joined and neither step could: an attempt goes on
// with one run, and somebody may say that it belongs to two.
func (j *joiner) confirmed() {
	for _, i := range slices.Sorted(maps.Keys(j.together)) {
		for _, k := range j.together[i] {
			if i < k && j.g.join(i, k) {
				j.note(Time, link{i, k, saidSo(j.w)})
			}
		}
	}
}

// saidSo is the evidence of a join that rests on a person alone.
func saidSo(w *Weights) scale {
	return scale{bits: w.Threshold, found: []Evidence{{Name: "confirmed", Bits: w.Threshold, Detail: "a person says so"}}}
}

// link is a join of two parts with what speaks for it.
type link struct {
	from, to int // from begins earlier
	scale
}

func (j *joiner) note(kind Kind, e link) {
	a, b := &j.parts[e.from], &j.parts[e.to]
	evidence := e.found
	slices.SortStableFunc(evidence, func(x, y Evidence) int { return cmp.Compare(max(y.Bits, -y.Bits), max(x.Bits, -x.Bits)) })
	j.joins[e.to] = append(j.joins[e.to], Join{ID: JoinID(j.tenant, a.Key, b.Key), Kind: kind, From: a.Key, To: b.Key, FromLabel: a.label(), ToLabel: b.label(),
		Bits: e.bits, Evidence: evidence, Gap: time.Duration(b.StartNS - a.EndNS), Confirmed: j.said[pairOf(a.Key, b.Key)] == Together})
}

// runs makes runs of the groups.
func (j *joiner) runs(attempts []attempt) []Run {
	at := map[int]int{}
	var runs []Run
	for i := range j.parts {
		root := j.g.root(i)
		k, known := at[root]
		if !known {
			k = len(runs)
			at[root] = k
			n := j.g.size[root]
			runs = append(runs, Run{Parts: make([]Part, 0, n), Joins: make([]Join, 0, n-1), Members: make([]int, 0, n)})
		}
		r := &runs[k]
		r.Parts = append(r.Parts, j.parts[i].Part)
		r.Joins = append(r.Joins, j.joins[i]...)
		r.Members = append(r.Members, j.parts[i].Members...)
	}
	for i := range attempts {
		runs[at[j.g.root(attempts[i].parts[0])]].Attempts++
	}
	for i := range runs {
		slices.Sort(runs[i].Members)
		runs[i].describe()
	}
	return runs
}

// describe says in words what the run is and why.
func (r *Run) describe() {
	first := part{Part: r.Parts[0]}
	r.Label = first.label()
	for i := range r.Parts {
		if hint := r.Parts[i].Workload.Hint; hint != "" {
			r.Label = hint
			break
		}
	}
	if len(r.Parts) == 1 {
		switch {
		case first.Workload.Hint != "":
			r.JoinedBy = "run hint " + first.Workload.Hint
		case slices.Contains(scheduled, first.Workload.Kind):
			r.JoinedBy = string(first.Workload.Kind) + " " + first.Workload.ID
		default:
			r.JoinedBy = "one workload, no scheduler job"
		}
		return
	}
	words := []string{fmt.Sprintf("%d workloads in %d starts", len(r.Parts), r.Attempts)}
	for _, kind := range []Kind{Space, Time} {
		if counts := r.counts(kind); len(counts) > 0 {
			words = append(words, "in "+string(kind)+" by "+strings.Join(counts, ", "))
		}
	}
	r.JoinedBy = strings.Join(words, "; ")
}

// said is how many names of evidence a summary has.
const said = 4

// counts returns the names of the evidence for the joins of a kind, the most
// frequent first, each with how many joins have it.
func (r *Run) counts(kind Kind) []string {
	of := map[string]int{}
	for _, join := range r.Joins {
		for _, e := range join.Evidence {
			if join.Kind == kind && e.Bits > 0 {
				of[e.Name]++
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", strings.ReplaceAll(name, "_", " "), of[name])
	}
	return names[:min(said, len(names))]
}
