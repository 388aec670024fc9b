package apitypes

import (
	"cmp"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Case is people's work file on findings about one subject under one pack.
type Case struct {
	ID           string     `json:"id" doc:"cas_…"`
	Version      int64      `json:"version" doc:"Send it as If-Match with each act"`
	Subject      string     `json:"subject"`
	CustomerName string     `json:"customer_name,omitempty"`
	Pack         string     `json:"pack"`
	State        string     `json:"state" enum:"new,investigating,decision proposed,reportable,not reportable,closed,reopened"`
	Assignee     string     `json:"assignee,omitempty"`
	Findings     []string   `json:"findings"`
	Clocks       []Clock    `json:"clocks"`
	Decision     *Decision  `json:"decision,omitempty"`
	Move         *Move      `json:"knowledge_move,omitempty" doc:"Waits for a second person"`
	Held         bool       `json:"legal_hold"`
	Opened       time.Time  `json:"opened"`
	Changed      time.Time  `json:"changed"`
	History      []CaseStep `json:"history,omitempty"`
	Notes        []CaseNote `json:"notes,omitempty"`
	Files        []CaseFile `json:"files,omitempty"`
}

// Clock is one obligation of a case and how it stands.
type Clock struct {
	Name      string    `json:"name"`
	Basis     string    `json:"basis"`
	Days      int       `json:"days"`
	Zone      string    `json:"zone"`
	Occurred  time.Time `json:"occurred,omitzero"`
	Signalled time.Time `json:"signalled"`
	Known     time.Time `json:"known,omitzero"`
	Due       string    `json:"due,omitempty" doc:"Last day, in the zone"`
	Over      time.Time `json:"over,omitzero" doc:"First instant that is late"`
	State     string    `json:"state" enum:"waiting,running,overdue,met,met late"`
	DaysLeft  int       `json:"days_left"`
	Met       time.Time `json:"met,omitzero"`
}

// Decision is what a case was or may be decided to be.
type Decision struct {
	Outcome    string    `json:"outcome"`
	Code       string    `json:"code"`
	Reason     string    `json:"reason"`
	Digest     string    `json:"digest" doc:"What a second person approves"`
	ProposedBy []string  `json:"proposed_by"`
	Proposed   time.Time `json:"proposed"`
	ApprovedBy string    `json:"approved_by,omitempty"`
	Approved   time.Time `json:"approved,omitzero"`
}

// Move is a proposal that something was known later than determined before.
type Move struct {
	Clock  string    `json:"clock"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Digest string    `json:"digest"`
}

// CaseStep is one act on a case.
type CaseStep struct {
	Version int64     `json:"version"`
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Act     string    `json:"act"`
	Note    string    `json:"note,omitempty"`
	State   string    `json:"state"`
}

// CaseNote is a note of a person.
type CaseNote struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Text string    `json:"text"`
}

// CaseFile is a file of a case, without its content.
type CaseFile struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Name   string    `json:"name"`
	Media  string    `json:"media"`
	SHA256 string    `json:"sha256"`
	Size   int64     `json:"size"`
}

// FindingWork is how the work on a finding stands.
type FindingWork struct {
	State  string    `json:"state" enum:"open,triaged,attached,dismissed,suppressed"`
	CaseID string    `json:"case_id,omitempty"`
	By     string    `json:"by,omitempty"`
	Code   string    `json:"code,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Until  time.Time `json:"until,omitzero"`
}

// CaseAct is what a person does on a case; which fields count follows from Act.
type CaseAct struct {
	Act     string    `json:"-"` // assign, attach, propose decision, approve, return, close, reopen, know, approve move, start clock, hold, release hold
	To      string    `json:"to,omitempty"`
	Finding string    `json:"finding,omitempty"`
	Outcome string    `json:"outcome,omitempty"`
	Code    string    `json:"code,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Clock   string    `json:"clock,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// FindingAct is what a person does on a finding.
type FindingAct struct {
	State  string    `json:"state" enum:"triaged,dismissed,suppressed,open"`
	Code   string    `json:"code,omitempty" maxLength:"100"`
	Reason string    `json:"reason,omitempty" maxLength:"2000"`
	Until  time.Time `json:"until,omitzero" doc:"End of a suppression"`
}

// FromCase turns the desk's view into the API's.
func FromCase(c desk.Case) Case {
	out := Case{ID: c.ID, Version: c.Version, Subject: c.Subject, CustomerName: c.CustomerName, Pack: c.Pack, State: c.State, Assignee: c.Assignee,
		Findings: texts(c.Findings), Clocks: Each(c.Clocks, fromClock), Held: c.Held, Opened: Time(c.OpenedNS), Changed: Time(c.ChangedNS)}
	if d := c.Decision; d.Outcome != "" {
		out.Decision = &Decision{Outcome: d.Outcome, Code: d.Code, Reason: d.Reason, Digest: d.Digest, ProposedBy: texts(d.ProposedBy), Proposed: d.Proposed, ApprovedBy: d.ApprovedBy, Approved: d.Approved}
	}
	if m := c.Move; m.Clock != "" {
		out.Move = &Move{Clock: m.Clock, At: m.At, By: m.By, Reason: m.Reason, Digest: m.Digest}
	}
	for _, a := range c.History {
		out.History = append(out.History, CaseStep{Version: a.Version, At: Time(a.AtNS), By: a.By, Act: a.Act, Note: a.Note, State: a.State})
	}
	for _, n := range c.Notes {
		out.Notes = append(out.Notes, CaseNote{ID: n.ID, At: Time(n.AtNS), By: n.By, Text: n.Text})
	}
	for _, f := range c.Files {
		out.Files = append(out.Files, CaseFile{ID: f.ID, At: Time(f.AtNS), By: f.By, Name: f.Name, Media: f.Media, SHA256: f.SHA256, Size: f.Size})
	}
	return out
}

func fromClock(k desk.Clock) Clock {
	return Clock{Name: k.Name, Basis: k.Basis, Days: k.Days, Zone: k.Zone, Occurred: k.Occurred, Signalled: k.Signalled, Known: k.Known,
		Due: k.Due, Over: k.Over, State: k.State, DaysLeft: k.DaysLeft, Met: k.Met}
}

// FromFindingWork turns the desk's view into the API's. A finding on which nobody
// worked is open.
func FromFindingWork(w desk.FindingWork) FindingWork {
	return FindingWork{State: cmp.Or(w.State, "open"), CaseID: w.CaseID, By: w.By, Code: w.Code, Reason: w.Reason, At: Time(w.AtNS), Until: Time(w.UntilNS)}
}
