package apitypes

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Link says why two parties are one, are controlled together or act together.
type Link struct {
	ID       string         `json:"id" doc:"lnk_…"`
	A        string         `json:"a" doc:"Party; of a directed link the one that controls"`
	B        string         `json:"b"`
	Class    string         `json:"class" doc:"identity, control or coordination"`
	Directed bool           `json:"directed,omitempty"`
	State    string         `json:"state" doc:"proposed, automatic, pending (a second person must approve), accepted, rejected, split or withdrawn. Automatic and accepted ones count"`
	Bits     float64        `json:"bits" doc:"Sum of the evidence, log2(m/u) each"`
	Needs    string         `json:"needs,omitempty" doc:"Why a person must decide"`
	Bridge   bool           `json:"bridge,omitempty" doc:"It would alone hold two groups together"`
	Digest   string         `json:"digest,omitempty" doc:"Of what a second person approves"`
	Evidence []LinkEvidence `json:"evidence"`
	By       string         `json:"by,omitempty" doc:"Who said so; empty for the rules"`
	Reason   string         `json:"reason,omitempty"`
	From     *time.Time     `json:"from,omitempty" doc:"Since when it holds in the world; absent: always"`
	To       *time.Time     `json:"to,omitempty"`
	Recorded time.Time      `json:"recorded"`
	Weights  string         `json:"weights" doc:"That weighed it: id, version and digest"`
}

// LinkEvidence is one reason for or against a link.
type LinkEvidence struct {
	Name     string     `json:"name"`
	Key      string     `json:"key,omitempty" doc:"Names the value without telling it"`
	Bits     float64    `json:"bits"`
	Holders  int        `json:"holders,omitempty" doc:"How many customers have the value"`
	Verified bool       `json:"verified,omitempty" doc:"On both sides"`
	Since    *time.Time `json:"since,omitempty" doc:"When both had it"`
	Sources  []string   `json:"sources,omitempty" doc:"Records that state it"`
	Detail   string     `json:"detail"`
}

// LinkVerdict is what a person says of links.
type LinkVerdict struct {
	Links   []string   `json:"links" minItems:"1" maxItems:"200"`
	Verdict string     `json:"verdict" enum:"accept,reject,split"`
	Reason  string     `json:"reason" minLength:"1" maxLength:"2000"`
	From    *time.Time `json:"from,omitempty" doc:"Since when accepted links hold; absent: always"`
}

// LinkApproval is the second word on a bridge.
type LinkApproval struct {
	Digest string `json:"digest" minLength:"64" maxLength:"64"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// Cluster is accounts that are taken together at a level.
type Cluster struct {
	ID         string            `json:"id" doc:"Of the account, customer or reseller; clu_… of several customers"`
	Level      string            `json:"level" doc:"account, customer, identity, control, coordination or reseller"`
	Root       string            `json:"root,omitempty" doc:"The highest owner"`
	Status     string            `json:"foreign_status"`
	Customers  []ClusterCustomer `json:"customers"`
	Accounts   []ClusterAccount  `json:"accounts"`
	Parties    []string          `json:"parties"`
	Links      []string          `json:"links"`
	Operations Bounds            `json:"operations"`
}

// ClusterCustomer is a customer of a cluster.
type ClusterCustomer struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Status string `json:"foreign_status"`
}

// ClusterAccount is an account with what it did.
type ClusterAccount struct {
	ID         string `json:"id"`
	Operations Bounds `json:"operations"`
}

// Ultimate is who is behind an account, customer or cluster.
type Ultimate struct {
	ID         string      `json:"id"`
	Levels     []LevelView `json:"levels"`
	Links      []Link      `json:"links"`
	Owners     []Ownership `json:"owners"`
	MoreOwners bool        `json:"more_owners,omitempty" doc:"Ownership is not told of all parties"`
}

// LevelView is a cluster with how it came about and what is left without parts.
type LevelView struct {
	Cluster
	Merges    []Merge          `json:"merges" doc:"How it grew, in order"`
	Without   []Counterfactual `json:"without" doc:"What is left, least first"`
	MoreLinks bool             `json:"more_links,omitempty" doc:"It has more links than were tried"`
}

// Merge is a step in which a cluster grew.
type Merge struct {
	Link string    `json:"link"`
	At   time.Time `json:"at"`
	A    []string  `json:"a"`
	B    []string  `json:"b"`
}

// Counterfactual is what is left without a link, or all that rests on a value.
type Counterfactual struct {
	Link     string   `json:"link,omitempty"`
	Evidence string   `json:"evidence,omitempty"`
	Links    []string `json:"links"`
	Left     Bounds   `json:"left" doc:"Of the part that did most"`
	Parts    []Part   `json:"parts"`
}

// Part is what a counterfactual leaves together.
type Part struct {
	Customers  []string `json:"customers"`
	Accounts   []string `json:"accounts"`
	Operations Bounds   `json:"operations"`
}

// Ownership is what an owner is to a party. Shares are parts of 1.
type Ownership struct {
	Subject       string  `json:"subject"`
	Owner         string  `json:"owner,omitempty" doc:"Empty for whoever was not named"`
	EffectiveLow  float64 `json:"effective_low"`
	EffectiveHigh float64 `json:"effective_high"`
	TogetherLow   float64 `json:"together_low" doc:"With all that the owner controls"`
	TogetherHigh  float64 `json:"together_high"`
	Controls      string  `json:"controls" doc:"yes, no or unknown"`
	Beneficial    string  `json:"beneficial"`
	Ultimate      bool    `json:"ultimate,omitempty"`
}

func instantOrNone(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := Time(ns)
	return &t
}

// FromLink writes a link as the API does.
func FromLink(l desk.Link) Link {
	out := Link{ID: l.ID, A: string(l.A), B: string(l.B), Class: string(l.Class), Directed: l.Directed, State: string(l.State), Bits: l.Bits, Needs: l.Needs, Bridge: l.Bridge, Digest: l.Digest,
		By: l.By, Reason: l.Reason, From: instantOrNone(l.FromNS), To: instantOrNone(l.ToNS), Recorded: Time(l.RecordedNS), Weights: l.Weights, Evidence: []LinkEvidence{}}
	if l.State != "proposed" {
		out.Needs = ""
	}
	for _, e := range l.Evidence {
		out.Evidence = append(out.Evidence, LinkEvidence{e.Name, e.Key, e.Bits, e.Holders, e.Verified, instantOrNone(e.SinceNS), e.Sources, e.Detail})
	}
	return out
}

// FromCluster writes a cluster as the API does.
func FromCluster(c desk.Cluster) Cluster {
	return Cluster{ID: c.ID, Level: string(c.Level), Root: string(c.Root), Status: c.Status, Parties: texts(c.Parties), Links: append([]string{}, c.Links...), Operations: FromBounds(c.Operations),
		Customers: Each(c.Customers, func(x desk.ClusterCustomer) ClusterCustomer { return ClusterCustomer(x) }),
		Accounts: Each(c.Accounts, func(x desk.ClusterAccount) ClusterAccount {
			return ClusterAccount{x.ID, FromBounds(x.Operations)}
		})}
}

// FromUltimate writes who is behind something as the API does.
func FromUltimate(u desk.Ultimate) Ultimate {
	out := Ultimate{ID: u.ID, MoreOwners: u.MoreOwners, Links: Each(u.Links, FromLink)}
	out.Levels = Each(u.Levels, func(l desk.LevelView) LevelView {
		return LevelView{Cluster: FromCluster(l.Cluster), MoreLinks: l.MoreLinks,
			Merges: Each(l.Merges, func(m desk.Merge) Merge { return Merge{m.Link, Time(m.AtNS), texts(m.A), texts(m.B)} }),
			Without: Each(l.Without, func(w desk.Counterfactual) Counterfactual {
				return Counterfactual{w.Link, w.Evidence, w.Links, FromBounds(w.Left), Each(w.Parts, func(p desk.Part) Part {
					return Part{p.Customers, p.Accounts, FromBounds(p.Operations)}
				})}
			})}
	})
	out.Owners = Each(u.Owners, func(o desk.Ownership) Ownership {
		return Ownership{string(o.Subject), string(o.Owner), o.Effective.Low, o.Effective.High, o.Together.Low, o.Together.High, string(o.Controls), string(o.Beneficial), o.Ultimate}
	})
	return out
}
