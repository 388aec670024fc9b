package rhythm

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// steady is a level with a dip of two windows every period.
func steady(n, period int) Rhythm {
	var r Rhythm
	for i := range n {
		v := 1000.0
		if i%period >= period-2 {
			v = 700
		}
		r.Add(v)
	}
	return r
}

func TestRegularDips(t *testing.T) {
	r := steady(200, 20)
	if r.Dips != 9 || r.Intervals != 8 {
		t.Errorf("%d dips with %d intervals, want 9 and 8: the last dip has not ended", r.Dips, r.Intervals)
	}
	if reg, mean, ok := r.Regularity(); !ok || reg != 1 || mean != 20 {
		t.Errorf("regularity %v, mean %v, %v; want 1, 20", reg, mean, ok)
	}
}

func TestFlatSeriesHasNoRhythm(t *testing.T) {
	r := steady(200, 1000)
	if got, ok := r.Change(0.5); !ok || got > 1 || r.Dips != 0 {
		t.Errorf("median change in class %v with %d dips, want the smallest and none", got, r.Dips)
	}
	if _, _, ok := r.Regularity(); ok {
		t.Error("a series without dips has a regularity")
	}
}

func TestMissingIsNotZero(t *testing.T) {
	var r Rhythm
	for _, v := range []float64{100, 100, -1, 100, math.NaN(), 100, 0, 100} {
		r.Add(v)
	}
	if r.Windows != 5 || r.Compared() != 1 || r.Dips != 0 || r.In {
		t.Errorf("a gap was taken for a reading: %+v", r)
	}
}

func TestStartAndStopAreNoRoughness(t *testing.T) {
	var r Rhythm
	for i := range 60 {
		v := 300.0
		if i >= 10 && i < 50 {
			v = 3000
		}
		r.Add(v)
	}
	if rough, _ := r.Change(0.99); rough > 1 {
		t.Errorf("starting and stopping count as change of class %v", rough)
	}
}

// What it says does not depend on the unit of the values.
func TestScaleChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.IntRange(1, 4096), 1, 60).Draw(t, "values")
		var a, b Rhythm
		for _, v := range values {
			a.Add(float64(v))
			b.Add(float64(v) * 1024) // exact
		}
		b.Level, b.Previous = b.Level/1024, b.Previous/1024
		if diff := cmp.Diff(a, b); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMergeKeepsNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r [3]Rhythm
		for i := range r {
			for _, v := range rapid.SliceOfN(rapid.IntRange(0, 100), 0, 40).Draw(t, "values") {
				r[i].Add(float64(v))
			}
		}
		if a, b := r[0].Merge(r[1]).Merge(r[2]), r[2].Merge(r[0]).Merge(r[1]); a != b {
			t.Errorf("merged in another order: %s", cmp.Diff(a, b))
		}
	})
}

// Going on from what was stored is the same as never having stopped.
func TestEncodedSeriesGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1, 5000), 1, 60).Draw(t, "values")
		stop := rapid.IntRange(0, len(values)).Draw(t, "stop")
		var whole, first Rhythm
		for _, v := range values {
			whole.Add(v)
		}
		for _, v := range values[:stop] {
			first.Add(v)
		}
		second, err := Decode(first.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values[stop:] {
			second.Add(v)
		}
		if diff := cmp.Diff(whole, second); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	r := steady(100, 10)
	f.Add(r.Append(nil))
	f.Add([]byte{version})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(r.Append(nil))
		if err != nil || again != r {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	var r Rhythm
	for i := range b.N {
		r.Add(float64(1000 + i%17))
	}
}
