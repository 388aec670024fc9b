package tenancy

import (
	"cmp"
	"math"
	"slices"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Whole is all of an interval's device time in parts per million.
const Whole = 1_000_000

// Process is one process that held a device over an interval.
type Process struct {
	Workload measure.Workload // zero if it could not be resolved
	Subject  Subject
	SMUtil   float64 // its use of the device in percent, NaN if not known
}

// Held describes a process that held a device. One that could not be looked up
// is the zero probe.Process: it still held the device. smUtil is NaN if the
// driver reports none.
func Held(device Subject, p probe.Process, smUtil float64) Process {
	return Process{Workload: p.Workload, Subject: device.With(p), SMUtil: smUtil}
}

// Shares splits an interval that ends at atNS over the workloads that held the
// device. One workload holds all of it. Several are split by their use where the
// driver reported any (a process without a figure then had none), and equally
// between workloads where it reported none, which is a guess and says so. Nobody means idle. A workload whose
// tenant is not known is unattributed under its own name. The parts add up to
// Whole; the order is fixed by content.
func Shares(procs []Process, table *Table, atNS int64) []measure.Share {
	if len(procs) == 0 {
		return []measure.Share{{State: measure.Idle, PPM: Whole}}
	}
	var parts []part
	var total float64
	for i := range procs {
		p := &procs[i]
		share := claim(p.Workload, p.Subject, table, atNS)
		j := slices.IndexFunc(parts, func(o part) bool { return o.share == share })
		if j < 0 {
			parts = append(parts, part{share: share})
			j = len(parts) - 1
		}
		if p.SMUtil > 0 && p.SMUtil <= 100 {
			parts[j].weight += p.SMUtil
			total += p.SMUtil
		}
	}
	if total == 0 {
		for i := range parts {
			parts[i].weight, parts[i].share.Guessed = 1, len(parts) > 1
		}
		total = float64(len(parts))
	}
	slices.SortFunc(parts, func(a, b part) int { return compareShares(a.share, b.share) })
	return apportion(parts, total)
}

// UnknownHolders is the answer for an interval in which the device was observed
// but the driver did not say who held it: a lease of the device or host still
// tells the tenant, otherwise the time is unattributed.
func UnknownHolders(s Subject, table *Table, atNS int64) []measure.Share {
	share := claim(measure.Workload{}, s, table, atNS)
	share.PPM = Whole
	return []measure.Share{share}
}

type part struct {
	share  measure.Share // without PPM
	weight float64
}

var doubts = map[Outcome]measure.Doubt{Conflict: measure.DoubtConflict, Undecided: measure.DoubtUnasked}

// claim is the share of a workload before its part is known.
func claim(w measure.Workload, s Subject, table *Table, atNS int64) measure.Share {
	tenant, verdict := table.Tenant(s, atNS)
	if verdict.Outcome != Leased {
		return measure.Share{State: measure.Unattributed, Workload: w, Open: doubts[verdict.Outcome]}
	}
	if w.Kind == measure.KindNone {
		// Leased as a whole: what runs there is the tenant's affair.
		w = measure.Workload{Kind: measure.KindHost, ID: s.Host}
	}
	return measure.Share{State: measure.Attributed, Workload: w, Tenant: tenant}
}

// apportion gives whole parts by largest remainder, ties to the earlier one.
func apportion(parts []part, total float64) []measure.Share {
	shares := make([]measure.Share, len(parts))
	order := make([]int, len(parts))
	rest := make([]float64, len(parts))
	left := Whole
	for i, p := range parts {
		exact := p.weight / total * Whole
		whole := min(int(math.Floor(exact)), left)
		shares[i] = p.share
		shares[i].PPM = whole
		order[i], rest[i] = i, exact-float64(whole)
		left -= whole
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rest[b], rest[a]) })
	// What is left is less than one unit for each part with a weight.
	for i := 0; left > 0; i = (i + 1) % len(order) {
		if parts[order[i]].weight > 0 {
			shares[order[i]].PPM++
			left--
		}
	}
	return slices.DeleteFunc(shares, func(s measure.Share) bool { return s.PPM == 0 })
}

func compareShares(a, b measure.Share) int {
	return cmp.Or(
		cmp.Compare(a.State, b.State), cmp.Compare(a.Tenant, b.Tenant),
		cmp.Compare(a.Workload.Kind, b.Workload.Kind), cmp.Compare(a.Workload.ID, b.Workload.ID),
		cmp.Compare(a.Workload.Hint, b.Workload.Hint), cmp.Compare(a.Open, b.Open),
	)
}
