package report

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
)

// File records that the approved edition was submitted.
func (r Report) File(f *Form, filing Filing, now time.Time) (Report, error) {
	digest, err := r.Digest()
	if err != nil {
		return r, fmt.Errorf("report %s: %w", r.ID, err)
	}
	switch {
	case f.Internal:
		return r, fmt.Errorf("report %s: an internal report is not filed: %w", r.ID, ErrTransition)
	case r.State != Approved:
		return r, fmt.Errorf("report %s: file what is %s: %w", r.ID, r.State, ErrFiling)
	case !r.Approval.Holds(r.Proposal) || r.Approval.Digest != digest:
		return r, fmt.Errorf("report %s: the approval is not of what it says: %w", r.ID, ErrFiling)
	case filing.By == "" || filing.Method == "" || filing.At.IsZero():
		return r, fmt.Errorf("report %s: a filing names who, how and when: %w", r.ID, ErrInput)
	case filing.At.After(now) || filing.At.Before(r.Approval.At.Truncate(time.Minute)):
		// Officers write down minutes.
		return r, fmt.Errorf("report %s: filed at %s, approved at %s: %w", r.ID, filing.At.UTC().Format(time.RFC3339), r.Approval.At.UTC().Format(time.RFC3339), ErrFiling)
	}
	next, err := r.move(Submitted)
	if err != nil {
		return r, err
	}
	filing.Edition, filing.Kind, filing.Digest, filing.At = r.Edition, r.Kind, hex.EncodeToString(digest[:]), filing.At.UTC()
	next.Filings = append(slices.Clip(r.Filings), filing)
	return next, nil
}

// Answered records what the authority made of the last filing.
func (r Report) Answered(status Status, regulatorID, receipt, note string, now time.Time) (Report, error) {
	if r.State != Submitted || len(r.Filings) == 0 {
		return r, fmt.Errorf("report %s: nothing waits for an answer: %w", r.ID, ErrTransition)
	}
	to := Acknowledged
	switch status {
	case Accepted, AcceptedWithWarnings:
		if r.Kind == Answer {
			to = RequestAnswered
		}
	case RejectedStatus:
		to = Rejected
		if note == "" {
			return r, fmt.Errorf("report %s: say why it was rejected: %w", r.ID, ErrReason)
		}
	default:
		return r, fmt.Errorf("report %s: a filing is accepted, accepted with warnings or rejected: %w", r.ID, ErrInput)
	}
	next, err := r.move(to)
	if err != nil {
		return r, err
	}
	next.Filings = slices.Clone(r.Filings)
	last := &next.Filings[len(next.Filings)-1]
	last.Status, last.Answered = status, now.UTC()
	if regulatorID != "" {
		last.RegulatorID = regulatorID
	}
	if receipt != "" {
		last.Receipt = receipt
	}
	if note != "" {
		last.Note = note
	}
	return next, nil
}

// Amend begins the next edition: a correction or a supplement. What was filed stays.
func (r Report) Amend(f *Form, k Kind, by string) (Report, error) {
	if k != Correction && k != Supplement || !slices.Contains(f.Kinds, string(k)) {
		return r, fmt.Errorf("report %s: %w", r.ID, ErrKind)
	}
	next, err := r.move(CorrectionDraft)
	if err != nil {
		return r, err
	}
	next.Request = Request{}
	return next.edition(f, k, by), nil
}

// Ask records that the authority asked for more, and begins the answer.
func (r Report) Ask(f *Form, q Request, by string, now time.Time) (Report, error) {
	switch {
	case !slices.Contains(f.Kinds, string(Answer)):
		return r, fmt.Errorf("report %s: %w", r.ID, ErrKind)
	case q.Text == "" || q.Received.IsZero() || q.Received.After(now):
		return r, fmt.Errorf("report %s: a request has a text and came in before now: %w", r.ID, ErrInput)
	}
	next, err := r.move(RequestReceived)
	if err != nil {
		return r, err
	}
	q.Received = q.Received.UTC()
	next.Request = q
	return next.edition(f, Answer, by), nil
}

func (r Report) edition(f *Form, k Kind, by string) Report {
	r.Edition++
	r.Kind = k
	r.Editors = []string{by}
	r.Proposal, r.Approval, r.Checkpoint = approval.Proposal{}, approval.Approval{}, ""
	kept := map[string]Value{}
	for id, v := range r.Values {
		// What was wrong or has changed is told anew each time.
		if field, ok := f.Field(id); ok && field.In(k, r.Chain) && id != "report.what_changed" {
			kept[id] = v
		}
	}
	r.Values = kept
	return r
}
