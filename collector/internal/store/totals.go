package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/ledger"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// maxProblems bounds what Check tells.
const maxProblems = 100

// Totals returns the account of [fromNS, toNS); 0 leaves an end open. Of a
// segment that reaches beyond an end the part inside counts, with bounds that
// hold wherever in the segment its operations were done. Windows are those of
// the devices' whole life.
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

// tally adds groups up into totals.
type tally struct {
	totals desk.Totals
	by     [5]deviceTime // by state
	figure sums
}

func (y *tally) add(g *group, segments int, fromNS, toNS int64) {
	t := &y.totals
	t.Segments += segments
	if t.FromNS == 0 || fromNS < t.FromNS {
		t.FromNS = fromNS
	}
	t.ToNS = max(t.ToNS, toNS)
	y.by[g.state] = y.by[g.state].add(g.time)
	if g.state == measure.Unobserved {
		// What nobody saw is told by itself.
		t.Unseen = t.Unseen.Add(g.operations())
		return
	}
	y.figure.add(g.sums())
}

func totals(ctx context.Context, tx *sql.Tx, fromNS, toNS int64) (desk.Totals, error) {
	var y tally
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var g group
		var n int
		var from, to int64
		if err := rows.Scan(append(g.targets(), &n, &from, &to)...); err != nil {
			return err
		}
		y.add(&g, n, from, to)
		return nil
	}, "SELECT "+groupColumns+`, count(*), min(s.start_ns), max(s.end_ns) FROM segment s JOIN method m ON m.no = s.method
		WHERE s.start_ns >= ? AND s.end_ns <= ? AND s.end_ns > ? AND s.start_ns < ? GROUP BY s.state, m.name`, fromNS, toNS, fromNS, toNS)
	if err != nil {
		return y.totals, err
	}
	cut, err := y.cut(ctx, tx, fromNS, toNS)
	if err != nil {
		return y.totals, err
	}
	t := &y.totals
	t.Attributed, t.Idle = y.by[measure.Attributed].desk(), y.by[measure.Idle].desk()
	t.Unattributed, t.Unobserved = y.by[measure.Unattributed].desk(), y.by[measure.Unobserved].desk()
	var elapsed, overlap deviceTime
	err = tx.QueryRowContext(ctx, "SELECT count(*), count(DISTINCT host), coalesce(sum(windows), 0), "+seconds("overlap_ns")+", "+seconds("min(last_ns, ?) - max(first_ns, ?)")+`
		FROM device WHERE last_ns > ? AND first_ns < ?`, toNS, fromNS, toNS, fromNS, fromNS, toNS).
		Scan(slices.Concat([]any{&t.Devices, &t.Hosts, &t.Windows}, overlap.targets(), elapsed.targets())...)
	t.Overlap = overlap.desk()
	// The time of the devices is the other side of the account. Each cut segment
	// may lose a nanosecond to rounding; with no more than that the sides agree,
	// and the figures shown must then add up as they are shown.
	accounted := y.by[1].add(y.by[2]).add(y.by[3]).add(y.by[4])
	t.Elapsed = elapsed.desk()
	if missing := time.Duration(elapsed.seconds-accounted.seconds)*time.Second + time.Duration(elapsed.nanos-accounted.nanos); missing.Abs() <= time.Duration(cut) {
		t.Elapsed = t.Attributed + t.Idle + t.Unattributed + t.Unobserved
	}
	t.Figure = y.figure.figure()
	t.Figure.Coverage = share(t.Elapsed-t.Unobserved, t.Elapsed)
	return *t, err
}

// cut adds the part inside of each segment that reaches beyond an end, and
// returns how many there are.
func (y *tally) cut(ctx context.Context, tx *sql.Tx, fromNS, toNS int64) (n int, err error) {
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var s ledger.Segment
		var ceiling compute.Rate
		err := rows.Scan(&s.Key.State, &s.Key.Method.Name, &s.StartNS, &s.EndNS, &s.DurationNS, &s.Operations.Low, &s.Operations.Best, &s.Operations.High, &s.Ceiling, &ceiling)
		if err != nil {
			return err
		}
		s = clip(s, ceiling, fromNS, toNS)
		g := group{state: s.Key.State, method: s.Key.Method.Name, time: deviceTime{nanos: s.DurationNS}.normal()}
		for i, ops := range []compute.Operations{s.Operations.Low, s.Operations.Best, s.Operations.High} {
			g.bounds[i] = sum{low: int64(ops)}
		}
		g.ceiling = sum{low: int64(s.Ceiling)}
		y.add(&g, 1, s.StartNS, s.EndNS)
		n++
		return nil
	}, `SELECT s.state, m.name, s.start_ns, s.end_ns, s.duration_ns, s.ops_low, s.ops_best, s.ops_high, s.ceiling, max(d.ceiling, d.peak)
		FROM segment s JOIN method m ON m.no = s.method JOIN device d ON d.no = s.device
		WHERE s.end_ns > ? AND s.start_ns < ? AND (s.start_ns < ? OR s.end_ns > ?)`, fromNS, toNS, fromNS, toNS)
	return n, err
}

// clip returns the part of a segment inside [fromNS, toNS), which must meet.
// Best is by time. How the operations lie in the segment is not known, so low
// is what cannot have been done outside at the given fastest rate, and high
// what can have been done inside.
func clip(s ledger.Segment, fastest compute.Rate, fromNS, toNS int64) ledger.Segment {
	whole := s.EndNS - s.StartNS
	s.StartNS, s.EndNS = max(s.StartNS, fromNS), min(s.EndNS, toNS)
	part := s.EndNS - s.StartNS
	ops := s.Operations
	s.Operations.Low = max(0, ops.Low-fastest.Over(time.Duration(whole-part), compute.Up))
	s.Operations.High = max(s.Operations.Low, min(ops.High, fastest.Over(time.Duration(part), compute.Up)))
	s.Operations.Best = min(max(compute.Operations(proportion(int64(ops.Best), part, whole)), s.Operations.Low), s.Operations.High)
	s.DurationNS = proportion(s.DurationNS, part, whole)
	s.Ceiling = compute.Operations(proportion(int64(s.Ceiling), part, whole))
	return s
}

// proportion returns n×part/whole rounded down, for 0 ≤ part ≤ whole.
func proportion(n, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(q)
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
			var elapsed int64
			var accounted sum
			var wrong int
			if err := rows.Scan(&host, &device, &elapsed, &accounted.high, &accounted.low, &wrong); err != nil {
				return err
			}
			c.Devices++
			if elapsed >= 0 && elapsed == int64(accounted.operations()) && wrong == 0 {
				return nil
			}
			if problems++; problems <= maxProblems {
				c.Problems = append(c.Problems, fmt.Sprintf("host %s device %s: %d ns elapsed, %d ns accounted for, %d segments that cannot be", host, device, elapsed, accounted.operations(), wrong))
			}
			return nil
		}, "SELECT h.id, d.id, d.last_ns - d.first_ns, "+halves("s.duration_ns")+`,
			coalesce(sum(s.ops_low < 0 OR s.ops_best < s.ops_low OR s.ops_high < s.ops_best OR s.start_ns < d.first_ns OR s.end_ns > d.last_ns
				OR s.duration_ns < 0 OR s.duration_ns > s.end_ns - s.start_ns), 0)
			FROM device d JOIN host h ON h.no = d.host LEFT JOIN segment s ON s.device = d.no GROUP BY d.no ORDER BY h.id, d.id`)
		if err != nil {
			return err
		}
		c.Totals, err = totals(ctx, tx, 0, math.MaxInt64)
		return err
	})
	c.Balanced = err == nil && problems == 0
	return c, err
}
