package desktest

import (
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Noon is the newest moment of the canned views.
var Noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Hostile is a text that must stay inert in HTML, CSV and on a terminal.
const Hostile = "=HYPERLINK(\"http://evil.example\")<script>alert(1)</script>\x1b[31m\u202eevil\r\n-1"

// Empty is a collector that has seen nothing yet.
func Empty() *Reader {
	return &Reader{
		StatusView: desk.Status{Version: "v0.1.0"},
		CheckView:  desk.Check{Balanced: true},
		AuditView:  desk.AuditCheck{Intact: true},
	}
}

// New is a small fleet with a run at 91 % of the proposed threshold, one that
// may have crossed, allocation-only time, blind time and a tenant that nobody
// claims. All organisations are invented.
func New() *Reader {
	watermark := Noon.UnixNano()
	methods := []measure.MethodName{measure.GPM}
	orion := desk.Figure{Empirical: bounds("8.4e25", "9.1e25", "9.9e25"), Ceiling: ops("2.1e26"), DeviceTime: desk.DeviceTimeOf(940_000 * time.Hour), Coverage: 0.974, Methods: methods}
	delta := desk.Figure{Empirical: bounds("5.1e25", "6.4e25", "7.0e25"), Theoretical: bounds("0", "1.1e25", "3.2e25"), Ceiling: ops("2.4e26"), DeviceTime: desk.DeviceTimeOf(700_000 * time.Hour), Coverage: 0.81, Methods: []measure.MethodName{measure.Activity, measure.Allocation}}
	small := desk.Figure{Empirical: bounds("3.1e22", "3.5e22", "3.9e22"), Ceiling: ops("9e22"), DeviceTime: desk.DeviceTimeOf(900 * time.Hour), Coverage: 1, Methods: []measure.MethodName{measure.Cycles}}
	r := &Reader{
		PartyViews: cannedParties(),
		Policing:   policing(),
		StatusView: desk.Status{Version: "v0.1.0", Demonstration: true, Watermark: watermark, Batches: 48213, Quarantined: 2, Revision: 7},
		TenantList: []desk.Tenant{
			{ID: "ten-orion-17", CustomerID: "cus_orion", CustomerName: "Orion Labs (demonstration)", ForeignStatus: "foreign", Figure: orion, Devices: 8192, Runs: 1, FirstNS: at(-60 * 24), LastNS: watermark},
			{ID: "ten-delta-4", CustomerID: "cus_delta", CustomerName: "Delta Compute (demonstration)", ForeignStatus: "us", Figure: delta, Devices: 4096, Runs: 1, FirstNS: at(-50 * 24), LastNS: at(-2)},
			{ID: "ten-7f3a", ForeignStatus: "undetermined", Figure: small, Devices: 8, Runs: 1, FirstNS: at(-20), LastNS: watermark},
		},
		CustomerList: []desk.Customer{
			{ID: "cus_orion", Name: "Orion Labs (demonstration)", Country: "SG", ForeignStatus: "foreign", StatusReason: "organised under foreign law", Demonstration: true, Tenants: []measure.TenantID{"ten-orion-17"}},
			{ID: "cus_delta", Name: "Delta Compute (demonstration)", Country: "US", ForeignStatus: "us", StatusReason: "all owners are US persons", Demonstration: true, Tenants: []measure.TenantID{"ten-delta-4"}},
		},
		RunList: []desk.Run{
			{ID: "run_4kq2", Tenant: "ten-orion-17", CustomerID: "cus_orion", CustomerName: "Orion Labs (demonstration)", ForeignStatus: "foreign", Label: "pretrain-405", JoinedBy: "same scheduler job 88121 on 1,024 hosts", Figure: orion, Hosts: 1024, Devices: 8192, Accelerators: []string{"H100-SXM5-80GB"}, StartNS: at(-60 * 24), EndNS: watermark, Open: true},
			{ID: "run_9zd7", Tenant: "ten-delta-4", CustomerID: "cus_delta", CustomerName: "Delta Compute (demonstration)", ForeignStatus: "us", Label: "vm-a81c", JoinedBy: "simultaneous start of 512 virtual machines", Figure: delta, Hosts: 512, Devices: 4096, Accelerators: []string{"H100-SXM5-80GB", "H200-SXM-141GB"}, StartNS: at(-50 * 24), EndNS: at(-2)},
			{ID: "run_1aa0", Tenant: "ten-7f3a", ForeignStatus: "undetermined", Label: "finetune", JoinedBy: "one scheduler job", Figure: small, Hosts: 1, Devices: 8, Accelerators: []string{"A100-SXM4-80GB"}, StartNS: at(-20), EndNS: watermark, Open: true},
		},
		TotalsView: desk.Totals{
			Elapsed: desk.DeviceTimeOf(1_800_000 * time.Hour), Attributed: desk.DeviceTimeOf(1_640_900 * time.Hour), Idle: desk.DeviceTimeOf(80_100 * time.Hour), Unattributed: desk.DeviceTimeOf(32_200 * time.Hour), Unobserved: desk.DeviceTimeOf(46_800 * time.Hour), Overlap: desk.DeviceTimeOf(90 * time.Minute),
			Figure: desk.Figure{Empirical: orion.Empirical.Add(delta.Empirical).Add(small.Empirical), Theoretical: delta.Theoretical, Ceiling: ops("4.5e26"), DeviceTime: desk.DeviceTimeOf(1_640_900 * time.Hour), Coverage: 0.974, Methods: []measure.MethodName{measure.Cycles, measure.GPM, measure.Activity, measure.Allocation}},
			Unseen: bounds("0", "1.2e24", "3.1e24"), Devices: 12296, Hosts: 1537, Segments: 8871, Windows: 648_000_000,
		},
		CoverageList: []desk.Coverage{
			{Host: "abcdefghijklmnopqrstuvwxyz", HostName: "gpu-0001", Devices: 8, Elapsed: desk.DeviceTimeOf(11_520 * time.Hour), Unobserved: 0, Coverage: 1, LastNS: watermark, Evidence: desk.Evidence{Provider: desk.DeviceTimeOf(2_520 * time.Hour), Corroborated: desk.DeviceTimeOf(9_000 * time.Hour)}},
			{Host: "bcdefghijklmnopqrstuvwxyz2", HostName: "gpu-0002", Devices: 8, Elapsed: desk.DeviceTimeOf(11_520 * time.Hour), Unobserved: desk.DeviceTimeOf(48 * time.Hour), Coverage: 0.9958, Hidden: ops("3.4e20"), LastNS: at(-6), Evidence: desk.Evidence{Claimed: desk.DeviceTimeOf(11_472 * time.Hour), Contradicted: desk.DeviceTimeOf(2 * time.Hour)}},
		},
		EvidenceView: desk.Evidence{Provider: desk.DeviceTimeOf(240_000 * time.Hour), Corroborated: desk.DeviceTimeOf(700_000 * time.Hour)},
		PowerList: []desk.PowerSlot{
			{Host: "bcdefghijklmnopqrstuvwxyz2", HostName: "gpu-0002", StartNS: at(-30), EndNS: at(-30) + int64(15*time.Minute), Kind: "pdu", DrawnMJ: 6_300_000_000, OverheadMJ: 1_080_000_000, ReportedMJ: 2_700_000_000, Answer: "more drawn than reported", Reason: "meters saw 7.00 kW, of which 1.20 kW is not for devices; the devices report 3.00 kW"},
			{Host: "abcdefghijklmnopqrstuvwxyz", HostName: "gpu-0001", StartNS: at(-30), EndNS: at(-30) + int64(15*time.Minute), Kind: "bmc", DrawnMJ: 5_040_000_000, ReportedMJ: 5_022_000_000, Answer: "agrees"},
		},
		HostList: []desk.Host{
			{ID: "abcdefghijklmnopqrstuvwxyz", Name: "gpu-0001", AgentVersion: "v0.1.0", Epoch: 1, Seq: 51840, Devices: 8, Accelerators: []string{"H100-SXM5-80GB"}, FirstNS: at(-60 * 24), LastNS: watermark},
			{ID: "bcdefghijklmnopqrstuvwxyz2", Name: "gpu-0002", AgentVersion: "v0.1.0", Epoch: 2, Seq: 44, Devices: 8, Accelerators: []string{"H100-SXM5-80GB"}, FirstNS: at(-60 * 24), LastNS: at(-6)},
		},
		FindingList: []desk.Finding{
			{ID: "fnd_0003", Rule: "run-operations", Pack: "us-iaas-2024-01", PackStatus: "proposed", Citation: "89 FR 5698", Level: "possible crossing", Severity: "high", Subject: "run_9zd7", Tenant: "ten-delta-4", CustomerID: "cus_delta", CustomerName: "Delta Compute (demonstration)", ForeignStatus: "us", Threshold: ops("1e26"), Operations: delta.Combined(), Reason: "the upper bound 1.02e26 is at or above 1e26, the best figure is below", OccurredNS: at(-2), SignalledNS: at(-2) + 1_400_000_000},
			{ID: "fnd_0002", Rule: "run-operations", Pack: "us-iaas-2024-01", PackStatus: "proposed", Citation: "89 FR 5698", Level: "warning 80", Severity: "warning", Subject: "run_4kq2", Tenant: "ten-orion-17", CustomerID: "cus_orion", CustomerName: "Orion Labs (demonstration)", ForeignStatus: "foreign", Threshold: ops("1e26"), Operations: orion.Combined(), Reason: "the best figure is 91 % of 1e26", OccurredNS: at(-30), SignalledNS: at(-30) + 900_000_000},
			{ID: "fnd_0001", Rule: "early-warning", Pack: "internal-early-warning", PackStatus: "internal", Level: "crossing", Severity: "info", Subject: "run_1aa0", Tenant: "ten-7f3a", ForeignStatus: "undetermined", Threshold: ops("1e22"), Operations: small.Combined(), Reason: "the best figure is at or above 1e22", OccurredNS: at(-19), SignalledNS: at(-19) + 1_000_000_000},
			{ID: "fnd_0000", Rule: "claim_differs", Pack: "allocations", PackStatus: "internal", Level: "claim differs", Severity: "warning", Subject: "host:abcdefghijklmnopqrstuvwxyz", Tenant: "ten-orion-17", CustomerID: "cus_orion", CustomerName: "Orion Labs (demonstration)", ForeignStatus: "foreign", Operations: small.Combined(), Reason: "Host \"gpu-0001\" claims time for tenant \"ten-7f3a\" that is allocated to tenant \"ten-orion-17\"; it is counted as allocated", OccurredNS: at(-40), SignalledNS: at(-40) + 1_000_000_000},
		},
		WorkView: map[string]desk.FindingWork{
			"fnd_0001": {State: "attached", CaseID: "cas_0001", AtNS: at(-19)},
			"fnd_0000": {State: "dismissed", By: "usr_ana", Code: "KNOWN", Reason: "the tenant moved that day", AtNS: at(-10)},
		},
		CaseList: cannedCases(), ReportList: cannedReports(),
		LinkList: cannedLinks(), UltimateView: cannedUltimate(),
		AllocList: []desk.Allocation{
			{ID: "all_0001", Host: "gpu-0001", Tenant: "ten-orion-17", FromNS: at(-48), ToNS: at(-1), RecordedNS: at(-50)},
			{ID: "all_0002", Host: "bcdefghijklmnopqrstuvwxyz2", Device: "GPU-77aa", Tenant: "ten-7f3a", FromNS: at(-40), RecordedNS: at(-2)},
			{ID: "all_0003", WorkloadKind: measure.KindSlurmJob, WorkloadID: "8812", Tenant: "ten-delta-4", FromNS: at(-40), ToNS: at(-40), RecordedNS: at(-2)},
		},
		AuditList: []desk.AuditEntry{
			{ID: 3, Entry: audit.Entry{Seq: 2, At: Noon, Actor: audit.Actor{Kind: audit.Rule, ID: "collector"}, Action: "finding.add", Object: audit.Object{Kind: "finding", ID: "fnd_orion95"}, After: strings.Repeat("a1", 32)}},
			{ID: 2, Entry: audit.Entry{Seq: 1, At: Noon.Add(-time.Hour), Actor: audit.Actor{Kind: audit.Person, ID: "owner", SignIn: "ses_0011223344556677"}, Action: "customer.change", Object: audit.Object{Kind: "customer", ID: "cus_delta"},
				Before: strings.Repeat("b2", 32), After: strings.Repeat("c3", 32), Reason: Hostile, Request: "req_demonstration", Approvals: []string{"usr_second"}}},
			{ID: 1, Entry: audit.Entry{At: Noon.Add(-48 * time.Hour), Actor: audit.Actor{Kind: audit.Rule, ID: "collector"}, Action: "schema.migrate", Object: audit.Object{Kind: "schema", ID: "main"}, After: strings.Repeat("d4", 32)}},
		},
		AuditView: desk.AuditCheck{Intact: true, Entries: 3, Objects: 2, Checkpoints: 2, Signed: 3},
		CorrectList: []desk.Correction{
			{ID: 2, Segment: 71, Host: "abcdefghijklmnopqrstuvwxyz", HostName: "gpu-0001", Device: "GPU-4d1c", Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "8812"}, Method: measure.GPM, FromNS: at(-48), ToNS: at(-47), StateBefore: measure.Attributed, TenantBefore: "ten-7f3a", StateAfter: measure.Attributed, TenantAfter: "ten-orion-17", Duration: time.Hour, Operations: small.Empirical, Ceiling: small.Ceiling, EnergyMJ: -1, RecordedNS: at(-2)},
			{ID: 1, Segment: 70, Host: "abcdefghijklmnopqrstuvwxyz", HostName: "gpu-0001", Device: "GPU-4d1c", Method: measure.GPM, FromNS: at(-49), ToNS: at(-48), StateBefore: measure.Unattributed, StateAfter: measure.Attributed, TenantAfter: "ten-orion-17", Duration: 1_000_000_001, Operations: small.Empirical, Ceiling: small.Ceiling, EnergyMJ: 7, RecordedNS: at(-2)},
		},
		EventList: []desk.Event{
			{ID: 5, Host: "abcdefghijklmnopqrstuvwxyz", HostName: "gpu-0001", Device: "GPU-4d1c", TimeNS: at(-1), Kind: measure.EventXid, Code: 79},
			{ID: 4, Host: "abcdefghijklmnopqrstuvwxyz", HostName: "gpu-0001", Device: "GPU-4d1c", TimeNS: at(-2), Kind: measure.EventMethod, Detail: "activity after gpm: no permission for profiling"},
			{ID: 3, Host: "bcdefghijklmnopqrstuvwxyz2", HostName: "gpu-0002", TimeNS: at(-6), Kind: measure.EventDriver, Detail: "590.10 after 580.65"},
			{ID: 2, Host: "bcdefghijklmnopqrstuvwxyz2", HostName: "gpu-0002", Kind: "kind_of_a_later_agent", Code: -1, Detail: "not known to this collector"},
			{ID: 1, Host: "abcdefghijklmnopqrstuvwxyz", HostName: "gpu-0001", Device: "GPU-77aa", TimeNS: at(-30), Kind: measure.EventConfidential, Code: 1},
		},
	}
	r.TotalsView.ToNS = watermark
	r.DayViews = cannedDays()
	for i, v := range cannedVerdicts() {
		r.RunList[i].Verdict = v
	}
	r.CheckView = desk.Check{Balanced: true, Devices: 12296, Totals: r.TotalsView}
	return r
}

// cannedCases are one that is due soon with a decision that waits for a second
// person, and one that is closed.
func cannedCases() []desk.Case {
	return []desk.Case{
		{ID: "cas_0001", Version: 4, Subject: "tenant:ten-7f3a", Pack: "internal-early-warning", State: "decision proposed", Assignee: "usr_ana",
			Findings: []string{"fnd_0001"}, OpenedNS: at(-19), ChangedNS: at(-1),
			Clocks: []desk.Clock{{Name: "initial-report", Basis: "earlier", Days: 15, Zone: "America/New_York", Occurred: Noon.Add(-19 * time.Hour), Signalled: Noon.Add(-19 * time.Hour),
				Known: Noon.Add(-19 * time.Hour), Due: "2026-12-04", Over: time.Date(2026, 12, 5, 5, 0, 0, 0, time.UTC), State: "running", DaysLeft: 14}},
			Decision: desk.Decision{Outcome: "reportable", Code: "CROSSED", Reason: "the figure is above the threshold and the customer is foreign", Digest: strings.Repeat("d5", 32),
				ProposedBy: []string{"usr_ana"}, Proposed: Noon.Add(-time.Hour)},
			Move: desk.Move{Clock: "initial-report", At: Noon.Add(-10 * time.Hour), By: "usr_ana", Reason: "the first signal was about another run", Digest: strings.Repeat("e6", 32)},
			History: []desk.CaseAct{
				{Version: 1, AtNS: at(-19), By: "collector", Act: "open", Note: "the best figure is at or above 1e22", State: "new"},
				{Version: 2, AtNS: at(-3), By: "usr_ana", Act: "assign", State: "investigating"},
				{Version: 4, AtNS: at(-1), By: "usr_ana", Act: "propose decision", Note: "the figure is above the threshold", State: "decision proposed"},
			},
			Notes: []desk.CaseNote{{ID: "nte_1", AtNS: at(-2), By: "usr_ana", Text: "Asked the account team who runs it."}},
			Files: []desk.CaseFile{{ID: "fil_1", AtNS: at(-2), By: "usr_ana", Name: "answer.eml", Media: "message/rfc822", SHA256: strings.Repeat("f7", 32), Size: 4182}},
		},
		{ID: "cas_0000", Version: 7, Subject: "cus_orion", CustomerName: "Orion Labs (demonstration)", Pack: "us-iaas-2024-proposed", State: "closed", Assignee: "usr_bo",
			Findings: []string{"fnd_0002"}, OpenedNS: at(-30 * 24), ChangedNS: at(-12 * 24),
			Clocks: []desk.Clock{{Name: "initial-report", Basis: "earlier", Days: 15, Zone: "America/New_York", Occurred: Noon.Add(-30 * 24 * time.Hour), Signalled: Noon.Add(-30 * 24 * time.Hour),
				Known: Noon.Add(-30 * 24 * time.Hour), Due: "2026-11-05", Over: time.Date(2026, 11, 6, 5, 0, 0, 0, time.UTC), State: "met", DaysLeft: -15, Met: Noon.Add(-18 * 24 * time.Hour)}},
			Decision: desk.Decision{Outcome: "reportable", Code: "CROSSED", Reason: "reported", Digest: strings.Repeat("a8", 32), ProposedBy: []string{"usr_ana"}, Proposed: Noon.Add(-20 * 24 * time.Hour), ApprovedBy: "usr_bo", Approved: Noon.Add(-19 * 24 * time.Hour)},
			History:  []desk.CaseAct{{Version: 7, AtNS: at(-12 * 24), By: "usr_bo", Act: "close", State: "closed"}},
		},
	}
}

// NewHostile is New with Hostile in every text that comes from outside.
func NewHostile() *Reader {
	r := New()
	for i := range r.TenantList {
		r.TenantList[i].ID += Hostile
		r.TenantList[i].CustomerName = Hostile
		r.TenantList[i].ForeignStatus = Hostile
	}
	for i := range r.CustomerList {
		r.CustomerList[i].Name, r.CustomerList[i].StatusReason, r.CustomerList[i].Country = Hostile, Hostile, Hostile
	}
	for i := range r.RunList {
		r.RunList[i].Label, r.RunList[i].JoinedBy, r.RunList[i].CustomerName = Hostile, Hostile, Hostile
		r.RunList[i].Accelerators = []string{Hostile}
		v := &r.RunList[i].Verdict
		v.Reason, v.Missing, v.Evidence = Hostile, []string{Hostile}, []classify.Evidence{{Feature: Hostile, Text: Hostile}}
	}
	for i := range r.CaseList {
		c := &r.CaseList[i]
		c.CustomerName, c.Decision.Reason, c.Move.Reason = Hostile, Hostile, Hostile
		for j := range c.Notes {
			c.Notes[j].Text = Hostile
		}
		for j := range c.Files {
			c.Files[j].Name = Hostile
		}
	}
	for i := range r.LinkList {
		l := &r.LinkList[i]
		l.A, l.Reason, l.Needs, l.Weights = Hostile, Hostile, Hostile, Hostile
	}
	for i := range r.UltimateView.Levels {
		for j := range r.UltimateView.Levels[i].Customers {
			r.UltimateView.Levels[i].Customers[j].Name = Hostile
		}
	}
	for i := range r.ReportList {
		one := &r.ReportList[i]
		one.CustomerName, one.Request = Hostile, Hostile
		for _, s := range one.Sections {
			for j := range s.Fields {
				v := &s.Fields[j].Value
				v.Text, v.NotHeld = Hostile, Hostile
			}
		}
	}
	for i := range r.HostList {
		r.HostList[i].Name, r.HostList[i].AgentVersion = Hostile, Hostile
		r.CoverageList[i].HostName = Hostile
	}
	for i := range r.FindingList {
		r.FindingList[i].Reason, r.FindingList[i].Citation, r.FindingList[i].CustomerName = Hostile, Hostile, Hostile
		r.FindingList[i].Severity, r.FindingList[i].Level = Hostile, Hostile
	}
	for i := range r.EventList {
		e := &r.EventList[i]
		e.HostName, e.Device, e.Kind, e.Detail = Hostile, Hostile, Hostile, Hostile
	}
	for i := range r.AllocList {
		a := &r.AllocList[i]
		a.Host, a.Device, a.WorkloadID, a.Tenant = Hostile, Hostile, Hostile, Hostile
	}
	for i := range r.CorrectList {
		c := &r.CorrectList[i]
		c.HostName, c.Device, c.Workload.ID, c.TenantBefore, c.TenantAfter = Hostile, Hostile, Hostile, Hostile, Hostile
	}
	r.AuditView.Problems, r.AuditView.Intact = []string{Hostile}, false
	r.CheckView.Problems = []string{Hostile}
	r.CheckView.Balanced = false
	return r
}

// NewLarge is New with n runs, findings, tenants and events, for pages of lists.
func NewLarge(n int) *Reader {
	r := New()
	run, finding, tenant, event := r.RunList[0], r.FindingList[0], r.TenantList[0], r.EventList[0]
	r.RunList, r.FindingList, r.TenantList, r.EventList = nil, nil, nil, nil
	for i := range n {
		run.ID, finding.ID, tenant.ID = fmt.Sprintf("run_%04d", i), fmt.Sprintf("fnd_%04d", i), measure.TenantID(fmt.Sprintf("ten-%04d", i))
		run.Label = strings.Repeat("long-", 12) + run.ID
		r.RunList, r.FindingList, r.TenantList = append(r.RunList, run), append(r.FindingList, finding), append(r.TenantList, tenant)
		event.ID = desk.EventID(n - i)
		r.EventList = append(r.EventList, event)
	}
	return r
}

func at(hours int) int64 { return Noon.Add(time.Duration(hours) * time.Hour).UnixNano() }

func ops(s string) compute.Operations {
	n, err := compute.ParseOperations(s)
	if err != nil {
		panic(err) // a constant of this file is wrong
	}
	return n
}

func bounds(low, best, high string) compute.Bounds {
	return compute.Bounds{Low: ops(low), Best: ops(best), High: ops(high)}
}
