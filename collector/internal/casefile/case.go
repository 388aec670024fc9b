package casefile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Outcome is what a case is decided to be.
type Outcome string

// Outcomes. Both need the same two people.
const (
	Reportable    Outcome = "reportable"
	NotReportable Outcome = "not reportable"
)

// Decision is a proposed or made decision on a case.
type Decision struct {
	Outcome  Outcome  `json:"outcome"`
	Code     string   `json:"code"` // of the reason, from the pack
	Reason   string   `json:"reason"`
	Findings []string `json:"findings"` // that it rests on, sorted
}

// Digest identifies a decision.
func (d Decision) Digest() (approval.Digest, error) { return canonical.Digest(d) }

// Case is people's work on the findings about one subject under one obligation.
type Case struct {
	ID           string // cas_…
	Subject      string // customer or cluster
	Obligation   string
	State        CaseState
	Assignee     string
	Findings     []string // ids, in the order in which they were attached
	Decision     Decision
	Proposal     approval.Proposal
	Approval     approval.Approval
	Clocks       []clock.Clock
	Move         Move // of knowledge to a later instant, that waits for a second person; its Clock is "" if none does
	MoveProposal approval.Proposal
	Held         bool // legal hold: nothing about it may be erased
	Version      int64
}

// Errors of acts on cases.
var (
	ErrVersion = errors.New("the case was changed since it was shown")
	ErrClocks  = errors.New("an obligation is not met")
	ErrInput   = errors.New("the act is not complete")
)

// Open returns a new case on a finding, with the clocks that its obligations start.
func Open(id, subject, obligation, finding string, clocks []clock.Clock) Case {
	return Case{ID: id, Subject: subject, Obligation: obligation, State: CaseNew, Findings: []string{finding}, Clocks: clocks, Version: 1}
}

// At returns an error unless the case is at the version that the person was shown.
func (c Case) At(version int64) error {
	if c.Version != version {
		return fmt.Errorf("case %s is at version %d, not %d: %w", c.ID, c.Version, version, ErrVersion)
	}
	return nil
}

func (c Case) move(to CaseState) (Case, error) {
	if err := c.State.Move(to); err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	c.State = to
	c.Version++
	return c, nil
}

// Assign gives the case to a person. A new or reopened case is then investigated.
func (c Case) Assign(to string) (Case, error) {
	if to == "" {
		return c, fmt.Errorf("case %s: assign: nobody is named: %w", c.ID, ErrInput)
	}
	c.Assignee = to
	if c.State == CaseNew || c.State == CaseReopened {
		return c.move(CaseInvestigating)
	}
	c.Version++
	return c, nil
}

// Attach adds a finding. A case on which a decision is proposed goes back to
// work: the decision did not know of it. A decided case is reopened.
func (c Case) Attach(finding string) (Case, error) {
	if slices.Contains(c.Findings, finding) {
		return c, nil
	}
	c.Findings = append(slices.Clip(c.Findings), finding)
	switch c.State {
	case CaseProposed:
		return c.withdraw(CaseInvestigating)
	case CaseReportable, CaseNotReportable, CaseClosed:
		return c.withdraw(CaseReopened)
	}
	c.Version++
	return c, nil
}

// Signal attaches a finding that starts a clock. A clock of that name that still
// runs began earlier and covers it; where it was met, another one begins.
func (c Case) Signal(finding string, k clock.Clock) (Case, error) {
	next, err := c.Attach(finding)
	if err != nil || next.Version == c.Version {
		return next, err
	}
	name := k.Name
	for n := 2; ; n++ {
		i, err := next.clockAt(k.Name)
		if err != nil {
			break // the name is free
		}
		if next.Clocks[i].Met.IsZero() {
			return next, nil
		}
		k.Name = fmt.Sprintf("%s %d", name, n)
	}
	next.Clocks = append(slices.Clip(next.Clocks), k)
	return next, nil
}

func (c Case) withdraw(to CaseState) (Case, error) {
	c.Decision, c.Proposal, c.Approval = Decision{}, approval.Proposal{}, approval.Approval{}
	return c.move(to)
}

// Propose proposes a decision. It rests on the findings of the case as they are.
func (c Case) Propose(by string, outcome Outcome, code, reason string, now time.Time) (Case, error) {
	if outcome != Reportable && outcome != NotReportable {
		return c, fmt.Errorf("case %s: outcome %.20q: must be %s or %s: %w", c.ID, outcome, Reportable, NotReportable, ErrInput)
	}
	if by == "" || code == "" || reason == "" {
		return c, fmt.Errorf("case %s: propose: %w", c.ID, ErrReason)
	}
	decision := Decision{Outcome: outcome, Code: code, Reason: reason, Findings: slices.Sorted(slices.Values(c.Findings))}
	digest, err := decision.Digest()
	if err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	next, err := c.move(CaseProposed)
	if err != nil {
		return c, err
	}
	next.Decision, next.Proposal = decision, approval.Proposal{Digest: digest, Authors: []string{by}, At: now}
	return next, nil
}

// Approve makes the proposed decision, by a second person who was shown it.
func (c Case) Approve(by approval.Approver, shown approval.Digest, now time.Time) (Case, error) {
	if c.State != CaseProposed {
		return c, fmt.Errorf("case %s is %s, nothing is proposed: %w", c.ID, c.State, ErrTransition)
	}
	given, err := c.Proposal.Approve(by, shown, now)
	if err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	to := CaseReportable
	if c.Decision.Outcome == NotReportable {
		to = CaseNotReportable
	}
	next, err := c.move(to)
	if err != nil {
		return c, err
	}
	next.Approval = given
	return next, nil
}

// Return sends a proposed decision back to work.
func (c Case) Return(by, reason string) (Case, error) {
	if by == "" || reason == "" {
		return c, fmt.Errorf("case %s: return: %w", c.ID, ErrReason)
	}
	if c.State != CaseProposed {
		return c, fmt.Errorf("case %s is %s, nothing is proposed: %w", c.ID, c.State, ErrTransition)
	}
	return c.withdraw(CaseInvestigating)
}

// Close ends a decided case. One that is reportable ends when its obligations
// are met; until then it is open, however late it is.
func (c Case) Close(now time.Time) (Case, error) {
	if c.State == CaseReportable {
		for _, k := range c.Clocks {
			if s := k.Standing(now).State; s != clock.MetInTime && s != clock.MetLate {
				return c, fmt.Errorf("case %s: %s is %s: %w", c.ID, k.Name, s, ErrClocks)
			}
		}
	}
	return c.move(CaseClosed)
}

// Reopen takes a decided case up again.
func (c Case) Reopen(by, reason string) (Case, error) {
	if by == "" || reason == "" {
		return c, fmt.Errorf("case %s: reopen: %w", c.ID, ErrReason)
	}
	return c.withdraw(CaseReopened)
}

// Hold puts the case under legal hold: nothing about it may be erased.
func (c Case) Hold(by, reason string) (Case, error) {
	if by == "" || reason == "" {
		return c, fmt.Errorf("case %s: hold: %w", c.ID, ErrReason)
	}
	if c.Held {
		return c, nil
	}
	c.Held = true
	c.Version++
	return c, nil
}
