package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// maxProblems bounds what Check tells.
const maxProblems = 100

// Totals returns the account of all segments that touch [fromNS, toNS); 0 leaves
// an end open. A segment counts as a whole, because what it holds is known for
// the whole of it; FromNS and ToNS of the answer are the ends of what counted.
func (r *Reader) Totals(ctx context.Context, fromNS, toNS int64) (desk.Totals, error) {
	if toNS == 0 {
		toNS = math.MaxInt64
	}
	var t desk.Totals
	err := r.view(ctx, "ledger totals", func(tx *sql.Tx) (err error) {
		t, err = totals(ctx, tx, fromNS, toNS)
		return err
	})
	return t, err
}

func totals(ctx context.Context, tx *sql.Tx, fromNS, toNS int64) (desk.Totals, error) {
	var t desk.Totals
	by := map[measure.State]desk.DeviceTime{}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var state measure.State
		var n int
		var from, to int64
		var duration deviceTime
		var ops compute.Bounds
		if err := rows.Scan(&state, &n, &duration.seconds, &duration.nanos, &from, &to, &ops.Low, &ops.Best, &ops.High); err != nil {
			return err
		}
		by[state] = duration.desk()
		t.Segments += n
		if t.FromNS == 0 || from < t.FromNS {
			t.FromNS = from
		}
		t.ToNS = max(t.ToNS, to)
		if state == measure.Unobserved {
			t.Unseen = ops
		}
		return nil
	}, `SELECT state, count(*), sum(duration_ns / 1000000000), sum(duration_ns % 1000000000), min(start_ns), max(end_ns), sum(ops_low), sum(ops_best), sum(ops_high)
		FROM segment WHERE end_ns > ? AND start_ns < ? GROUP BY state`, fromNS, toNS)
	if err != nil {
		return t, err
	}
	t.Attributed, t.Idle = by[measure.Attributed], by[measure.Idle]
	t.Unattributed, t.Unobserved = by[measure.Unattributed], by[measure.Unobserved]
	t.Elapsed = t.Attributed + t.Idle + t.Unattributed + t.Unobserved
	err = each(ctx, tx, func(rows *sql.Rows) error {
		f, err := scanFigure(rows)
		// What nobody saw is shown on its own line, as Unseen.
		t.Figure = f.figure()
		return err
	}, `SELECT `+figureColumns+` FROM segment s JOIN method m ON m.no = s.method WHERE s.state = 1 AND s.end_ns > ? AND s.start_ns < ? GROUP BY s.state`, fromNS, toNS)
	if err != nil {
		return t, err
	}
	t.Figure.Coverage = share(t.Elapsed-t.Unobserved, t.Elapsed)
	var overlap deviceTime
	err = tx.QueryRowContext(ctx, `SELECT count(*), count(DISTINCT host), coalesce(sum(overlap_ns / 1000000000), 0), coalesce(sum(overlap_ns % 1000000000), 0), coalesce(sum(windows), 0)
		FROM device WHERE last_ns > ? AND first_ns < ?`, fromNS, toNS).Scan(&t.Devices, &t.Hosts, &overlap.seconds, &overlap.nanos, &t.Windows)
	t.Overlap = overlap.desk()
	return t, err
}

// Check adds the segments of each device up anew and holds the sum against the
// time since the device was first seen (invariant I1), and looks for bounds that
// are out of order.
func (r *Reader) Check(ctx context.Context) (desk.Check, error) {
	c := desk.Check{}
	problems := 0
	err := r.view(ctx, "ledger check", func(tx *sql.Tx) error {
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var host, device string
			var elapsed, sum, wrong int64
			if err := rows.Scan(&host, &device, &elapsed, &sum, &wrong); err != nil {
				return err
			}
			c.Devices++
			if elapsed == sum && wrong == 0 {
				return nil
			}
			if problems++; problems <= maxProblems {
				c.Problems = append(c.Problems, fmt.Sprintf("host %s device %s: %d ns elapsed, %d ns accounted for, %d segments with bounds out of order", host, device, elapsed, sum, wrong))
			}
			return nil
		}, `SELECT h.id, d.id, d.last_ns - d.first_ns, coalesce(sum(s.duration_ns), 0),
			coalesce(sum(s.ops_low < 0 OR s.ops_best < s.ops_low OR s.ops_high < s.ops_best OR s.start_ns < d.first_ns OR s.end_ns > d.last_ns), 0)
			FROM device d JOIN host h ON h.no = d.host LEFT JOIN segment s ON s.device = d.no GROUP BY d.no`)
		if err != nil {
			return err
		}
		c.Totals, err = totals(ctx, tx, 0, math.MaxInt64)
		return err
	})
	c.Balanced = err == nil && problems == 0
	return c, err
}
