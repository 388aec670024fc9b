package foresight

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Campaign is runs of one customer that follow each other, with their sum.
type Campaign struct {
	training.Campaign
	Subject    policy.Subject
	Operations compute.Bounds
}

// Capability is what connected devices of a customer can do.
type Capability struct {
	Subject      policy.Subject
	NetworkGbitS int
	Low          float64 // operations per second
	Best         float64
	High         float64
}

// View is what is seen at an instant.
type View struct {
	Outlooks     []Outlook // customers and tenants first, most done first
	Campaigns    []Campaign
	Capabilities []Capability
	Findings     []Found
}

// speeds for which capability is shown, with those that rules name.
var speeds = []int{100, 300}

// Look works everything out. The order of what it is given changes nothing.
func Look(s State, settings *forecast.Settings, rules *evasion.Rules) View {
	var v View
	at := slices.Clone(speeds)
	for _, key := range policy.Named(s.Packs) {
		if key.Measure == policy.ClusterRate {
			at = append(at, key.NetworkGbitS)
		}
	}
	slices.Sort(at)
	at = slices.Compact(at)
	for _, x := range s.subjects() {
		outlooks, found := s.outlooks(x, settings)
		v.Outlooks, v.Findings = append(v.Outlooks, outlooks...), append(v.Findings, found...)
		v.Campaigns = append(v.Campaigns, x.campaigns()...)
		for _, gbitS := range at {
			if f := capability(x.runs, x.reservations, s.NowNS, gbitS); f.High > 0 {
				v.Capabilities = append(v.Capabilities, Capability{x.Subject, gbitS, rate(f.Low), rate(f.Best), rate(f.High)})
			}
		}
	}
	v.Findings = append(v.Findings, s.patterns(rules)...)
	slices.SortStableFunc(v.Outlooks, func(a, b Outlook) int {
		return cmp.Or(cmp.Compare(b.Subject.Operations.Best, a.Subject.Operations.Best), cmp.Compare(a.Subject.ID, b.Subject.ID))
	})
	return v
}

// campaigns leaves out what is told not to train.
func (x *subject) campaigns() []Campaign {
	var efforts []training.Effort
	of := map[string]*Run{}
	for _, r := range x.runs {
		if r.Verdict.Class != classify.Inference && r.Verdict.Class != classify.Other {
			efforts = append(efforts, training.Effort{Run: r.ID, StartNS: r.StartNS, EndNS: r.EndNS})
			of[r.ID] = r
		}
	}
	var out []Campaign
	for _, c := range training.Campaigns(x.ID, efforts, nil) {
		sum := Campaign{Campaign: c, Subject: x.Subject}
		for _, id := range c.Runs {
			sum.Operations = sum.Operations.Add(of[id].Operations)
		}
		out = append(out, sum)
	}
	return out
}

// patterns looks for what hides how much was done.
func (s *State) patterns(rules *evasion.Rules) []Found {
	in := evasion.Input{NowNS: s.NowNS, SinceNS: s.SinceNS, Clusters: s.Clusters, Transfers: s.Transfers}
	for i := range s.Reservations {
		if r := &s.Reservations[i]; r.DeclaredUse != "" && !r.Withdrawn() {
			in.Declared = append(in.Declared, evasion.Declaration{Tenant: r.Tenant, FromNS: r.FromNS, ToNS: r.ToNS, Training: r.DeclaredUse == reservation.Training,
				What: fmt.Sprintf("%s, reservation %s of %d %s", r.DeclaredUse, r.ID, r.Devices, r.Accelerator)})
		}
	}
	who := map[measure.TenantID]policy.Subject{}
	for _, x := range s.subjects() {
		for _, tenant := range x.tenants {
			who[tenant] = x.Subject
			a := evasion.Account{Tenant: tenant, Customer: x.CustomerID, FirstNS: s.NowNS, Marks: slices.Clip(s.Marks[tenant])}
			for _, r := range x.runs {
				if r.Tenant == tenant {
					a.FirstNS = min(a.FirstNS, r.StartNS)
					if m := (evasion.Mark{Kind: evasion.ByImage, Value: r.Image}); r.Image != "" && !slices.Contains(a.Marks, m) {
						a.Marks = append(a.Marks, m)
					}
				}
			}
			in.Accounts = append(in.Accounts, a)
		}
	}
	for i := range s.Runs {
		r := &s.Runs[i]
		run := evasion.Run{ID: r.ID, Label: r.Label, Tenant: r.Tenant, StartNS: r.StartNS, EndNS: r.EndNS, Ended: r.EndNS < s.NowNS-openFor, Accelerator: r.Accelerator, Devices: r.Devices,
			Hosts: r.Hosts, Places: r.Places, Image: r.Image, Operations: r.Operations, Ceiling: r.Ceiling, Utilization: r.Utilization, Unobserved: r.Unobserved, Training: -1}
		if r.Verdict.Told() {
			run.Training = r.Verdict.Training
		}
		for _, e := range r.Verdict.Evidence {
			if e.Feature == classify.FeatureRegularity && e.LogOdds > 0 || e.Feature == classify.FeatureDips && e.LogOdds > 0 && run.Regular == "" {
				run.Regular = e.Text
			}
		}
		in.Runs = append(in.Runs, run)
	}
	for _, p := range s.Packs {
		for i := range p.Rules {
			if rule := &p.Rules[i]; rule.Measure == policy.RunOperations {
				in.Lines = append(in.Lines, evasion.Line{Operations: compute.Operations(rule.Line()), Name: p.ID + "/" + rule.ID})
			}
		}
	}
	pack := &policy.Pack{ID: rules.ID, Version: rules.Version, Title: rules.Title, Citation: rules.Citation, Status: "internal", Digest: rules.Digest}
	var out []Found
	for _, f := range evasion.Find(in, rules) {
		of := who[f.Tenant]
		of.ID, of.Tenant, of.Operations = f.Subject, f.Tenant, f.Operations
		if len(f.Tenants) > 1 { // it is about several, and no one customer's
			of.CustomerID, of.CustomerName, of.Status = "", "", ""
			for _, tenant := range f.Tenants {
				if who[tenant].CustomerID != who[f.Tenant].CustomerID {
					of.CustomerID = ""
					break
				}
				of.CustomerID, of.CustomerName, of.Status = who[tenant].CustomerID, who[tenant].CustomerName, who[tenant].Status
			}
			if of.CustomerID == "" {
				of.CustomerName, of.Status = "", ""
			}
		}
		out = append(out, Found{policy.Finding{ID: f.ID, Pack: pack, Rule: f.Rule, Citation: rules.Citation, Level: "pattern", Severity: f.Severity, Subject: of, Threshold: f.Threshold, Reason: f.Reason}, f.OccurredNS})
	}
	return out
}
