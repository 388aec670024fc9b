package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/report"
)

// Reports returns the reports as they stand, the last changed first.
func (r *Reader) Reports(ctx context.Context) ([]desk.Report, error) {
	return from(ctx, r.store, &r.lists, "reports", func() ([]desk.Report, error) { return r.readReports(ctx) })
}

func (r *Reader) readReports(ctx context.Context) ([]desk.Report, error) {
	var out []desk.Report
	err := r.view(ctx, "reports", func(tx *sql.Tx) error {
		known, err := customers(ctx, tx)
		if err != nil {
			return err
		}
		type row struct {
			id              string
			version         int64
			changed, opened int64
			body            []byte
		}
		var all []row
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var x row
			err := rows.Scan(&x.id, &x.version, &x.changed, &x.opened, &x.body)
			all = append(all, x)
			return err
		}, `SELECT id, version, at_ns, (SELECT min(at_ns) FROM report_change WHERE id = c.id), body FROM report_change c
			WHERE version = (SELECT max(version) FROM report_change WHERE id = c.id)`)
		if err != nil {
			return err
		}
		for _, x := range all {
			rep, err := decodeReport(x.id, x.version, x.body)
			if err != nil {
				return err
			}
			v, err := r.viewReport(ctx, tx, rep, known)
			if err != nil {
				return err
			}
			v.OpenedNS, v.ChangedNS, v.Sections = x.opened, x.changed, nil
			out = append(out, v)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b desk.Report) int {
		return cmp.Or(cmp.Compare(b.ChangedNS, a.ChangedNS), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

// Report returns one report with what it says, its history and its files; ok is
// false if there is none.
func (r *Reader) Report(ctx context.Context, id string) (out desk.Report, ok bool, err error) {
	err = r.view(ctx, "report", func(tx *sql.Tx) error {
		rep, err := readReport(ctx, tx, id, 0)
		if errors.Is(err, ErrNoReport) {
			return nil
		}
		if err != nil {
			return err
		}
		known, err := customers(ctx, tx)
		if err != nil {
			return err
		}
		if out, err = r.viewReport(ctx, tx, rep, known); err != nil {
			return err
		}
		ok = true
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var a desk.CaseAct
			err := rows.Scan(&a.Version, &a.AtNS, &a.By, &a.Act, &a.Note, &a.State)
			out.History = append(out.History, a)
			return err
		}, "SELECT version, at_ns, actor, act, note, state FROM report_change WHERE id = ? ORDER BY version", id)
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		out.OpenedNS, out.ChangedNS = out.History[0].AtNS, out.History[len(out.History)-1].AtNS
		return each(ctx, tx, func(rows *sql.Rows) error {
			var f desk.CaseFile
			err := rows.Scan(&f.ID, &f.AtNS, &f.By, &f.Name, &f.Media, &f.SHA256, &f.Size)
			out.Files = append(out.Files, f)
			return err
		}, "SELECT id, at_ns, actor, name, media, lower(hex(sha256)), length(content) FROM report_file WHERE report = ? ORDER BY at_ns, id", id)
	})
	return out, ok, err
}

// formOf returns the form of a report. A form that is no longer shipped is
// unknown, and what was written on it stays readable in earlier outputs only.
func formOf(r report.Report) (*report.Form, error) {
	for _, f := range report.Forms() {
		if f.ID == r.Form {
			return f, nil
		}
	}
	return nil, fmt.Errorf("report %s is on form %.60q, which this version does not know", r.ID, r.Form)
}

func (r *Reader) viewReport(ctx context.Context, tx *sql.Tx, rep report.Report, known map[string]party.Customer) (desk.Report, error) {
	f, err := formOf(rep)
	if err != nil {
		return desk.Report{}, err
	}
	digest, err := rep.Digest()
	if err != nil {
		return desk.Report{}, err
	}
	out := desk.Report{ID: rep.ID, Version: rep.Version, Form: rep.Form, Title: f.Title, Standing: f.Status, Internal: f.Internal, Case: rep.Case, Subject: rep.Subject,
		CustomerName: known[rep.Subject].Name, Kind: string(rep.Kind), Chain: string(rep.Chain), Edition: rep.Edition, State: string(rep.State), Editable: rep.State.Editable(),
		Missing: len(rep.Missing(f)), Clock: f.Clock(rep.Kind, rep.Chain), Digest: hexOf(digest), Authors: rep.Proposal.Authors,
		ApprovedBy: rep.Approval.By, Approved: rep.Approval.At, Request: rep.Request.Text, Received: rep.Request.Received}
	for _, x := range rep.Filings {
		out.Filings = append(out.Filings, desk.ReportFiling{Edition: x.Edition, Kind: string(x.Kind), Digest: x.Digest, Method: x.Method, At: x.At, By: x.By,
			Receipt: x.Receipt, RegulatorID: x.RegulatorID, Status: string(x.Status), Answered: x.Answered, Note: x.Note})
	}
	for _, s := range f.Sections {
		section := desk.ReportSection{ID: s.ID, Title: s.Title}
		for _, field := range s.Fields {
			if !field.In(rep.Kind, rep.Chain) {
				continue
			}
			v := rep.Values[field.ID]
			shown := desk.ReportField{ID: field.ID, Title: field.Title, Note: field.Note, Required: field.Required, TakesNotHeld: field.NotHeld, Long: field.Long,
				Missing: field.Required && v.Empty(), Value: desk.ReportValue{Text: v.Text, NotHeld: v.NotHeld, Source: v.Source, AsOf: v.AsOf, Confidence: v.Confidence}}
			if v.Table != nil {
				shown.Value.Columns, shown.Value.Rows = v.Table.Columns, v.Table.Rows
			}
			section.Fields = append(section.Fields, shown)
		}
		if len(section.Fields) > 0 {
			out.Sections = append(out.Sections, section)
		}
	}
	if rep.Case == "" || out.Clock == "" {
		return out, nil
	}
	c, err := readCase(ctx, tx, rep.Case)
	if err != nil {
		return out, err
	}
	if name, ok := c.Running(out.Clock); ok {
		out.Due = clockOf(c, name, r.store.opts.Now())
	}
	return out, nil
}

func clockOf(c casefile.Case, name string, now time.Time) desk.Clock {
	for _, k := range c.Clocks {
		if k.Name == name {
			return viewClock(k, now)
		}
	}
	return desk.Clock{}
}

// ReportVersion returns a report as it was at a version, the newest for 0, with
// its form. The error wraps ErrNoReport.
func (r *Reader) ReportVersion(ctx context.Context, id string, version int64) (rep report.Report, f *report.Form, err error) {
	err = r.view(ctx, "report", func(tx *sql.Tx) error {
		if rep, err = readReport(ctx, tx, id, version); err != nil {
			return err
		}
		f, err = formOf(rep)
		return err
	})
	return rep, f, err
}

// ReportFileContent returns a file of a report; ok is false if there is none.
func (r *Reader) ReportFileContent(ctx context.Context, report, id string) (f desk.CaseFile, content []byte, ok bool, err error) {
	err = r.view(ctx, "file of a report", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT id, at_ns, actor, name, media, lower(hex(sha256)), length(content), content FROM report_file WHERE report = ? AND id = ?", report, id).
			Scan(&f.ID, &f.AtNS, &f.By, &f.Name, &f.Media, &f.SHA256, &f.Size, &content)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		ok = err == nil
		return err
	})
	return f, content, ok, err
}
