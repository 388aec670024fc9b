package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Errors of decisions on joins.
var (
	ErrNoJoin      = errors.New("there is no such join")
	ErrNoRun       = errors.New("there is no such run")
	ErrSameRun     = errors.New("that is one run already")
	ErrTwoTenants  = errors.New("runs of two tenants are never joined: what they have in common is a finding")
	ErrStandsApart = errors.New("somebody said that parts of the two are not of one run; take that back first")
)

// JoinDecision is what a person said of a join.
type JoinDecision struct {
	ID        string // jon_…
	Tenant    measure.TenantID
	Verdict   training.Verdict
	Reason    string
	By        string
	DecidedNS int64

	from, to training.PartKey
}

// DecideJoin records what by says of a join that there is or that was decided
// before, and returns the decision that stands. Saying the same again adds
// nothing. It wraps ErrNoJoin.
func (s *Store) DecideJoin(ctx context.Context, id string, v training.Verdict, by, reason string, now time.Time) (JoinDecision, error) {
	d := JoinDecision{ID: id, Verdict: v, Reason: reason, By: by, DecidedNS: now.UnixNano()}
	err := s.update(audit.Because(ctx, "join."+string(v), reason), func(tx *sql.Tx) error {
		if err := v.Validate(); err != nil {
			return err
		}
		stands, said, err := standing(ctx, tx, id)
		if err != nil {
			return err
		}
		if said {
			d.Tenant, d.from, d.to = stands.Tenant, stands.from, stands.to
			if stands.Verdict == v {
				d = stands
				return nil
			}
		} else {
			err := tx.QueryRowContext(ctx, "SELECT tenant, from_part, to_part FROM run_join WHERE id = ?", id).Scan(&d.Tenant, &d.from, &d.to)
			if errors.Is(err, sql.ErrNoRows) {
				return ErrNoJoin
			}
			if err != nil {
				return err
			}
		}
		return writeDecision(ctx, tx, &d)
	})
	if err != nil {
		return JoinDecision{}, fmt.Errorf("decide on join %.40s: %w", id, err)
	}
	return d, nil
}

// JoinRuns records that two runs of one tenant are one: that their founding parts
// belong together. It wraps ErrNoRun, ErrSameRun, ErrTwoTenants or ErrStandsApart.
func (s *Store) JoinRuns(ctx context.Context, a, b, by, reason string, now time.Time) (JoinDecision, error) {
	d := JoinDecision{Verdict: training.Together, Reason: reason, By: by, DecidedNS: now.UnixNano()}
	err := s.update(audit.Because(ctx, "join.together", reason), func(tx *sql.Tx) error {
		var tenants [2]measure.TenantID
		for i, run := range []string{a, b} {
			part := []*training.PartKey{&d.from, &d.to}[i]
			err := tx.QueryRowContext(ctx, "SELECT tenant, part FROM run_part WHERE run = ? ORDER BY start_ns, part LIMIT 1", run).Scan(&tenants[i], part)
			if errors.Is(err, sql.ErrNoRows) {
				return ErrNoRun
			}
			if err != nil {
				return err
			}
		}
		if a == b {
			return ErrSameRun
		}
		if d.Tenant = tenants[0]; tenants[0] != tenants[1] {
			return ErrTwoTenants
		}
		d.ID = training.JoinID(d.Tenant, d.from, d.to)
		var apart bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM join_decision d
			JOIN run_part f ON f.tenant = d.tenant AND f.part = d.from_part JOIN run_part t ON t.tenant = d.tenant AND t.part = d.to_part
			WHERE d.tenant = ?1 AND d.verdict = 'apart' AND d.id <> ?2 AND d.no IN (SELECT max(no) FROM join_decision WHERE tenant = ?1 GROUP BY id)
			AND (f.run = ?3 AND t.run = ?4 OR f.run = ?4 AND t.run = ?3))`, string(d.Tenant), d.ID, a, b).Scan(&apart)
		if err != nil {
			return err
		}
		if apart {
			return ErrStandsApart
		}
		return writeDecision(ctx, tx, &d)
	})
	if err != nil {
		return JoinDecision{}, fmt.Errorf("join runs %.40s and %.40s: %w", a, b, err)
	}
	return d, nil
}

// standing returns the last decision on a join.
func standing(ctx context.Context, q querier, id string) (d JoinDecision, said bool, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error {
		said = true
		return scanDecision(rows, &d)
	}, "SELECT "+decisionColumns+" FROM join_decision WHERE id = ? ORDER BY no DESC LIMIT 1", id)
	return d, said, err
}

const decisionColumns = "id, tenant, from_part, to_part, verdict, reason, by, decided_ns"

func scanDecision(rows *sql.Rows, d *JoinDecision) error {
	return rows.Scan(&d.ID, &d.Tenant, &d.from, &d.to, &d.Verdict, &d.Reason, &d.By, &d.DecidedNS)
}

func writeDecision(ctx context.Context, tx *sql.Tx, d *JoinDecision) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO join_decision ("+decisionColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		d.ID, string(d.Tenant), string(d.from), string(d.to), string(d.Verdict), d.Reason, d.By, d.DecidedNS)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'revision'")
	return err
}
