package apitypes

import (
	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// FromFigure turns the desk's view into the API's.
func FromFigure(f desk.Figure) Figure {
	return Figure{
		Empirical: FromBounds(f.Empirical), Theoretical: FromBounds(f.Theoretical), Combined: FromBounds(f.Combined()),
		Ceiling: f.Ceiling.Decimal(), DeviceTime: Seconds(f.DeviceTime), Coverage: f.Coverage, Methods: texts(f.Methods),
	}
}

// FromEvidence turns the desk's view into the API's.
func FromEvidence(e desk.Evidence) Evidence {
	return Evidence{Grade: e.Grade(), Claimed: Seconds(e.Claimed), Provider: Seconds(e.Provider), Corroborated: Seconds(e.Corroborated),
		Attested: Seconds(e.Attested), Contradicted: Seconds(e.Contradicted)}
}

// FromPower turns the desk's view into the API's.
func FromPower(p desk.PowerSlot) PowerSlot {
	return PowerSlot{Host: p.Host, HostName: p.HostName, Start: Time(p.StartNS), End: Time(p.EndNS), Kind: p.Kind, DrawnMJ: p.DrawnMJ,
		OverheadMJ: p.OverheadMJ, ReportedMJ: p.ReportedMJ, Answer: p.Answer, Reason: p.Reason}
}

// FromTenant turns the desk's view into the API's.
func FromTenant(t desk.Tenant) Tenant {
	return Tenant{
		ID: string(t.ID), CustomerID: t.CustomerID, CustomerName: t.CustomerName, ForeignStatus: t.ForeignStatus,
		Figure: FromFigure(t.Figure), Devices: t.Devices, Runs: t.Runs, First: Time(t.FirstNS), Last: Time(t.LastNS),
	}
}

// FromCustomer turns the desk's view into the API's.
func FromCustomer(c desk.Customer) Customer {
	return Customer{
		ID: c.ID, Name: c.Name, Country: c.Country, ForeignStatus: c.ForeignStatus, StatusReason: c.StatusReason,
		Demonstration: c.Demonstration, Tenants: texts(c.Tenants),
	}
}

// FromRun turns the desk's view into the API's.
func FromRun(r desk.Run) Run {
	return Run{
		ID: r.ID, Tenant: string(r.Tenant), CustomerID: r.CustomerID, CustomerName: r.CustomerName,
		ForeignStatus: r.ForeignStatus, Label: r.Label, JoinedBy: r.JoinedBy, Figure: FromFigure(r.Figure),
		Hosts: r.Hosts, Devices: r.Devices, Accelerators: texts(r.Accelerators), Start: Time(r.StartNS), End: Time(r.EndNS), Open: r.Open, Verdict: FromVerdict(r.Verdict),
	}
}

// FromVerdict turns the judgement into the API's.
func FromVerdict(v classify.Verdict) Verdict {
	out := Verdict{Class: string(v.Class), Reason: v.Reason, Missing: texts(v.Missing), Method: v.Method}
	if v.Told() {
		out.Training, out.Inference, out.Other = &v.Training, &v.Inference, &v.Other
	}
	out.Evidence = Each(v.Evidence, func(e classify.Evidence) VerdictEvidence {
		return VerdictEvidence{Feature: e.Feature, Text: e.Text, LogOdds: e.LogOdds, Origin: string(e.Origin)}
	})
	return out
}

// FromCheck turns the desk's view into the API's.
func FromCheck(c desk.Check) Check {
	return Check{Balanced: c.Balanced, Devices: c.Devices, Problems: texts(c.Problems), Totals: FromTotals(c.Totals)}
}

// FromCoverage turns the desk's view into the API's.
func FromCoverage(c desk.Coverage) Coverage {
	return Coverage{
		Host: c.Host, HostName: c.HostName, Devices: c.Devices, Elapsed: Seconds(c.Elapsed),
		Unobserved: Seconds(c.Unobserved), Coverage: c.Coverage, Hidden: c.Hidden.Decimal(), Last: Time(c.LastNS), Evidence: FromEvidence(c.Evidence),
	}
}

// FromHost turns the desk's view into the API's.
func FromHost(h desk.Host) Host {
	return Host{
		ID: h.ID, Name: h.Name, AgentVersion: h.AgentVersion, Epoch: h.Epoch, Seq: h.Seq, Devices: h.Devices,
		Accelerators: texts(h.Accelerators), First: Time(h.FirstNS), Last: Time(h.LastNS),
	}
}

// FromFinding turns the desk's view into the API's, with the work on the finding.
func FromFinding(f desk.Finding, w desk.FindingWork) Finding {
	basis := "observed"
	if f.Policy != "" {
		basis = "policy_change"
	}
	return Finding{
		PackVersion: f.PackVersion, Basis: basis, Policy: f.Policy, Known: Time(f.KnownNS),
		ID: f.ID, Rule: f.Rule, Pack: f.Pack, PackStatus: f.PackStatus, Citation: f.Citation, Level: f.Level,
		Severity: f.Severity, Subject: f.Subject, Tenant: string(f.Tenant), CustomerID: f.CustomerID,
		CustomerName: f.CustomerName, ForeignStatus: f.ForeignStatus, Threshold: f.Threshold.Decimal(),
		Operations: FromBounds(f.Operations), Reason: f.Reason, Occurred: Time(f.OccurredNS), Signalled: Time(f.SignalledNS), Work: FromFindingWork(w),
	}
}

// FromEvent turns the desk's view into the API's.
func FromEvent(e desk.Event) Event {
	return Event{
		ID: e.ID.String(), Host: e.Host, HostName: e.HostName, Device: string(e.Device), Time: Time(e.TimeNS),
		Kind: string(e.Kind), Code: e.Code, Detail: e.Detail,
	}
}

// FromAllocation turns the desk's view into the API's.
func FromAllocation(a desk.Allocation) Allocation {
	return Allocation{
		ID: a.ID, Host: a.Host, Device: string(a.Device), WorkloadKind: string(a.WorkloadKind), WorkloadID: a.WorkloadID, Tenant: string(a.Tenant),
		From: Time(a.FromNS), To: Time(a.ToNS), Withdrawn: a.ToNS == a.FromNS, Recorded: Time(a.RecordedNS),
	}
}

// FromCorrection turns the desk's view into the API's.
func FromCorrection(c desk.Correction) Correction {
	out := Correction{
		ID: c.ID.String(), Segment: c.Segment, Host: c.Host, HostName: c.HostName, Device: string(c.Device),
		WorkloadKind: string(c.Workload.Kind), WorkloadID: c.Workload.ID, Method: string(c.Method), From: Time(c.FromNS), To: Time(c.ToNS),
		StateBefore: c.StateBefore.String(), TenantBefore: string(c.TenantBefore), StateAfter: c.StateAfter.String(), TenantAfter: string(c.TenantAfter),
		DurationNS: int64(c.Duration), Operations: FromBounds(c.Operations), Ceiling: c.Ceiling.Decimal(), Recorded: Time(c.RecordedNS),
	}
	if c.EnergyMJ >= 0 {
		out.EnergyMJ = &c.EnergyMJ
	}
	return out
}

// FromStatus turns the desk's view into the API's.
func FromStatus(s desk.Status) Status {
	return Status{
		Version: s.Version, Demonstration: s.Demonstration, Watermark: Time(s.Watermark), Batches: s.Batches,
		Quarantined: s.Quarantined, Revision: s.Revision,
	}
}

// texts never returns nil, so that an empty list is [] in JSON and not null.
func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// Each converts a list.
func Each[T, U any](in []T, convert func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = convert(v)
	}
	return out
}
