package report

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Errors of acts on reports.
var (
	ErrVersion    = errors.New("the report was changed since it was shown")
	ErrReason     = errors.New("a reason is needed")
	ErrField      = errors.New("the form has no such field in a report of this kind")
	ErrNotHeld    = errors.New("the form does not take \"not held\" for this field")
	ErrIncomplete = errors.New("required fields are missing")
	ErrInput      = errors.New("the act is not complete")
	ErrKind       = errors.New("the form is not for reports of this kind or chain")
	ErrFiling     = errors.New("only what was approved is filed, and not before it was approved")
)

// Table is a value of rows.
type Table struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Value is what a report says in one field, and how it knows.
type Value struct {
	Text       string    `json:"text,omitempty"`
	Table      *Table    `json:"table,omitempty"`
	NotHeld    string    `json:"not_held,omitempty"`   // why there is no value
	Source     string    `json:"source"`               // record it is from: "run run_…", "person usr_…"
	AsOf       time.Time `json:"as_of"`                // of the record
	Confidence string    `json:"confidence,omitempty"` // measured, derived, recorded, determined, stated
}

// Empty reports whether it says nothing.
func (v Value) Empty() bool {
	return v.Text == "" && v.NotHeld == "" && (v.Table == nil || len(v.Table.Rows) == 0)
}

// Status is what the authority made of a filing.
type Status string

// What becomes of a filing. "" while nothing came back.
const (
	Accepted             Status = "accepted"
	AcceptedWithWarnings Status = "accepted with warnings"
	RejectedStatus       Status = "rejected"
)

// Filing is one act of submitting.
type Filing struct {
	Edition     int       `json:"edition"`
	Kind        Kind      `json:"kind"`
	Digest      string    `json:"digest"` // of the content that was approved and filed
	Method      string    `json:"method"` // "portal", "courier"
	At          time.Time `json:"at"`
	By          string    `json:"by"`
	Receipt     string    `json:"receipt,omitempty"` // id of the receipt's file
	RegulatorID string    `json:"regulator_id,omitempty"`
	Status      Status    `json:"status,omitempty"`
	Answered    time.Time `json:"answered,omitzero"`
	Note        string    `json:"note,omitempty"`
}

// Request is what an authority asked for.
type Request struct {
	Text     string    `json:"text"`
	Received time.Time `json:"received"`
}

// Report is one document about one case, or about the programme. Its editions
// follow each other: what was filed, then corrections, supplements and answers.
type Report struct {
	ID         string // rep_…
	Form       string
	FormDigest string
	Case       string // cas_…, "" of a report about the programme
	Subject    string
	Kind       Kind // of the edition that is being written or was filed last
	Chain      Chain
	Edition    int // from 1
	State      State
	Values     map[string]Value
	Editors    []string // of the edition
	Proposal   approval.Proposal
	Approval   approval.Approval
	Checkpoint string // of the audit log when it was approved
	Filings    []Filing
	Request    Request
	Version    int64
}

// Content is what an approval is of: everything that the report says.
type Content struct {
	Report     string           `json:"report"`
	Form       string           `json:"form"`
	FormDigest string           `json:"form_digest"`
	Case       string           `json:"case,omitempty"`
	Subject    string           `json:"subject"`
	Kind       Kind             `json:"kind"`
	Chain      Chain            `json:"chain"`
	Edition    int              `json:"edition"`
	Values     map[string]Value `json:"values"`
	Filed      []string         `json:"filed,omitempty"` // digests of what was filed before
	Request    *Request         `json:"request,omitempty"`
}

// Content returns what the edition says.
func (r Report) Content() Content {
	c := Content{Report: r.ID, Form: r.Form, FormDigest: r.FormDigest, Case: r.Case, Subject: r.Subject, Kind: r.Kind, Chain: r.Chain, Edition: r.Edition, Values: r.Values}
	for _, f := range r.Filings {
		if f.Edition < r.Edition {
			c.Filed = append(c.Filed, f.Digest)
		}
	}
	if r.Request.Text != "" {
		c.Request = &r.Request
	}
	return c
}

// Digest identifies what the edition says.
func (r Report) Digest() (approval.Digest, error) { return canonical.Digest(r.Content()) }

// New returns a report that nothing stands in yet.
func New(id string, f *Form, caseID, subject string, chain Chain) (Report, error) {
	if f.Programme != (caseID == "") {
		return Report{}, fmt.Errorf("report %s on form %s: a form about the programme has no case, each other has one: %w", id, f.ID, ErrInput)
	}
	if !slices.Contains(f.Kinds, string(Initial)) || !slices.Contains(f.Chains, string(chain)) {
		return Report{}, fmt.Errorf("report %s on form %s: %w", id, f.ID, ErrKind)
	}
	return Report{ID: id, Form: f.ID, FormDigest: hex.EncodeToString(f.Digest[:]), Case: caseID, Subject: subject, Kind: Initial, Chain: chain,
		Edition: 1, State: Draft, Values: map[string]Value{}, Version: 1}, nil
}

// At returns an error unless the report is at the version that the person was shown.
func (r Report) At(version int64) error {
	if r.Version != version {
		return fmt.Errorf("report %s is at version %d, not %d: %w", r.ID, r.Version, version, ErrVersion)
	}
	return nil
}

func (r Report) move(to State) (Report, error) {
	if err := r.State.Move(to); err != nil {
		return r, fmt.Errorf("report %s: %w", r.ID, err)
	}
	r.State = to
	r.Version++
	return r, nil
}

// edited returns the report after a person changed what it says: an approval or
// a review of what it said before is void.
func (r Report) edited(by string) Report {
	if !slices.Contains(r.Editors, by) {
		r.Editors = append(slices.Clip(r.Editors), by)
	}
	if r.State == InReview || r.State == Approved {
		r.State = Draft
		if r.Edition > 1 {
			r.State = CorrectionDraft
		}
		if r.Kind == Answer {
			r.State = RequestReceived
		}
	}
	r.Proposal, r.Approval, r.Checkpoint = approval.Proposal{}, approval.Approval{}, ""
	r.Version++
	return r
}

// Set says something in a field.
func (r Report) Set(f *Form, field string, v Value, by string) (Report, error) {
	def, ok := f.Field(field)
	switch {
	case !r.State.Editable():
		return r, fmt.Errorf("report %s: set %s: %w", r.ID, field, ErrTransition)
	case !ok || !def.In(r.Kind, r.Chain):
		return r, fmt.Errorf("report %s: %.60q: %w", r.ID, field, ErrField)
	case v.NotHeld != "" && !def.NotHeld:
		return r, fmt.Errorf("report %s: %s: %w", r.ID, field, ErrNotHeld)
	case v.Empty() || by == "":
		return r, fmt.Errorf("report %s: %s says nothing: %w", r.ID, field, ErrInput)
	}
	r.Values = maps.Clone(r.Values)
	r.Values[field] = v
	return r.edited(by), nil
}

// Fill fills in what facts say. What a person said stays, unless all is asked for.
func (r Report) Fill(f *Form, facts Facts, by string, all bool) (Report, error) {
	if !r.State.Editable() {
		return r, fmt.Errorf("report %s: fill in: %w", r.ID, ErrTransition)
	}
	facts.Report = r
	values, changed := maps.Clone(r.Values), false
	for _, s := range f.Sections {
		for _, field := range s.Fields {
			if field.From == "" || !field.In(r.Kind, r.Chain) {
				continue
			}
			if was, ok := values[field.ID]; ok && was.Confidence == determined && !all {
				continue
			}
			v := factOf(field.From, facts)
			if v.Empty() {
				continue
			}
			if was, ok := values[field.ID]; !ok || !was.same(v) {
				values[field.ID], changed = v, true
			}
		}
	}
	if !changed {
		return r, nil
	}
	r.Values = values
	return r.edited(by), nil
}

// same reports whether two values say the same, whenever they were read.
func (v Value) same(o Value) bool {
	v.AsOf, o.AsOf = time.Time{}, time.Time{}
	a, errA := canonical.Digest(v)
	b, errB := canonical.Digest(o)
	return errA == nil && errB == nil && a == b
}

// Propose asks a second person to approve what the report says. It must be complete.
func (r Report) Propose(f *Form, by string, now time.Time) (Report, error) {
	if by == "" {
		return r, fmt.Errorf("report %s: nobody proposes it: %w", r.ID, ErrInput)
	}
	if missing := r.Missing(f); len(missing) > 0 {
		return r, fmt.Errorf("report %s: %d fields, the first is %s: %w", r.ID, len(missing), missing[0].Field, ErrIncomplete)
	}
	digest, err := r.Digest()
	if err != nil {
		return r, fmt.Errorf("report %s: %w", r.ID, err)
	}
	next, err := r.move(InReview)
	if err != nil {
		return r, err
	}
	authors := slices.Clone(r.Editors)
	if !slices.Contains(authors, by) {
		authors = append(authors, by)
	}
	next.Proposal, next.Approval = approval.Proposal{Digest: digest, Authors: authors, At: now}, approval.Approval{}
	return next, nil
}

// Return asks for changes.
func (r Report) Return(by, reason string) (Report, error) {
	if by == "" || reason == "" {
		return r, fmt.Errorf("report %s: ask for changes: %w", r.ID, ErrReason)
	}
	next, err := r.move(ChangesRequested)
	if err == nil {
		next.Proposal, next.Approval, next.Checkpoint = approval.Proposal{}, approval.Approval{}, ""
	}
	return next, err
}

// Approve approves what the approver was shown, by its digest. Checkpoint is the
// newest one of the audit log, to be printed on the report.
func (r Report) Approve(by approval.Approver, shown approval.Digest, checkpoint string, now time.Time) (Report, error) {
	if err := r.State.Move(Approved); err != nil {
		return r, fmt.Errorf("report %s: %w", r.ID, err)
	}
	given, err := r.Proposal.Approve(by, shown, now)
	if err != nil {
		return r, fmt.Errorf("report %s: %w", r.ID, err)
	}
	next, err := r.move(Approved)
	if err == nil {
		next.Approval, next.Checkpoint = given, checkpoint
	}
	return next, err
}

// Complete ends an internal report, which is not filed.
func (r Report) Complete(f *Form) (Report, error) {
	if !f.Internal {
		return r, fmt.Errorf("report %s: it is to be filed: %w", r.ID, ErrTransition)
	}
	return r.move(InternalCompleted)
}
