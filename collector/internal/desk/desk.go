// Package desk holds what people and programs read from the collector: the
// views that the API, the web pages and flopwatchctl share. A Reader answers
// them from the store.
package desk

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// DeviceTime is the time of many devices together, in milliseconds. Nanoseconds
// in an int64 end at 292 years, which 8,192 devices pass in a fortnight.
type DeviceTime int64

// DeviceTimeOf returns the device time of one duration.
func DeviceTimeOf(d time.Duration) DeviceTime { return DeviceTime(d.Milliseconds()) }

// Hours returns device-hours.
func (t DeviceTime) Hours() float64 { return float64(t) / 3.6e6 }

// Figure is a count with how it was reached. Empirical and theoretical totals
// are kept apart and never added.
type Figure struct {
	Empirical   compute.Bounds     // measured or estimated from readings
	Theoretical compute.Bounds     // of time known by allocation only, or held while nobody saw
	Ceiling     compute.Operations // peak × all the time that these figures are of
	DeviceTime  DeviceTime         // attributed device time
	Coverage    float64            // observed share of the elapsed device time, 0..1
	Methods     []measure.MethodName
}

// Combined returns the interval that holds the truth over measured and
// allocation-only time together, for thresholds; views show the parts.
func (f Figure) Combined() compute.Bounds { return f.Empirical.Add(f.Theoretical) }

// Evidence is on what the observed device time of a figure rests, by grade. A
// lower grade is not a lower figure: it says who could have lied.
type Evidence struct {
	Claimed      DeviceTime // E0: a tenant is root on the host, nobody enrolled it, or a meter contradicts it
	Provider     DeviceTime // E1: the provider administers the host
	Corroborated DeviceTime // E2: a meter that the host does not control agrees
	Attested     DeviceTime // E3: of an attested host and device; nothing gives it yet
	Contradicted DeviceTime // of Claimed, what a meter contradicts
}

// Grade is the lowest grade of the time, "" of none.
func (e Evidence) Grade() string {
	switch {
	case e.Claimed > 0:
		return "E0"
	case e.Provider > 0:
		return "E1"
	case e.Corroborated > 0:
		return "E2"
	case e.Attested > 0:
		return "E3"
	}
	return ""
}

// Add returns the evidence of both.
func (e Evidence) Add(o Evidence) Evidence {
	return Evidence{e.Claimed + o.Claimed, e.Provider + o.Provider, e.Corroborated + o.Corroborated, e.Attested + o.Attested, e.Contradicted + o.Contradicted}
}

// PowerSlot is how the meters of one kind compare with a host over a quarter of an hour.
type PowerSlot struct {
	Host, HostName string
	StartNS, EndNS int64
	Kind           string // bmc, pdu or other
	DrawnMJ        int64
	OverheadMJ     int64 // of it what is not for devices
	ReportedMJ     int64 // by the devices, once it is judged
	Answer         string
	Reason         string
}

// Tenant is one tenant with its totals.
type Tenant struct {
	ID            measure.TenantID
	CustomerID    string // "" while no customer claims the tenant
	CustomerName  string
	ForeignStatus string // foreign, us, undetermined
	Figure        Figure
	Devices       int
	Runs          int
	FirstNS       int64
	LastNS        int64
}

// Customer is one customer with its tenants.
type Customer struct {
	ID            string
	Name          string
	Country       string // ISO 3166-1 alpha-2, "" if unknown
	ForeignStatus string
	StatusReason  string
	Demonstration bool // an invented organisation
	Tenants       []measure.TenantID
}

// Run is one training run candidate: the segments judged to serve one effort.
type Run struct {
	ID            string // run_…
	Tenant        measure.TenantID
	CustomerID    string
	CustomerName  string
	ForeignStatus string
	Label         string // workload or hint that names it
	JoinedBy      string // the evidence in words
	Figure        Figure
	Hosts         int
	Devices       int
	Accelerators  []string
	StartNS       int64
	EndNS         int64
	Open          bool // windows still arrive
	Verdict       classify.Verdict
	Evidence      Evidence // of the tenant's time meanwhile; only where a single run is shown
}

// Totals is the ledger of a span of time.
type Totals struct {
	FromNS, ToNS int64
	Elapsed      DeviceTime // device time since each device was first seen
	Attributed   DeviceTime
	Idle         DeviceTime
	Unattributed DeviceTime
	Unobserved   DeviceTime
	Overlap      DeviceTime // claimed twice; clipped out of the account
	Figure       Figure
	Unseen       compute.Bounds // what unobserved time could hold
	Devices      int
	Hosts        int
	Segments     int
	Windows      int64
	Evidence     *Evidence // of the observed time, nil in a check
}

// Coverage says where a host's devices were blind.
type Coverage struct {
	Host       string
	HostName   string
	Devices    int
	Elapsed    DeviceTime
	Unobserved DeviceTime
	Coverage   float64
	Hidden     compute.Operations // most that the unobserved time could hold
	LastNS     int64
	Evidence   Evidence
}

// Host is one reporting host.
type Host struct {
	ID           string
	Name         string
	AgentVersion string
	Epoch        uint64
	Seq          uint64
	Devices      int
	Accelerators []string
	FirstNS      int64
	LastNS       int64
}

// Finding is an immutable record that a rule held.
type Finding struct {
	ID            string // fnd_…
	Rule          string
	Pack          string
	PackStatus    string // proposed, final, guidance, revoked, internal
	Citation      string
	Level         string // warning 50, 80, 95, crossing, possible crossing; claim differs, allocations conflict
	Severity      string // info, warning, high, critical
	Subject       string // run_…, cus_…, tenant:… of a tenant that no customer claims, or host:…
	Tenant        measure.TenantID
	CustomerID    string
	CustomerName  string
	ForeignStatus string
	Threshold     compute.Operations // 0 where the finding rests on none
	Operations    compute.Bounds
	Reason        string // in words a person reads
	OccurredNS    int64  // when the windows that crossed ended
	SignalledNS   int64  // when the collector said so
	PackVersion   int
	Policy        string // pol_… that came into force and found it by looking back, "" where the figures moved
	KnownNS       int64  // since when it counts as known: when that policy came into force, or when the collector said so
}

// Check is the verdict on invariant I1.
type Check struct {
	Balanced bool
	Devices  int
	Problems []string // one line per device that does not add up, at most 100
	Totals   Totals
}

// Status is the collector's own state.
type Status struct {
	Version       string
	Demonstration bool
	Watermark     int64 // end of the newest committed window, Unix ns
	Batches       int64
	Quarantined   int64
	Revision      int64 // grows with every commit; pages refresh on it
}

// Reader answers every view. Lists are ordered: tenants, runs and customers by
// operations descending, then id; findings newest first; hosts by name; events
// last come first, whatever time they claim; cases by what falls due first; reports last changed first; allocations by
// id; corrections and audit entries last made first, those made before the given one, 0 for all. limit 0 means all, but of events
// MaxEvents. Errors are wrapped with what was being read.
type Reader interface {
	Status(ctx context.Context) (Status, error)
	Tenants(ctx context.Context) ([]Tenant, error)
	Customers(ctx context.Context) ([]Customer, error)
	Runs(ctx context.Context, q RunQuery) ([]Run, error)                      // most operations first
	RunDays(ctx context.Context, id string) ([]RunDay, error)                 // oldest first; none of a run that is not there
	CustomerDays(ctx context.Context, customer string) ([]CustomerDay, error) // oldest first; days on which nothing was done are missing
	// RunTimeline is what hosts did of a run over time, in at most so many rows and
	// slots; ok is false of a run that is not there.
	RunTimeline(ctx context.Context, id string, rows, slots int) (t Timeline, ok bool, err error)
	Totals(ctx context.Context, fromNS, toNS int64) (Totals, error)
	Coverage(ctx context.Context) ([]Coverage, error)
	// Evidence returns on what the attributed time of a tenant between two instants rests.
	Evidence(ctx context.Context, tenant measure.TenantID, fromNS, toNS int64) (Evidence, error)
	Power(ctx context.Context, host string, limit int) ([]PowerSlot, error) // newest first, of all hosts for ""
	Hosts(ctx context.Context) ([]Host, error)
	Findings(ctx context.Context, q FindingQuery) ([]Finding, error) // newest first
	// HighestFindings returns for each subject of which findings speak the newest one of
	// those with the highest threshold, without its figures, reason and times.
	HighestFindings(ctx context.Context, subjects []string) (map[string]Finding, error)
	Events(ctx context.Context, filter EventFilter) ([]Event, error)
	Check(ctx context.Context) (Check, error)
	Allocations(ctx context.Context) ([]Allocation, error)
	Corrections(ctx context.Context, before CorrectionID, limit int) ([]Correction, error)
	Cases(ctx context.Context) ([]Case, error)
	Case(ctx context.Context, id string) (c Case, ok bool, err error)
	CaseFileContent(ctx context.Context, caseID, id string) (f CaseFile, content []byte, ok bool, err error)
	Reports(ctx context.Context) ([]Report, error)
	Report(ctx context.Context, id string) (r Report, ok bool, err error)
	ReportFileContent(ctx context.Context, report, id string) (f CaseFile, content []byte, ok bool, err error)
	FindingWork(ctx context.Context, ids []string) (map[string]FindingWork, error) // of these findings, nil for all
	AuditEntries(ctx context.Context, before AuditID, limit int) ([]AuditEntry, error)
	CheckAudit(ctx context.Context) (AuditCheck, error)
	PartyReader
	LinkReader
	PolicyReader
	SettingsReader
}

// Keeper is a reader that keeps what others make of its answers. Keep returns what
// make returned for the same words, and anew as soon as something was written since;
// size is in bytes, and what is large or was asked for longest ago is forgotten first.
// What it returns is shared: callers do not write to it. A reader need not be one.
type Keeper interface {
	Keep(ctx context.Context, what string, make func() (value any, size int, err error)) (any, error)
}
