package ctl

import (
	"fmt"
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

type casesCommands struct {
	List    casesCommand      `cmd:"" default:"withargs" help:"Cases, the one that falls due first first."`
	Show    showCaseCommand   `cmd:"" help:"One case with its history, notes and files."`
	Open    openCaseCommand   `cmd:"" help:"Open a case on a finding."`
	Assign  assignCommand     `cmd:"" help:"Give a case to a person."`
	Attach  attachCommand     `cmd:"" help:"Attach a finding to a case."`
	Note    noteCommand       `cmd:"" help:"Add a note to a case."`
	File    fileCommand       `cmd:"" help:"Add a file to a case, or fetch one."`
	Propose proposeCommand    `cmd:"" help:"Propose what a case is decided to be."`
	Approve approveCommand    `cmd:"" help:"Approve the decision that is proposed, or that knowledge moves later, as a second person."`
	Return  reasonCommand     `cmd:"" help:"Send the proposed decision back."`
	Know    knowCommand       `cmd:"" help:"Determine since when something was known."`
	Clock   startClockCommand `cmd:"" help:"Start a clock of the case's pack."`
	Hold    holdCommand       `cmd:"" help:"Put a case under legal hold."`
	Close   closeCommand      `cmd:"" help:"Close a decided case."`
	Reopen  reopenCommand     `cmd:"" help:"Take a decided case up again."`
}

type casesCommand struct{}

// Run prints the cases.
func (casesCommand) Run(s *scope) error {
	rows, err := all[apitypes.Case](s, "/v1/cases", nil, 0)
	if err != nil {
		return err
	}
	return listCases(s, rows)
}

func listCases(s *scope, rows []apitypes.Case) error {
	type row = apitypes.Case
	due := func(c row) (first apitypes.Clock) {
		for _, k := range c.Clocks {
			if k.Due != "" && k.Met.IsZero() && (first.Due == "" || k.Over.Before(first.Over)) {
				first = k
			}
		}
		return first
	}
	return list(s, rows, "No cases: no rule that starts a clock has been crossed, and nobody opened one.", []column[row]{
		{name: "case_id", exact: func(c row) string { return c.ID }, title: "CASE"},
		{name: "version", exact: func(c row) string { return strconv.FormatInt(c.Version, 10) }},
		{name: "state", exact: func(c row) string { return c.State }, title: "STATE"},
		{name: "subject", exact: func(c row) string { return c.Subject }, title: "SUBJECT"},
		{name: "customer_name", exact: func(c row) string { return c.CustomerName }},
		{name: "pack", exact: func(c row) string { return c.Pack }, title: "PACK"},
		{name: "assignee", exact: func(c row) string { return c.Assignee }, title: "ASSIGNEE", text: func(c row) string { return orElse(c.Assignee, "nobody") }},
		{name: "clock", exact: func(c row) string { return due(c).Name }, title: "CLOCK"},
		{name: "due", exact: func(c row) string { return due(c).Due }, title: "DUE", text: func(c row) string { return dueText(due(c)) }},
		{name: "findings", exact: func(c row) string { return strings.Join(c.Findings, " ") }},
		{name: "opened", exact: func(c row) string { return exactTime(c.Opened) }, title: "OPENED", text: func(c row) string { return when(c.Opened) }},
	})
}

func dueText(k apitypes.Clock) string {
	switch {
	case k.Due == "":
		return ""
	case k.State == "overdue":
		return fmt.Sprintf("%s OVERDUE by %d d", k.Due, -k.DaysLeft)
	case k.State == "running":
		return fmt.Sprintf("%s in %d d", k.Due, k.DaysLeft)
	}
	return k.Due + " " + k.State
}

type caseArg struct {
	ID string `arg:"" help:"cas_…"`
}

type showCaseCommand struct{ caseArg }

// Run prints one case.
func (c showCaseCommand) Run(s *scope) error {
	one, err := one[apitypes.Case](s, "/v1/cases/"+url.PathEscape(c.ID), nil)
	if err != nil {
		return err
	}
	return printCase(s, one)
}

func printCase(s *scope, c apitypes.Case) error {
	switch s.format {
	case "json":
		return printJSON(s.out, c)
	case "csv":
		return listCases(s, []apitypes.Case{c})
	}
	line := func(name, text string) {
		if text != "" {
			s.out.say("%-10s %s\n", name, printable(text))
		}
	}
	line("case", c.ID+", version "+strconv.FormatInt(c.Version, 10))
	line("state", c.State)
	line("subject", strings.TrimSpace(c.Subject+" "+c.CustomerName))
	line("pack", c.Pack)
	line("assignee", orElse(c.Assignee, "nobody"))
	line("findings", strings.Join(c.Findings, " "))
	for _, k := range c.Clocks {
		line("clock", fmt.Sprintf("%s: due %s; known since %s, occurred %s", k.Name, dueText(k), when(k.Known), when(k.Occurred)))
	}
	if d := c.Decision; d != nil {
		second := "waits for a second person"
		if d.ApprovedBy != "" {
			second = "approved by " + d.ApprovedBy
		}
		line("decision", fmt.Sprintf("%s (%s): %s; proposed by %s, %s", d.Outcome, d.Code, d.Reason, strings.Join(d.ProposedBy, " "), second))
		line("digest", d.Digest)
	}
	if m := c.Move; m != nil {
		line("knowledge", fmt.Sprintf("%s proposes that %s was known since %s: %s; digest %s", m.By, m.Clock, when(m.At), m.Reason, m.Digest))
	}
	for _, h := range c.History {
		s.out.say("%-10s %s\n", "", printable(strings.TrimSpace(fmt.Sprintf("%s  %s  %s → %s  %s", when(h.At), h.By, h.Act, h.State, h.Note))))
	}
	for _, n := range c.Notes {
		line("note", fmt.Sprintf("%s %s: %s", when(n.At), n.By, n.Text))
	}
	for _, f := range c.Files {
		line("file", fmt.Sprintf("%s %s (%d bytes, SHA-256 %s)", f.ID, f.Name, f.Size, f.SHA256))
	}
	return nil
}

// actOn does an act on the case as it stands. Version says what the person was
// shown; 0 takes it as it is.
func actOn(s *scope, id, path string, version int64, body apitypes.CaseAct) error {
	c := object[apitypes.Case]{"/v1/cases/" + url.PathEscape(id), func(c apitypes.Case) int64 { return c.Version }, printCase}
	return c.act(s, path, version, body)
}

type versioned struct {
	Version int64 `help:"Act only if the case is still at this version."`
}

type openCaseCommand struct {
	Finding string `arg:"" help:"fnd_…"`
	Reason  string `required:"" help:"Why."`
}

// Run opens a case.
func (c openCaseCommand) Run(s *scope) error {
	out, err := send[apitypes.Case](s, "/v1/cases", map[string]string{"finding": c.Finding, "reason": c.Reason})
	if err != nil {
		return err
	}
	return printCase(s, out)
}

type assignCommand struct {
	caseArg
	versioned
	To string `required:"" help:"usr_…"`
}

// Run assigns a case.
func (c assignCommand) Run(s *scope) error {
	return actOn(s, c.ID, "assignments", c.Version, apitypes.CaseAct{To: c.To})
}

type attachCommand struct {
	caseArg
	versioned
	Finding string `arg:"" help:"fnd_…"`
}

// Run attaches a finding.
func (c attachCommand) Run(s *scope) error {
	return actOn(s, c.ID, "findings", c.Version, apitypes.CaseAct{Finding: c.Finding})
}

type noteCommand struct {
	caseArg
	Text string `arg:"" help:"The note."`
}

// Run adds a note.
func (c noteCommand) Run(s *scope) error {
	out, err := send[apitypes.Case](s, "/v1/cases/"+url.PathEscape(c.ID)+"/notes", map[string]string{"text": c.Text})
	if err != nil {
		return err
	}
	return printCase(s, out)
}

type fileCommand struct {
	caseArg
	Path string `arg:"" help:"The file to add."`
}

// Run adds a file.
func (c fileCommand) Run(s *scope) error {
	data, err := os.ReadFile(c.Path)
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	media := mime.TypeByExtension(filepath.Ext(c.Path))
	var out apitypes.Case
	err = client.do(http.MethodPost, "/v1/cases/"+url.PathEscape(c.ID)+"/files", url.Values{"name": {filepath.Base(c.Path)}}, orElse(media, "application/octet-stream"), data, &out)
	if err != nil {
		return err
	}
	return printCase(s, out)
}

type proposeCommand struct {
	caseArg
	versioned
	Outcome string `required:"" enum:"reportable,not reportable" help:"reportable or not reportable."`
	Code    string `required:"" help:"Of the reason, such as CROSSED or EXEMPT."`
	Reason  string `required:"" help:"In words."`
}

// Run proposes a decision.
func (c proposeCommand) Run(s *scope) error {
	return actOn(s, c.ID, "proposals", c.Version, apitypes.CaseAct{Outcome: c.Outcome, Code: c.Code, Reason: c.Reason})
}

type approveCommand struct {
	caseArg
	versioned
	Digest    string `arg:"" help:"Of what you approve, as cases show prints it."`
	Knowledge bool   `help:"It is a move of knowledge, not the decision."`
}

// Run approves.
func (c approveCommand) Run(s *scope) error {
	path := "approvals"
	if c.Knowledge {
		path = "knowledge-approvals"
	}
	return actOn(s, c.ID, path, c.Version, apitypes.CaseAct{Digest: c.Digest})
}

type reasonCommand struct {
	caseArg
	versioned
	Reason string `required:"" help:"Why."`
}

// Run sends a decision back.
func (c reasonCommand) Run(s *scope) error {
	return actOn(s, c.ID, "returns", c.Version, apitypes.CaseAct{Reason: c.Reason})
}

type reopenCommand struct{ reasonCommand }

// Run reopens a case.
func (c reopenCommand) Run(s *scope) error {
	return actOn(s, c.ID, "reopenings", c.Version, apitypes.CaseAct{Reason: c.Reason})
}

type holdCommand struct{ reasonCommand }

// Run holds a case.
func (c holdCommand) Run(s *scope) error {
	return actOn(s, c.ID, "holds", c.Version, apitypes.CaseAct{Reason: c.Reason})
}

type closeCommand struct {
	caseArg
	versioned
}

// Run closes a case.
func (c closeCommand) Run(s *scope) error {
	return actOn(s, c.ID, "closures", c.Version, apitypes.CaseAct{})
}

type knowCommand struct {
	reasonCommand
	Clock string    `required:"" help:"Name of the clock."`
	At    time.Time `required:"" help:"Since when it was known, as 2026-11-23T12:00:00Z."`
}

// Run determines knowledge.
func (c knowCommand) Run(s *scope) error {
	return actOn(s, c.ID, "knowledge", c.Version, apitypes.CaseAct{Clock: c.Clock, At: c.At, Reason: c.Reason})
}

type startClockCommand struct {
	reasonCommand
	Clock string    `required:"" help:"Id of a clock of the pack, such as request."`
	At    time.Time `required:"" help:"When it began to run."`
}

// Run starts a clock.
func (c startClockCommand) Run(s *scope) error {
	return actOn(s, c.ID, "clocks", c.Version, apitypes.CaseAct{Clock: c.Clock, At: c.At, Reason: c.Reason})
}

type workCommand struct {
	ID     string    `arg:"" help:"fnd_…"`
	State  string    `arg:"" enum:"triaged,dismissed,suppressed,open" help:"triaged, dismissed, suppressed or open."`
	Code   string    `help:"Of the reason; a dismissal needs one."`
	Reason string    `help:"Why."`
	Until  time.Time `help:"End of a suppression, as 2026-11-23T12:00:00Z."`
}

// Run works on a finding.
func (c workCommand) Run(s *scope) error {
	out, err := send[apitypes.FindingWork](s, "/v1/findings/"+url.PathEscape(c.ID)+"/work", apitypes.FindingAct{State: c.State, Code: c.Code, Reason: c.Reason, Until: c.Until})
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, out)
	}
	s.out.say("%s is %s\n", printable(c.ID), printable(out.State))
	return nil
}
