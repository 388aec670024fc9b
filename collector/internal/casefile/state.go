// Package casefile is the work of people on findings: what state a finding or a
// case is in, who may move it and how, and what it needs before it ends. It
// knows no clock; time is an argument. Nothing in it is ever deleted.
package casefile

import (
	"errors"
	"fmt"
	"slices"
)

// FindingState is where the work on a finding stands.
type FindingState string

// States of a finding.
const (
	FindingOpen       FindingState = "open"
	FindingTriaged    FindingState = "triaged"
	FindingAttached   FindingState = "attached" // to a case
	FindingDismissed  FindingState = "dismissed"
	FindingSuppressed FindingState = "suppressed"
)

// CaseState is where a case stands.
type CaseState string

// States of a case.
const (
	CaseNew           CaseState = "new"
	CaseInvestigating CaseState = "investigating"
	CaseProposed      CaseState = "decision proposed"
	CaseReportable    CaseState = "reportable"
	CaseNotReportable CaseState = "not reportable"
	CaseClosed        CaseState = "closed"
	CaseReopened      CaseState = "reopened"
)

// ErrTransition says that a state does not lead to another.
var ErrTransition = errors.New("this state does not lead there")

var findingMoves = map[FindingState][]FindingState{
	FindingOpen:       {FindingTriaged, FindingAttached, FindingDismissed, FindingSuppressed},
	FindingTriaged:    {FindingAttached, FindingDismissed, FindingSuppressed},
	FindingAttached:   {}, // it ends with its case
	FindingDismissed:  {FindingOpen},
	FindingSuppressed: {FindingOpen},
}

var caseMoves = map[CaseState][]CaseState{
	CaseNew:           {CaseInvestigating},
	CaseInvestigating: {CaseProposed},
	CaseProposed:      {CaseInvestigating, CaseReportable, CaseNotReportable},
	CaseReportable:    {CaseClosed, CaseReopened},
	CaseNotReportable: {CaseClosed, CaseReopened},
	CaseClosed:        {CaseReopened},
	CaseReopened:      {CaseInvestigating},
}

// Move returns an error unless one state leads to the other.
func (s FindingState) Move(to FindingState) error {
	if !slices.Contains(findingMoves[s], to) {
		return fmt.Errorf("finding from %s to %s: %w", s, to, ErrTransition)
	}
	return nil
}

// Move returns an error unless one state leads to the other.
func (s CaseState) Move(to CaseState) error {
	if !slices.Contains(caseMoves[s], to) {
		return fmt.Errorf("case from %s to %s: %w", s, to, ErrTransition)
	}
	return nil
}

// Ended reports whether nobody has to do anything.
func (s CaseState) Ended() bool { return s == CaseClosed }
