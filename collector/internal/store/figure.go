package store

import (
	"database/sql"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// figureColumns sums segments by what may not be mixed: the operations of time
// that was measured, and of time known by allocation or not observed at all.
// It goes with scanFigure.
const figureColumns = `
	sum(CASE WHEN s.state = 1 THEN s.duration_ns / 1000000000 ELSE 0 END), sum(CASE WHEN s.state = 1 THEN s.duration_ns % 1000000000 ELSE 0 END),
	sum(CASE WHEN s.state = 4 THEN s.duration_ns / 1000000000 ELSE 0 END), sum(CASE WHEN s.state = 4 THEN s.duration_ns % 1000000000 ELSE 0 END),
	sum(CASE WHEN s.state = 1 AND m.name <> 'allocation' THEN s.ops_low ELSE 0 END),
	sum(CASE WHEN s.state = 1 AND m.name <> 'allocation' THEN s.ops_best ELSE 0 END),
	sum(CASE WHEN s.state = 1 AND m.name <> 'allocation' THEN s.ops_high ELSE 0 END),
	sum(CASE WHEN s.state = 4 OR (s.state = 1 AND m.name = 'allocation') THEN s.ops_low ELSE 0 END),
	sum(CASE WHEN s.state = 4 OR (s.state = 1 AND m.name = 'allocation') THEN s.ops_best ELSE 0 END),
	sum(CASE WHEN s.state = 4 OR (s.state = 1 AND m.name = 'allocation') THEN s.ops_high ELSE 0 END),
	sum(s.ceiling),
	coalesce(group_concat(DISTINCT CASE WHEN s.state = 1 THEN m.name END), '')`

// deviceTime is a sum of many durations, which nanoseconds in an int64 do not
// hold: seconds, and the nanoseconds below a second summed on their own.
type deviceTime struct{ seconds, nanos int64 }

func (t deviceTime) add(o deviceTime) deviceTime {
	return deviceTime{t.seconds + o.seconds, t.nanos + o.nanos}
}

func (t deviceTime) desk() desk.DeviceTime { return desk.DeviceTime(t.seconds*1000 + t.nanos/1e6) }

// sums is a row of figureColumns.
type sums struct {
	attributed, unobserved deviceTime
	empirical, theoretical compute.Bounds
	ceiling                compute.Operations
	methods                string
}

func (f *sums) targets() []any {
	return []any{&f.attributed.seconds, &f.attributed.nanos, &f.unobserved.seconds, &f.unobserved.nanos, &f.empirical.Low, &f.empirical.Best, &f.empirical.High,
		&f.theoretical.Low, &f.theoretical.Best, &f.theoretical.High, &f.ceiling, &f.methods}
}

// add adds another row.
func (f *sums) add(o sums) {
	f.attributed = f.attributed.add(o.attributed)
	f.unobserved = f.unobserved.add(o.unobserved)
	f.empirical = f.empirical.Add(o.empirical)
	f.theoretical = f.theoretical.Add(o.theoretical)
	f.ceiling = f.ceiling.Add(o.ceiling)
	f.methods = strings.Join(union(f.methods, o.methods), ",")
}

// figure returns what the desk shows.
func (f *sums) figure() desk.Figure {
	out := desk.Figure{
		Empirical: f.empirical, Theoretical: f.theoretical, Ceiling: f.ceiling,
		DeviceTime: f.attributed.desk(), Coverage: share(f.attributed.desk(), f.attributed.add(f.unobserved).desk()),
	}
	for _, name := range union(f.methods, "") {
		out.Methods = append(out.Methods, measure.MethodName(name))
	}
	return out
}

// share returns part/whole, and 1 of nothing: nothing was missed.
func share(part, whole desk.DeviceTime) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// union returns the words of two comma-separated lists, sorted.
func union(a, b string) []string {
	words := slices.DeleteFunc(append(strings.Split(a, ","), strings.Split(b, ",")...), func(s string) bool { return s == "" })
	slices.Sort(words)
	return slices.Compact(words)
}

// scanFigure scans a row whose first columns go to targets and the rest are
// figureColumns.
func scanFigure(rows *sql.Rows, targets ...any) (sums, error) {
	var f sums
	err := rows.Scan(append(targets, f.targets()...)...)
	return f, err
}
