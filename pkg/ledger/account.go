package ledger

import (
	"math/bits"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// recentHorizon is how much observed time the recent rate of a device looks
// back on, roughly.
const recentHorizon = int64(10 * time.Minute)

// window adds one window to an account.
//
// A window that starts after the account's end leaves a hole, which is charged
// as unobserved. A window that starts before it claims seconds that the account
// holds already: a stepped clock, a copied host or a forgery. Those seconds are
// clipped and counted as overlap. Which of the window's operations were done in
// them cannot be known: all of them (a copy that repeats what was counted), or
// none (a clock set back, where the work was real). So low takes none, high
// takes all, and best the share of the time that is kept.
//
// With allocated, allocations concern the host and may decide whose time it is.
func (l *Ledger) window(h *host, acc *account, w *measure.Window, allocated bool) {
	if w.StartNS > acc.lastNS {
		l.hole(h, acc, w.StartNS, allocated)
	}
	start, end := max(w.StartNS, acc.lastNS), max(w.EndNS, acc.lastNS)
	kept, elapsed := end-start, w.EndNS-w.StartNS
	acc.overlapNS += elapsed - kept
	acc.lastNS = end
	acc.windows++
	l.meter(h, w, start, end)

	var passed, given int64 // of the entries so far: whole and kept time
	for i := range w.Entries {
		e := claimed(&w.Entries[i])
		if kept < elapsed {
			// Rounding the running sum keeps the total exact.
			whole := e.DurationNS
			passed += whole
			upTo := mulDiv(passed, kept, elapsed)
			e.DurationNS = upTo - given
			given = upTo
			e.Operations.Low, e.Operations.Best = 0, compute.Operations(share(int64(e.Operations.Best), e.DurationNS, whole))
			e.FloatTensor = min(e.Operations.Best, compute.Operations(share(int64(e.FloatTensor), e.DurationNS, whole)))
			e.Ceiling = compute.Operations(share(int64(e.Ceiling), e.DurationNS, whole))
			if e.EnergyMJ > 0 {
				e.EnergyMJ = share(e.EnergyMJ, e.DurationNS, whole)
			}
		}
		if e.State != measure.Unobserved {
			acc.observe(e.Operations.Best, e.DurationNS)
		}
		if allocated {
			l.parts = append(l.parts, e)
		} else if !e.empty() {
			l.add(h, acc, &e, start, end)
		}
	}
	if allocated {
		l.assign(h, acc, l.parts, start, end)
		clear(l.parts) // they point into the batch
		l.parts = l.parts[:0]
	}
	h.prune(acc)
	h.touch(acc)
}

// part is the share of an entry that the account takes, and whose it is.
type part struct {
	State    measure.State
	Tenant   measure.TenantID
	Claim    Claim
	Workload *measure.Workload
	Method   *measure.Method
	Amounts
}

// claimed is an entry as its host claims it.
func claimed(e *measure.Entry) part {
	return part{
		State: e.State, Tenant: e.Tenant, Workload: &e.Workload, Method: &e.Method,
		Amounts: Amounts{int64(e.Duration), e.Operations, e.FloatTensor, e.Ceiling, max(e.EnergyMJ, -1)},
	}
}

var (
	noWorkload = measure.Workload{}
	noMethod   = measure.Method{Name: measure.NoMethod}
)

// hole charges the time from the account's end to endNS, which no window
// covers: nothing in low, the device's recent rate but no more than its
// training peak in best, and its fastest rate in high.
func (l *Ledger) hole(h *host, acc *account, endNS int64, allocated bool) {
	gap := time.Duration(endNS - acc.lastNS)
	high := max(acc.model.Ceiling, acc.model.Peak).Over(gap, compute.Up)
	best := min(acc.recent(int64(gap)), acc.model.Peak.Over(gap, compute.Down), high)
	e := part{State: measure.Unobserved, Workload: &noWorkload, Method: &noMethod, Amounts: Amounts{
		DurationNS: int64(gap), Operations: compute.Bounds{Best: best, High: high}, Ceiling: acc.model.Peak.Over(gap, compute.Nearest), EnergyMJ: -1,
	}}
	if allocated {
		l.assign(h, acc, []part{e}, acc.lastNS, endNS)
	} else {
		l.add(h, acc, &e, acc.lastNS, endNS)
	}
	acc.lastNS = endNS
	h.prune(acc)
}

// add extends the segment that the part continues, or opens one. A segment is
// continued when it ends where the part starts, or where it ends already: by
// another entry of the same window. Known and unknown energy do not mix, since
// their sum would be neither.
func (l *Ledger) add(h *host, acc *account, e *part, start, end int64) {
	var s *segment
	for _, o := range acc.open {
		if w := o.words; w.State == e.State && (o.endNS == start || o.endNS == end) && (o.energyMJ < 0) == (e.EnergyMJ < 0) &&
			w.Tenant == e.Tenant && w.Claim == e.Claim && w.Workload == *e.Workload && w.Method == *e.Method {
			s = o
			break
		}
	}
	if s == nil {
		l.lastSegment = l.part.next(l.lastSegment)
		s = &segment{id: l.lastSegment, of: acc, words: l.keep(words{e.State, *e.Workload, e.Tenant, *e.Method, e.Claim}), startNS: start}
		if e.EnergyMJ < 0 {
			s.energyMJ = -1
		}
		acc.open = append(acc.open, s)
		h.due = true
	}
	s.endNS = end
	s.durationNS += e.DurationNS
	s.operations = s.operations.Add(e.Operations)
	s.ceiling = s.ceiling.Add(e.Ceiling)
	s.float = s.float.Add(e.FloatTensor)
	if e.EnergyMJ > 0 {
		s.energyMJ += e.EnergyMJ
	}
	s.follow(e, end-start)
	if !s.dirty {
		s.dirty = true
		h.dirtySegments = append(h.dirtySegments, s)
	}
}

// prune forgets the segments that can no longer grow.
func (h *host) prune(a *account) {
	kept := a.open[:0]
	for _, s := range a.open {
		if s.endNS == a.lastNS {
			kept = append(kept, s)
		} else if s.dirty {
			h.due = true // only what is open can be carried
		}
	}
	clear(a.open[len(kept):])
	a.open = kept
}

// openNS returns when the first of the segments began that may still grow.
func (a *account) openNS() int64 {
	first := a.lastNS
	for _, s := range a.open {
		first = min(first, s.startNS)
	}
	return first
}

// observe adds to the recent rate; older time fades as newer comes.
func (a *account) observe(best compute.Operations, ns int64) {
	a.recentOperations, a.recentNS = a.recentOperations.Add(best), a.recentNS+ns
	for a.recentNS > recentHorizon {
		a.recentOperations, a.recentNS = a.recentOperations/2, a.recentNS/2
	}
}

// recent returns what the device does in the given time at its recent rate, 0
// for a device that was never observed.
func (a *account) recent(ns int64) compute.Operations {
	if a.recentNS == 0 {
		return 0
	}
	return compute.Operations(mulDiv(int64(a.recentOperations), ns, a.recentNS))
}

// share returns n×part/whole rounded down, 0 for a whole of 0.
func share(n, part, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	return mulDiv(n, part, whole)
}

// mulDiv returns a×b/c rounded down, exact in 128 bits, saturating at the
// largest int64. a and b must not be negative, c must be positive.
func mulDiv(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi >= uint64(c) {
		return int64(compute.MaxOperations)
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(min(q, uint64(compute.MaxOperations)))
}
