package ctl

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// field is one line of a view that is not a list.
type field struct{ name, exact, text string }

// fields prints a view: a line each in a table, one record each in CSV.
func fields(s *scope, view any, lines []field) error {
	if s.format == "json" {
		return printJSON(s.out, view)
	}
	return list(s, lines, "", []column[field]{
		{name: "name", exact: func(f field) string { return f.name }, title: "WHAT"},
		{name: "value", exact: func(f field) string { return f.exact }, title: "VALUE", text: func(f field) string { return orElse(f.text, f.exact) }},
	})
}

func seconds(name string, s apitypes.Seconds) field { return field{name, s.String(), span(s)} }

func bounds(name string, b apitypes.Bounds) []field {
	return []field{
		{name + "_low", b.Low, operations(b.Low)},
		{name + "_best", b.Best, operations(b.Best)},
		{name + "_high", b.High, operations(b.High)},
	}
}

func totalsFields(t apitypes.Totals) []field {
	lines := []field{
		{"from", exactTime(t.From), "the beginning"},
		{"to", exactTime(t.To), when(t.To)},
		seconds("attributed_seconds", t.Attributed), seconds("idle_seconds", t.Idle),
		seconds("unattributed_seconds", t.Unattributed), seconds("unobserved_seconds", t.Unobserved),
		seconds("elapsed_seconds", t.Elapsed), seconds("overlap_seconds", t.Overlap),
	}
	if !t.From.IsZero() {
		lines[0].text = when(t.From)
	}
	lines = append(lines, bounds("empirical", t.Figure.Empirical)...)
	lines = append(lines, bounds("theoretical", t.Figure.Theoretical)...)
	lines = append(lines, bounds("unseen", t.Unseen)...)
	if t.Evidence != nil {
		lines = append(lines, gradeFields(*t.Evidence)...)
	}
	return append(lines,
		field{"ceiling", t.Figure.Ceiling, operations(t.Figure.Ceiling)},
		field{"coverage", fmt.Sprint(t.Figure.Coverage), percent(t.Figure.Coverage)},
		field{"methods", strings.Join(t.Figure.Methods, " "), ""},
		field{"hosts", number(t.Hosts), ""}, field{"devices", number(t.Devices), ""},
		field{"segments", number(t.Segments), ""}, field{"windows", number(t.Windows), ""},
	)
}

type totalsCommand struct {
	From string `help:"Start, RFC 3339; the beginning of the ledger when absent." placeholder:"TIME"`
	To   string `help:"End (excluded), RFC 3339; the newest committed window when absent." placeholder:"TIME"`
}

// Run prints the ledger of a span.
func (t totalsCommand) Run(s *scope) error {
	query := url.Values{}
	if t.From != "" {
		query.Set("from", t.From)
	}
	if t.To != "" {
		query.Set("to", t.To)
	}
	view, err := one[apitypes.Totals](s, "/v1/ledger/totals", query)
	if err != nil {
		return err
	}
	return fields(s, view, totalsFields(view))
}

type checkCommand struct{}

// Run prints the verdict and fails when the ledger does not balance.
func (checkCommand) Run(s *scope) error {
	view, err := one[apitypes.Check](s, "/v1/ledger/check", nil)
	if err != nil {
		return err
	}
	if s.format != "table" {
		lines := []field{{"balanced", fmt.Sprint(view.Balanced), ""}, {"devices", number(view.Devices), ""}}
		for _, p := range view.Problems {
			lines = append(lines, field{"problem", p, ""})
		}
		if err := fields(s, view, lines); err != nil {
			return err
		}
	} else if t := view.Totals; view.Balanced {
		s.out.say("balanced: %d devices; attributed %s + idle %s + unattributed %s + unobserved %s = elapsed %s\n",
			view.Devices, span(t.Attributed), span(t.Idle), span(t.Unattributed), span(t.Unobserved), span(t.Elapsed))
	} else {
		s.out.say("NOT in balance: %d devices looked at\n", view.Devices)
		for _, p := range view.Problems {
			s.out.say("  %s\n", printable(p))
		}
	}
	if !view.Balanced {
		return errUnbalanced
	}
	return nil
}

type statusCommand struct{}

func (statusCommand) Run(s *scope) error {
	view, err := one[apitypes.Status](s, "/v1/status", nil)
	if err != nil {
		return err
	}
	return fields(s, view, []field{
		{"version", view.Version, ""}, {"demonstration", fmt.Sprint(view.Demonstration), ""},
		{"watermark", exactTime(view.Watermark), when(view.Watermark)},
		{"batches", number(view.Batches), ""}, {"quarantined", number(view.Quarantined), ""}, {"revision", number(view.Revision), ""},
	})
}

type loginCommand struct{}

func (loginCommand) Run(s *scope) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	var link apitypes.LoginLink
	if err := c.do(http.MethodPost, "/v1/login-links", nil, "", nil, &link); err != nil {
		return err
	}
	if s.format != "table" {
		return fields(s, link, []field{{"url", link.URL, ""}, {"expires", exactTime(link.Expires), ""}})
	}
	s.out.say("%s\nworks once, until %s\n", printable(link.URL), when(link.Expires))
	return nil
}

type importCommand struct {
	File   string `arg:"" help:"CSV or JSON file; JSON when its name ends in .json." type:"existingfile"`
	DryRun bool   `help:"Say what would change and write nothing."`
}

// Run sends the file and prints what changed. Faults of the file are an error
// that names each.
func (i importCommand) Run(s *scope) error {
	media := "text/csv"
	if strings.EqualFold(filepath.Ext(i.File), ".json") {
		media = "application/json"
	}
	var diff apitypes.Diff
	if err := (fileImport{"customers", i.File, i.DryRun}).send(s, http.MethodPost, "/v1/customers/import", media, &diff); err != nil {
		return err
	}
	if s.format != "table" {
		return fields(s, diff, []field{
			{"new", number(len(diff.New)), ""}, {"changed", number(len(diff.Changed)), ""}, {"unchanged", number(len(diff.Unchanged)), ""},
		})
	}
	if diff.DryRun {
		s.out.say("dry run, nothing written: ")
	}
	s.out.say("%d new, %d changed, %d unchanged\n", len(diff.New), len(diff.Changed), len(diff.Unchanged))
	for _, part := range []struct {
		what string
		ids  []string
	}{{"new", diff.New}, {"changed", diff.Changed}} {
		for _, id := range part.ids {
			s.out.say("  %s %s\n", part.what, printable(id))
		}
	}
	return nil
}

// plainName is a file's name as the API takes it; other characters become a dash.
func plainName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < 128 && (r == '.' || r == '_' || r == ' ' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), 100)]
}
