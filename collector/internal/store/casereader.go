package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Cases returns the cases as they stand: the one that falls due first first,
// then those without a clock that runs, the newest of them first.
func (r *Reader) Cases(ctx context.Context) ([]desk.Case, error) {
	return r.cases.get(ctx, r.store, func() ([]desk.Case, error) { return r.readCases(ctx) })
}

func (r *Reader) readCases(ctx context.Context) ([]desk.Case, error) {
	var out []desk.Case
	err := r.view(ctx, "cases", func(tx *sql.Tx) error {
		known, err := customers(ctx, tx)
		if err != nil {
			return err
		}
		now := r.store.opts.Now()
		return each(ctx, tx, func(rows *sql.Rows) error {
			c, err := viewCase(rows, now, known)
			out = append(out, c)
			return err
		}, "SELECT "+caseViewColumns+" FROM case_change c WHERE version = (SELECT max(version) FROM case_change WHERE id = c.id)")
	})
	slices.SortFunc(out, func(a, b desk.Case) int {
		x, hasX := a.Due()
		y, hasY := b.Due()
		switch {
		case hasX && hasY && !x.Over.Equal(y.Over):
			return x.Over.Compare(y.Over)
		case hasX != hasY:
			return map[bool]int{true: -1, false: 1}[hasX]
		}
		return cmp.Or(cmp.Compare(b.OpenedNS, a.OpenedNS), cmp.Compare(a.ID, b.ID))
	})
	return out, err
}

const caseViewColumns = caseColumns + ", at_ns, (SELECT min(at_ns) FROM case_change WHERE id = c.id)"

func viewCase(row interface{ Scan(...any) error }, now time.Time, known map[string]party.Customer) (desk.Case, error) {
	var c casefile.Case
	var body []byte
	var changed, opened int64
	if err := row.Scan(&c.ID, &c.Version, &c.Subject, &c.Obligation, &c.State, &body, &changed, &opened); err != nil {
		return desk.Case{}, err
	}
	if err := decodeCase(&c, body); err != nil {
		return desk.Case{}, err
	}
	out := viewOf(c, now)
	out.CustomerName, out.OpenedNS, out.ChangedNS = known[c.Subject].Name, opened, changed
	return out, nil
}

// viewOf returns a case as people read it at an instant.
func viewOf(c casefile.Case, now time.Time) desk.Case {
	out := desk.Case{ID: c.ID, Version: c.Version, Subject: c.Subject, Pack: c.Obligation, State: string(c.State), Assignee: c.Assignee, Findings: c.Findings, Held: c.Held}
	for _, k := range c.Clocks {
		out.Clocks = append(out.Clocks, viewClock(k, now))
	}
	if c.Decision.Outcome != "" {
		out.Decision = desk.Decision{Outcome: string(c.Decision.Outcome), Code: c.Decision.Code, Reason: c.Decision.Reason, Digest: hexOf(c.Proposal.Digest),
			ProposedBy: c.Proposal.Authors, Proposed: c.Proposal.At, ApprovedBy: c.Approval.By, Approved: c.Approval.At}
	}
	if c.Move.Clock != "" {
		out.Move = desk.Move{Clock: c.Move.Clock, At: c.Move.At, By: c.Move.By, Reason: c.Move.Reason, Digest: hexOf(c.MoveProposal.Digest)}
	}
	return out
}

func hexOf(d approval.Digest) string { return hex.EncodeToString(d[:]) }

func viewClock(k clock.Clock, now time.Time) desk.Clock {
	s := k.Standing(now)
	out := desk.Clock{Name: k.Name, Basis: string(k.Basis), Days: k.Days, Zone: k.Zone.String(), Occurred: k.Occurred, Signalled: k.Signalled,
		Known: k.KnownAt(now), State: string(s.State), DaysLeft: s.DaysLeft, Met: k.Met}
	if s.State != clock.Waiting {
		out.Due, out.Over = s.Due.Date.String(), s.Due.Over
	}
	return out
}

// Case returns one case with its history, notes and files; ok is false if there
// is none.
func (r *Reader) Case(ctx context.Context, id string) (out desk.Case, ok bool, err error) {
	err = r.view(ctx, "case", func(tx *sql.Tx) error {
		known, err := customers(ctx, tx)
		if err != nil {
			return err
		}
		out, err = viewCase(tx.QueryRowContext(ctx, "SELECT "+caseViewColumns+" FROM case_change c WHERE id = ? ORDER BY version DESC LIMIT 1", id), r.store.opts.Now(), known)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ok = true
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var a desk.CaseAct
			err := rows.Scan(&a.Version, &a.AtNS, &a.By, &a.Act, &a.Note, &a.State)
			out.History = append(out.History, a)
			return err
		}, "SELECT version, at_ns, actor, act, note, state FROM case_change WHERE id = ? ORDER BY version", id)
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var n desk.CaseNote
			err := rows.Scan(&n.ID, &n.AtNS, &n.By, &n.Text)
			out.Notes = append(out.Notes, n)
			return err
		}, "SELECT id, at_ns, actor, text FROM case_note WHERE case_id = ? ORDER BY at_ns, id", id)
		if err != nil {
			return fmt.Errorf("notes: %w", err)
		}
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var f desk.CaseFile
			err := rows.Scan(&f.ID, &f.AtNS, &f.By, &f.Name, &f.Media, &f.SHA256, &f.Size)
			out.Files = append(out.Files, f)
			return err
		}, "SELECT id, at_ns, actor, name, media, lower(hex(sha256)), length(content) FROM case_file WHERE case_id = ? ORDER BY at_ns, id", id)
		if err != nil {
			return fmt.Errorf("files: %w", err)
		}
		return nil
	})
	return out, ok, err
}

// CaseFileContent returns a file of a case; ok is false if there is none.
func (r *Reader) CaseFileContent(ctx context.Context, caseID, id string) (f desk.CaseFile, content []byte, ok bool, err error) {
	err = r.view(ctx, "file of a case", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT id, at_ns, actor, name, media, lower(hex(sha256)), length(content), content FROM case_file WHERE case_id = ? AND id = ?", caseID, id).
			Scan(&f.ID, &f.AtNS, &f.By, &f.Name, &f.Media, &f.SHA256, &f.Size, &content)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		ok = err == nil
		return err
	})
	return f, content, ok, err
}

// FindingWork returns how the work on findings stands, by their ids: of those
// named, or of all where ids is nil. A finding on which nobody worked is not in it:
// it is open. A suppression that ended, or that the finding's subject outgrew, is
// open again.
func (r *Reader) FindingWork(ctx context.Context, ids []string) (map[string]desk.FindingWork, error) {
	var out map[string]desk.FindingWork
	err := r.view(ctx, "work on findings", func(tx *sql.Tx) (err error) {
		out, err = r.findingWork(ctx, tx, ids)
		return err
	})
	return out, err
}

func (r *Reader) findingWork(ctx context.Context, tx *sql.Tx, ids []string) (map[string]desk.FindingWork, error) {
	out := map[string]desk.FindingWork{}
	var suppressed []string
	which, args := "", []any(nil)
	if ids != nil {
		which, args = " AND finding IN (SELECT value FROM json_each(?))", []any{jsonList(ids)}
	}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var id string
		var w desk.FindingWork
		err := rows.Scan(&id, &w.State, &w.CaseID, &w.By, &w.Code, &w.Reason, &w.AtNS, &w.UntilNS)
		out[id] = w
		if w.State == string(casefile.FindingSuppressed) {
			suppressed = append(suppressed, id)
		}
		return err
	}, `SELECT finding, state, case_id, actor, code, reason, at_ns, until_ns FROM finding_work w
		WHERE no = (SELECT max(no) FROM finding_work WHERE finding = w.finding)`+which, args...)
	if err != nil {
		return nil, err
	}
	for _, id := range suppressed {
		why, err := reopens(ctx, tx, id, r.store.opts.Now())
		if err != nil {
			return nil, fmt.Errorf("suppression of %s: %w", id, err)
		}
		if w := out[id]; why != "" {
			w.State, w.Reason = string(casefile.FindingOpen), why
			out[id] = w
		}
	}
	return out, nil
}

// reopens says why a suppressed finding shows again, "" if it does not.
func reopens(ctx context.Context, tx *sql.Tx, id string, now time.Time) (string, error) {
	w, err := workOf(ctx, tx, id)
	if err != nil {
		return "", err
	}
	level, ops := w.Level, w.Ops
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var later string
		err := rows.Scan(&later)
		level = max(level, policy.Percent(later))
		return err
	}, "SELECT g.level FROM finding f JOIN finding g ON g.subject = f.subject AND g.pack = f.pack AND g.rule = f.rule WHERE f.id = ?", id)
	if err != nil {
		return "", err
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var grown compute.Operations
		err := rows.Scan(&grown)
		ops = max(ops, grown)
		return err
	}, `SELECT r.emp_best + r.theo_best FROM finding f JOIN run r ON r.id = f.subject WHERE f.id = ?1
		UNION ALL SELECT coalesce(sum(r.emp_best + r.theo_best), 0) FROM finding f JOIN customer_tenant t ON t.customer = f.subject
			JOIN run r ON r.tenant = t.tenant WHERE f.id = ?1`, id)
	if err != nil {
		return "", err
	}
	s := casefile.Suppression{Level: w.Level, At: w.Ops, Until: time.Unix(0, w.Until)}
	return s.Reopens(now, level, ops), nil
}
