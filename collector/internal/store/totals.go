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
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// maxProblems bounds what Check tells.
const maxProblems = 100

// Totals returns the account of [fromNS, toNS); 0 leaves an end open. Of a
// segment that reaches beyond an end the part inside counts, with bounds that
// hold wherever in the segment its operations were done. A segment without
// length, which holds what was claimed a second time, counts where it lies.
// Windows are those of the devices' whole life.
func (r *Reader) Totals(ctx context.Context, fromNS, toNS int64) (desk.Totals, error) {
	if toNS == 0 {
		toNS = math.MaxInt64
	}
	var t desk.Totals
	err := r.view(ctx, "ledger totals", func(tx *sql.Tx) (err error) {
		if t, err = totals(ctx, tx, fromNS, toNS); err != nil {
			return err
		}
		grades, err := gradesOf(ctx, tx, "''", "TRUE", fromNS, toNS)
		e := grades[""]
		t.Evidence = &e
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
	source, err := segments(ctx, tx)
	if err != nil {
		return y.totals, err
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var g group
		var n int
		var from, to int64
		if err := rows.Scan(append(g.targets(), &n, &from, &to)...); err != nil {
			return err
		}
		y.add(&g, n, from, to)
		return nil
	}, "SELECT "+groupColumns+`, count(*), min(s.start_ns), max(s.end_ns) FROM `+source+` s JOIN method m ON m.no = s.method
		WHERE s.start_ns >= ? AND s.end_ns <= ? AND s.start_ns < ? GROUP BY s.state, m.name`, fromNS, toNS, toNS)
	if err != nil {
		return y.totals, err
	}
	if err := y.cut(ctx, tx, source, fromNS, toNS); err != nil {
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
	if err != nil {
		return *t, err
	}
	// The time of the devices is the other side of the account. Where the sides
	// agree, to the nanosecond, the figures must also add up as they are shown. Pieces
	// that meet at an end of the span are rounded, each for itself.
	rounded := int64(0)
	if source != "segment" {
		err = tx.QueryRowContext(ctx, "SELECT count(*) FROM piece WHERE to_ns = ? OR from_ns = ?", fromNS, toNS).Scan(&rounded)
	}
	t.Elapsed = elapsed.desk()
	if elapsed.agrees(y.by[1].add(y.by[2]).add(y.by[3]).add(y.by[4]), rounded) {
		t.Elapsed = t.Attributed + t.Idle + t.Unattributed + t.Unobserved
	}
	t.Figure = y.figure.figure()
	t.Figure.Coverage = share(t.Elapsed-t.Unobserved, t.Elapsed)
	return *t, err
}

// cutSegment is a segment that reaches beyond an end of a span.
type cutSegment struct {
	ledger.Segment
	fastest compute.Rate // of its device
	spareNS int64        // time of its device in the span that whole segments leave
}

// cut adds the part inside of each segment that reaches beyond an end.
func (y *tally) cut(ctx context.Context, tx *sql.Tx, source string, fromNS, toNS int64) error {
	var device []cutSegment // of one device
	flush := func() {
		for _, s := range clip(device, fromNS, toNS) {
			g := group{state: s.Key.State, method: s.Key.Method.Name, time: deviceTime{nanos: s.DurationNS}.normal()}
			for i, ops := range []compute.Operations{s.Operations.Low, s.Operations.Best, s.Operations.High} {
				g.bounds[i] = sum{low: int64(ops)}
			}
			g.ceiling = sum{low: int64(s.Ceiling)}
			y.add(&g, 1, s.StartNS, s.EndNS)
		}
		device = device[:0]
	}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var s cutSegment
		err := rows.Scan(&s.DeviceNo, &s.Key.State, &s.Key.Method.Name, &s.StartNS, &s.EndNS, &s.DurationNS,
			&s.Operations.Low, &s.Operations.Best, &s.Operations.High, &s.Ceiling, &s.fastest, &s.spareNS)
		if len(device) > 0 && device[0].DeviceNo != s.DeviceNo {
			flush()
		}
		device = append(device, s)
		return err
	}, `WITH whole AS (SELECT device, sum(duration_ns) AS ns FROM `+source+`
			WHERE start_ns >= ?1 AND end_ns <= ?2 AND start_ns < ?2 GROUP BY device)
		SELECT d.no, s.state, m.name, s.start_ns, s.end_ns, s.duration_ns, s.ops_low, s.ops_best, s.ops_high, s.ceiling, max(d.ceiling, d.peak),
			max(0, min(d.last_ns, ?2) - max(d.first_ns, ?1) - coalesce(w.ns, 0))
		FROM `+source+` s JOIN method m ON m.no = s.method JOIN device d ON d.no = s.device LEFT JOIN whole w ON w.device = d.no
		WHERE s.end_ns > ?1 AND s.start_ns < ?2 AND (s.start_ns < ?1 OR s.end_ns > ?2) ORDER BY d.no, s.id`, fromNS, toNS)
	flush()
	return err
}

// clip returns the parts inside [fromNS, toNS) of segments of one device, which
// reach beyond an end of it. Together they last as long as the whole segments
// of the device leave (invariant I1), each in proportion to its own time. Best
// goes with the time. How the operations lie in a segment is not known, so low
// is what cannot have been done outside at the fastest rate of the device, and
// high what can have been done inside.
func clip(device []cutSegment, fromNS, toNS int64) []ledger.Segment {
	out := make([]ledger.Segment, len(device))
	var weights, weight, given int64
	for i := range device {
		s := device[i].Segment
		whole := s.EndNS - s.StartNS
		s.StartNS, s.EndNS = max(s.StartNS, fromNS), min(s.EndNS, toNS)
		part := s.EndNS - s.StartNS
		fastest, ops := device[i].fastest, s.Operations
		// More than fastest in all is of time claimed twice, and may lie anywhere.
		excess := max(0, ops.High-fastest.Over(time.Duration(whole), compute.Up))
		s.Operations.Low = max(0, ops.Low-fastest.Over(time.Duration(whole-part), compute.Up)-excess)
		s.Operations.High = max(s.Operations.Low, min(ops.High, fastest.Over(time.Duration(part), compute.Up).Add(excess)))
		s.DurationNS = proportion(s.DurationNS, part, whole)
		weights += s.DurationNS
		out[i] = s
	}
	left := int64(0)
	if len(device) > 0 {
		left = device[0].spareNS
	}
	for i := range out {
		// Rounding the running sum loses nothing.
		weight += out[i].DurationNS
		upTo := proportion(device[0].spareNS, weight, weights)
		out[i].DurationNS, given = min(upTo-given, device[i].DurationNS), upTo
		left -= out[i].DurationNS
	}
	for i := range out {
		s, from := &out[i], &device[i]
		more := min(left, from.DurationNS-s.DurationNS) // what another had no room for
		s.DurationNS, left = s.DurationNS+more, left-more
		s.Operations.Best = min(max(compute.Operations(proportion(int64(from.Operations.Best), s.DurationNS, from.DurationNS)), s.Operations.Low), s.Operations.High)
		s.Ceiling = compute.Operations(proportion(int64(from.Ceiling), s.DurationNS, from.DurationNS))
	}
	return out
}

// proportion returns n×part/whole rounded down, for 0 ≤ part ≤ whole, and 0 of
// a whole of 0.
func proportion(n, part, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(q)
}

// Check adds the segments of each device up anew and holds the sum against the
// time since the device was first seen (invariant I1), and looks for bounds that
// are out of order.
func (r *Reader) Check(ctx context.Context) (desk.Check, error) {
	return r.check.get(ctx, r.store, func() (desk.Check, error) { return r.readCheck(ctx) })
}

func (r *Reader) readCheck(ctx context.Context) (desk.Check, error) {
	c := desk.Check{}
	problems := 0
	err := r.view(ctx, "ledger check", func(tx *sql.Tx) error {
		source, err := segments(ctx, tx)
		if err != nil {
			return err
		}
		err = each(ctx, tx, func(rows *sql.Rows) error {
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
		}, "SELECT min(h.id), d.id, d.last_ns - d.first_ns, "+halves("s.duration_ns")+`,
			count(*) FILTER (WHERE s.ops_low < 0 OR s.ops_best < s.ops_low OR s.ops_high < s.ops_best OR s.start_ns < d.first_ns OR s.end_ns > d.last_ns
				OR s.duration_ns < 0 OR s.duration_ns > s.end_ns - s.start_ns)
			FROM device d JOIN host h ON h.no = d.host LEFT JOIN `+source+` s ON s.device = d.no GROUP BY d.no ORDER BY min(h.id), d.id`)
		if err != nil {
			return err
		}
		if err := checkPieces(ctx, tx, func(problem string) {
			if problems++; problems <= maxProblems {
				c.Problems = append(c.Problems, problem)
			}
		}); err != nil {
			return err
		}
		c.Totals, err = totals(ctx, tx, 0, math.MaxInt64)
		return err
	})
	c.Balanced = err == nil && problems == 0
	return c, err
}
