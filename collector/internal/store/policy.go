package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Errors of acts on policies.
var (
	ErrNoPolicy     = errors.New("there is no such policy")
	ErrNoSimulation = errors.New("there is no such simulation")
)

// CreatePolicy keeps a draft by whom the context names.
func (s *Store) CreatePolicy(ctx context.Context, t draft.Text) (draft.Policy, error) {
	p := draft.New(NewID("pol_"), audit.Of(ctx).Actor.ID, t)
	err := s.update(audit.Because(ctx, "policy.draft", ""), func(tx *sql.Tx) error {
		return writePolicy(ctx, tx, p, "draft", "", s.opts.Now())
	})
	if err != nil {
		return draft.Policy{}, fmt.Errorf("draft policy: %w", err)
	}
	return p, nil
}

// ActOnPolicy changes a policy with f and keeps what it was before. f is also
// given all policies as they are. Version is that of the policy that the person
// was shown; 0 does not look at it. The error wraps what f returns, ErrNoPolicy
// or draft.ErrVersion.
func (s *Store) ActOnPolicy(ctx context.Context, id string, version int64, act, note string, f func(p draft.Policy, all []draft.Policy, now time.Time) (draft.Policy, error)) (draft.Policy, error) {
	var next draft.Policy
	err := s.update(audit.Because(ctx, "policy."+act, note), func(tx *sql.Tx) error {
		all, err := policies(ctx, tx)
		if err != nil {
			return err
		}
		p, ok := policyOf(all, id)
		if !ok {
			return ErrNoPolicy
		}
		if version != 0 {
			if err := p.At(version); err != nil {
				return err
			}
		}
		now := s.opts.Now().UTC()
		if next, err = f(p, all, now); err != nil || next.Version == p.Version {
			return err
		}
		return writePolicy(ctx, tx, next, act, note, now)
	})
	if err != nil {
		return draft.Policy{}, fmt.Errorf("policy %.40s: %s: %w", id, act, err)
	}
	return next, nil
}

func policyOf(all []draft.Policy, id string) (draft.Policy, bool) {
	for _, p := range all {
		if p.ID == id {
			return p, true
		}
	}
	return draft.Policy{}, false
}

func writePolicy(ctx context.Context, tx *sql.Tx, p draft.Policy, act, note string, now time.Time) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode policy: %w", err)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO policy_change (id, version, at_ns, actor, act, note, kind, name, state, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		p.ID, p.Version, now.UnixNano(), audit.Of(ctx).Actor.ID, act, note, string(p.Kind), p.Name, string(p.State), string(body))
	if err == nil {
		_, err = tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key IN ('policies', 'revision')")
	}
	if err != nil {
		return fmt.Errorf("write policy %s: %w", p.ID, err)
	}
	return nil
}

// Policies returns every policy as it stands, the one that was drafted last first.
func (s *Store) Policies(ctx context.Context) ([]draft.Policy, error) { return policies(ctx, s.read) }

func policies(ctx context.Context, q querier) ([]draft.Policy, error) {
	var all []draft.Policy
	err := each(ctx, q, func(rows *sql.Rows) error {
		var body []byte
		var p draft.Policy
		if err := rows.Scan(&body); err != nil {
			return err
		}
		err := json.Unmarshal(body, &p)
		all = append(all, p)
		return err
	}, `SELECT body FROM policy_change c WHERE version = (SELECT max(version) FROM policy_change WHERE id = c.id)
		ORDER BY (SELECT min(no) FROM policy_change WHERE id = c.id) DESC`)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	return all, nil
}

// PolicyAct is one act on a policy.
type PolicyAct struct {
	Version int64
	At      time.Time
	By      string
	Act     string
	Note    string
	State   draft.State
}

// PolicyHistory returns what was done on a policy, the first first.
func (s *Store) PolicyHistory(ctx context.Context, id string) ([]PolicyAct, error) {
	var all []PolicyAct
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var a PolicyAct
		var at int64
		err := rows.Scan(&a.Version, &at, &a.By, &a.Act, &a.Note, &a.State)
		a.At = time.Unix(0, at).UTC()
		all = append(all, a)
		return err
	}, "SELECT version, at_ns, actor, act, note, state FROM policy_change WHERE id = ? ORDER BY no", id)
	if err != nil {
		return nil, fmt.Errorf("read history of policy %.40s: %w", id, err)
	}
	return all, nil
}

// Lookback is what a policy found when it came into force.
type Lookback struct {
	At       time.Time
	Findings []string // fnd_…
}

// Lookback returns what a policy found when it came into force, and whether it
// has looked.
func (s *Store) Lookback(ctx context.Context, policy string) (Lookback, bool, error) {
	var l Lookback
	var at int64
	err := s.read.QueryRowContext(ctx, "SELECT at_ns FROM policy_lookback WHERE policy = ?", policy).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return l, false, nil
	}
	if err == nil {
		l.At = time.Unix(0, at).UTC()
		err = each(ctx, s.read, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			l.Findings = append(l.Findings, id)
			return err
		}, "SELECT finding FROM policy_finding WHERE policy = ? ORDER BY finding", policy)
	}
	if err != nil {
		return l, false, fmt.Errorf("read look-back of %.40s: %w", policy, err)
	}
	return l, true, nil
}

// SavedSimulation is a simulation with its report.
type SavedSimulation struct {
	ID     string
	Policy string
	Text   string // digest of the text that was simulated
	At     time.Time
	By     string
	Digest string
	Report json.RawMessage
}

// SaveSimulation keeps a simulation and notes it on its policy if that still has
// the text.
func (s *Store) SaveSimulation(ctx context.Context, sim SavedSimulation, pinned time.Time) (SavedSimulation, error) {
	err := s.update(audit.Because(ctx, "policy.simulate", ""), func(tx *sql.Tx) error {
		all, err := policies(ctx, tx)
		if err != nil {
			return err
		}
		p, ok := policyOf(all, sim.Policy)
		if !ok {
			return ErrNoPolicy
		}
		now := s.opts.Now().UTC()
		sim.ID, sim.At, sim.By = NewID("sim_"), now, audit.Of(ctx).Actor.ID
		_, err = tx.ExecContext(ctx, "INSERT INTO simulation (id, policy, text, at_ns, actor, digest, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
			sim.ID, sim.Policy, sim.Text, now.UnixNano(), sim.By, sim.Digest, string(sim.Report))
		if err != nil || p.Digest != sim.Text {
			return err
		}
		next, err := p.Simulate(draft.Simulation{ID: sim.ID, Digest: sim.Digest, Pinned: pinned})
		if errors.Is(err, draft.ErrState) || err == nil && next.Version == p.Version {
			return nil // it goes on without: what stands behind the proposal stays
		}
		if err != nil {
			return err
		}
		return writePolicy(ctx, tx, next, "simulate", sim.ID, now)
	})
	if err != nil {
		return SavedSimulation{}, fmt.Errorf("keep simulation of %.40s: %w", sim.Policy, err)
	}
	return sim, nil
}

// Simulation returns a simulation. It wraps ErrNoSimulation.
func (s *Store) Simulation(ctx context.Context, id string) (SavedSimulation, error) {
	out := SavedSimulation{ID: id}
	var at int64
	var body []byte
	err := s.read.QueryRowContext(ctx, "SELECT policy, text, at_ns, actor, digest, body FROM simulation WHERE id = ?", id).Scan(&out.Policy, &out.Text, &at, &out.By, &out.Digest, &body)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSimulation
	}
	if err != nil {
		return out, fmt.Errorf("read simulation %.40s: %w", id, err)
	}
	out.At, out.Report = time.Unix(0, at).UTC(), body
	return out, nil
}

// PolicyRevision grows with every act on a policy.
func (s *Store) PolicyRevision(ctx context.Context) (int64, error) {
	var n int64
	if err := s.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'policies'").Scan(&n); err != nil {
		return 0, fmt.Errorf("read revision of policies: %w", err)
	}
	return n, nil
}
