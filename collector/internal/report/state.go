package report

import (
	"errors"
	"fmt"
	"slices"
)

// State is where a report stands.
type State string

// States of a report.
const (
	Draft             State = "draft"
	InReview          State = "in review"
	ChangesRequested  State = "changes requested"
	Approved          State = "approved"
	Submitted         State = "submitted"
	Acknowledged      State = "acknowledged"
	Rejected          State = "rejected"
	CorrectionDraft   State = "correction draft"
	RequestReceived   State = "request received"
	RequestAnswered   State = "request answered"
	InternalCompleted State = "completed" // an internal report, which is not filed
)

// ErrTransition says that a state does not lead to another.
var ErrTransition = errors.New("a report in this state cannot do that")

var moves = map[State][]State{
	Draft:            {InReview},
	InReview:         {ChangesRequested, Approved, Draft},
	ChangesRequested: {InReview},
	Approved:         {Submitted, Draft, ChangesRequested, InternalCompleted},
	Submitted:        {Acknowledged, Rejected, RequestAnswered},
	Rejected:         {CorrectionDraft},
	Acknowledged:     {CorrectionDraft, RequestReceived},
	CorrectionDraft:  {InReview},
	RequestReceived:  {InReview},
	RequestAnswered:  {CorrectionDraft, RequestReceived},
}

// Move returns an error unless one state leads to the other.
func (s State) Move(to State) error {
	if !slices.Contains(moves[s], to) {
		return fmt.Errorf("report from %s to %s: %w", s, to, ErrTransition)
	}
	return nil
}

// Editable reports whether fields may be changed: in what was not filed yet.
func (s State) Editable() bool {
	switch s {
	case Draft, InReview, ChangesRequested, Approved, CorrectionDraft, RequestReceived:
		return true
	}
	return false
}
