package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// FindingAct is what a person does on a finding: State is where it goes.
type FindingAct struct {
	State  casefile.FindingState
	Code   string
	Reason string
	Until  time.Time // of a suppression
}

// work is the newest row of a finding's work.
type work struct {
	State  casefile.FindingState
	CaseID string
	Level  int
	Ops    compute.Operations
	Until  int64
}

func workOf(ctx context.Context, tx *sql.Tx, finding string) (work, error) {
	w := work{State: casefile.FindingOpen}
	err := tx.QueryRowContext(ctx, "SELECT state, case_id, level, ops, until_ns FROM finding_work WHERE finding = ? ORDER BY no DESC LIMIT 1", finding).
		Scan(&w.State, &w.CaseID, &w.Level, &w.Ops, &w.Until)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return w, err
}

func writeWork(ctx context.Context, tx *sql.Tx, finding string, w work, code, reason string, now time.Time) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO finding_work (finding, at_ns, actor, state, case_id, code, reason, level, ops, until_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		finding, now.UnixNano(), audit.Of(ctx).Actor.ID, w.State, w.CaseID, code, reason, w.Level, int64(w.Ops), w.Until)
	if err != nil {
		return fmt.Errorf("write work on finding %s: %w", finding, err)
	}
	return bump(ctx, tx)
}

// attachFinding attaches a finding to a case, whatever was done on it before: a
// case takes up also what was dismissed.
func attachFinding(ctx context.Context, tx *sql.Tx, finding, caseID string, now time.Time) error {
	before, err := workOf(ctx, tx, finding)
	if err != nil || before.State == casefile.FindingAttached && before.CaseID == caseID {
		return err
	}
	return writeWork(ctx, tx, finding, work{State: casefile.FindingAttached, CaseID: caseID}, "", "", now)
}

// WorkOnFinding triages, dismisses, suppresses or reopens a finding. The error
// wraps ErrNoFinding or the rule of package casefile that does not allow it.
func (s *Store) WorkOnFinding(ctx context.Context, id string, act FindingAct) error {
	err := s.update(audit.Because(ctx, "finding."+string(act.State), act.Reason), func(tx *sql.Tx) error {
		var level string
		var ops compute.Operations
		err := tx.QueryRowContext(ctx, "SELECT level, ops_best FROM finding WHERE id = ?", id).Scan(&level, &ops)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoFinding
		}
		if err != nil {
			return err
		}
		before, err := workOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := before.State.Move(act.State); err != nil {
			return err
		}
		now := s.opts.Now().UTC()
		next := work{State: act.State, Level: policy.Percent(level), Ops: ops}
		switch act.State {
		case casefile.FindingDismissed:
			err = casefile.Dismiss(next.Level, act.Code, act.Reason)
		case casefile.FindingSuppressed:
			next.Until = act.Until.UnixNano()
			err = casefile.Suppression{Owner: audit.Of(ctx).Actor.ID, Reason: act.Reason, From: now, Until: act.Until, Level: next.Level, At: ops}.Suppress(approval.Proposal{})
		case casefile.FindingOpen:
			if act.Reason == "" {
				err = casefile.ErrReason
			}
		}
		if err != nil {
			return err
		}
		return writeWork(ctx, tx, id, next, act.Code, act.Reason, now)
	})
	if err != nil {
		return fmt.Errorf("finding %s: %w", id, err)
	}
	return nil
}

// openCases opens a case for each finding that starts a clock, or attaches it to
// the case of the same subject and pack that is open: what a machine signals
// counts as known at once, whether or not a person looks. Findings of the same
// rule and subject, the warnings before, go with it.
func openCases(ctx context.Context, tx *sql.Tx, added []found, now time.Time) error {
	for _, f := range added {
		obligation, ok, err := obligationOf(f.Finding)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		subject := caseSubject(f.Subject.CustomerID, string(f.Subject.Tenant), f.Subject.ID)
		running := clock.Start(obligation, time.Unix(0, f.occurredNS).UTC(), f.knownAt(now))
		c, err := takeUp(ctx, tx, subject, f.Pack.ID, f.ID, f.Reason, &running, now)
		if err != nil {
			return err
		}
		if err := attachRule(ctx, tx, f, c.ID, now); err != nil {
			return err
		}
	}
	return nil
}

// takeUp attaches a finding to the open case of a subject under a pack, or opens
// one. The clock, if there is one, begins to run.
func takeUp(ctx context.Context, tx *sql.Tx, subject, pack, finding, reason string, running *clock.Clock, now time.Time) (casefile.Case, error) {
	c, err := openCaseOf(ctx, tx, subject, pack)
	if errors.Is(err, ErrNoCase) {
		var clocks []clock.Clock
		if running != nil {
			clocks = []clock.Clock{*running}
		}
		c = casefile.Open(NewID("cas_"), subject, pack, finding, clocks)
		return c, writeCase(ctx, tx, c, "open", reason, now)
	}
	if err != nil {
		return c, err
	}
	before := c.Version
	if running != nil {
		c, err = c.Signal(finding, *running)
	} else {
		c, err = c.Attach(finding)
	}
	if err == nil && c.Version != before {
		err = writeCase(ctx, tx, c, "attach", reason, now)
	}
	return c, err
}

// attachRule attaches a crossing and the open findings of its rule and subject.
func attachRule(ctx context.Context, tx *sql.Tx, f found, caseID string, now time.Time) error {
	var same []string
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		same = append(same, id)
		return err
	}, "SELECT id FROM finding WHERE subject = ? AND pack = ? AND rule = ?", f.Subject.ID, f.Pack.ID, f.Rule)
	if err != nil {
		return fmt.Errorf("read findings of %s: %w", f.Subject.ID, err)
	}
	for _, id := range same {
		w, err := workOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if w.State != casefile.FindingAttached {
			if err := attachFinding(ctx, tx, id, caseID, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// obligationOf returns the obligation that a finding starts, if it does.
func obligationOf(f policy.Finding) (clock.Obligation, bool, error) {
	c, ok := f.Pack.ClockOf(f)
	if !ok {
		return clock.Obligation{}, false, nil
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return clock.Obligation{}, false, fmt.Errorf("pack %s: clock %s: %w", f.Pack.ID, c.ID, err)
	}
	return clock.Obligation{Name: c.ID, Basis: clock.Basis(c.Basis), Days: c.Days, Zone: zone}, true, nil
}
