package desk

import "time"

// Report is a document for an authority, or an internal one, as it stands.
type Report struct {
	ID           string // rep_…
	Version      int64  // grows with each act
	Form         string
	Title        string
	Standing     string // of the text behind the form: proposed, final, internal
	Internal     bool   // it is never filed
	Case         string // cas_…, "" of a report about the programme
	Subject      string
	CustomerName string // "" where the subject is no known customer
	Kind         string // initial, correction, supplement, answer
	Chain        string // direct, reseller-to-provider, through-reseller
	Edition      int
	State        string
	Editable     bool
	Missing      int    // required fields that say nothing
	Clock        string // that a filing meets, "" for none
	Due          Clock  // that clock as it stands; zero if none runs
	Digest       string // of what it says: what a second person approves
	Authors      []string
	ApprovedBy   string
	Approved     time.Time
	Request      string // that it answers
	Received     time.Time
	Filings      []ReportFiling
	OpenedNS     int64
	ChangedNS    int64

	Sections []ReportSection // of a single report only
	History  []CaseAct       // the first first; of a single report only
	Files    []CaseFile      // of a single report only
}

// ReportSection groups fields.
type ReportSection struct {
	ID     string
	Title  string
	Fields []ReportField
}

// ReportField is one thing that a report says or should say.
type ReportField struct {
	ID           string
	Title        string
	Note         string // for who fills it in
	Required     bool
	TakesNotHeld bool // "not held" with a reason is an answer
	Long         bool
	Missing      bool // required, and nothing is said
	Value        ReportValue
}

// ReportValue is what a field says and how it knows. Nothing is said if all of
// Text, Rows and NotHeld are empty.
type ReportValue struct {
	Text       string
	Columns    []string
	Rows       [][]string
	NotHeld    string
	Source     string
	AsOf       time.Time
	Confidence string
}

// ReportFiling is one act of submitting.
type ReportFiling struct {
	Edition     int
	Kind        string
	Digest      string
	Method      string
	At          time.Time
	By          string
	Receipt     string
	RegulatorID string
	Status      string // "" while nothing came back
	Answered    time.Time
	Note        string
}
