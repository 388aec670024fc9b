package apitypes

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Figure is a count with how it was reached. Empirical and theoretical counts
// are kept apart; combined is the interval that holds the truth over both.
type Figure struct {
	Empirical   Bounds   `json:"empirical" doc:"Measured or estimated from readings"`
	Theoretical Bounds   `json:"theoretical" doc:"Of time known by allocation only"`
	Combined    Bounds   `json:"combined" doc:"Interval over both, for thresholds"`
	Ceiling     string   `json:"ceiling" doc:"Peak × attributed time, single operations"`
	DeviceTime  Seconds  `json:"device_seconds" doc:"Attributed device time in seconds, up to three decimals"`
	Coverage    float64  `json:"coverage" doc:"Observed share of the elapsed device time, 0 to 1"`
	Methods     []string `json:"methods" doc:"Estimate methods behind the figure"`
}

// Evidence is on what observed device time rests, by grade. The grade is the lowest
// of them, absent of no time.
type Evidence struct {
	Grade        string  `json:"grade,omitempty" doc:"E0 claimed, E1 provider host, E2 corroborated or E3 attested"`
	Claimed      Seconds `json:"claimed_seconds" doc:"A tenant is root on the host, nobody enrolled it, or a meter contradicts it"`
	Provider     Seconds `json:"provider_seconds" doc:"The provider administers the host"`
	Corroborated Seconds `json:"corroborated_seconds" doc:"A meter that the host does not control agrees"`
	Attested     Seconds `json:"attested_seconds" doc:"Of an attested host and device; nothing gives it yet"`
	Contradicted Seconds `json:"contradicted_seconds" doc:"Of the claimed, what a meter contradicts"`
}

// PowerSlot is how the meters of one kind compare with a host over a quarter of an hour.
type PowerSlot struct {
	Host       string    `json:"host"`
	HostName   string    `json:"host_name,omitempty"`
	Start      time.Time `json:"start"`
	End        time.Time `json:"end"`
	Kind       string    `json:"kind" doc:"bmc, pdu or other"`
	DrawnMJ    int64     `json:"drawn_mj" doc:"What the meters saw, millijoules"`
	OverheadMJ int64     `json:"overhead_mj" doc:"Of it what is not for devices"`
	ReportedMJ int64     `json:"reported_mj" doc:"By the devices; 0 while open"`
	Answer     string    `json:"answer" doc:"open, agrees, more drawn than reported, less drawn than reported, or cannot tell"`
	Reason     string    `json:"reason,omitempty"`
}

// PowerDiff is what an import of readings changed, or would change.
type PowerDiff struct {
	DryRun    bool `json:"dry_run"`
	New       int  `json:"new" doc:"Readings that were not known"`
	Unchanged int  `json:"unchanged" doc:"Readings that were there already"`
}

// Tenant is one tenant with its totals.
type Tenant struct {
	ID            string    `json:"id"`
	CustomerID    string    `json:"customer_id,omitempty" doc:"Absent while no customer claims the tenant"`
	CustomerName  string    `json:"customer_name,omitempty"`
	ForeignStatus string    `json:"foreign_status" doc:"foreign, us or undetermined; undetermined alerts like foreign"`
	Figure        Figure    `json:"figure"`
	Devices       int       `json:"devices"`
	Runs          int       `json:"runs"`
	First         time.Time `json:"first,omitzero"`
	Last          time.Time `json:"last,omitzero"`
}

// Customer is one customer with its tenants.
type Customer struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Country       string   `json:"country,omitempty" doc:"ISO 3166-1 alpha-2"`
	ForeignStatus string   `json:"foreign_status"`
	StatusReason  string   `json:"status_reason,omitempty"`
	Demonstration bool     `json:"demonstration" doc:"An invented organisation"`
	Tenants       []string `json:"tenants"`
}

// Run is one training run candidate.
type Run struct {
	ID            string    `json:"id"`
	Tenant        string    `json:"tenant"`
	CustomerID    string    `json:"customer_id,omitempty"`
	CustomerName  string    `json:"customer_name,omitempty"`
	ForeignStatus string    `json:"foreign_status"`
	Label         string    `json:"label"`
	JoinedBy      string    `json:"joined_by" doc:"The evidence that joined its segments, in words"`
	Figure        Figure    `json:"figure"`
	Hosts         int       `json:"hosts"`
	Devices       int       `json:"devices"`
	Accelerators  []string  `json:"accelerators"`
	Start         time.Time `json:"start,omitzero"`
	End           time.Time `json:"end,omitzero"`
	Open          bool      `json:"open" doc:"Windows still arrive"`
	Verdict       Verdict   `json:"verdict"`
}

// Verdict is what a run does, with why.
type Verdict struct {
	Class     string            `json:"class" doc:"training, inference, other or cannot tell"`
	Training  *float64          `json:"training,omitempty" doc:"Probability, 0 to 1; absent where nothing shows what the devices did"`
	Inference *float64          `json:"inference,omitempty"`
	Other     *float64          `json:"other,omitempty"`
	Reason    string            `json:"reason,omitempty" doc:"Why it cannot be told"`
	Evidence  []VerdictEvidence `json:"evidence" doc:"Largest effect first"`
	Missing   []string          `json:"missing" doc:"Evidence that was not there"`
	Method    string            `json:"method" doc:"Name and version, with the beginning of the digest"`
}

// VerdictEvidence is what one feature says.
type VerdictEvidence struct {
	Feature string  `json:"feature"`
	Text    string  `json:"text"`
	LogOdds float64 `json:"log_odds" doc:"For training if above 0"`
	Origin  string  `json:"origin" doc:"Where the weight comes from: fitted on recordings, or judgement"`
}

// Totals is the ledger of a span of time. Attributed, idle, unattributed and
// unobserved seconds add up to the elapsed seconds.
type Totals struct {
	From         time.Time `json:"from,omitzero"`
	To           time.Time `json:"to,omitzero"`
	Elapsed      Seconds   `json:"elapsed_seconds" doc:"Device time since each device was first seen"`
	Attributed   Seconds   `json:"attributed_seconds"`
	Idle         Seconds   `json:"idle_seconds"`
	Unattributed Seconds   `json:"unattributed_seconds"`
	Unobserved   Seconds   `json:"unobserved_seconds"`
	Overlap      Seconds   `json:"overlap_seconds" doc:"Claimed twice; clipped out of the account"`
	Figure       Figure    `json:"figure"`
	Unseen       Bounds    `json:"unseen" doc:"What unobserved time could hold"`
	Devices      int       `json:"devices"`
	Hosts        int       `json:"hosts"`
	Segments     int       `json:"segments"`
	Windows      int64     `json:"windows"`
	Evidence     *Evidence `json:"evidence,omitempty" doc:"Of the observed time; absent in a check"`
}

// Check is the verdict on whether the ledger balances.
type Check struct {
	Balanced bool     `json:"balanced"`
	Devices  int      `json:"devices"`
	Problems []string `json:"problems" doc:"One line per device that does not add up, at most 100"`
	Totals   Totals   `json:"totals"`
}

// Coverage says where a host's devices were blind.
type Coverage struct {
	Host       string    `json:"host"`
	HostName   string    `json:"host_name"`
	Devices    int       `json:"devices"`
	Elapsed    Seconds   `json:"elapsed_seconds"`
	Unobserved Seconds   `json:"unobserved_seconds"`
	Coverage   float64   `json:"coverage" doc:"Observed share, 0 to 1"`
	Hidden     string    `json:"hidden" doc:"Most that the unobserved time could hold, single operations"`
	Last       time.Time `json:"last,omitzero"`
	Evidence   Evidence  `json:"evidence" doc:"Of the observed time"`
}

// Host is one reporting host.
type Host struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	AgentVersion string    `json:"agent_version"`
	Epoch        uint64    `json:"epoch"`
	Seq          uint64    `json:"seq"`
	Devices      int       `json:"devices"`
	Accelerators []string  `json:"accelerators"`
	First        time.Time `json:"first,omitzero"`
	Last         time.Time `json:"last,omitzero"`
}

// Finding is an immutable record that a rule held.
type Finding struct {
	ID            string      `json:"id"`
	Rule          string      `json:"rule"`
	Pack          string      `json:"pack"`
	PackStatus    string      `json:"pack_status" doc:"proposed, final, guidance, revoked or internal"`
	Citation      string      `json:"citation,omitempty"`
	Level         string      `json:"level"`
	Severity      string      `json:"severity" doc:"info, warning, high or critical"`
	Subject       string      `json:"subject"`
	Tenant        string      `json:"tenant,omitempty"`
	CustomerID    string      `json:"customer_id,omitempty"`
	CustomerName  string      `json:"customer_name,omitempty"`
	ForeignStatus string      `json:"foreign_status"`
	Threshold     string      `json:"threshold" doc:"Single operations; 0 where the finding rests on none"`
	Operations    Bounds      `json:"operations"`
	Reason        string      `json:"reason"`
	Occurred      time.Time   `json:"occurred,omitzero" doc:"When the windows that crossed ended"`
	Signalled     time.Time   `json:"signalled,omitzero" doc:"When the collector said so"`
	PackVersion   int         `json:"pack_version"`
	Basis         string      `json:"basis" doc:"observed, or policy_change where a policy that came into force found it by looking back"`
	Policy        string      `json:"policy,omitempty" doc:"That policy"`
	Known         time.Time   `json:"known,omitzero" doc:"Since when it counts as known"`
	Work          FindingWork `json:"work" doc:"How people's work on it stands"`
}

// Event is what a host reported beside its figures. It changes none.
type Event struct {
	ID       string    `json:"id"`
	Host     string    `json:"host"`
	HostName string    `json:"host_name"`
	Device   string    `json:"device,omitempty" doc:"Absent when it is about the host"`
	Time     time.Time `json:"time,omitzero" doc:"By the host's clock"`
	Kind     string    `json:"kind" doc:"What happened, as xid or driver_changed; agents may add kinds" example:"xid"`
	Code     int64     `json:"code" doc:"What it says depends on the kind: an Xid, a number of errors; 0 when there is nothing to say"`
	Detail   string    `json:"detail,omitempty" doc:"In the host's words"`
}

// Status is the collector's own state.
type Status struct {
	Version       string    `json:"version"`
	Demonstration bool      `json:"demonstration"`
	Watermark     time.Time `json:"watermark,omitzero" doc:"End of the newest committed window"`
	Batches       int64     `json:"batches"`
	Quarantined   int64     `json:"quarantined"`
	Revision      int64     `json:"revision" doc:"Grows with every commit"`
}

// MaxImportBytes bounds the body of an import.
const MaxImportBytes = 8 << 20

// Diff is what an import of customers changes, or would change.
type Diff struct {
	DryRun    bool     `json:"dry_run" doc:"Nothing was written"`
	New       []string `json:"new" doc:"Customer ids that were not known"`
	Changed   []string `json:"changed" doc:"Customer ids whose record differs"`
	Unchanged []string `json:"unchanged" doc:"Customer ids that are already as in the file"`
}

// Allocation says that what it selects was given to a tenant from when to when.
// It outranks what a host claims.
type Allocation struct {
	ID           string    `json:"allocation_id"`
	Host         string    `json:"host,omitempty" doc:"Id, or the name that the host reports; absent is every host"`
	Device       string    `json:"device,omitempty" doc:"Absent is every device"`
	WorkloadKind string    `json:"workload_kind,omitempty" doc:"Absent is every workload"`
	WorkloadID   string    `json:"workload_id,omitempty"`
	Tenant       string    `json:"tenant_id"`
	From         time.Time `json:"from"`
	To           time.Time `json:"to,omitzero" doc:"Excluded; absent has no end"`
	Withdrawn    bool      `json:"withdrawn" doc:"It ends when it begins and was never in force"`
	Recorded     time.Time `json:"recorded" doc:"When the collector took it"`
}

// AllocationConflict is time for which allocations of equal rank name different
// tenants. It stays unattributed.
type AllocationConflict struct {
	Allocations []string  `json:"allocation_ids"`
	Tenants     []string  `json:"tenant_ids"`
	From        time.Time `json:"from,omitzero"`
	To          time.Time `json:"to,omitzero" doc:"Excluded; absent has no end"`
}

// Correction is an entry that gives a part of what was counted to another owner.
type Correction struct {
	ID           string    `json:"id"`
	Segment      int64     `json:"segment" doc:"Number of the segment, which stays as it is"`
	Host         string    `json:"host"`
	HostName     string    `json:"host_name"`
	Device       string    `json:"device"`
	WorkloadKind string    `json:"workload_kind,omitempty"`
	WorkloadID   string    `json:"workload_id,omitempty"`
	Method       string    `json:"method"`
	From         time.Time `json:"from,omitzero"`
	To           time.Time `json:"to,omitzero" doc:"Excluded"`
	StateBefore  string    `json:"state_before" doc:"attributed, unattributed or unobserved"`
	TenantBefore string    `json:"tenant_before,omitempty"`
	StateAfter   string    `json:"state_after"`
	TenantAfter  string    `json:"tenant_after,omitempty"`
	DurationNS   int64     `json:"duration_ns"`
	Operations   Bounds    `json:"operations"`
	Ceiling      string    `json:"ceiling" doc:"Single operations"`
	EnergyMJ     *int64    `json:"energy_mj,omitempty" doc:"Absent if not known"`
	Recorded     time.Time `json:"recorded"`
}

// AllocationDiff is what an import of allocations changes, or would change.
type AllocationDiff struct {
	DryRun      bool                 `json:"dry_run" doc:"Nothing was written"`
	New         []string             `json:"new" doc:"Allocation ids that were not known"`
	Changed     []string             `json:"changed" doc:"Allocation ids whose record is replaced by a later one"`
	Unchanged   []string             `json:"unchanged" doc:"Allocation ids that are already as in the file"`
	Corrections int                  `json:"corrections" doc:"Entries that give time which was counted before to another owner"`
	Corrected   Seconds              `json:"corrected_seconds" doc:"Device time that these entries give"`
	Conflicts   []AllocationConflict `json:"conflicts" doc:"Between all allocations after the import, at most 100"`
}

// LoginLink is a fresh one-time link to the desk.
type LoginLink struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// List is one page of a list. Next is the opaque cursor of the next page and is
// absent on the last.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// FromTotals turns the desk's view into the API's.
func FromTotals(t desk.Totals) Totals {
	out := Totals{
		From: Time(t.FromNS), To: Time(t.ToNS), Elapsed: Seconds(t.Elapsed), Attributed: Seconds(t.Attributed),
		Idle: Seconds(t.Idle), Unattributed: Seconds(t.Unattributed), Unobserved: Seconds(t.Unobserved),
		Overlap: Seconds(t.Overlap), Figure: FromFigure(t.Figure), Unseen: FromBounds(t.Unseen),
		Devices: t.Devices, Hosts: t.Hosts, Segments: t.Segments, Windows: t.Windows,
	}
	if t.Evidence != nil {
		e := FromEvidence(*t.Evidence)
		out.Evidence = &e
	}
	return out
}
