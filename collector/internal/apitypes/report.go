package apitypes

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Report is a document for an authority, or an internal one, as it stands.
type Report struct {
	ID           string          `json:"id" doc:"rep_…"`
	Version      int64           `json:"version" doc:"Send it as If-Match with each act"`
	Form         string          `json:"form"`
	Title        string          `json:"title"`
	Standing     string          `json:"standing" doc:"Of the text behind the form: proposed, final, internal"`
	Internal     bool            `json:"internal"`
	Case         string          `json:"case,omitempty"`
	Subject      string          `json:"subject"`
	CustomerName string          `json:"customer_name,omitempty"`
	Kind         string          `json:"kind" enum:"initial,correction,supplement,answer"`
	Chain        string          `json:"chain" enum:"direct,reseller-to-provider,through-reseller"`
	Edition      int             `json:"edition"`
	State        string          `json:"state" enum:"draft,in review,changes requested,approved,submitted,acknowledged,rejected,correction draft,request received,request answered,completed"`
	Missing      int             `json:"missing" doc:"Required fields that say nothing"`
	Clock        string          `json:"clock,omitempty" doc:"That a filing meets"`
	Due          *Clock          `json:"due,omitempty" doc:"That clock as it stands, while it runs"`
	Digest       string          `json:"digest" doc:"Of what it says: what a second person approves"`
	Authors      []string        `json:"authors"`
	ApprovedBy   string          `json:"approved_by,omitempty"`
	Approved     time.Time       `json:"approved,omitzero"`
	Request      string          `json:"request,omitempty"`
	Received     time.Time       `json:"received,omitzero"`
	Filings      []ReportFiling  `json:"filings"`
	Opened       time.Time       `json:"opened"`
	Changed      time.Time       `json:"changed"`
	Sections     []ReportSection `json:"sections,omitempty"`
	History      []CaseStep      `json:"history,omitempty"`
	Files        []CaseFile      `json:"files,omitempty"`
}

// ReportSection groups fields.
type ReportSection struct {
	ID     string        `json:"id"`
	Title  string        `json:"title"`
	Fields []ReportField `json:"fields"`
}

// ReportField is one thing that a report says or should say.
type ReportField struct {
	ID           string     `json:"id"`
	Title        string     `json:"title"`
	Note         string     `json:"note,omitempty"`
	Required     bool       `json:"required"`
	TakesNotHeld bool       `json:"takes_not_held"`
	Missing      bool       `json:"missing"`
	Text         string     `json:"text,omitempty"`
	Columns      []string   `json:"columns,omitempty"`
	Rows         [][]string `json:"rows,omitempty"`
	NotHeld      string     `json:"not_held,omitempty"`
	Source       string     `json:"source,omitempty"`
	AsOf         time.Time  `json:"as_of,omitzero"`
	Confidence   string     `json:"confidence,omitempty"`
}

// ReportFiling is one act of submitting.
type ReportFiling struct {
	Edition     int       `json:"edition"`
	Kind        string    `json:"kind"`
	Digest      string    `json:"digest"`
	Method      string    `json:"method"`
	At          time.Time `json:"at"`
	By          string    `json:"by"`
	Receipt     string    `json:"receipt,omitempty"`
	RegulatorID string    `json:"regulator_id,omitempty"`
	Status      string    `json:"status,omitempty"`
	Answered    time.Time `json:"answered,omitzero"`
	Note        string    `json:"note,omitempty"`
}

// NewReport asks for a report.
type NewReport struct {
	Form  string    `json:"form,omitempty" maxLength:"60" doc:"us-iaas-7308 if empty"`
	Case  string    `json:"case,omitempty" maxLength:"60" doc:"cas_…; empty for a form about the programme"`
	Chain string    `json:"chain,omitempty" enum:"direct,reseller-to-provider,through-reseller"`
	From  time.Time `json:"from,omitzero" doc:"Of a summary"`
	To    time.Time `json:"to,omitzero"`
}

// ReportFieldValue sets what a report says in a field.
type ReportFieldValue struct {
	Field   string     `json:"field" maxLength:"60"`
	Text    string     `json:"text,omitempty" maxLength:"100000"`
	Columns []string   `json:"columns,omitempty" maxItems:"12"`
	Rows    [][]string `json:"rows,omitempty" maxItems:"5000"`
	NotHeld string     `json:"not_held,omitempty" maxLength:"2000" doc:"Why there is no value"`
	Source  string     `json:"source,omitempty" maxLength:"200" doc:"Record that it is from; you, if empty"`
}

// ReportAct is what a person does on a report; which fields count follows from Act.
type ReportAct struct {
	Act         string             `json:"-"`
	Fields      []ReportFieldValue `json:"fields,omitempty" maxItems:"100"`
	All         bool               `json:"all,omitempty" doc:"Fill in over what people said as well"`
	Reason      string             `json:"reason,omitempty" maxLength:"2000"`
	Digest      string             `json:"digest,omitempty" maxLength:"64" doc:"Of what is approved"`
	Kind        string             `json:"kind,omitempty" enum:"correction,supplement"`
	Text        string             `json:"text,omitempty" maxLength:"20000" doc:"Of a request"`
	At          time.Time          `json:"at,omitzero"`
	Method      string             `json:"method,omitempty" maxLength:"200"`
	Receipt     string             `json:"receipt,omitempty" maxLength:"60" doc:"fil_… of this report"`
	RegulatorID string             `json:"regulator_id,omitempty" maxLength:"200"`
	Status      string             `json:"status,omitempty" enum:"accepted,accepted with warnings,rejected"`
}

// Filer is what the provider says of itself on reports.
type Filer struct {
	Name    string `json:"name" minLength:"1" maxLength:"300"`
	Address string `json:"address" minLength:"1" maxLength:"1000"`
	Contact string `json:"contact" minLength:"1" maxLength:"300"`
	Email   string `json:"email" minLength:"1" maxLength:"300"`
	Phone   string `json:"phone" minLength:"1" maxLength:"100"`
}

// FromReport turns the desk's view into the API's.
func FromReport(r desk.Report) Report {
	out := Report{ID: r.ID, Version: r.Version, Form: r.Form, Title: r.Title, Standing: r.Standing, Internal: r.Internal, Case: r.Case, Subject: r.Subject,
		CustomerName: r.CustomerName, Kind: r.Kind, Chain: r.Chain, Edition: r.Edition, State: r.State, Missing: r.Missing, Clock: r.Clock, Digest: r.Digest,
		Authors: texts(r.Authors), ApprovedBy: r.ApprovedBy, Approved: r.Approved, Request: r.Request, Received: r.Received, Filings: []ReportFiling{},
		Opened: Time(r.OpenedNS), Changed: Time(r.ChangedNS)}
	if r.Due.Name != "" {
		k := fromClock(r.Due)
		out.Due = &k
	}
	for _, f := range r.Filings {
		out.Filings = append(out.Filings, ReportFiling(f))
	}
	for _, s := range r.Sections {
		section := ReportSection{ID: s.ID, Title: s.Title}
		for _, f := range s.Fields {
			section.Fields = append(section.Fields, ReportField{ID: f.ID, Title: f.Title, Note: f.Note, Required: f.Required, TakesNotHeld: f.TakesNotHeld, Missing: f.Missing,
				Text: f.Value.Text, Columns: f.Value.Columns, Rows: f.Value.Rows, NotHeld: f.Value.NotHeld, Source: f.Value.Source, AsOf: f.Value.AsOf, Confidence: f.Value.Confidence})
		}
		out.Sections = append(out.Sections, section)
	}
	for _, a := range r.History {
		out.History = append(out.History, CaseStep{Version: a.Version, At: Time(a.AtNS), By: a.By, Act: a.Act, Note: a.Note, State: a.State})
	}
	for _, f := range r.Files {
		out.Files = append(out.Files, CaseFile{ID: f.ID, At: Time(f.AtNS), By: f.By, Name: f.Name, Media: f.Media, SHA256: f.SHA256, Size: f.Size})
	}
	return out
}
