package store

import (
	"context"
	"database/sql"
	"math"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// accountTotals returns what each account did up to an instant, 0 for all, as the
// ledger said at another, 0 for now: corrections that were recorded after it are
// taken back. Of a segment that goes on after the first instant the part before
// counts, within bounds that hold wherever in the segment its operations were
// done: no more than its ceiling allows for the part, and no less than what the
// rest cannot have held.
//
// The ledger does not record when it took a window in, so what arrived late is of
// when it was done.
func accountTotals(ctx context.Context, q querier, accountOf map[string]string, untilNS, knownNS int64) (map[string]compute.Bounds, error) {
	source, err := segments(ctx, q)
	if err != nil {
		return nil, err
	}
	out := map[string]compute.Bounds{}
	add := func(tenant string, b compute.Bounds) {
		if account := accountOf[tenant]; account != "" {
			out[account] = out[account].Add(b)
		}
	}
	where := " AND s.end_ns <= ?"
	args := []any{untilNS}
	if untilNS == 0 {
		where, args = "", nil
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var tenant string
		var low, best, high sum
		if err := rows.Scan(append([]any{&tenant}, append(append(low.targets(), best.targets()...), high.targets()...)...)...); err != nil {
			return err
		}
		add(tenant, compute.Bounds{Low: low.operations(), Best: best.operations(), High: high.operations()})
		return nil
	}, "SELECT t.id, "+halves("s.ops_low")+", "+halves("s.ops_best")+", "+halves("s.ops_high")+" FROM "+source+" s JOIN tenant t ON t.no = s.tenant WHERE t.id <> '' AND s.state IN (1, 4)"+where+" GROUP BY t.id", args...)
	if err != nil {
		return nil, err
	}
	if knownNS != 0 {
		take := func(tenant string, b compute.Bounds) {
			if account := accountOf[tenant]; account != "" {
				was := out[account]
				out[account] = compute.Bounds{Low: was.Low - b.Low, Best: was.Best - b.Best, High: was.High - b.High}
			}
		}
		if err := takeBack(ctx, q, untilNS, knownNS, add, take); err != nil {
			return nil, err
		}
	}
	if untilNS == 0 {
		return settled(out), nil
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var tenant string
		var start, end int64
		var b compute.Bounds
		var ceiling compute.Operations
		if err := rows.Scan(&tenant, &start, &end, &b.Low, &b.Best, &b.High, &ceiling); err != nil {
			return err
		}
		add(tenant, firstPart(b, ceiling, untilNS-start, end-start))
		return nil
	}, "SELECT t.id, s.start_ns, s.end_ns, s.ops_low, s.ops_best, s.ops_high, s.ceiling FROM "+source+` s JOIN tenant t ON t.no = s.tenant
		WHERE t.id <> '' AND s.state IN (1, 4) AND s.start_ns < ?1 AND s.end_ns > ?1`, untilNS)
	return settled(out), err
}

// takeBack gives and takes what undoes the corrections recorded after an instant,
// the last one first, so that nobody has less than nothing in between. Of one that reaches over the end the first part
// counts, cut as the piece that it made is cut.
func takeBack(ctx context.Context, q querier, untilNS, knownNS int64, give, take func(tenant string, b compute.Bounds)) error {
	if untilNS == 0 {
		untilNS = math.MaxInt64
	}
	return each(ctx, q, func(rows *sql.Rows) error {
		var before, after string
		var countedBefore, countedAfter bool
		var from, to int64
		var b compute.Bounds
		var ceiling compute.Operations
		if err := rows.Scan(&before, &countedBefore, &after, &countedAfter, &from, &to, &b.Low, &b.Best, &b.High, &ceiling); err != nil {
			return err
		}
		if to > untilNS {
			b = firstPart(b, ceiling, untilNS-from, to-from)
		}
		if countedAfter {
			take(after, b)
		}
		if countedBefore {
			give(before, b)
		}
		return nil
	}, `SELECT b.id, c.state_before IN (1, 4), a.id, c.state_after IN (1, 4), c.from_ns, c.to_ns, c.ops_low, c.ops_best, c.ops_high, c.ceiling FROM correction c
		JOIN tenant b ON b.no = c.tenant_before JOIN tenant a ON a.no = c.tenant_after WHERE c.recorded_ns > ? AND c.from_ns < ? ORDER BY c.id DESC`, knownNS, untilNS)
}

// settled has no total below zero or upside down: parts of what was cut more than
// once are bounds, whose differences need not be.
func settled(all map[string]compute.Bounds) map[string]compute.Bounds {
	for account, b := range all {
		b.Low = max(b.Low, 0)
		b.Best = max(b.Best, b.Low)
		b.High = max(b.High, b.Best)
		all[account] = b
	}
	return all
}

// firstPart is what the first part of a segment did.
func firstPart(b compute.Bounds, ceiling compute.Operations, part, whole int64) compute.Bounds {
	inside := compute.Operations(proportion(int64(ceiling), part, whole))
	out := compute.Bounds{Low: max(0, b.Low-(ceiling-inside)), Best: compute.Operations(proportion(int64(b.Best), part, whole)), High: min(b.High, inside+1)}
	out.High = max(out.High, out.Low)
	out.Best = min(max(out.Best, out.Low), out.High)
	return out
}
