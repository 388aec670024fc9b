package store

import (
	"math"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// SQLite ends a query whose sum leaves an int64, and a single host can claim
// enough to make one. So sums are taken in two halves, which two billion rows
// do not overflow, and meet in Go, where they saturate.

// halves returns the SQL of the sum of a column in two halves.
func halves(column string) string {
	return "coalesce(sum(" + column + " >> 32), 0), coalesce(sum(" + column + " & 4294967295), 0)"
}

// sum is a sum in halves.
type sum struct{ high, low int64 }

func (s *sum) targets() []any { return []any{&s.high, &s.low} }

// operations returns the sum, saturating.
func (s *sum) operations() compute.Operations {
	high := s.high + s.low>>32
	if high > math.MaxInt64>>32 {
		return compute.MaxOperations
	}
	return compute.Operations(high<<32 | s.low&math.MaxUint32)
}

// seconds returns the SQL of the sum of a column of nanoseconds as a deviceTime.
func seconds(column string) string {
	return "coalesce(sum((" + column + ") / 1000000000), 0), coalesce(sum((" + column + ") % 1000000000), 0)"
}

// deviceTime is a sum of many durations, which nanoseconds in an int64 do not
// hold: seconds, and the nanoseconds below a second summed on their own.
type deviceTime struct{ seconds, nanos int64 }

func (t *deviceTime) targets() []any { return []any{&t.seconds, &t.nanos} }

func (t deviceTime) add(o deviceTime) deviceTime {
	return deviceTime{t.seconds + o.seconds, t.nanos + o.nanos}.normal()
}

// normal returns the same time with less than a second of nanoseconds.
func (t deviceTime) normal() deviceTime {
	return deviceTime{t.seconds + t.nanos/1e9, t.nanos % 1e9}
}

// agrees reports whether times differ by so many nanoseconds at most.
func (t deviceTime) agrees(o deviceTime, within int64) bool {
	t, o = t.normal(), o.normal()
	if s := t.seconds - o.seconds; s < -1 || s > 1 { // time is shown in milliseconds
		return false
	}
	off := (t.seconds-o.seconds)*1e9 + t.nanos - o.nanos
	return -within <= off && off <= within
}

func (t deviceTime) desk() desk.DeviceTime { return desk.DeviceTime(t.seconds*1000 + t.nanos/1e6) }

// group is what segments of one state and method add up to. groupColumns and
// its targets go together.
type group struct {
	state   measure.State
	method  measure.MethodName
	time    deviceTime
	bounds  [3]sum
	ceiling sum
}

var groupColumns = "s.state, m.name, " + seconds("s.duration_ns") + ", " + halves("s.ops_low") + ", " + halves("s.ops_best") + ", " + halves("s.ops_high") + ", " + halves("s.ceiling")

func (g *group) targets() []any {
	return slices.Concat([]any{&g.state, &g.method}, g.time.targets(), g.bounds[0].targets(), g.bounds[1].targets(), g.bounds[2].targets(), g.ceiling.targets())
}

func (g *group) operations() compute.Bounds {
	return compute.Bounds{Low: g.bounds[0].operations(), Best: g.bounds[1].operations(), High: g.bounds[2].operations()}
}

// sums is what groups add up to, with what may not be mixed kept apart: the
// operations of time that was measured, and of time known by allocation or held
// while nobody saw. It can be compared.
type sums struct {
	attributed, unobserved deviceTime
	empirical, theoretical compute.Bounds
	ceiling                compute.Operations
	methods                string
}

// sumColumns are the columns of a stored sums, in the order of targets.
const sumColumns = "attributed_s, attributed_ns, unobserved_s, unobserved_ns, emp_low, emp_best, emp_high, theo_low, theo_best, theo_high, ceiling, methods"

func (f *sums) targets() []any {
	return []any{&f.attributed.seconds, &f.attributed.nanos, &f.unobserved.seconds, &f.unobserved.nanos, &f.empirical.Low, &f.empirical.Best, &f.empirical.High,
		&f.theoretical.Low, &f.theoretical.Best, &f.theoretical.High, &f.ceiling, &f.methods}
}

func (f *sums) values() []any {
	return []any{f.attributed.seconds, f.attributed.nanos, f.unobserved.seconds, f.unobserved.nanos, int64(f.empirical.Low), int64(f.empirical.Best), int64(f.empirical.High),
		int64(f.theoretical.Low), int64(f.theoretical.Best), int64(f.theoretical.High), int64(f.ceiling), f.methods}
}

// sums returns the group by itself. Only attributed and unobserved time counts.
func (g *group) sums() sums {
	var f sums
	switch {
	case g.state == measure.Unobserved:
		f.unobserved, f.theoretical, f.ceiling = g.time.normal(), g.operations(), g.ceiling.operations()
	case g.state != measure.Attributed:
	case measure.Method{Name: g.method}.Theoretical():
		f.attributed, f.theoretical, f.ceiling, f.methods = g.time.normal(), g.operations(), g.ceiling.operations(), string(g.method)
	default:
		f.attributed, f.empirical, f.ceiling, f.methods = g.time.normal(), g.operations(), g.ceiling.operations(), string(g.method)
	}
	return f
}

// add adds another.
func (f *sums) add(o sums) {
	f.attributed = f.attributed.add(o.attributed)
	f.unobserved = f.unobserved.add(o.unobserved)
	f.empirical = f.empirical.Add(o.empirical)
	f.theoretical = f.theoretical.Add(o.theoretical)
	f.ceiling = f.ceiling.Add(o.ceiling)
	if o.methods != f.methods {
		f.methods = strings.Join(union(f.methods, o.methods), ",")
	}
}

// combined is the interval that holds the truth of both parts.
func (f *sums) combined() compute.Bounds { return f.empirical.Add(f.theoretical) }

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
