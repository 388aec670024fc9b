package lab

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Merge makes one report of those of several packs on one snapshot. Rules are
// named with their pack.
func Merge(before, after PackRef, snapshot *Snapshot, from time.Time, parts []*Impact) *Impact {
	slices.SortFunc(parts, func(a, b *Impact) int { return cmp.Compare(a.After.ID, b.After.ID) })
	h := snapshot.history
	r := &Impact{Engine: Engine, Before: before, After: after, From: from.UTC(), ByKind: map[string]int{},
		Snapshot: SnapshotRef{Digest: snapshot.digest, Watermark: h.Watermark, Identity: h.Identity, FirstDay: h.FirstDay, Days: h.Days, Customers: len(h.Customers)}}
	for i := range h.Customers {
		r.Snapshot.Runs += len(h.Customers[i].Runs)
	}
	for _, p := range parts {
		for _, c := range p.Changes {
			c.Rule = p.After.ID + ": " + c.Rule
			r.Changes = append(r.Changes, c)
			r.ByKind[c.Kind]++
		}
		for _, f := range p.Findings {
			f.Rule = p.After.ID + ": " + f.Rule
			r.Findings = append(r.Findings, f)
		}
		r.NotMade, r.Clocks, r.Overdue = r.NotMade+p.NotMade, r.Clocks+p.Clocks, r.Overdue+p.Overdue
		r.LoadBefore, r.LoadAfter = r.LoadBefore.plus(p.LoadBefore), r.LoadAfter.plus(p.LoadAfter)
		r.Money.Exposure = append(r.Money.Exposure, p.Money.Exposure...)
	}
	r.ByCountry = Counts(r.Changes, func(c Change) string { return c.Country })
	r.ByReseller = Counts(r.Changes, func(c Change) string { return c.Reseller })
	r.ByCustomer = Counts(r.Changes, func(c Change) string { return c.Customer })
	exposure := r.Money.Exposure
	r.Money = carried(h, slices.Collect(maps.Keys(r.ByCustomer)))
	r.Money.Exposure = exposure
	return r
}

func (l Load) plus(o Load) Load {
	return Load{l.Findings + o.Findings, l.PerWeekMilli + o.PerWeekMilli, l.AnalystMinute + o.AnalystMinute}
}
