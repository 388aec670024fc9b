// Package foresight looks ahead and across: from the runs, customers and
// reservations of one instant it works out when which line will be crossed, what
// connected devices could do, which runs follow each other, and which patterns
// hide how much was done. It is pure; time is an argument.
package foresight

import (
	"cmp"
	"math"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Run is a run as it is stored.
type Run struct {
	ID             string
	Label          string
	Tenant         measure.TenantID
	StartNS, EndNS int64
	Accelerator    string
	Hosts, Devices int
	Places         []uint64 // see evasion.Sketch
	Image          string   // that most of its hosts run, "" if not known
	Operations     compute.Bounds
	Ceiling        compute.Operations // peak × its device time
	DeviceSeconds  float64            // that the ceiling is of
	Unobserved     float64            // share of its device time, 0..1
	Utilization    float64            // -1 if not known
	Verdict        classify.Verdict
	Days           []compute.Operations // best of the last days, oldest first; the last ends at State.NowNS
}

// Peak is what the devices of the run can do together.
func (r *Run) Peak() compute.Rate {
	if r.DeviceSeconds <= 0 {
		return 0
	}
	rate := r.Ceiling.Float() / r.DeviceSeconds * float64(r.Devices) / 1e6
	return compute.Rate(min(math.Round(rate), math.MaxInt64/2))
}

// State is what is known at an instant.
type State struct {
	NowNS        int64 // end of the newest window
	SinceNS      int64 // start of the oldest
	Runs         []Run
	Customers    []party.Customer
	Reservations []reservation.Reservation // as they stand
	Packs        []*policy.Pack            // that are held against the fleet
	Facts        map[string]policy.Facts   // of customers, beside what follows from runs and reservations
	// What is known of who is behind accounts; empty where nothing is.
	Marks     map[measure.TenantID][]evasion.Mark
	Clusters  []evasion.Cluster
	Transfers []evasion.Transfer
}

// openFor is how far a run may be behind and still go on: hosts do not report at
// the same instant.
const openFor = int64(30_000_000_000)

// subject is a customer, or a tenant that no customer claims.
type subject struct {
	policy.Subject
	tenants      []measure.TenantID
	runs         []*Run
	reservations []reservation.Reservation
	firstNS      int64
}

// subjects groups runs and reservations by whose they are, ordered by id.
func (s *State) subjects() []*subject {
	owner := map[measure.TenantID]*subject{}
	all := map[string]*subject{}
	for i := range s.Customers {
		c := &s.Customers[i]
		x := &subject{Subject: policy.Subject{Measure: policy.CustomerOperations, ID: c.ID, Label: "customer " + c.Name, CustomerID: c.ID, CustomerName: c.Name, Status: cmp.Or(c.Status, party.Undetermined)}}
		for _, tenant := range c.Tenants {
			owner[tenant] = x
		}
		x.tenants = c.Tenants
		all[c.ID] = x
	}
	of := func(tenant measure.TenantID) *subject {
		if owner[tenant] == nil {
			x := &subject{Subject: policy.Subject{Measure: policy.CustomerOperations, ID: "tenant:" + string(tenant), Label: "tenant " + string(tenant) + ", which no customer claims", Tenant: tenant, Status: party.Undetermined},
				tenants: []measure.TenantID{tenant}}
			owner[tenant], all[x.ID] = x, x
		}
		return owner[tenant]
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		x := of(r.Tenant)
		if x.runs = append(x.runs, r); x.firstNS == 0 || r.StartNS < x.firstNS {
			x.firstNS = r.StartNS
		}
	}
	for _, r := range s.Reservations {
		if !r.Withdrawn() && r.ToNS > s.NowNS {
			x := of(r.Tenant)
			x.reservations = append(x.reservations, r)
		}
	}
	out := make([]*subject, 0, len(all))
	for _, x := range all {
		if len(x.runs)+len(x.reservations) == 0 {
			continue
		}
		slices.SortFunc(x.runs, func(a, b *Run) int { return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.ID, b.ID)) })
		slices.SortFunc(x.reservations, func(a, b reservation.Reservation) int {
			return cmp.Or(cmp.Compare(a.FromNS, b.FromNS), cmp.Compare(a.ID, b.ID))
		})
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *subject) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// ofRun is the subject of one of the runs.
func (x *subject) ofRun(r *Run) policy.Subject {
	s := x.Subject
	s.Measure, s.ID, s.Label, s.Tenant, s.Operations = policy.RunOperations, r.ID, "run "+r.Label, r.Tenant, r.Operations
	return s
}

// held is what the runs that go on hold.
func (x *subject) held(now int64) (devices int, peak compute.Rate) {
	for _, r := range x.runs {
		if r.EndNS >= now-openFor {
			devices += r.Devices
			peak += r.Peak()
		}
	}
	return devices, peak
}

// reserved are the reservations of a tenant, of all tenants if it is empty.
func (x *subject) reserved(tenant measure.TenantID) []reservation.Reservation {
	if tenant == "" {
		return x.reservations
	}
	return slices.DeleteFunc(slices.Clone(x.reservations), func(r reservation.Reservation) bool { return r.Tenant != tenant })
}
