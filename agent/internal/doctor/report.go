// Package doctor says what works on this host, what does not, and what to do.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Status is the result of one check.
type Status int

// The results, best first.
const (
	OK       Status = iota
	Degraded        // the agent works and some of its figures are worse or missing
	Broken          // the agent has nothing to report
)

var statusNames = map[Status]string{OK: "ok", Degraded: "degraded", Broken: "broken"}

// String returns the lower-case name.
func (s Status) String() string { return statusNames[s] }

// MarshalText writes the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Check is one question and its answer.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`            // what is so
	Advice string `json:"advice,omitempty"` // what to do, "" if nothing
}

// Report is every check, in the order in which they build on one another.
type Report struct {
	Checks []Check `json:"checks"`
}

// Status is the worst of the checks.
func (r Report) Status() Status {
	worst := OK
	for _, c := range r.Checks {
		worst = max(worst, c.Status)
	}
	return worst
}

// ExitCode is 0 if all is well, 1 if something is degraded, 2 if broken.
func (r Report) ExitCode() int { return int(r.Status()) }

// WriteTable writes the report for people.
func (r Report) WriteTable(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// The table is buffered: what goes wrong shows at Flush.
	for _, c := range r.Checks {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\n", c.Status, c.Name, oneLine(c.Found))
		if c.Advice != "" {
			_, _ = fmt.Fprintf(tw, "\t\t→ %s\n", oneLine(c.Advice))
		}
	}
	_, _ = fmt.Fprintf(tw, "\nthis host: %s\n", r.Status())
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(struct {
		Status Status `json:"status"`
		Report
	}{r.Status(), r}); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// oneLine keeps a table a table, and a terminal safe from what a driver or file
// says: everything that is not printable becomes a question mark.
func oneLine(s string) string {
	s = strings.ReplaceAll(s, "\n", "; ")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > '~' && r != '→' {
			return '?'
		}
		return r
	}, s)
}
