package ledger

import (
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// EnergySlot is the length over which the energy of a host is added up, so that it
// can be held against a meter. Slots are aligned to UTC.
const EnergySlot = 15 * time.Minute

// Energy is what the devices of a host used in one slot, as far as it is known.
type Energy struct {
	SlotNS   int64 // start of the slot, 0 before anything was counted
	EnergyMJ int64
	KnownNS  int64 // device time that the energy is of
}

// HostEnergy is energy to be added to a slot of a host.
type HostEnergy struct {
	HostNo int64
	Energy
}

// meter adds the kept part of a window, [start, end), to the slots of its host. The
// slot that is being filled is part of the host; what is older or full is given out.
func (l *Ledger) meter(h *host, w *measure.Window, start, end int64) {
	var energy, known int64
	for i := range w.Entries {
		if e := &w.Entries[i]; e.State != measure.Unobserved && e.EnergyMJ >= 0 {
			energy, known = energy+e.EnergyMJ, known+int64(e.Duration)
		}
	}
	if known == 0 || start == end {
		return
	}
	whole := w.EndNS - w.StartNS
	for at := start; at < end; {
		slot := at - at%int64(EnergySlot)
		to := min(slot+int64(EnergySlot), end)
		part := Energy{slot, mulDiv(energy, to-at, whole), mulDiv(known, to-at, whole)}
		if slot > h.Energy.SlotNS {
			l.giveEnergy(h.No, h.Energy)
			h.Energy = part
		} else if slot < h.Energy.SlotNS {
			l.giveEnergy(h.No, part)
		} else {
			h.Energy.EnergyMJ += part.EnergyMJ
			h.Energy.KnownNS += part.KnownNS
		}
		at = to
	}
}

func (l *Ledger) giveEnergy(no int64, e Energy) {
	if e.KnownNS == 0 {
		return
	}
	for i := range l.energy { // devices come one after the other: their slots are among the newest
		if have := &l.energy[len(l.energy)-1-i]; have.HostNo == no && have.SlotNS == e.SlotNS {
			have.EnergyMJ += e.EnergyMJ
			have.KnownNS += e.KnownNS
			return
		} else if have.HostNo != no {
			break
		}
	}
	l.energy = append(l.energy, HostEnergy{no, e})
}
