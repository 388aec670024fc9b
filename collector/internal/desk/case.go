package desk

import "time"

// Case is people's work file on findings about one subject under one pack.
type Case struct {
	ID           string // cas_…
	Version      int64  // grows with each act
	Subject      string // cus_…, or tenant:… that no customer claims
	CustomerName string // "" where the subject is no known customer
	Pack         string
	State        string
	Assignee     string // usr_…, "" for nobody
	Findings     []string
	Clocks       []Clock
	Decision     Decision
	Move         Move // of knowledge, that waits for a second person
	Held         bool
	OpenedNS     int64
	ChangedNS    int64

	History []CaseAct  // the first first; of a single case only
	Notes   []CaseNote // of a single case only
	Files   []CaseFile // of a single case only
}

// Clock is one obligation of a case and how it stands.
type Clock struct {
	Name      string
	Basis     string // earlier (of occurrence and knowledge), known or given
	Days      int
	Zone      string
	Occurred  time.Time
	Signalled time.Time
	Known     time.Time // as determined now
	Due       string    // last day, as 2026-11-23, "" while it has not begun
	Over      time.Time // the first instant that is late
	State     string    // waiting, running, overdue, met, met late
	DaysLeft  int
	Met       time.Time
}

// Decision is what a case was or may be decided to be. Digest is what a second
// person approves.
type Decision struct {
	Outcome    string
	Code       string
	Reason     string
	Digest     string
	ProposedBy []string
	Proposed   time.Time
	ApprovedBy string
	Approved   time.Time
}

// Move is a proposal that something was known later than determined before.
type Move struct {
	Clock  string
	At     time.Time
	By     string
	Reason string
	Digest string
}

// CaseAct is one act on a case.
type CaseAct struct {
	Version int64
	AtNS    int64
	By      string
	Act     string
	Note    string
	State   string // after it
}

// CaseNote is a note of a person.
type CaseNote struct {
	ID   string
	AtNS int64
	By   string
	Text string
}

// CaseFile is a file of a case, without its content.
type CaseFile struct {
	ID     string
	AtNS   int64
	By     string
	Name   string
	Media  string
	SHA256 string
	Size   int64
}

// FindingWork is how the work on a finding stands.
type FindingWork struct {
	State   string // open, triaged, attached, dismissed, suppressed
	CaseID  string
	By      string
	Code    string
	Reason  string
	AtNS    int64
	UntilNS int64 // of a suppression
}

// Due returns the clock that falls due first among those that still run; ok is
// false if none does.
func (c Case) Due() (first Clock, ok bool) {
	for _, k := range c.Clocks {
		if k.Due != "" && k.Met.IsZero() && (!ok || k.Over.Before(first.Over)) {
			first, ok = k, true
		}
	}
	return first, ok
}
