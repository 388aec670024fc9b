package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// Amendment is what recording allocations changed, or would change.
type Amendment struct {
	Diff        allocation.Diff
	Conflicts   []allocation.Conflict   // between allocations, at most a hundred
	Corrections int                     // entries that give counted time to another owner
	Corrected   desk.DeviceTime         // that they give
	Table       *allocation.Table       // nil if it did not change
	Standing    []allocation.Allocation // that the table is of
	Closed      []ledger.Segment        // that were corrected and must not grow
}

// PutAllocations records allocations, all or none, and gives time that is counted
// already to whom they name, by correcting entries. A dry run tells the same and
// changes nothing. Allocations that are not named stay in force; one that is
// recorded as it stands changes nothing.
//
// What the ledger in memory holds must be checkpointed before, and it must get
// the table and close the segments after: nothing may be counted in between.
func (s *Store) PutAllocations(ctx context.Context, next []allocation.Allocation, now time.Time, dryRun bool) (Amendment, error) {
	var done Amendment
	errDry := errors.New("dry run")
	err := s.update(ctx, func(tx *sql.Tx) error {
		if err := stopCounting(ctx, tx, 0); err != nil {
			return err
		}
		current, err := allocations(ctx, tx)
		if err != nil {
			return err
		}
		done.Diff = allocation.Compare(current, next)
		changed := slices.Clone(next)
		changed = slices.DeleteFunc(changed, func(a allocation.Allocation) bool {
			old, known := current[a.ID]
			return known && old.Same(a)
		})
		spans := allocation.Changes(current, changed)
		for _, a := range changed {
			a.RecordedNS = now.UnixNano()
			current[a.ID] = a
		}
		standing := slices.Collect(maps.Values(current))
		table := allocation.NewTable(standing)
		done.Conflicts = table.Conflicts()
		if len(changed) == 0 {
			return nil
		}
		if err := stopCounting(ctx, tx, 1); err != nil {
			return err
		}
		done.Table, done.Standing = table, standing
		if err := writeAllocations(ctx, tx, changed, now); err != nil {
			return err
		}
		c := corrector{ctx: ctx, tx: tx, words: newWords(), table: table, now: now, done: &done}
		if err := c.run(spans); err != nil {
			return err
		}
		if dryRun {
			return errDry
		}
		return nil
	})
	switch {
	case errors.Is(err, errDry):
		done.Table, done.Standing, done.Closed = nil, nil, nil
	case err != nil:
		return Amendment{}, fmt.Errorf("record allocations: %w", err)
	}
	return done, nil
}

func writeAllocations(ctx context.Context, tx *sql.Tx, all []allocation.Allocation, now time.Time) error {
	w := &writer{ctx: ctx, tx: tx}
	err := w.each(`INSERT INTO allocation (id, host, device, workload_kind, workload, tenant, from_ns, to_ns, recorded_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		"allocation", len(all), func(i int, row []any) []any {
			a := &all[i]
			return append(row, a.ID, a.Host, string(a.Device), string(a.WorkloadKind), a.WorkloadID, string(a.Tenant), a.FromNS, a.ToNS, now.UnixNano())
		})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key IN ('revision', 'allocations')"); err != nil {
		return fmt.Errorf("write meta: %w", err)
	}
	return nil
}

// allocations returns the allocations as they stand, by id.
func allocations(ctx context.Context, q querier) (map[string]allocation.Allocation, error) {
	all := map[string]allocation.Allocation{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var a allocation.Allocation
		err := rows.Scan(&a.ID, &a.Host, &a.Device, &a.WorkloadKind, &a.WorkloadID, &a.Tenant, &a.FromNS, &a.ToNS, &a.RecordedNS)
		all[a.ID] = a
		return err
	}, `SELECT id, host, device, workload_kind, workload, tenant, from_ns, to_ns, recorded_ns FROM allocation
		WHERE no IN (SELECT max(no) FROM allocation GROUP BY id)`)
	if err != nil {
		return nil, fmt.Errorf("read allocations: %w", err)
	}
	return all, nil
}

// LoadAllocations returns the table as it stands.
func (s *Store) LoadAllocations(ctx context.Context) (*allocation.Table, error) {
	all, err := allocations(ctx, s.read)
	if err != nil {
		return nil, err
	}
	return allocation.NewTable(slices.Collect(maps.Values(all))), nil
}

// StandingAllocations returns the allocations as they stand, in no order.
func (s *Store) StandingAllocations(ctx context.Context) ([]allocation.Allocation, error) {
	all, err := allocations(ctx, s.read)
	return slices.Collect(maps.Values(all)), err
}

// Allocations returns the allocations as they stand, in order of their id.
func (r *Reader) Allocations(ctx context.Context) ([]desk.Allocation, error) {
	var out []desk.Allocation
	err := r.view(ctx, "allocations", func(tx *sql.Tx) error {
		all, err := allocations(ctx, tx)
		for _, id := range slices.Sorted(maps.Keys(all)) {
			a := all[id]
			out = append(out, desk.Allocation{ID: id, Host: a.Host, Device: a.Device, WorkloadKind: a.WorkloadKind, WorkloadID: a.WorkloadID,
				Tenant: a.Tenant, FromNS: a.FromNS, ToNS: a.ToNS, RecordedNS: a.RecordedNS})
		}
		return err
	})
	return out, err
}

// segments names what the segments are read from, as they are counted: the table
// itself while nothing was ever corrected.
func segments(ctx context.Context, q querier) (string, error) {
	source := "segment"
	err := each(ctx, q, func(*sql.Rows) error {
		source = "counted"
		return nil
	}, "SELECT 1 FROM piece LIMIT 1")
	if err != nil {
		return "", fmt.Errorf("look for corrections: %w", err)
	}
	return source, nil
}

// checkPieces tells of corrected segments whose pieces do not add up to them, and of
// corrections that name a segment by another start than its own.
func checkPieces(ctx context.Context, tx *sql.Tx, tell func(string)) error {
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var id, segment int64
		err := rows.Scan(&id, &segment)
		tell(fmt.Sprintf("correction %d: it names another start of segment %d", id, segment))
		return err
	}, "SELECT c.id, c.segment FROM correction c JOIN segment s ON s.id = c.segment WHERE s.start_ns <> c.segment_start_ns ORDER BY c.id")
	if err != nil {
		return err
	}
	return each(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		tell(fmt.Sprintf("segment %d: its pieces are not what it holds", id))
		return err
	}, `SELECT s.id FROM (SELECT segment, min(segment_start_ns) AS begins, max(segment_start_ns) AS began, min(from_ns) AS from_ns, max(to_ns) AS to_ns, sum(duration_ns) AS ns, sum(ops_low) AS low, sum(ops_best) AS best,
			sum(ops_high) AS high, sum(ops_float) AS float, sum(ceiling) AS ceiling FROM piece GROUP BY segment) p JOIN segment s ON s.id = p.segment
		WHERE p.begins <> s.start_ns OR p.began <> s.start_ns OR p.from_ns <> s.start_ns OR p.to_ns <> s.end_ns OR p.ns <> s.duration_ns OR p.low <> s.ops_low OR p.best <> s.ops_best
			OR p.high <> s.ops_high OR p.float <> s.ops_float OR p.ceiling <> s.ceiling ORDER BY s.id`)
}

// Corrections returns the correcting entries made before the given one, 0 for
// all, last made first.
func (r *Reader) Corrections(ctx context.Context, before desk.CorrectionID, limit int) ([]desk.Correction, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	var out []desk.Correction
	err := r.view(ctx, "corrections", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var c desk.Correction
			err := rows.Scan(&c.ID, &c.Segment, &c.Host, &c.HostName, &c.Device, &c.Workload.Kind, &c.Workload.ID, &c.Workload.Hint, &c.Method, &c.FromNS, &c.ToNS,
				&c.StateBefore, &c.TenantBefore, &c.StateAfter, &c.TenantAfter, &c.Duration, &c.Operations.Low, &c.Operations.Best, &c.Operations.High,
				&c.Ceiling, &c.EnergyMJ, &c.RecordedNS)
			out = append(out, c)
			return err
		}, `SELECT c.id, c.segment, h.id, h.name, d.id, w.kind, w.id, w.hint, m.name, c.from_ns, c.to_ns, c.state_before, b.id, c.state_after, a.id,
			c.duration_ns, c.ops_low, c.ops_best, c.ops_high, c.ceiling, c.energy_mj, c.recorded_ns
			FROM correction c CROSS JOIN segment s ON s.id = c.segment AND s.start_ns = c.segment_start_ns JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host
			JOIN workload w ON w.no = s.workload JOIN method m ON m.no = s.method JOIN tenant b ON b.no = c.tenant_before JOIN tenant a ON a.no = c.tenant_after
			WHERE c.id < ? ORDER BY c.id DESC LIMIT ?`, int64(before), rowLimit(limit))
	})
	return out, err
}
