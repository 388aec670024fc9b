package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Limits on what one host may report, far above anything real. They keep a
// forged batch from running sums over the end of an int64, where totals of the
// whole fleet would saturate.
const (
	MaxRate    = compute.Rate(100_000_000_000) // 1e17 operations/s for one device
	MaxPowerMW = int64(3_000_000)              // 3 kW for one device
	MaxDevices = 1024                          // accounts of one host over its life
)

// check reports why a batch cannot be counted. h is nil for a new host.
func (l *Ledger) check(h *host, b *Batch) error {
	for i := range b.Devices {
		d := &b.Devices[i]
		if d.ID == "" || d.Peak < 0 || d.Ceiling < 0 || d.Peak > MaxRate || d.Ceiling > MaxRate {
			return fmt.Errorf("device %q with peak %d and ceiling %d: %w", d.ID, d.Peak, d.Ceiling, ErrRefused)
		}
	}
	var known, fresh map[measure.DeviceID]bool
	for i := range b.Windows {
		w := &b.Windows[i]
		if err := checkWindow(w); err != nil {
			return err
		}
		if i > 0 && b.Windows[i-1].Device == w.Device {
			continue
		}
		if h != nil && h.account(w.Device) != nil || known[w.Device] {
			continue
		}
		if _, ok := deviceRow(b.Devices, w.Device); !ok {
			return fmt.Errorf("window of device %q, which the host has not described: %w", w.Device, ErrRefused)
		}
		if known == nil {
			known, fresh = map[measure.DeviceID]bool{}, map[measure.DeviceID]bool{}
		}
		known[w.Device], fresh[w.Device] = true, true
	}
	have := len(fresh)
	if h != nil {
		have += len(h.accounts)
	}
	if have > MaxDevices {
		return fmt.Errorf("%d devices on one host, at most %d: %w", have, MaxDevices, ErrRefused)
	}
	return nil
}

// Sift takes out the windows that no device can have, and returns an error about
// the first of them, nil if there is none. It wraps ErrRefused.
func (b *Batch) Sift() (first error) {
	b.Windows = slices.DeleteFunc(b.Windows, func(w measure.Window) bool {
		err := checkWindow(&w)
		if first == nil {
			first = err
		}
		return err != nil
	})
	return first
}

func checkWindow(w *measure.Window) error {
	if w.StartNS <= 0 || !w.Balanced() {
		return fmt.Errorf("window of device %q from %d to %d does not balance: %w", w.Device, w.StartNS, w.EndNS, ErrRefused)
	}
	for i := range w.Entries {
		e := &w.Entries[i]
		// One second more than the entry has: readings are rounded up.
		limit := MaxRate.Over(e.Duration+time.Second, compute.Up)
		if e.Operations.High > limit || e.Ceiling < 0 || e.Ceiling > limit {
			return fmt.Errorf("entry of device %q with %s in %s: more than any device can do: %w", w.Device, e.Operations, e.Duration, ErrRefused)
		}
		if e.EnergyMJ < -1 || e.EnergyMJ > mulDiv(MaxPowerMW, int64(e.Duration)+int64(time.Second), int64(time.Second)) {
			return fmt.Errorf("entry of device %q with %d mJ in %s: %w", w.Device, e.EnergyMJ, e.Duration, ErrRefused)
		}
	}
	return nil
}

// Check recomputes every account from its segments and returns one line per
// device that does not balance: invariant I1. Segments are all of the accounts'
// segments in any order.
func Check(accounts []Account, segments func(yield func(Segment) bool)) []string {
	type sum struct {
		ns   int64
		note string
	}
	sums := make(map[int64]*sum, len(accounts))
	for i := range accounts {
		sums[accounts[i].No] = &sum{}
	}
	var problems []string
	for s := range segments {
		t := sums[s.DeviceNo]
		if t == nil {
			problems = append(problems, fmt.Sprintf("segment %d belongs to no device", s.ID))
			continue
		}
		t.ns += s.DurationNS
		if !s.Operations.Valid() || s.EndNS < s.StartNS || s.DurationNS < 0 || s.Key.State < measure.Attributed || s.Key.State > measure.Unobserved {
			t.note = fmt.Sprintf("segment %d is not valid", s.ID)
		}
	}
	for i := range accounts {
		a := &accounts[i]
		switch t := sums[a.No]; {
		case t.note != "":
			problems = append(problems, fmt.Sprintf("device %s of host %s: %s", a.ID, a.Host, t.note))
		case t.ns != a.Elapsed():
			problems = append(problems, fmt.Sprintf("device %s of host %s: segments hold %d ns of %d ns", a.ID, a.Host, t.ns, a.Elapsed()))
		}
	}
	return problems
}
