package measure

import (
	"cmp"
	"slices"
	"time"
)

// Thin merges windows of one device that follow each other without a hole within
// one aligned slot of the given length. Times, operations and energies of each
// state, workload, tenant and method add up to what they were; what is lost is when
// within the slot it was. Windows that cannot be merged so stay as they are. It
// returns them by start, then by device.
func Thin(windows []Window, slot time.Duration) []Window {
	order := slices.Clone(windows)
	slices.SortStableFunc(order, func(a, b Window) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.StartNS, b.StartNS))
	})
	var out []Window
	for _, w := range order {
		if n := len(out); n > 0 && out[n-1].takes(w, int64(slot)) {
			out[n-1].merge(w)
			continue
		}
		w.Entries = slices.Clone(w.Entries)
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b Window) int {
		return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.Device, b.Device))
	})
	return out
}

// takes says whether the next window may become part of w. Known and unknown energy
// of one kind of entry must not meet: their sum would be neither.
func (w *Window) takes(next Window, slot int64) bool {
	if w.Device != next.Device || w.EndNS != next.StartNS || floorDiv(w.StartNS, slot) != floorDiv(next.EndNS-1, slot) {
		return false
	}
	for i := range next.Entries {
		e := &next.Entries[i]
		if have := w.like(e); have != nil && (have.EnergyMJ < 0) != (e.EnergyMJ < 0) {
			return false
		}
	}
	return true
}

// like returns the entry of the same state, workload, tenant and method.
func (w *Window) like(e *Entry) *Entry {
	for i := range w.Entries {
		if have := &w.Entries[i]; have.State == e.State && have.Tenant == e.Tenant && have.Workload == e.Workload && have.Method == e.Method {
			return have
		}
	}
	return nil
}

func (w *Window) merge(next Window) {
	w.EndNS = next.EndNS
	for i := range next.Entries {
		e := next.Entries[i]
		have := w.like(&e)
		if have == nil {
			w.Entries = append(w.Entries, e)
			continue
		}
		have.Duration += e.Duration
		have.Operations = have.Operations.Add(e.Operations)
		have.Ceiling = have.Ceiling.Add(e.Ceiling)
		have.FloatTensor = have.FloatTensor.Add(e.FloatTensor)
		if e.EnergyMJ >= 0 {
			have.EnergyMJ += e.EnergyMJ
		}
	}
}
