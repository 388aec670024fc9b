package ledger

import (
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Amounts are the figures of a stretch of time.
type Amounts struct {
	DurationNS  int64
	Operations  compute.Bounds
	FloatTensor compute.Operations // part of Operations.Best
	Ceiling     compute.Operations
	EnergyMJ    int64 // -1 if not known
}

// take takes the share of ns nanoseconds out, in proportion to the time: where in
// a stretch its operations were done is not known. Nothing is lost, and bounds
// stay in order on both sides.
func (a *Amounts) take(ns int64) Amounts {
	part := func(n compute.Operations) compute.Operations {
		return compute.Operations(share(int64(n), ns, a.DurationNS))
	}
	out := Amounts{
		DurationNS: ns, Operations: compute.Bounds{Low: part(a.Operations.Low), Best: part(a.Operations.Best), High: part(a.Operations.High)},
		FloatTensor: part(a.FloatTensor), Ceiling: part(a.Ceiling), EnergyMJ: -1,
	}
	a.DurationNS -= out.DurationNS
	a.Operations.Low -= out.Operations.Low
	a.Operations.Best -= out.Operations.Best
	a.Operations.High -= out.Operations.High
	a.FloatTensor -= out.FloatTensor
	a.Ceiling -= out.Ceiling
	if a.EnergyMJ >= 0 {
		out.EnergyMJ = share(a.EnergyMJ, ns, out.DurationNS+a.DurationNS)
		a.EnergyMJ -= out.EnergyMJ
	}
	return out
}

func (a *Amounts) empty() bool { return a.DurationNS == 0 && a.Operations == (compute.Bounds{}) }

// Difference says that a host claims time for another tenant than the allocation
// in force names, or that the allocations in force do not agree.
type Difference struct {
	Host       HostID
	HostName   string
	Claimed    measure.TenantID
	Allocated  []measure.TenantID // the one allocated, or those in conflict
	Operations compute.Bounds     // of the stretch in which it was first seen
	allocation.Span
}

// maxTold bounds what is told of one host. A host that claims a new tenant every
// second must not fill the memory, nor the list of findings.
const maxTold = 100

// SetAllocations makes the table decide for windows that are counted from now on.
// nil leaves every claim as it is.
func (l *Ledger) SetAllocations(t *allocation.Table) { l.table = t }

// Close lets segments grow no more: those that were corrected are described whole
// by the pieces that they were cut into.
func (l *Ledger) Close(segments []Segment) {
	for i := range segments {
		s := &segments[i]
		h := l.hosts[s.Key.Host]
		if h == nil {
			continue
		}
		if acc := h.account(s.Key.Device); acc != nil {
			acc.open = slices.DeleteFunc(acc.open, func(o *segment) bool { return o.id == s.ID })
		}
	}
}

// owner returns whose time is that the host claims so, with the tenants that the
// allocations in force name. Idle time is nobody's, and time that nobody saw
// stays unobserved whoever held the device.
func owner(claim Claim, tenants []measure.TenantID) Claim {
	switch {
	case len(tenants) == 0 || claim.State == measure.Idle:
		return claim
	case len(tenants) > 1 && claim.State == measure.Unobserved:
		return Claim{State: measure.Unobserved}
	case len(tenants) > 1:
		return Claim{State: measure.Unattributed}
	case claim.State == measure.Unobserved:
		return Claim{measure.Unobserved, tenants[0]}
	}
	return Claim{measure.Attributed, tenants[0]}
}

// differs reports whether the host names another tenant than the allocations do,
// or these do not agree.
func differs(claim Claim, tenants []measure.TenantID) bool {
	return claim.State != measure.Idle && (len(tenants) > 1 || len(tenants) == 1 && claim.Tenant != "" && claim.Tenant != tenants[0])
}

// assign adds the parts of one stretch to the account, cut at the instants at
// which an allocation begins or ends for one of them.
func (l *Ledger) assign(h *host, acc *account, parts []part, start, end int64) {
	answers := make([][]allocation.Piece, len(parts))
	var cuts []int64
	for i := range parts {
		if parts[i].State == measure.Idle {
			continue
		}
		// A stretch that was clipped to nothing still has an instant.
		answers[i] = l.table.Resolve(acc.place(h, parts[i].Workload), start, max(end, start+1))
		for _, a := range answers[i][1:] {
			cuts = append(cuts, a.FromNS)
		}
	}
	slices.Sort(cuts)
	for _, cut := range slices.Compact(cuts) {
		// Rounding the running sum keeps both sides exact.
		var passed, given int64
		for i := range parts {
			passed += parts[i].DurationNS
			upTo := mulDiv(passed, cut-start, end-start)
			left := parts[i]
			left.Amounts = parts[i].take(upTo - given)
			given = upTo
			l.give(h, acc, left, &answers[i], start, cut)
		}
		start = cut
	}
	for i := range parts {
		l.give(h, acc, parts[i], &answers[i], start, end)
	}
}

// give adds a part to the account of whom the answer for its start names.
func (l *Ledger) give(h *host, acc *account, p part, answers *[]allocation.Piece, start, end int64) {
	if p.empty() {
		return
	}
	for len(*answers) > 0 && (*answers)[0].ToNS <= start {
		*answers = (*answers)[1:]
	}
	if len(*answers) > 0 {
		tenants := (*answers)[0].Tenants
		claim := Claim{p.State, p.Tenant}
		if now := owner(claim, tenants); now != claim {
			p.State, p.Tenant, p.Claim = now.State, now.Tenant, claim
		}
		if differs(claim, tenants) {
			l.tell(h, claim, tenants, p.Operations, start, end)
		}
	}
	l.add(h, acc, &p, start, end)
}

func (l *Ledger) tell(h *host, claim Claim, tenants []measure.TenantID, ops compute.Bounds, start, end int64) {
	d := difference(&h.Host, claim, tenants, ops, start, end)
	key := d.Key()
	if h.told[key] || len(h.told) >= maxTold {
		return
	}
	if h.told == nil {
		h.told = map[string]bool{}
	}
	h.told[key] = true
	l.differences = append(l.differences, d)
}

func difference(h *Host, claim Claim, tenants []measure.TenantID, ops compute.Bounds, start, end int64) Difference {
	d := Difference{Host: h.ID, HostName: h.Name, Allocated: tenants, Operations: ops, Span: allocation.Span{FromNS: start, ToNS: end}}
	if len(tenants) == 1 {
		d.Claimed = measure.TenantID(strings.Clone(string(claim.Tenant)))
	}
	return d
}

// Key is what two differences have in common that are told once.
func (d *Difference) Key() string {
	words := []string{string(d.Host), string(d.Claimed)}
	for _, t := range d.Allocated {
		words = append(words, string(t))
	}
	return strings.Join(words, "\x00")
}

// Conflict reports whether the allocations do not agree among themselves.
func (d *Difference) Conflict() bool { return len(d.Allocated) > 1 }

func (a *account) place(h *host, w *measure.Workload) allocation.Place {
	return allocation.Place{HostID: string(h.ID), HostName: h.Name, Device: a.id, Parent: a.parent, Workload: *w}
}
