package ctl

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// gradeColumns are the columns of the grades of observed time.
func gradeColumns[T any](of func(T) apitypes.Evidence) []column[T] {
	return []column[T]{
		{name: "evidence_grade", exact: func(t T) string { return of(t).Grade }, title: "EVIDENCE", text: func(t T) string { return orElse(gradeText(of(t)), "none") }},
		{name: "claimed_seconds", exact: func(t T) string { return of(t).Claimed.String() }},
		{name: "provider_seconds", exact: func(t T) string { return of(t).Provider.String() }},
		{name: "corroborated_seconds", exact: func(t T) string { return of(t).Corroborated.String() }},
		{name: "attested_seconds", exact: func(t T) string { return of(t).Attested.String() }},
		{name: "contradicted_seconds", exact: func(t T) string { return of(t).Contradicted.String() }},
	}
}

// gradeText is the lowest grade, and what part of the time has a higher one.
func gradeText(e apitypes.Evidence) string {
	all := e.Claimed + e.Provider + e.Corroborated + e.Attested
	if all == 0 || e.Grade == "" {
		return ""
	}
	text := e.Grade
	if e.Corroborated > 0 && e.Grade != "E2" {
		text += fmt.Sprintf(", %s corroborated", percent(float64(e.Corroborated)/float64(all)))
	}
	if e.Contradicted > 0 {
		text += fmt.Sprintf(", %s contradicted", percent(float64(e.Contradicted)/float64(all)))
	}
	return text
}

func gradeFields(e apitypes.Evidence) []field {
	return []field{
		{"evidence_grade", e.Grade, gradeText(e)},
		seconds("claimed_seconds", e.Claimed), seconds("provider_seconds", e.Provider), seconds("corroborated_seconds", e.Corroborated),
		seconds("attested_seconds", e.Attested), seconds("contradicted_seconds", e.Contradicted),
	}
}

type powerCommand struct {
	Host  string `help:"Only of this host."`
	Limit int    `help:"Most quarters of an hour to print, at most 1000." default:"200"`
}

// Run prints how meters compare with hosts.
func (p powerCommand) Run(s *scope) error {
	type row = apitypes.PowerSlot
	query := url.Values{"limit": {number(p.Limit)}}
	if p.Host != "" {
		query.Set("host", p.Host)
	}
	rows, err := one[apitypes.List[row]](s, "/v1/power", query)
	if err != nil {
		return err
	}
	kilowatts := func(r row, mj int64) string {
		return fmt.Sprintf("%.2f kW", float64(mj)/1e6/r.End.Sub(r.Start).Seconds())
	}
	return list(s, rows.Items, "No readings yet: import with flopwatchctl power import FILE.", []column[row]{
		{name: "host", exact: func(r row) string { return r.Host }, title: "HOST"},
		{name: "name", exact: func(r row) string { return r.HostName }, title: "NAME"},
		{name: "kind", exact: func(r row) string { return r.Kind }, title: "METER"},
		{name: "start", exact: func(r row) string { return exactTime(r.Start) }, title: "FROM", text: func(r row) string { return when(r.Start) }},
		{name: "end", exact: func(r row) string { return exactTime(r.End) }},
		{name: "drawn_mj", exact: func(r row) string { return number(r.DrawnMJ) }, title: "DRAWN", text: func(r row) string { return kilowatts(r, r.DrawnMJ) }, right: true},
		{name: "overhead_mj", exact: func(r row) string { return number(r.OverheadMJ) }, title: "NOT FOR DEVICES", text: func(r row) string { return kilowatts(r, r.OverheadMJ) }, right: true},
		{name: "reported_mj", exact: func(r row) string { return number(r.ReportedMJ) }, title: "REPORTED", text: func(r row) string { return kilowatts(r, r.ReportedMJ) }, right: true},
		{name: "answer", exact: func(r row) string { return r.Answer }, title: "ANSWER"},
		{name: "reason", exact: func(r row) string { return r.Reason }},
	})
}

type importPowerCommand struct {
	File   string `arg:"" help:"CSV or NDJSON file; NDJSON when its name ends in .ndjson or .json." type:"existingfile"`
	DryRun bool   `help:"Say what would change and write nothing."`
}

// Run sends the file and prints what changed. Faults of the file are an error
// that names each.
func (i importPowerCommand) Run(s *scope) error {
	var diff apitypes.PowerDiff
	if err := (fileImport{"power", i.File, i.DryRun}).send(s, http.MethodPut, "/v1/power", rowsOrLines(i.File), &diff); err != nil {
		return err
	}
	if s.format != "table" {
		return fields(s, diff, []field{{"new", number(diff.New), ""}, {"unchanged", number(diff.Unchanged), ""}})
	}
	if diff.DryRun {
		s.out.say("dry run, nothing written: ")
	}
	s.out.say("%d new readings, %d that were there already\n", diff.New, diff.Unchanged)
	return nil
}
