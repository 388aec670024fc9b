package ctl

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type reportsCommands struct {
	List    reportsCommand       `cmd:"" default:"withargs" help:"Reports, last changed first."`
	Show    showReportCommand    `cmd:"" help:"What a report says, from where, and what is missing."`
	Open    openReportCommand    `cmd:"" help:"Open a report, filled in as far as it is known."`
	Set     setReportCommand     `cmd:"" help:"Say something in a field, or in many from a JSON file."`
	Fill    fillReportCommand    `cmd:"" help:"Fill in again from ledger, runs, case and customer."`
	Propose proposeReportCommand `cmd:"" help:"Ask a second person to approve."`
	Return  returnReportCommand  `cmd:"" help:"Ask for changes."`
	Approve approveReportCommand `cmd:"" help:"Approve what a report says by its digest, as a second person."`
	Done    doneReportCommand    `cmd:"" help:"End an approved internal report."`
	Attach  attachReportCommand  `cmd:"" help:"Add a receipt or an attachment; prints its id."`
	File    fileReportCommand    `cmd:"" help:"Record that an approved report was submitted."`
	Answer  answerReportCommand  `cmd:"" help:"Record what the authority made of the filing."`
	Amend   amendReportCommand   `cmd:"" help:"Begin a correction or a supplement."`
	Ask     askReportCommand     `cmd:"" help:"Record a request for information."`
	Save    saveReportCommand    `cmd:"" help:"Save a report as json, html, pdf, xlsx or csv."`
	Bundle  bundleReportCommand  `cmd:"" help:"Save the sealed bundle: the report with all that it rests on."`
	Filer   filerCommand         `cmd:"" help:"Show or set what the provider says of itself on reports."`
}

type reportsCommand struct{}

// Run prints the reports.
func (reportsCommand) Run(s *scope) error {
	rows, err := all[apitypes.Report](s, "/v1/reports", nil, 0)
	if err != nil {
		return err
	}
	return listReports(s, rows)
}

func listReports(s *scope, rows []apitypes.Report) error {
	type row = apitypes.Report
	due := func(r row) string {
		if r.Due == nil {
			return ""
		}
		return dueText(*r.Due)
	}
	return list(s, rows, "No reports.", []column[row]{
		{name: "report_id", exact: func(r row) string { return r.ID }, title: "REPORT"},
		{name: "version", exact: func(r row) string { return strconv.FormatInt(r.Version, 10) }},
		{name: "form", exact: func(r row) string { return r.Form }, title: "FORM"},
		{name: "kind", exact: func(r row) string { return r.Kind }, title: "KIND"},
		{name: "state", exact: func(r row) string { return r.State }, title: "STATE"},
		{name: "missing", exact: func(r row) string { return strconv.Itoa(r.Missing) }, title: "MISSING", right: true},
		{name: "case", exact: func(r row) string { return r.Case }, title: "CASE"},
		{name: "subject", exact: func(r row) string { return r.Subject }, title: "SUBJECT"},
		{name: "due", exact: due, title: "DUE"},
		{name: "digest", exact: func(r row) string { return r.Digest }},
		{name: "changed", exact: func(r row) string { return exactTime(r.Changed) }, title: "CHANGED", text: func(r row) string { return when(r.Changed) }},
	})
}

type reportArg struct {
	ID string `arg:"" help:"rep_…"`
}

type reportVersioned struct {
	Version int64 `help:"Act only if the report is still at this version."`
}

type showReportCommand struct{ reportArg }

// Run prints one report.
func (c showReportCommand) Run(s *scope) error {
	r, err := one[apitypes.Report](s, "/v1/reports/"+url.PathEscape(c.ID), nil)
	if err != nil {
		return err
	}
	return printReport(s, r)
}

func printReport(s *scope, r apitypes.Report) error {
	switch s.format {
	case "json":
		return printJSON(s.out, r)
	case "csv":
		return listReports(s, []apitypes.Report{r})
	}
	line := func(name, text string) {
		if text != "" {
			s.out.say("%-10s %s\n", name, printable(text))
		}
	}
	line("report", fmt.Sprintf("%s, version %d, edition %d (%s, %s)", r.ID, r.Version, r.Edition, r.Kind, r.Chain))
	line("form", r.Form+": "+r.Title+" ("+r.Standing+")")
	line("state", r.State)
	line("case", strings.TrimSpace(r.Case+" "+r.Subject))
	if r.Due != nil {
		line("due", r.Due.Name+" "+dueText(*r.Due))
	}
	line("digest", r.Digest)
	if r.ApprovedBy != "" {
		line("approved", fmt.Sprintf("by %s at %s; written by %s", r.ApprovedBy, when(r.Approved), strings.Join(r.Authors, " ")))
	}
	for _, f := range r.Filings {
		line("filed", strings.TrimSpace(fmt.Sprintf("%s at %s by %s, %s %s %s", f.Kind, when(f.At), f.By, f.Method, f.RegulatorID, f.Status)))
	}
	for _, section := range r.Sections {
		s.out.say("\n%s\n", printable(section.Title))
		for _, f := range section.Fields {
			s.out.say("  %-22s %s\n", printable(f.ID), printable(fieldText(f)))
			for _, row := range f.Rows {
				s.out.say("  %-22s   %s\n", "", printable(strings.Join(row, " | ")))
			}
		}
	}
	if r.Missing > 0 {
		s.out.say("\n%d required fields are missing\n", r.Missing)
	}
	for _, h := range r.History {
		s.out.say("%-10s %s\n", "", printable(strings.TrimSpace(fmt.Sprintf("%s  %s  %s → %s  %s", when(h.At), h.By, h.Act, h.State, h.Note))))
	}
	return nil
}

func fieldText(f apitypes.ReportField) string {
	switch {
	case f.Missing:
		return "MISSING: " + f.Title
	case f.NotHeld != "":
		return "not held: " + f.NotHeld
	case f.Text != "":
		return f.Text
	case len(f.Rows) > 0:
		return strings.Join(f.Columns, " | ")
	}
	return "–"
}

// actOnReport does an act on the report as it stands, or at the version given.
func actOnReport(s *scope, id, path string, version int64, body apitypes.ReportAct) error {
	r := object[apitypes.Report]{"/v1/reports/" + url.PathEscape(id), func(r apitypes.Report) int64 { return r.Version }, printReport}
	return r.act(s, path, version, body)
}

type openReportCommand struct {
	Case  string    `help:"cas_…; none for a form about the programme."`
	Form  string    `help:"us-iaas-7308, us-iaas-certification or monthly-summary." default:"us-iaas-7308"`
	Chain string    `help:"direct, reseller-to-provider or through-reseller." default:"direct" enum:"direct,reseller-to-provider,through-reseller"`
	From  time.Time `help:"Begin of a summary, as 2026-10-01T00:00:00Z."`
	To    time.Time `help:"End of a summary, excluded."`
}

// Run opens a report.
func (c openReportCommand) Run(s *scope) error {
	out, err := send[apitypes.Report](s, "/v1/reports", apitypes.NewReport{Form: c.Form, Case: c.Case, Chain: c.Chain, From: c.From, To: c.To})
	if err != nil {
		return err
	}
	return printReport(s, out)
}

type setReportCommand struct {
	reportArg
	reportVersioned
	Field   string `arg:"" optional:"" help:"Field, as show prints it."`
	Text    string `arg:"" optional:"" help:"What it says."`
	NotHeld string `help:"It is not held, for this reason."`
	Source  string `help:"Record that it is from."`
	From    string `help:"JSON file: a list of {field, text, columns, rows, not_held, source}." type:"existingfile"`
}

// Run sets fields.
func (c setReportCommand) Run(s *scope) error {
	fields := []apitypes.ReportFieldValue{{Field: c.Field, Text: c.Text, NotHeld: c.NotHeld, Source: c.Source}}
	if c.From != "" {
		data, err := os.ReadFile(c.From)
		if err != nil {
			return fmt.Errorf("read fields: %w", err)
		}
		if err := json.Unmarshal(data, &fields); err != nil {
			return fmt.Errorf("%s: must be a list of fields: %w", c.From, err)
		}
	}
	return actOnReport(s, c.ID, "fields", c.Version, apitypes.ReportAct{Fields: fields})
}

type fillReportCommand struct {
	reportArg
	reportVersioned
	All bool `help:"Also over what people said."`
}

// Run fills a report in.
func (c fillReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "fills", c.Version, apitypes.ReportAct{All: c.All})
}

type proposeReportCommand struct {
	reportArg
	reportVersioned
}

// Run proposes a report.
func (c proposeReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "proposals", c.Version, apitypes.ReportAct{})
}

type returnReportCommand struct {
	reportArg
	reportVersioned
	Reason string `required:"" help:"What to change."`
}

// Run asks for changes.
func (c returnReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "returns", c.Version, apitypes.ReportAct{Reason: c.Reason})
}

type approveReportCommand struct {
	reportArg
	reportVersioned
	Digest string `arg:"" help:"Of what you approve, as show prints it."`
}

// Run approves a report.
func (c approveReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "approvals", c.Version, apitypes.ReportAct{Digest: c.Digest})
}

type doneReportCommand struct {
	reportArg
	reportVersioned
}

// Run ends an internal report.
func (c doneReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "completions", c.Version, apitypes.ReportAct{})
}

type attachReportCommand struct {
	reportArg
	Path string `arg:"" help:"The file to add." type:"existingfile"`
}

// Run adds a file.
func (c attachReportCommand) Run(s *scope) error {
	data, err := os.ReadFile(c.Path)
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	var out apitypes.Report
	err = client.do(http.MethodPost, "/v1/reports/"+url.PathEscape(c.ID)+"/files", url.Values{"name": {filepath.Base(c.Path)}}, orElse(mime.TypeByExtension(filepath.Ext(c.Path)), "application/octet-stream"), data, &out)
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, out.Files[len(out.Files)-1])
	}
	s.out.say("%s\n", printable(out.Files[len(out.Files)-1].ID))
	return nil
}

type fileReportCommand struct {
	reportArg
	reportVersioned
	Method      string    `required:"" help:"How it was submitted, such as portal or courier."`
	At          time.Time `help:"When, as 2026-11-23T12:00:00Z; now if not given."`
	Receipt     string    `help:"fil_… of the receipt, as attach printed it."`
	RegulatorID string    `help:"The authority's id, if it gave one."`
}

// Run records a filing.
func (c fileReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "filings", c.Version, apitypes.ReportAct{Method: c.Method, At: c.At, Receipt: c.Receipt, RegulatorID: c.RegulatorID})
}

type answerReportCommand struct {
	reportArg
	reportVersioned
	Status      string `required:"" enum:"accepted,accepted with warnings,rejected" help:"accepted, accepted with warnings or rejected."`
	RegulatorID string `help:"The authority's id."`
	Receipt     string `help:"fil_… of the acknowledgement."`
	Reason      string `help:"Why it was rejected, or a note."`
}

// Run records an answer.
func (c answerReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "answers", c.Version, apitypes.ReportAct{Status: c.Status, RegulatorID: c.RegulatorID, Receipt: c.Receipt, Reason: c.Reason})
}

type amendReportCommand struct {
	reportArg
	reportVersioned
	Kind       string    `required:"" enum:"correction,supplement" help:"correction or supplement."`
	Discovered time.Time `help:"When the error or change was found, as 2026-11-23T12:00:00Z; now if not given."`
	Reason     string    `help:"Why."`
}

// Run begins the next edition.
func (c amendReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "amendments", c.Version, apitypes.ReportAct{Kind: c.Kind, At: c.Discovered, Reason: c.Reason})
}

type askReportCommand struct {
	reportArg
	reportVersioned
	Text     string    `arg:"" help:"What was asked."`
	Received time.Time `required:"" help:"When it came in, as 2026-11-23T12:00:00Z."`
}

// Run records a request.
func (c askReportCommand) Run(s *scope) error {
	return actOnReport(s, c.ID, "requests", c.Version, apitypes.ReportAct{Text: c.Text, At: c.Received})
}

type saveReportCommand struct {
	reportArg
	Format  string `help:"json, html, pdf, xlsx or csv." enum:"json,html,pdf,xlsx,csv" default:"html"`
	Version int64  `help:"Version of the report; the newest if not given."`
	Out     string `required:"" help:"File to write; - is standard output." type:"path"`
}

// Run saves an output.
func (c saveReportCommand) Run(s *scope) error {
	return save(s, "/v1/reports/"+url.PathEscape(c.ID)+"/outputs/"+c.Format, url.Values{"version": {strconv.FormatInt(c.Version, 10)}}, c.Out)
}

type bundleReportCommand struct {
	reportArg
	Version int64  `help:"Version of the report; the newest if not given."`
	Out     string `required:"" help:"File to write." type:"path"`
}

// Run saves a bundle.
func (c bundleReportCommand) Run(s *scope) error {
	return save(s, "/v1/reports/"+url.PathEscape(c.ID)+"/bundle", url.Values{"version": {strconv.FormatInt(c.Version, 10)}}, c.Out)
}

// save writes what a route answers to a file, which is there whole or not at all.
func save(s *scope, path string, query url.Values, to string) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if to == "-" {
		return client.download(path, query, s.out)
	}
	part := to + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	err = client.download(path, query, file)
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(part, to)
	} else {
		_ = os.Remove(part) // what is half written is of no use
	}
	return err
}

// download copies a body of any size.
func (c *client) download(path string, query url.Values, to io.Writer) error {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.base, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	patient := *c.http
	patient.Timeout = 0 // a bundle is large; an interrupt ends it
	answer, err := patient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.base, err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read to its end
	if answer.StatusCode != http.StatusOK {
		var p apitypes.Problem
		if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&p); err != nil || p.Status == 0 {
			return fmt.Errorf("%s answered %s", c.base, answer.Status)
		}
		return &p
	}
	if _, err := io.Copy(to, answer.Body); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}

type filerCommand struct {
	Set string `help:"JSON file with name, address, contact, email and phone." type:"existingfile"`
}

// Run shows or sets the filer.
func (c filerCommand) Run(s *scope) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	var f apitypes.Filer
	if c.Set == "" {
		err = client.do(http.MethodGet, "/v1/filer", nil, "", nil, &f)
	} else {
		var data []byte
		if data, err = os.ReadFile(c.Set); err != nil {
			return fmt.Errorf("read filer: %w", err)
		}
		err = client.do(http.MethodPut, "/v1/filer", nil, "application/json", data, &f)
	}
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, f)
	}
	s.out.say("%s\n%s\n%s\n%s\n%s\n", printable(f.Name), printable(f.Address), printable(f.Contact), printable(f.Email), printable(f.Phone))
	return nil
}
