// Package output writes a report's document as people and programs take it: HTML,
// the readable master, PDF, XLSX and CSV. All are made of the document alone, so
// that the same document gives the same bytes at any time.
package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/report"
)

// Media are the media types of the outputs, by format.
var Media = map[string]string{
	"json": "application/json",
	"html": "text/html; charset=utf-8",
	"pdf":  "application/pdf",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"csv":  "text/csv; charset=utf-8",
}

// Write returns the document in a format: json, html, pdf, xlsx or csv.
func Write(d report.Document, format string) ([]byte, error) {
	var out []byte
	var err error
	switch format {
	case "json":
		out, err = d.JSON()
	case "html":
		out, err = HTML(d)
	case "pdf":
		out, err = PDF(d)
	case "xlsx":
		out, err = XLSX(d)
	case "csv":
		out, err = CSV(d)
	default:
		return nil, fmt.Errorf("report %s: there is no output %.20q", d.Content.Report, format)
	}
	if err != nil {
		return nil, fmt.Errorf("report %s as %s: %w", d.Content.Report, format, err)
	}
	return out, nil
}

// written is the time that outputs bear: when what they say was last approved or
// filed. It is no clock of ours.
func written(d report.Document) time.Time {
	at := time.Unix(0, 0).UTC()
	if d.Approval != nil {
		at = d.Approval.At
	}
	for _, f := range d.Filings {
		if f.At.After(at) {
			at = f.At
		}
	}
	return at.UTC().Truncate(time.Second)
}

// facts are lines on the head of a report, name and text.
func facts(d report.Document) [][2]string {
	c := d.Content
	out := [][2]string{
		{"Report", c.Report + ", edition " + fmt.Sprint(c.Edition) + ", version " + fmt.Sprint(d.Version)},
		{"Kind", string(c.Kind) + ", " + strings.ReplaceAll(string(c.Chain), "-", " ")},
		{"State", string(d.State)},
		{"Form", c.Form + ", " + d.Citation},
	}
	if c.Case != "" {
		out = append(out, [2]string{"Case", c.Case})
	}
	return out
}

// warning says what a reader must know of the text behind the form.
func warning(d report.Document) string {
	switch d.Standing {
	case "proposed":
		return "The rule behind this form is a proposal that is not in force. The form follows its list of contents."
	case "internal":
		return "For use inside the provider. This is not filed."
	}
	return ""
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// source says where a value is from.
func source(v report.Value) string {
	text := v.Source + ", as of " + when(v.AsOf)
	if v.Confidence != "" {
		text += "; " + v.Confidence
	}
	return text
}

// approvals are the lines of the section on who approved and what was filed.
func approvals(d report.Document) [][2]string {
	var out [][2]string
	if a := d.Approval; a != nil {
		out = append(out,
			[2]string{"Written by", strings.Join(a.Authors, ", ")},
			[2]string{"Approved by", a.ApprovedBy + " on " + when(a.At)})
	} else {
		out = append(out, [2]string{"Approved by", "nobody yet"})
	}
	out = append(out, [2]string{"Digest of the content (SHA-256 of RFC 8785 JSON)", d.Digest})
	for _, f := range d.Filings {
		text := fmt.Sprintf("%s by %s on %s, %s", f.Kind, f.By, when(f.At), f.Method)
		if f.RegulatorID != "" {
			text += "; id of the authority " + f.RegulatorID
		}
		if f.Status != "" {
			text += "; " + string(f.Status)
		}
		out = append(out, [2]string{fmt.Sprintf("Filed, edition %d", f.Edition), text})
	}
	if d.Checkpoint != "" {
		out = append(out, [2]string{"Checkpoint of the audit log at approval", strings.TrimSpace(d.Checkpoint)})
	}
	return out
}
