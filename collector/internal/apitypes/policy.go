package apitypes

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
)

// Pack is a pack that the collector has.
type Pack struct {
	ID        string     `json:"id"`
	Version   int        `json:"version"`
	Title     string     `json:"title"`
	Citation  string     `json:"citation"`
	Status    string     `json:"status"`
	Effective string     `json:"effective"`
	Binds     string     `json:"binds"`
	Digest    string     `json:"digest"`
	Source    string     `json:"source" doc:"shipped, site, or the policy that put it in force"`
	InForce   bool       `json:"in_force" doc:"Held against the fleet"`
	Rules     []PackRule `json:"rules"`
}

// PackRule is a rule as people read it.
type PackRule struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Citation    string `json:"citation"`
	Measure     string `json:"measure"`
	Threshold   string `json:"threshold"`
	Unit        string `json:"unit"`
	Bound       string `json:"bound"`
	WarnPercent []int  `json:"warn_percent"`
	Clock       string `json:"clock,omitempty"`
}

// Packs are the packs that there are, and the files that were refused.
type Packs struct {
	Items   []Pack      `json:"items"`
	Refused []PackFault `json:"refused"`
}

// PackFault is a refused file.
type PackFault struct {
	File   string   `json:"file"`
	Faults []string `json:"faults"`
}

// FromPack converts a view.
func FromPack(p desk.Pack) Pack {
	out := Pack{ID: p.ID, Version: p.Version, Title: p.Title, Citation: p.Citation, Status: p.Status, Effective: p.Effective, Binds: p.Binds, Digest: p.Digest, Source: p.Source, InForce: p.InForce, Rules: []PackRule{}}
	for _, r := range p.Rules {
		out.Rules = append(out.Rules, PackRule{ID: r.ID, Title: r.Title, Citation: r.Citation, Measure: r.Measure, Threshold: r.Threshold, Unit: r.Unit, Bound: r.Bound, WarnPercent: append([]int{}, r.WarnPercent...), Clock: r.Clock})
	}
	return out
}

// FromPackFault converts a view.
func FromPackFault(f desk.PackFault) PackFault { return PackFault{f.File, f.Faults} }

// Policy is a text on its way to being in force.
type Policy struct {
	ID               string      `json:"id"`
	Version          int64       `json:"version" doc:"Grows with each act; send it as If-Match"`
	Kind             string      `json:"kind"`
	Name             string      `json:"name"`
	Number           int         `json:"number" doc:"Version in the text"`
	Digest           string      `json:"digest" doc:"SHA-256 of the text"`
	State            string      `json:"state"`
	Authors          []string    `json:"authors"`
	Simulation       string      `json:"simulation,omitempty"`
	SimulationDigest string      `json:"simulation_digest,omitempty"`
	Rationale        string      `json:"rationale,omitempty"`
	Planned          time.Time   `json:"planned,omitzero"`
	From             time.Time   `json:"from,omitzero" doc:"Since when an approved one is in force, or will be"`
	Proposal         string      `json:"proposal,omitempty" doc:"Digest that a second person approves"`
	Lapses           time.Time   `json:"lapses,omitzero"`
	ApprovedBy       string      `json:"approved_by,omitempty"`
	Approved         time.Time   `json:"approved,omitzero"`
	Reason           string      `json:"reason,omitempty"`
	Text             string      `json:"text,omitempty"`
	History          []PolicyLog `json:"history,omitempty"`
	Lookback         *Lookback   `json:"lookback,omitempty"`
}

// PolicyLog is one act on a policy.
type PolicyLog struct {
	Version int64     `json:"version"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Act     string    `json:"act"`
	Note    string    `json:"note,omitempty"`
	State   string    `json:"state"`
}

// Lookback is what a policy found in history when it came into force.
type Lookback struct {
	At       time.Time `json:"at"`
	Findings []string  `json:"findings"`
}

// FromPolicy converts a view.
func FromPolicy(p desk.Policy) Policy {
	out := Policy{ID: p.ID, Version: p.Version, Kind: p.Kind, Name: p.Name, Number: p.Number, Digest: p.Digest, State: p.State, Authors: append([]string{}, p.Authors...),
		Simulation: p.Simulation, SimulationDigest: p.SimulationDigest, Rationale: p.Rationale, Planned: p.Planned, From: p.From, Proposal: p.Proposal, Lapses: p.Lapses,
		ApprovedBy: p.ApprovedBy, Approved: p.Approved, Reason: p.Reason, Text: p.Text}
	for _, a := range p.History {
		out.History = append(out.History, PolicyLog{a.Version, a.At, a.By, a.Act, a.Note, a.State})
	}
	if p.Lookback != nil {
		out.Lookback = &Lookback{p.Lookback.At, append([]string{}, p.Lookback.Findings...)}
	}
	return out
}

// PolicyText is a text that somebody sends.
type PolicyText struct {
	Kind string `json:"kind" enum:"pack,weights,scorecard,settings"`
	File string `json:"file" maxLength:"100" pattern:"^[A-Za-z0-9._-]+$" doc:"What faults call it"`
	Text string `json:"text" maxLength:"1048576"`
}

// PolicyCheck is a text that was found good.
type PolicyCheck struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Number int    `json:"number"`
	Digest string `json:"digest"`
}

// PolicyAct is what somebody does on a policy.
type PolicyAct struct {
	Act    string    `json:"-"`
	Reason string    `json:"reason,omitempty"`
	Digest string    `json:"digest,omitempty"`
	From   time.Time `json:"from,omitzero"`
}

// SimulationRequest says what to simulate.
type SimulationRequest struct {
	Days   int       `json:"days,omitempty" minimum:"0" maximum:"3660" doc:"The last so many days of history; all of it if 0"`
	Points int       `json:"points,omitempty" minimum:"0" maximum:"200" doc:"Of a sensitivity curve; none if 0"`
	From   time.Time `json:"from,omitzero" doc:"When the policy is to be in force; now by default"`
}

// Job is a simulation that runs or ran.
type Job struct {
	ID         string `json:"id"`
	Policy     string `json:"policy"`
	State      string `json:"state" doc:"running, done, cancelled or failed"`
	Phase      string `json:"phase"`
	Done       int    `json:"done"`
	Of         int    `json:"of"`
	Simulation string `json:"simulation,omitempty"`
	Digest     string `json:"digest,omitempty" doc:"Of the report"`
	Error      string `json:"error,omitempty"`
}

// Simulation is a simulation with its report.
type Simulation struct {
	ID     string      `json:"id"`
	Policy string      `json:"policy"`
	Text   string      `json:"text" doc:"Digest of the text that was simulated"`
	At     time.Time   `json:"at"`
	By     string      `json:"by"`
	Digest string      `json:"digest" doc:"Of the report; the same texts on the same snapshot give the same"`
	Report *lab.Impact `json:"report"`
}

// FromSimulation converts a view.
func FromSimulation(s desk.Simulation) Simulation {
	return Simulation{ID: s.ID, Policy: s.Policy, Text: s.Text, At: s.At, By: s.By, Digest: s.Digest, Report: s.Report}
}

// Imported says how many rows of a file were kept.
type Imported struct {
	Rows int `json:"rows"`
}
