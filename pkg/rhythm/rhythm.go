// Package rhythm keeps how the power or activity of a workload moves from one
// window to the next, in a fixed number of counters: what telling training from
// inference needs, without keeping the series. It is pure.
//
// Values are compared with their neighbours alone, so it does not matter whether
// they are watts of a node or operations a second of a device. At the default
// window of 10 s a cycle is seen when it is 40 s or longer: pauses for evaluation
// and checkpoints, not single steps.
package rhythm

import "math"

// Edges are the upper edges of the classes of change between two windows that
// follow each other, relative to the larger value. The last class has none.
var Edges = [Classes - 1]float32{0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064}

// Classes is the number of classes of change.
const Classes = 9

const (
	// A dip begins below dipBelow of the level and ends above dipOver of it.
	dipBelow, dipOver = 0.95, 0.97
	// busyOver is the share of the level below which a window is a pause: it is no
	// change of work, and starting and stopping are not counted as roughness.
	busyOver = 0.5
	// The level follows rises by half and falls slowly, so that it is what the work
	// takes between its dips.
	rise, fall = 0.5, 0.03
)

// Rhythm is the counters of one series, or of several that were merged. The zero
// value is an empty series.
type Rhythm struct {
	Windows   uint32          // values that were added
	Changes   [Classes]uint32 // changes between busy neighbours, by size
	Dips      uint32          // dips that began and ended
	Intervals uint32          // between the beginnings of neighbouring dips
	Sum       uint64          // of the intervals, in windows
	Squares   uint64          // of their squares

	// Where the series is: what the next value is compared with.
	Level    float32
	Previous float32 // 0 where there is none
	Since    uint32  // windows since the newest dip began
	In       bool    // a dip that has not ended
	Before   uint32  // interval before the dip that has not ended, 0 if it is the first
}

// Add takes the value of the next window. Only values above zero are readings;
// for another one the series breaks.
func (r *Rhythm) Add(value float64) {
	v := float32(value)
	if !(v > 0) || math.IsInf(float64(v), 0) {
		r.Break(1)
		return
	}
	r.Windows = inc(r.Windows)
	if r.Level == 0 {
		r.Level = v
	}
	switch {
	case v > r.Level:
		r.Level += (v - r.Level) * rise
	default:
		r.Level += (v - r.Level) * fall
	}
	if busy := busyOver * r.Level; v >= busy && r.Previous > busy {
		change := (v - r.Previous) / max(v, r.Previous)
		r.Changes[class(max(change, -change))]++
	}
	r.dip(v)
	r.Previous = v
}

func (r *Rhythm) dip(v float32) {
	if r.Since > 0 {
		r.Since = inc(r.Since)
	}
	switch {
	case !r.In && v < dipBelow*r.Level:
		r.In, r.Before = true, 0
		if r.Since > 0 {
			r.Before = r.Since - 1
		}
		r.Since = 1
	case r.In && v > dipOver*r.Level:
		r.In = false
		r.Dips = inc(r.Dips)
		if r.Before > 0 {
			r.Intervals = inc(r.Intervals)
			r.Sum += uint64(r.Before)
			r.Squares += uint64(r.Before) * uint64(r.Before)
		}
	}
}

// Break notes windows of which no value is known: they separate neighbours and
// pass between dips.
func (r *Rhythm) Break(windows uint32) {
	r.Previous = 0
	if r.Since > 0 {
		r.Since = uint32(min(uint64(r.Since)+uint64(windows), math.MaxUint32))
	}
}

// Merge adds the counters of another series. Where the series are is dropped: a
// merged one is not continued. The order of merges changes nothing.
func (r Rhythm) Merge(o Rhythm) Rhythm {
	m := Rhythm{
		Windows: add(r.Windows, o.Windows), Dips: add(r.Dips, o.Dips), Intervals: add(r.Intervals, o.Intervals),
		Sum: r.Sum + o.Sum, Squares: r.Squares + o.Squares,
	}
	for i := range m.Changes {
		m.Changes[i] = add(r.Changes[i], o.Changes[i])
	}
	return m
}

// Compared returns how many changes were counted.
func (r *Rhythm) Compared() uint64 {
	var n uint64
	for _, c := range r.Changes {
		n += uint64(c)
	}
	return n
}

// Change returns the class of change below which a share q of the changes lie,
// with the place inside the class: 0 for less than Edges[0] up to Classes. Each
// class but the first and last is twice the one before. False when nothing was
// compared.
func (r *Rhythm) Change(q float64) (float64, bool) {
	total := float64(r.Compared())
	if total == 0 {
		return 0, false
	}
	var below float64
	for i, c := range r.Changes {
		if n := float64(c); n > 0 && below+n >= q*total {
			return float64(i) + (q*total-below)/n, true
		}
		below += float64(c)
	}
	return Classes, true
}

// Regularity returns how alike the intervals between dips are, 1 for a clock and
// towards 0 for no pattern, with their mean in windows. False below three intervals.
func (r *Rhythm) Regularity() (regularity, mean float64, ok bool) {
	if r.Intervals < 3 || r.Sum == 0 {
		return 0, 0, false
	}
	n := float64(r.Intervals)
	mean = float64(r.Sum) / n
	variance := max(0, float64(r.Squares)/n-mean*mean)
	return 1 / (1 + math.Sqrt(variance)/mean), mean, true
}

func class(change float32) int {
	for i, edge := range Edges {
		if change < edge {
			return i
		}
	}
	return Classes - 1
}

func inc(n uint32) uint32 { return add(n, 1) }

// add stays at the largest number instead of starting over.
func add(a, b uint32) uint32 { return uint32(min(uint64(a)+uint64(b), math.MaxUint32)) }
