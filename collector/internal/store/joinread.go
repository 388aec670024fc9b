package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/training"
)

// RunJoins returns the joins of a run by the start of the later workload, and
// with them what people said. It wraps ErrNoRun.
func (r *Reader) RunJoins(ctx context.Context, run string) ([]desk.Join, error) {
	var out []desk.Join
	err := r.view(ctx, "joins of a run", func(tx *sql.Tx) error {
		if err := hasRun(ctx, tx, "SELECT EXISTS (SELECT 1 FROM run WHERE id = ?1)", run); err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var j joinRow
			var verdict, reason, by string
			if err := rows.Scan(append(j.targets(), &verdict, &reason, &by)...); err != nil {
				return err
			}
			shown := desk.Join{ID: j.id, Run: j.run, Kind: training.Kind(j.kind), FromPart: training.PartKey(j.fromPart), ToPart: training.PartKey(j.toPart),
				FromLabel: j.fromLabel, ToLabel: j.toLabel, AtNS: j.atNS, Gap: time.Duration(j.gapNS), Bits: int(j.bits), Weights: j.weights,
				Verdict: training.Verdict(verdict), Reason: reason, By: by}
			if err := json.Unmarshal([]byte(j.evidence), &shown.Evidence); err != nil {
				return fmt.Errorf("evidence of join %s: %w", j.id, err)
			}
			out = append(out, shown)
			return nil
		}, "SELECT j."+strings.ReplaceAll(joinColumns, ", ", ", j.")+`, coalesce(d.verdict, 'open'), coalesce(d.reason, ''), coalesce(d.by, '') FROM run_join j
			LEFT JOIN join_decision d ON d.id = j.id AND d.no = (SELECT max(no) FROM join_decision WHERE id = j.id)
			WHERE j.run = ? ORDER BY j.at_ns, j.id`, run)
	})
	return out, err
}

// RunHistory returns what became of a run and of those that came out of it or
// went into it, newest first. Also of what is no run of its own any more: it went
// into another one, or was taken apart. The error wraps ErrNoRun for what never was one.
func (r *Reader) RunHistory(ctx context.Context, run string) ([]desk.RunChange, error) {
	var out []desk.RunChange
	err := r.view(ctx, "history of a run", func(tx *sql.Tx) error {
		if err := hasRun(ctx, tx, "SELECT EXISTS (SELECT 1 FROM run WHERE id = ?1) OR EXISTS (SELECT 1 FROM run_change WHERE run = ?1 OR other = ?1)", run); err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var c desk.RunChange
			err := rows.Scan(&c.AtNS, &c.Tenant, &c.Run, &c.Act, &c.Other, &c.Operations.Low, &c.Operations.Best, &c.Operations.High)
			out = append(out, c)
			return err
		}, "SELECT at_ns, tenant, run, act, other, ops_low, ops_best, ops_high FROM run_change WHERE run = ?1 OR other = ?1 ORDER BY no DESC", run)
	})
	return out, err
}

func hasRun(ctx context.Context, tx *sql.Tx, query, run string) error {
	var known bool
	if err := tx.QueryRowContext(ctx, query, run).Scan(&known); err != nil {
		return err
	}
	if !known {
		return ErrNoRun
	}
	return nil
}

// JoinDecisions returns what people said of joins, last said first.
func (r *Reader) JoinDecisions(ctx context.Context, limit int) ([]JoinDecision, error) {
	var out []JoinDecision
	err := r.view(ctx, "decisions on joins", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var d JoinDecision
			err := scanDecision(rows, &d)
			out = append(out, d)
			return err
		}, "SELECT "+decisionColumns+" FROM join_decision ORDER BY no DESC LIMIT ?", rowLimit(limit))
	})
	return out, err
}
