// Package measure turns samples of accelerators into windows of operations.
//
// A sample is what one device said at one instant. Two consecutive samples
// bound an interval; an interval is split over the workloads that held the
// device and folded into windows. Inside each window the seconds of its entries
// (attributed, idle, unattributed, unobserved) add up to the seconds that
// passed. The package is pure: time is an argument, and a reading that is not
// there stays absent and is never a zero.
package measure

import (
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// DeviceID is the UUID of a device or, for a MIG partition, of the partition.
type DeviceID string

// TenantID is an opaque tenant identifier. Hosts know nothing more of a tenant.
type TenantID string

// Device is one accelerator of a host as it describes itself.
type Device struct {
	ID        DeviceID
	Name      string   // as the driver prints it
	PCIID     string   // PCI device id, four hex digits, "" if unknown
	CC        string   // compute capability, "9.0", "" if unknown
	SMCount   int      // streaming multiprocessors, 0 if unknown
	MaxSMMHz  int      // highest SM clock, 0 if unknown
	MemoryMiB int64    // 0 if unknown
	Parent    DeviceID // the whole device of a partition, "" otherwise
	Fabric    string   // NVLink domain beyond the host: cluster and clique, "" if none; equal ones reach each other
}

// WorkloadKind says which system names a workload.
type WorkloadKind string

// The kinds of workload.
const (
	KindNone      WorkloadKind = ""
	KindSlurmJob  WorkloadKind = "slurm_job"
	KindPod       WorkloadKind = "pod"
	KindContainer WorkloadKind = "container"
	KindUnit      WorkloadKind = "systemd_unit"
	KindVM        WorkloadKind = "vm"
	KindSession   WorkloadKind = "login_session"
	KindCgroup    WorkloadKind = "cgroup"
	KindHost      WorkloadKind = "host"
)

// Workload is what runs, as its scheduler names it.
type Workload struct {
	Kind WorkloadKind
	ID   string // unique within the scheduler; for a cgroup its path
	Hint string // run hint that the scheduler or job trace gives, often ""
}

// State says how the seconds of an entry are accounted for.
type State uint8

// The four states. Every device-second is in exactly one.
const (
	Attributed   State = 1 // held by a workload of a known tenant
	Idle         State = 2 // observed, and no workload held the device
	Unattributed State = 3 // observed and held, but by whom is not known
	Unobserved   State = 4 // no trustworthy observation
)

// String returns the lower-case name.
func (s State) String() string {
	switch s {
	case Attributed:
		return "attributed"
	case Idle:
		return "idle"
	case Unattributed:
		return "unattributed"
	case Unobserved:
		return "unobserved"
	}
	return "invalid"
}

// MethodName is an estimate method.
type MethodName string

// The methods, best first. Allocation is theoretical; the others are empirical.
const (
	Cycles     MethodName = "cycles"
	GPM        MethodName = "gpm"
	Activity   MethodName = "activity"
	Allocation MethodName = "allocation"
	NoMethod   MethodName = "none" // idle and unobserved time
)

// Method names how a figure was reached, so that it can be restated later.
type Method struct {
	Name      MethodName
	Version   int
	Precision string // the rule that chose the best figure inside the precision interval
	Reason    string // why no better method was used, "" for the best
	Grade     string // confidence of the catalogue row: "A", "B", "C" or "derived"
}

// Theoretical reports whether figures of the method are ceilings (allocation ×
// peak) rather than measurements.
func (m Method) Theoretical() bool { return m.Name == Allocation }

// Share is the part of an interval's device time that one workload held.
// PPM are parts per million; the shares of an interval add up to 1,000,000.
type Share struct {
	State    State
	Workload Workload
	Tenant   TenantID
	PPM      int
	// Guessed says that several held the device and how much each used it was not
	// measured. Its low is then nothing and its high all that the device did.
	Guessed bool
	// Open says why leases did not tell the tenant although there are some: "" where
	// they did, or where there is none.
	Open Doubt
}

// Doubt is why a tenant could not be decided.
type Doubt string

// The doubts.
const (
	DoubtConflict Doubt = "conflict" // equally specific leases name different tenants
	DoubtUnasked  Doubt = "unasked"  // the scheduler could not be asked for the name that leases go by
)

// Entry is one line of a window's account.
type Entry struct {
	State      State
	Workload   Workload
	Tenant     TenantID
	Method     Method
	Duration   time.Duration
	Operations compute.Bounds
	Ceiling    compute.Operations // peak × duration: the theoretical figure, kept apart
	EnergyMJ   int64              // millijoules, -1 if not known

	// FloatTensor is the part of Operations.Best that floating-point tensor pipes
	// did, counted at the 16-bit rate: what Restate needs once the precision of the
	// work is known. 0 where the method does not tell pipes apart.
	FloatTensor compute.Operations
}

// Window is the account of one device over a half-open interval that lies
// within one aligned slot. The durations of the entries add up to End-Start.
type Window struct {
	Device  DeviceID
	StartNS int64 // Unix nanoseconds, UTC
	EndNS   int64
	Entries []Entry
}

// Elapsed returns the length of the window.
func (w Window) Elapsed() time.Duration { return time.Duration(w.EndNS - w.StartNS) }

// Balanced reports whether the entries add up to the elapsed time exactly and
// every entry has a known state and valid bounds (invariant I1 within a window).
func (w Window) Balanced() bool {
	var sum time.Duration
	for _, e := range w.Entries {
		if e.Duration < 0 || e.State < Attributed || e.State > Unobserved || !e.Operations.Valid() ||
			e.FloatTensor < 0 || e.FloatTensor > e.Operations.Best {
			return false
		}
		sum += e.Duration
	}
	return sum == w.Elapsed() && w.EndNS > w.StartNS
}
