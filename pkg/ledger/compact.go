package ledger

import (
	"strings"
	"unique"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// A fleet has a million accounts and open segments, and a handful of models of device;
// a job has hundreds of segments that differ in figures alone. So what they have in
// common is in memory once: it is what a fleet takes in memory, and what the garbage
// collector has to look at.

// account is an Account as the ledger holds it.
type account struct {
	no          int64
	id, parent  measure.DeviceID
	pci, fabric string
	model       *Device // the rest of what its host says of it; shared, never changed

	firstNS, lastNS, overlapNS, windows int64
	recentOperations                    compute.Operations
	recentNS                            int64

	open  []*segment // those that end where the account ends
	dirty bool
	taken bool // its row was given out before, and describes the device as it is
}

// device returns the device as its host described it.
func (a *account) device() Device {
	d := *a.model
	d.ID, d.Parent, d.PCIID, d.Fabric = a.id, a.parent, a.pci, a.fabric
	return d
}

// is reports whether the host describes the device as before.
func (a *account) is(d *Device) bool {
	m := a.model
	return a.id == d.ID && a.parent == d.Parent && a.pci == d.PCIID && a.fabric == d.Fabric && m.Name == d.Name && m.CC == d.CC && m.SKU == d.SKU && m.Grade == d.Grade &&
		m.SMCount == d.SMCount && m.MaxSMMHz == d.MaxSMMHz && m.MemoryMiB == d.MemoryMiB && m.Peak == d.Peak && m.Ceiling == d.Ceiling
}

// describe takes over what a host says of a device, whose texts may be cut from its
// batch.
func (l *Ledger) describeDevice(a *account, d Device) {
	if a.id != d.ID {
		a.id = measure.DeviceID(strings.Clone(string(d.ID)))
	}
	a.parent, a.pci, a.fabric = measure.DeviceID(intern(string(d.Parent))), intern(d.PCIID), intern(d.Fabric)
	d.ID, d.Parent, d.PCIID, d.Fabric = "", "", "", ""
	if a.model = l.models[d]; a.model != nil {
		return
	}
	d.Name, d.CC, d.SKU, d.Grade = intern(d.Name), intern(d.CC), intern(d.SKU), intern(d.Grade)
	if len(l.models) >= maxModels {
		clear(l.models)
	}
	a.model = &d
	l.models[d] = a.model
}

// row returns the account of a host as it is given out.
func (a *account) row(h *host) Account {
	return Account{No: a.no, Host: h.ID, Device: a.device(), FirstNS: a.firstNS, LastNS: a.lastNS, OverlapNS: a.overlapNS, Windows: a.windows,
		RecentOperations: a.recentOperations, RecentNS: a.recentNS}
}

// words is what a segment is of, but for its device. Shared, never changed.
type words struct {
	State    measure.State
	Workload measure.Workload
	Tenant   measure.TenantID
	Method   measure.Method
	Claim    Claim
}

// segment is a Segment as the ledger holds it.
type segment struct {
	id         int64
	of         *account
	words      *words
	startNS    int64
	endNS      int64
	durationNS int64
	operations compute.Bounds
	ceiling    compute.Operations
	energyMJ   int64 // -1 if not known
	float      compute.Operations
	beat       *rhythm.Rhythm // of its power, nil while there is none
	dirty      bool
	taken      bool // given out by Take before
}

// row returns the segment of a host as it is given out.
func (s *segment) row(h *host) Segment {
	w := s.words
	return Segment{ID: s.id, DeviceNo: s.of.no, Key: Key{Host: h.ID, Device: s.of.id, State: w.State, Workload: w.Workload, Tenant: w.Tenant, Method: w.Method, Claim: w.Claim},
		StartNS: s.startNS, EndNS: s.endNS, DurationNS: s.durationNS, Operations: s.operations, Ceiling: s.ceiling, EnergyMJ: s.energyMJ, FloatTensor: s.float, Rhythm: string(s.appendBeat(nil))}
}

// Bounds of what is remembered to be shared. What is held stays shared when they are
// reached; what comes then is remembered anew.
const (
	maxModels = 4_096
	maxKept   = 65_536
)

// keep returns words that may be kept, for some whose texts may be cut from a batch.
func (l *Ledger) keep(w words) *words {
	if kept := l.kept[w]; kept != nil {
		return kept
	}
	w.Tenant, w.Claim.Tenant = measure.TenantID(intern(string(w.Tenant))), measure.TenantID(intern(string(w.Claim.Tenant)))
	w.Workload = measure.Workload{Kind: measure.WorkloadKind(intern(string(w.Workload.Kind))), ID: strings.Clone(w.Workload.ID), Hint: intern(w.Workload.Hint)}
	w.Method = measure.Method{Name: measure.MethodName(intern(string(w.Method.Name))), Version: w.Method.Version,
		Precision: intern(w.Method.Precision), Reason: intern(w.Method.Reason), Grade: intern(w.Method.Grade)}
	if len(l.kept) >= maxKept {
		clear(l.kept)
	}
	kept := &w
	l.kept[w] = kept
	return kept
}

// indexAbove is how many accounts of a host are looked through one by one.
const indexAbove = 32

// account returns the account of a device, nil if the host has none. Batches name
// devices in the same order each time.
func (h *host) account(id measure.DeviceID) *account {
	if h.index != nil {
		return h.index[id]
	}
	for range h.accounts {
		if h.at >= len(h.accounts) {
			h.at = 0
		}
		a := h.accounts[h.at]
		h.at++
		if a.id == id {
			return a
		}
	}
	return nil
}

// open adds an account to the host.
func (h *host) open(a *account) {
	if h.accounts == nil {
		h.accounts = make([]*account, 0, 8)
	}
	h.accounts = append(h.accounts, a)
	switch {
	case h.index != nil:
		h.index[a.id] = a
	case len(h.accounts) > indexAbove:
		h.index = make(map[measure.DeviceID]*account, len(h.accounts))
		for _, a := range h.accounts {
			h.index[a.id] = a
		}
	}
}

// intern copies a string out of the batch that it came in, which would else
// stay in memory as long as the ledger knows the string. It is for what many hosts
// say alike.
func intern(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}
