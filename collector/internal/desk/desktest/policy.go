package desktest

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

// Policing is what concerns policies.
type Policing struct {
	PackList        []desk.Pack
	FaultList       []desk.PackFault
	PolicyList      []desk.Policy
	SimulationViews map[string]desk.Simulation
	SettingsView    desk.Settings
}

// Packs returns PackList and FaultList.
func (r *Reader) Packs(context.Context) ([]desk.Pack, []desk.PackFault, error) {
	return r.PackList, r.FaultList, r.Err
}

// Policies returns PolicyList without what only a single policy has.
func (r *Reader) Policies(context.Context) ([]desk.Policy, error) {
	out := make([]desk.Policy, len(r.PolicyList))
	for i, p := range r.PolicyList {
		p.Text, p.History, p.Lookback = "", nil, nil
		out[i] = p
	}
	return out, r.Err
}

// Policy returns one of PolicyList.
func (r *Reader) Policy(_ context.Context, id string) (desk.Policy, bool, error) {
	for _, p := range r.PolicyList {
		if p.ID == id {
			return p, true, r.Err
		}
	}
	return desk.Policy{}, false, r.Err
}

// Simulation returns one of SimulationViews.
func (r *Reader) Simulation(_ context.Context, id string) (desk.Simulation, bool, error) {
	s, ok := r.SimulationViews[id]
	return s, ok, r.Err
}

// Settings returns SettingsView.
func (r *Reader) Settings(context.Context) (desk.Settings, error) { return r.SettingsView, r.Err }

// policing is a proposed rule in force and a lower line that waits for a second
// person.
func policing() Policing {
	rule := desk.PackRule{ID: "customer-1e26", Title: "All runs of one customer together, 1e26 operations", Citation: "E.O. 14110 s. 4.2(c)(iii), revoked 20 Jan 2025",
		Measure: "customer_operations", Threshold: "1e26", Unit: "operations", Bound: "best", WarnPercent: []int{50, 80, 95}, Clock: "initial-report"}
	digest := "9f3a1c0d5e7b2a4968f1d3c5b7a9e0f2143658709badcfe1133557799bbddff0"
	before := lab.PackRef{ID: "us-iaas-2024-proposed", Version: 1, Digest: "0b" + digest[2:]}
	after := lab.PackRef{ID: "us-iaas-2024-proposed", Version: 2, Digest: "1c" + digest[2:]}
	orion := map[string]int{lab.MovesLevel: 1}
	finer := settings.Default
	finer.PeriodMS = 500
	return Policing{
		SettingsView: desk.Settings{Policy: "pol_finer", Version: 2, Before: 1, Title: "sample twice a second", State: "rolling", Percent: 10, Steps: []int{1, 10, 100}, Since: Noon.Add(-4 * time.Minute), Hosts: []desk.SettingsHost{
			{ID: "abcdefghijklmnopqrstuvwxyz", Name: "gpu-0001", Site: "fsn", Wants: 2, Reports: 2, LastNS: Noon.UnixNano(), Values: finer},
			{ID: "bbcdefghijklmnopqrstuvwxyz", Name: "gpu-0002", Site: "fsn", Wants: 2, Reports: 1, LastNS: Noon.Add(-time.Minute).UnixNano(), Values: finer},
			{ID: "cbcdefghijklmnopqrstuvwxyz", Name: "gpu-0003", Wants: 1, Reports: 1, LastNS: Noon.UnixNano(), Values: settings.Default},
		}},
		PackList: []desk.Pack{
			{ID: "eu-ai-act", Version: 1, Title: "General-purpose models with systemic risk", Citation: "Regulation (EU) 2024/1689 art. 51(2)", Status: "final", Effective: "duties on providers of models apply since 2 Aug 2025", Binds: "providers of models, not of infrastructure", Digest: "2d" + digest[2:], Source: "shipped"},
			{ID: "us-iaas-2024-proposed", Version: 1, Title: "Training of large AI models by foreign persons (proposed)", Citation: "89 FR 5698 (29 Jan 2024), proposed 15 CFR 7.308", Status: "proposed", Effective: "not in force", Binds: "US providers of infrastructure as a service", Digest: before.Digest, Source: "shipped", InForce: true, Rules: []desk.PackRule{rule}},
		},
		FaultList: []desk.PackFault{{File: "site.yaml", Faults: []string{"site.yaml:12: rules[0].unit: is unknown: must be one of operations, operations_per_second, devices, days, percent"}}},
		PolicyList: []desk.Policy{{
			ID: "pol_lower", Version: 3, Kind: "pack", Name: "us-iaas-2024-proposed", Number: 2, Digest: after.Digest, State: "proposed", Authors: []string{"usr_ana"},
			Simulation: "sim_lower", SimulationDigest: digest, Rationale: "the cluster is twice as large as when the line was drawn", Planned: Noon.Add(48 * time.Hour), Proposal: "ab" + digest[2:], Lapses: Noon.Add(14 * 24 * time.Hour),
			Text: "id: us-iaas-2024-proposed\nversion: 2\n", History: []desk.PolicyAct{
				{Version: 1, At: Noon.Add(-3 * time.Hour), By: "usr_ana", Act: "draft", State: "draft"},
				{Version: 2, At: Noon.Add(-2 * time.Hour), By: "usr_ana", Act: "simulate", Note: "sim_lower", State: "simulated"},
				{Version: 3, At: Noon.Add(-time.Hour), By: "usr_ana", Act: "propose", Note: "the cluster is twice as large as when the line was drawn", State: "proposed"},
			},
		}},
		SimulationViews: map[string]desk.Simulation{"sim_lower": {
			ID: "sim_lower", Policy: "pol_lower", Text: after.Digest, At: Noon.Add(-2 * time.Hour), By: "usr_ana", Digest: digest,
			Report: &lab.Impact{
				Engine: lab.Engine, Before: before, After: after, From: Noon.Add(48 * time.Hour),
				Snapshot: lab.SnapshotRef{Digest: "77" + digest[2:], Watermark: Noon.UnixNano(), Identity: "as known now", FirstDay: "2025-11-21", Days: 365, Customers: 3, Runs: 3},
				Changes:  []lab.Change{{Customer: "cus_orion", Country: "SG", Subject: "cus_orion", Rule: "customer-1e26", Kind: lab.MovesLevel, Before: "warning 80", After: "crossing"}},
				ByKind:   orion, ByCountry: map[string]map[string]int{"SG": orion}, ByReseller: map[string]map[string]int{"": orion}, ByCustomer: map[string]map[string]int{"cus_orion": orion},
				Findings: []lab.Predicted{{Customer: "cus_orion", Country: "SG", Subject: "cus_orion", Rule: "customer-1e26", Level: "crossing", Reached: "2026-11-02", Clock: "initial-report", Due: "2026-11-17", Overdue: true}},
				Clocks:   1, Overdue: 1, LoadBefore: lab.Load{Findings: 2, PerWeekMilli: 38, AnalystMinute: 60}, LoadAfter: lab.Load{Findings: 3, PerWeekMilli: 57, AnalystMinute: 540},
				Below: []lab.Sample{{Customer: "tenant:ten-7f3a", Subject: "tenant:ten-7f3a", Rule: "customer-1e26"}},
				Money: lab.Money{
					All:         lab.Carried{Customers: 3, DeviceSeconds: 5_907_240_000, Cents: map[string]int64{"USD": 328_000_000_00}, NoPrice: 1},
					Affected:    lab.Carried{Customers: 1, DeviceSeconds: 3_384_000_000, Cents: map[string]int64{"USD": 188_000_000_00}},
					ByExemption: lab.Carried{Customers: 1, DeviceSeconds: 3_384_000_000, Cents: map[string]int64{"USD": 188_000_000_00}},
					Exposure:    []lab.Exposure{{Basis: "IEEPA, civil", Citation: "50 U.S.C. 1705(b) as adjusted for 2025", Kind: "civil", Currency: "USD", Violations: 1, Amount: 376_000_000, ByTransaction: 1}},
				},
				Curve: []lab.Point{{Percent: 50, Findings: 5, Crossings: 2}, {Percent: 100, Findings: 3, Crossings: 1}, {Percent: 200, Findings: 1}},
			},
		}},
	}
}
