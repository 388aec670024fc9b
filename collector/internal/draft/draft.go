// Package draft is the way of a policy from an idea to being in force: drafted,
// simulated on a pinned snapshot, proposed, approved by a second person by its
// digest, and in force from a planned instant on. It is pure.
//
// A policy is a text with an id of its own. What is in force at an instant
// follows from what was approved; nothing has to be switched.
package draft

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Kind is what a policy is a text of.
type Kind string

// The kinds.
const (
	Pack      Kind = "pack"      // rules, see package policy
	Weights   Kind = "weights"   // of joining, see package training
	Scorecard Kind = "scorecard" // of classification, see package classify
	Settings  Kind = "settings"  // of agents, see package settings
)

// Kinds are all of them.
var Kinds = []Kind{Pack, Weights, Scorecard, Settings}

// simulated reports whether a simulation must stand behind a proposal. Settings
// are tried on a part of the fleet instead.
func (k Kind) simulated() bool { return k != Settings }

// State is how far a policy has come.
type State string

// The states that are recorded. Scheduled, in force and superseded follow from
// approved and the time, see Standing.
const (
	Draft     State = "draft"
	Simulated State = "simulated"
	Proposed  State = "proposed"
	Approved  State = "approved"
	Rejected  State = "rejected"
	Withdrawn State = "withdrawn"
)

// SnapshotLife is how old the snapshot of a simulation may be when a proposal is
// approved.
const SnapshotLife = 14 * 24 * time.Hour

// Errors of acts.
var (
	ErrState    = errors.New("that cannot be done with a policy in this state")
	ErrVersion  = errors.New("it was changed since you were shown it")
	ErrReason   = errors.New("a reason is needed")
	ErrUntested = errors.New("simulate the text as it is before it is proposed")
	ErrOlder    = errors.New("the version in the text must be above that in force")
)

// Simulation is what stands behind a proposal.
type Simulation struct {
	ID     string    `json:"id"`     // sim_…
	Digest string    `json:"digest"` // of its result
	Pinned time.Time `json:"pinned"` // when its snapshot was taken
}

// Policy is one text on its way.
type Policy struct {
	ID      string // pol_…
	Version int64  // grows with each act
	Kind    Kind
	Name    string // of what it replaces: the id in the text
	Number  int    // version in the text
	Text    string
	Digest  string // SHA-256 of the text, in hex
	State   State
	Authors []string // who wrote or edited it

	Simulation Simulation // of the text as it is; none if empty
	Rationale  string
	Planned    time.Time // from when it is to be in force
	Proposal   approval.Proposal
	Approval   approval.Approval
	Reason     string // of a rejection or withdrawal
}

// Text is a text that was read and found good.
type Text struct {
	Kind   Kind
	Name   string
	Number int
	Text   string
	Digest [32]byte
}

// New returns a draft.
func New(id, by string, t Text) Policy {
	p := Policy{ID: id, Version: 1, Kind: t.Kind, State: Draft, Authors: []string{by}}
	p.set(t)
	return p
}

func (p *Policy) set(t Text) {
	p.Name, p.Number, p.Text, p.Digest = t.Name, t.Number, t.Text, hex.EncodeToString(t.Digest[:])
	p.Simulation, p.Proposal, p.Approval = Simulation{}, approval.Proposal{}, approval.Approval{}
}

func (p Policy) in(act string, states ...State) error {
	if !slices.Contains(states, p.State) {
		return fmt.Errorf("%s: it is %s: %w", act, p.State, ErrState)
	}
	return nil
}

// At returns an error that wraps ErrVersion unless the policy is at the version.
func (p Policy) At(version int64) error {
	if p.Version != version {
		return fmt.Errorf("it is at version %d: %w", p.Version, ErrVersion)
	}
	return nil
}

// Edit replaces the text. What was simulated or proposed before is void.
func (p Policy) Edit(by string, t Text) (Policy, error) {
	if err := p.in("edit", Draft, Simulated, Proposed); err != nil {
		return p, err
	}
	if t.Kind != p.Kind || t.Name != p.Name {
		return p, fmt.Errorf("edit: it stays %s %s: %w", p.Kind, p.Name, ErrState)
	}
	p.set(t)
	if !slices.Contains(p.Authors, by) {
		p.Authors = append(slices.Clip(p.Authors), by)
	}
	p.State, p.Version = Draft, p.Version+1
	return p, nil
}

// Simulate notes a simulation of the text as it is. Of a proposed policy it
// changes nothing: what was proposed stands on the one before.
func (p Policy) Simulate(s Simulation) (Policy, error) {
	if p.State == Proposed {
		return p, nil
	}
	if err := p.in("simulate", Draft, Simulated); err != nil {
		return p, err
	}
	p.Simulation, p.State, p.Version = s, Simulated, p.Version+1
	return p, nil
}

// Propose asks a second person. inForce is the version that the text replaces, 0
// for none.
func (p Policy) Propose(by, rationale string, planned, now time.Time, inForce int) (Policy, error) {
	if err := p.in("propose", Draft, Simulated); err != nil {
		return p, err
	}
	switch {
	case rationale == "":
		return p, fmt.Errorf("propose: %w", ErrReason)
	case p.Kind.simulated() && p.Simulation.ID == "":
		return p, fmt.Errorf("propose: %w", ErrUntested)
	}
	if err := p.Above(inForce); err != nil {
		return p, fmt.Errorf("propose: %w", err)
	}
	pinned := now
	if p.Kind.simulated() {
		pinned = p.Simulation.Pinned
	}
	p.Rationale, p.Planned, p.State, p.Version = rationale, planned.UTC(), Proposed, p.Version+1
	authors := p.Authors
	if !slices.Contains(authors, by) {
		authors = append(slices.Clip(authors), by)
	}
	digest, err := p.digest()
	if err != nil {
		return p, err
	}
	p.Proposal = approval.Proposal{Digest: digest, Authors: authors, At: now, Lapses: pinned.Add(SnapshotLife)}
	return p, nil
}

// Above returns an error that wraps ErrOlder unless the text has a version above that
// in force. It is asked again when the policy is approved: another one may have come
// into force, or been approved to come before it, since it was proposed.
func (p Policy) Above(inForce int) error {
	if p.Number <= inForce {
		return fmt.Errorf("%d is in force: %w", inForce, ErrOlder)
	}
	return nil
}

// digest is of everything that a second person agrees to.
func (p Policy) digest() (approval.Digest, error) {
	sum, err := canonical.Digest(map[string]any{
		"kind": string(p.Kind), "name": p.Name, "text": p.Digest, "simulation": p.Simulation.Digest,
		"rationale": p.Rationale, "planned": p.Planned.Format(time.RFC3339Nano),
	})
	if err != nil {
		return approval.Digest{}, fmt.Errorf("digest of policy %s: %w", p.ID, err)
	}
	return sum, nil
}

// Approve is the word of the second person on what they were shown.
func (p Policy) Approve(by approval.Approver, shown approval.Digest, now time.Time) (Policy, error) {
	if err := p.in("approve", Proposed); err != nil {
		return p, err
	}
	a, err := p.Proposal.Approve(by, shown, now)
	if err != nil {
		return p, err
	}
	p.Approval, p.State, p.Version = a, Approved, p.Version+1
	return p, nil
}

// Reject is the other word of the second person.
func (p Policy) Reject(by, reason string) (Policy, error) {
	if err := p.in("reject", Proposed); err != nil {
		return p, err
	}
	switch {
	case reason == "":
		return p, fmt.Errorf("reject: %w", ErrReason)
	case slices.Contains(p.Proposal.Authors, by):
		return p, fmt.Errorf("reject: withdraw it instead: %w", approval.ErrSelf)
	}
	p.Reason, p.State, p.Version = reason, Rejected, p.Version+1
	return p, nil
}

// Withdraw takes a policy back that is not in force.
func (p Policy) Withdraw(reason string, now time.Time) (Policy, error) {
	if err := p.in("withdraw", Draft, Simulated, Proposed, Approved); err != nil {
		return p, err
	}
	if p.State == Approved && !now.Before(p.From()) {
		return p, fmt.Errorf("withdraw: it is in force; replace it by a new version: %w", ErrState)
	}
	if reason == "" {
		return p, fmt.Errorf("withdraw: %w", ErrReason)
	}
	p.Reason, p.State, p.Version = reason, Withdrawn, p.Version+1
	return p, nil
}

// From returns since when an approved policy is in force, or will be: not before
// it was approved.
func (p Policy) From() time.Time { return p.FromIf(p.Approval.At) }

// FromIf returns since when a policy would be in force that is approved at an instant.
func (p Policy) FromIf(approved time.Time) time.Time {
	if p.Planned.Before(approved) {
		return approved
	}
	return p.Planned
}
