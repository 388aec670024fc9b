package forecast

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

const now = int64(1_800_000_000_000_000_000)

func days(n ...int64) []compute.Operations {
	var out []compute.Operations
	for _, x := range n {
		out = append(out, compute.Operations(x))
	}
	return out
}

func inDays(ns int64) float64 { return float64(ns-now) / float64(Day) }

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s is %v, want %v ± %v", what, got, want, within)
	}
}

// A steady run crosses when arithmetic says so, and every draw agrees.
func TestSteadyRun(t *testing.T) {
	f := New(Subject{ID: "run_a", NowNS: now, LastNS: now, Done: compute.Exactly(500), Days: days(100, 100, 100, 100, 100)}, Default())
	c := f.Cross(1000)
	near(t, "earliest", inDays(c.EarliestNS), 5, 0.001)
	near(t, "latest", inDays(c.LatestNS), 5, 0.001)
	if c.By(now+int64(7*Day)) != 1 || c.By(now+int64(3*Day)) != 0 || c.Crossed || c.CouldNS != 0 {
		t.Errorf("%+v", c)
	}
	if b := f.By(now + int64(2*Day)); b != (compute.Bounds{Low: 700, Best: 700, High: 700}) {
		t.Errorf("in two days %v", b)
	}
	if c := f.Cross(500); !c.Crossed || c.By(now) != 1 {
		t.Errorf("a line that is reached: %+v", c)
	}
	if c := f.Cross(100_000); c.LikelyNS != 0 || c.EarliestNS != 0 {
		t.Errorf("beyond the horizon: %+v", c)
	}
}

// One burst and one failure do not move the likely date; days that differ give a
// range that holds it.
func TestRobustRange(t *testing.T) {
	f := New(Subject{ID: "run_b", NowNS: now, LastNS: now, Days: days(90, 110, 100, 0, 5000, 95, 105, 100, 98, 102, 97, 103, 99, 101)}, Default())
	c := f.Cross(1000)
	near(t, "likely", inDays(c.LikelyNS), 10, 0.2)
	if !(c.EarliestNS < c.LikelyNS && c.LikelyNS < c.LatestNS) {
		t.Errorf("no range: %v %v %v", inDays(c.EarliestNS), inDays(c.LikelyNS), inDays(c.LatestNS))
	}
	if f.Rate.P10 > f.Rate.Median || f.Rate.Median > f.Rate.P90 || f.Young || f.Days != 14 {
		t.Errorf("%+v", f.Rate)
	}
}

func TestReservations(t *testing.T) {
	peak := compute.Rate(1_000_000) // 1e12 operations a second: 86.4e6 giga a day
	const day = 86_400_000
	after := func(n int) int64 { return now + int64(n)*int64(Day) }
	for name, c := range map[string]struct {
		s               Subject
		threshold       compute.Operations
		likely, could   float64 // days, -1 for never
		certainIn14     bool
		nothingLikelyIn bool
	}{
		"from a reservation alone, before the first step": {
			Subject{Capacity: []Capacity{{after(10), after(40), peak}}}, 10 * day, 10 + 25, 20, false, true},
		"a reservation that is too small": {
			Subject{Capacity: []Capacity{{after(10), after(40), peak}}}, 31 * day, -1, -1, false, true},
		"the end of the reservation ends the run": {
			Subject{LastNS: now, Days: days(day/2, day/2, day/2), Capacity: []Capacity{{after(-5), after(8), peak}}}, 5 * day, -1, 5, false, true},
		"and what was reserved caps it": {
			Subject{LastNS: now, Days: days(4*day, 4*day, 4*day), Capacity: []Capacity{{after(-5), after(8), peak}}}, 5 * day, 5, 5, true, false},
		"more is reserved for later": {
			Subject{LastNS: now, Days: days(day/2, day/2, day/2), Capacity: []Capacity{{after(-5), after(90), peak}, {after(4), after(90), peak}}}, 8 * day, 4 + 6/0.9, 6, true, false},
		"what has been idle for long does not go on": {
			Subject{LastNS: after(-4), Days: days(day, day, day, 0, 0, 0, 0)}, 5 * day, -1, -1, false, true},
		"nothing is known": {Subject{}, 1, -1, -1, false, true},
	} {
		c.s.ID, c.s.NowNS = name, now
		x := New(c.s, Default()).Cross(c.threshold)
		got := func(ns int64) float64 {
			if ns == 0 {
				return -1
			}
			return inDays(ns)
		}
		near(t, name+": likely", got(x.LikelyNS), c.likely, 1.2)
		near(t, name+": could", got(x.CouldNS), c.could, 0.01)
		if p := x.By(after(14)); (p >= 0.9) != c.certainIn14 || (p < 0.5) != c.nothingLikelyIn {
			t.Errorf("%s: probability %v within 14 days", name, p)
		}
	}
}

// With fewer than three days the spread is a stated one and not none.
func TestYoungRun(t *testing.T) {
	f := New(Subject{ID: "y", NowNS: now, LastNS: now, Days: days(100)}, Default())
	c := f.Cross(1000)
	if !f.Young || c.EarliestNS >= c.LatestNS || inDays(c.EarliestNS) < 6.6 || inDays(c.LatestNS) > 20 {
		t.Errorf("young %v, %v to %v days", f.Young, inDays(c.EarliestNS), inDays(c.LatestNS))
	}
}

func TestForecastProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Subject{ID: rapid.StringN(0, 5, 10).Draw(t, "id"), NowNS: now, LastNS: now - rapid.Int64Range(0, int64(6*Day)).Draw(t, "idle")}
		for _, n := range rapid.SliceOfN(rapid.Int64Range(0, 1_000_000), 0, 14).Draw(t, "days") {
			s.Days = append(s.Days, compute.Operations(n))
		}
		low := rapid.Int64Range(0, 1_000_000).Draw(t, "done")
		s.Done = compute.Bounds{Low: compute.Operations(low), Best: compute.Operations(low * 2), High: compute.Operations(low * 3)}
		for range rapid.IntRange(0, 3).Draw(t, "reservations") {
			from := now + rapid.Int64Range(-int64(20*Day), int64(60*Day)).Draw(t, "from")
			s.Capacity = append(s.Capacity, Capacity{from, from + rapid.Int64Range(1, int64(60*Day)).Draw(t, "length"), compute.Rate(rapid.Int64Range(1, 1000).Draw(t, "peak"))})
		}
		f := New(s, Default())
		line := compute.Operations(rapid.Int64Range(1, 10_000_000).Draw(t, "line"))
		c, higher := f.Cross(line), f.Cross(line*2)
		if d := cmp.Diff(c, New(s, Default()).Cross(line)); d != "" {
			t.Fatalf("the same input gives another answer: %s", d)
		}
		last := 0.0
		for i, chance := range c.Chances {
			if chance.Probability < last || chance.Probability > 1 {
				t.Fatalf("probabilities fall or leave 1: %+v", c.Chances)
			}
			if last = chance.Probability; !c.Crossed && !higher.Crossed && higher.Chances[i].Probability > chance.Probability {
				t.Fatal("a higher line is crossed sooner")
			}
		}
		for _, order := range [][2]int64{{c.EarliestNS, c.LikelyNS}, {c.LikelyNS, c.LatestNS}} {
			if order[1] != 0 && (order[0] == 0 || order[0] > order[1]) {
				t.Fatalf("dates out of order: %+v", c)
			}
		}
		if b := f.By(now + int64(30*Day)); !b.Valid() || b.Low < s.Done.Low {
			t.Fatalf("projection %+v", b)
		}
	})
}

func TestSettings(t *testing.T) {
	if Default().Name() == "" || time.Duration(Default().IdleAfter) != 72*time.Hour {
		t.Errorf("%+v", Default())
	}
	if _, err := ReadSettings("s.yaml", []byte("id: x\nversion: 1\n")); err == nil {
		t.Error("settings without figures passed")
	}
}
