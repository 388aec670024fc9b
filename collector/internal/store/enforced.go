package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/training"
)

// enforced is what decides at an instant: the packs, the weights and the scorecard in force.
type enforced struct {
	revision int64     // of the policies
	until    time.Time // when another policy comes into force or a pack ends; zero if none does
	packs    []enforcedPack
	weights  *training.Weights
	card     *classify.Scorecard
	approved []*draft.Policy // of packs, weights and scorecards, in force
	toLook   map[string]*draft.Policy
}

// enforcedPack is a pack with the policy that put it in force, nil for what was
// in force from installation.
type enforcedPack struct {
	pack      *policy.Pack
	evaluator *lab.Evaluator
	by        *draft.Policy
}

// enforce brings what is in force up to date. Where it changed, everything is due:
// a lowered line finds what history holds.
func (d *Deriver) enforce(ctx context.Context, tx *sql.Tx) error {
	revision, err := meta(ctx, tx, "policies")
	if err != nil {
		return err
	}
	now := d.now()
	if d.rules != nil && d.rules.revision == revision && (d.rules.until.IsZero() || now.Before(d.rules.until)) {
		return nil
	}
	all, err := policies(ctx, tx)
	if err != nil {
		return err
	}
	next, err := enforce(d.packs, all, now)
	if err != nil {
		return err
	}
	next.revision = revision
	if err := next.findWaiting(ctx, tx); err != nil {
		return err
	}
	if d.rules == nil || !next.same(d.rules) || next.fresh() {
		d.CustomersChanged()
	}
	d.rules = next
	return nil
}

// enforce works out what is in force at an instant.
func enforce(base []*policy.Pack, all []draft.Policy, now time.Time) (*enforced, error) {
	e := &enforced{weights: training.Default(), card: classify.Shipped(), toLook: map[string]*draft.Policy{}, until: draft.Next(all, now)}
	in := map[string]enforcedPack{}
	for _, p := range base {
		if !p.Over(now) {
			in[p.ID] = enforcedPack{pack: p}
		}
	}
	current := draft.Current(all, draft.Pack, now)
	for i := range current {
		q := &current[i]
		p, err := policy.Read(q.Name, []byte(q.Text))
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", q.ID, err)
		}
		delete(in, p.ID)
		if p.Active && !p.Over(now) {
			in[p.ID] = enforcedPack{pack: p, by: q}
			e.approved = append(e.approved, q)
		}
	}
	for _, p := range in {
		p.evaluator = lab.NewEvaluator(p.pack)
		e.packs = append(e.packs, p)
		if end := p.pack.Ends(); !end.IsZero() && (e.until.IsZero() || end.Before(e.until)) {
			e.until = end
		}
	}
	slices.SortFunc(e.packs, func(a, b enforcedPack) int { return cmp.Compare(a.pack.ID, b.pack.ID) })
	weights := draft.Current(all, draft.Weights, now)
	for i := range weights {
		w, err := training.ReadWeights(weights[i].Name, []byte(weights[i].Text))
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", weights[i].ID, err)
		}
		e.weights = w // of the last name, of which there is one
		e.approved = append(e.approved, &weights[i])
	}
	cards := draft.Current(all, draft.Scorecard, now)
	for i := range cards {
		card, err := classify.Read([]byte(cards[i].Text))
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", cards[i].ID, err)
		}
		e.card = card // of the last name, of which there is one
		e.approved = append(e.approved, &cards[i])
	}
	return e, nil
}

// same reports whether the same texts decide.
func (e *enforced) same(o *enforced) bool {
	return e.weights.Digest == o.weights.Digest && e.card.Digest == o.card.Digest && slices.EqualFunc(e.packs, o.packs, func(a, b enforcedPack) bool { return a.pack.Digest == b.pack.Digest })
}

// findWaiting finds the policies in force that history was not held against.
func (e *enforced) findWaiting(ctx context.Context, q querier) error {
	done := map[string]bool{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		done[id] = true
		return err
	}, "SELECT policy FROM policy_lookback")
	if err != nil {
		return fmt.Errorf("read what policies looked back: %w", err)
	}
	for _, p := range e.approved {
		if !done[p.ID] {
			e.toLook[p.ID] = p
		}
	}
	return nil
}

// fresh reports whether a policy in force has not looked back.
func (e *enforced) fresh() bool { return len(e.toLook) > 0 }

// hold adds what the packs find of a subject. What a policy finds when it looks
// back is marked, as far as it came about before.
func (e *enforced) hold(all []found, s policy.Subject, days []lab.Day, firstUse int, endNS int64) []found {
	for _, p := range e.packs {
		p.evaluator.Walk(s, days, firstUse, func(step lab.Step) {
			f := found{Finding: step.Rule.Finding(p.pack, step.Subject, step.Level), occurredNS: min(endNS, int64(step.Day+1)*dayNS)}
			if p.by != nil && e.toLook[p.by.ID] != nil && f.occurredNS <= p.by.From().UnixNano() {
				f.after = p.by
			}
			all = append(all, f)
		})
	}
	return all
}

// lookedBack notes that history was held against what came into force.
func (e *enforced) lookedBack(ctx context.Context, tx *sql.Tx, added []found, now time.Time) (bool, error) {
	if !e.fresh() {
		return false, nil
	}
	for id := range e.toLook {
		n := 0
		for _, f := range added {
			if f.after != nil && f.after.ID == id {
				n++
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO policy_lookback (policy, at_ns, findings) VALUES (?, ?, ?)", id, now.UnixNano(), n); err != nil {
			return false, fmt.Errorf("note look-back of %s: %w", id, err)
		}
	}
	e.toLook = map[string]*draft.Policy{}
	return true, nil
}
