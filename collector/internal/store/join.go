package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// partRow is a row of run_part without its key.
type partRow struct {
	run     string
	startNS int64
}

// joinRow is a row of run_join. It can be compared.
type joinRow struct {
	id, run, kind                        string
	fromPart, toPart, fromLabel, toLabel string
	atNS, gapNS, bits                    int64
	evidence, weights                    string
	confirmed                            bool
}

const joinColumns = "id, run, kind, from_part, to_part, from_label, to_label, at_ns, gap_ns, bits, evidence, weights, confirmed"

func (j *joinRow) targets() []any {
	return []any{&j.id, &j.run, &j.kind, &j.fromPart, &j.toPart, &j.fromLabel, &j.toLabel, &j.atNS, &j.gapNS, &j.bits, &j.evidence, &j.weights, &j.confirmed}
}

// knowledge reads what is known of a tenant's runs beside its segments.
func knowledge(ctx context.Context, q querier, tenant measure.TenantID, watermark int64) (training.Knowledge, map[training.PartKey]partRow, error) {
	k := training.Knowledge{UntilNS: watermark, Runs: map[training.PartKey]string{}}
	parts := map[training.PartKey]partRow{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var key training.PartKey
		var p partRow
		err := rows.Scan(&key, &p.run, &p.startNS)
		k.Runs[key], parts[key] = p.run, p
		return err
	}, "SELECT part, run, start_ns FROM run_part WHERE tenant = ?", string(tenant))
	if err != nil {
		return k, nil, fmt.Errorf("read parts: %w", err)
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var d training.Decision
		err := rows.Scan(&d.From, &d.To, &d.Verdict)
		k.Decisions = append(k.Decisions, d)
		return err
	}, "SELECT from_part, to_part, verdict FROM join_decision WHERE tenant = ? ORDER BY no", string(tenant))
	if err != nil {
		return k, nil, fmt.Errorf("read decisions on joins: %w", err)
	}
	return k, parts, nil
}

// joinRows are the joins of a run as they are stored.
func joinRows(run *training.Run, weights string) ([]joinRow, error) {
	starts := make(map[training.PartKey]int64, len(run.Parts))
	for i := range run.Parts {
		starts[run.Parts[i].Key] = run.Parts[i].StartNS
	}
	var out []joinRow
	for i := range run.Joins {
		j := &run.Joins[i]
		evidence, err := json.Marshal(j.Evidence)
		if err != nil {
			return nil, fmt.Errorf("join %s: %w", j.ID, err)
		}
		row := joinRow{id: j.ID, run: run.ID, kind: string(j.Kind), fromPart: string(j.From), toPart: string(j.To), fromLabel: j.FromLabel, toLabel: j.ToLabel,
			atNS: starts[j.To], bits: int64(j.Bits), evidence: string(evidence), weights: weights, confirmed: j.Confirmed}
		if j.Kind == training.Time { // in space it would grow with every window
			row.gapNS = int64(j.Gap)
		}
		out = append(out, row)
	}
	return out, nil
}

// parts brings the stored parts of a tenant to what was derived.
func (w *runWriter) parts(t *tenantRuns) error {
	for _, key := range ordered(t.parts) {
		p := t.parts[key]
		if t.before[key] == p {
			continue
		}
		err := w.exec("INSERT INTO run_part (tenant, part, run, start_ns) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, part) DO UPDATE SET run = excluded.run, start_ns = excluded.start_ns",
			string(t.tenant), string(key), p.run, p.startNS)
		if err != nil {
			return err
		}
	}
	for key := range t.before {
		if _, there := t.parts[key]; there {
			continue
		}
		if err := w.exec("DELETE FROM run_part WHERE tenant = ? AND part = ?", string(t.tenant), string(key)); err != nil {
			return err
		}
	}
	return nil
}

// joins brings the stored joins of a tenant to what was derived.
func (w *runWriter) joins(t *tenantRuns) error {
	stored := map[string]joinRow{}
	err := each(w.ctx, w.tx, func(rows *sql.Rows) error {
		var j joinRow
		err := rows.Scan(j.targets()...)
		stored[j.id] = j
		return err
	}, "SELECT "+joinColumns+" FROM run_join WHERE tenant = ?", string(t.tenant))
	if err != nil {
		return err
	}
	for _, j := range t.joins {
		old, known := stored[j.id]
		delete(stored, j.id)
		if known && old == j {
			continue
		}
		err := w.exec(putRunJoin,
			j.id, j.run, j.kind, j.fromPart, j.toPart, j.fromLabel, j.toLabel, j.atNS, j.gapNS, j.bits, j.evidence, j.weights, j.confirmed, string(t.tenant))
		if err != nil {
			return err
		}
	}
	for id := range stored {
		if err := w.exec("DELETE FROM run_join WHERE id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

// history adds what became of the runs. stored are the rows before.
func (w *runWriter) history(t *tenantRuns, stored map[string]runRow) error {
	now := make(map[string]runRow, len(t.runs))
	for _, r := range t.runs {
		now[r.id] = r
	}
	for _, c := range t.changes {
		row, there := now[c.Run]
		if !there {
			row = stored[c.Run]
		}
		ops := row.sums.combined()
		err := w.exec("INSERT INTO run_change (at_ns, tenant, run, act, other, ops_low, ops_best, ops_high) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			w.now.UnixNano(), string(t.tenant), c.Run, string(c.Act), c.Other, int64(ops.Low), int64(ops.Best), int64(ops.High))
		if err != nil {
			return err
		}
	}
	return nil
}

// ordered returns the keys of a map in order.
func ordered[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
