package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Findings returns the findings of a query, newest first.
func (r *Reader) Findings(ctx context.Context, q desk.FindingQuery) ([]desk.Finding, error) {
	var out []desk.Finding
	err := r.view(ctx, "findings", func(tx *sql.Tx) (err error) {
		out, err = r.findings(ctx, tx, q)
		return err
	})
	return out, err
}

// HighestFindings returns of each subject the newest finding with the highest
// threshold. A list of runs has some findings for each of its rows, of which it shows
// one: the others need not leave the database.
func (r *Reader) HighestFindings(ctx context.Context, subjects []string) (map[string]desk.Finding, error) {
	out := map[string]desk.Finding{}
	err := r.view(ctx, "highest findings", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var f desk.Finding
			err := rows.Scan(&f.ID, &f.Subject, &f.Threshold, &f.Pack, &f.PackStatus)
			out[f.Subject] = f
			return err
		}, highestQuery, jsonList(subjects))
	})
	return out, err
}

const highestQuery = `SELECT id, subject, threshold, pack, pack_status FROM finding WHERE no IN
	(SELECT (SELECT g.no FROM finding g WHERE g.subject = j.value AND g.threshold > 0 ORDER BY g.threshold DESC, g.no DESC LIMIT 1) FROM (SELECT value FROM json_each(?)) AS j)`

// findings reads page after page until there are as many as were asked for: a
// suppression that ended is still written as one, so that of a page some may not
// stand as they are written.
func (r *Reader) findings(ctx context.Context, tx *sql.Tx, q desk.FindingQuery) ([]desk.Finding, error) {
	var out []desk.Finding
	for {
		page, err := findingPage(ctx, tx, q)
		if err != nil {
			return nil, err
		}
		full := q.Limit > 0 && len(page) == q.Limit
		if full {
			q.After = page[len(page)-1].ID
		}
		if page, err = r.standSo(ctx, tx, q.State, page); err != nil {
			return nil, err
		}
		out = append(out, page...)
		q.Limit -= len(page)
		if !full || q.Limit <= 0 {
			return out, nil
		}
	}
}

// standSo leaves the findings on which the work stands as asked for.
func (r *Reader) standSo(ctx context.Context, tx *sql.Tx, state string, page []desk.Finding) ([]desk.Finding, error) {
	if state != string(casefile.FindingOpen) && state != string(casefile.FindingSuppressed) {
		return page, nil
	}
	ids := make([]string, len(page))
	for i, f := range page {
		ids[i] = f.ID
	}
	work, err := r.findingWork(ctx, tx, ids)
	return slices.DeleteFunc(page, func(f desk.Finding) bool {
		w, worked := work[f.ID]
		return worked && w.State != state || !worked && state != string(casefile.FindingOpen)
	}), err
}

func findingPage(ctx context.Context, tx *sql.Tx, q desk.FindingQuery) (page []desk.Finding, err error) {
	if q.Urgent {
		return urgentPage(ctx, tx, q)
	}
	text, args, err := findingQuery(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	return scanFindings(ctx, tx, text, args)
}

func scanFindings(ctx context.Context, tx *sql.Tx, text string, args []any) (page []desk.Finding, err error) {
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var f desk.Finding
		err := rows.Scan(&f.ID, &f.Rule, &f.Pack, &f.PackStatus, &f.Citation, &f.Level, &f.Severity, &f.Subject, &f.Tenant, &f.CustomerID, &f.CustomerName,
			&f.ForeignStatus, &f.Threshold, &f.Operations.Low, &f.Operations.Best, &f.Operations.High, &f.Reason, &f.OccurredNS, &f.SignalledNS, &f.PackVersion, &f.Policy, &f.KnownNS)
		page = append(page, f)
		return err
	}, text, args...)
	return page, err
}

func findingQuery(ctx context.Context, tx *sql.Tx, q desk.FindingQuery) (text string, args []any, err error) {
	var where []string
	need := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if q.IDs != nil {
		need("f.id IN (SELECT value FROM json_each(?))", jsonList(q.IDs))
	}
	if q.About != nil {
		about := jsonList(q.About)
		need(`f.no IN (SELECT no FROM finding WHERE subject IN (SELECT value FROM json_each(?))
			UNION SELECT no FROM finding WHERE customer IN (SELECT value FROM json_each(?)))`, about, about)
	}
	if q.Prefix != "" {
		need("f.id >= ? AND f.id < ?", q.Prefix, prefixEnd(q.Prefix))
	}
	behind := int64(math.MaxInt64)
	if q.After != "" {
		err := tx.QueryRowContext(ctx, "SELECT no FROM finding WHERE id = ?", q.After).Scan(&behind)
		if errors.Is(err, sql.ErrNoRows) {
			err = desk.ErrGone
		}
		if err != nil {
			return "", nil, fmt.Errorf("finding %s: %w", q.After, err)
		}
		need("f.no < ?", behind)
	}
	if states := writtenAs(q.State); q.By != "" {
		// What one person worked on last is few enough to be read along its index.
		need("f.no IN (SELECT no FROM finding_standing WHERE actor = ? AND state IN (SELECT value FROM json_each(?)))", q.By, jsonList(orEvery(states)))
	} else if states != nil && (q.IDs != nil || q.About != nil || q.Prefix != "") {
		need("(SELECT state FROM finding_standing WHERE no = f.no) IN (SELECT value FROM json_each(?))", jsonList(states))
	} else if states != nil {
		// Of each state the newest, along its index: among all findings they may be few.
		var newest []string
		var own []any
		for _, state := range states {
			newest = append(newest, "SELECT no FROM (SELECT no FROM finding_standing WHERE state = ? AND no < ? ORDER BY no DESC LIMIT ?) AS newest")
			own = append(own, state, behind, rowLimit(q.Limit))
		}
		where, args = []string{"f.no IN (" + strings.Join(newest, " UNION ALL ") + ")"}, own
	}
	return findingColumns + conditions(where) + " ORDER BY f.no DESC LIMIT ?", append(args, rowLimit(q.Limit)), nil
}

// orEvery is the states, or all that there are.
func orEvery(states []string) []string {
	if states != nil {
		return states
	}
	return []string{string(casefile.FindingOpen), string(casefile.FindingTriaged), string(casefile.FindingAttached), string(casefile.FindingDismissed), string(casefile.FindingSuppressed)}
}

const findingColumns = `SELECT f.id, rule, pack, pack_status, citation, level, severity, subject, tenant, customer, customer_name, foreign_status,
			threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns, pack_version, coalesce(p.policy, ''), coalesce(p.known_ns, signalled_ns)
		FROM finding f LEFT JOIN policy_finding p ON p.finding = f.id`

// prefixEnd is the first text behind all that begin with the prefix. Ids are of
// characters below "~".
func prefixEnd(prefix string) string { return prefix + "~" }

// writtenAs are the states that findings which stand so may be written with, nil
// for any: a suppression that ended is open, and still written as one.
func writtenAs(state string) []string {
	switch state {
	case "":
		return nil
	case string(casefile.FindingOpen):
		return []string{state, string(casefile.FindingSuppressed)}
	}
	return []string{state}
}
