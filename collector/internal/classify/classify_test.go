package classify

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// series is a level of 1000 with a relative change each window, and a dip of two
// windows every period; 0 for none.
func series(n, period int, change float64) rhythm.Rhythm {
	var r rhythm.Rhythm
	for i := range n {
		v := 1000 * (1 + change*float64(i%2))
		if period > 0 && i > 0 && i%period < 2 {
			v = 600
		}
		r.Add(v)
	}
	return r
}

func seen(r rhythm.Rhythm) Observation {
	return Observation{Rhythm: r, Hosts: 1, Devices: 8, Duration: time.Hour, Empirical: true, TensorShare: -1, Utilization: -1}
}

func TestAnswers(t *testing.T) {
	trains, serves := seen(series(360, 30, 0.02)), seen(series(360, 0, 0.0002))
	with := func(o Observation, change func(*Observation)) Observation { change(&o); return o }
	for _, test := range []struct {
		name   string
		o      Observation
		want   Class
		reason string
	}{
		{"pauses that repeat", trains, Training, ""},
		{"flat", serves, Inference, ""},
		{"allocation only", with(trains, func(o *Observation) { o.Empirical = false }), CannotTell, "only the allocation is known"},
		{"nothing at all", Observation{}, CannotTell, "only the allocation is known"},
		{"too short", with(trains, func(o *Observation) { o.Duration = 3 * time.Minute }), CannotTell, "less than 4m0s"},
		{"no series", with(trains, func(o *Observation) { o.Rhythm = rhythm.Rhythm{} }), CannotTell, "0 changes"},
		{"many hosts and ranks without a series", with(trains, func(o *Observation) { o.Rhythm, o.Hosts, o.Ranks = rhythm.Rhythm{}, 512, 4096 }), CannotTell, "0 changes"},
		{"in between", seen(series(360, 0, 0.005)), CannotTell, "no class is likely enough"},
		{"no matrix work", with(trains, func(o *Observation) { o.TensorShare = 0.001 }), Other, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(test.o)
			if v.Class != test.want || !strings.Contains(v.Reason, test.reason) {
				t.Errorf("%s (%q, training %.3f), want %s (%q)", v.Class, v.Reason, v.Training, test.want, test.reason)
			}
			if (v.Class == CannotTell) != (v.Reason != "") {
				t.Errorf("%s with reason %q", v.Class, v.Reason)
			}
		})
	}
}

// An allocation says nothing, which is not one half.
func TestUntoldHasNoProbability(t *testing.T) {
	v := Judge(Observation{Hosts: 100, Devices: 800, Duration: 1000 * time.Hour, Ranks: 800})
	if v.Told() || v.Training != 0 {
		t.Errorf("probabilities %v, %v, %v of an allocation", v.Training, v.Inference, v.Other)
	}
}

func drawn(t *rapid.T) Observation {
	o := Observation{
		Hosts: rapid.IntRange(0, 4096).Draw(t, "hosts"), Devices: rapid.IntRange(0, 32768).Draw(t, "devices"),
		Duration:  time.Duration(rapid.Int64Range(0, int64(2000*time.Hour)).Draw(t, "duration")),
		Empirical: rapid.Bool().Draw(t, "empirical"), TensorShare: rapid.Float64Range(-1, 1).Draw(t, "tensor"),
		Ranks: rapid.IntRange(0, 65536).Draw(t, "ranks"), Utilization: -1,
	}
	for _, v := range rapid.SliceOfN(rapid.Float64Range(-1, 1000), 0, 80).Draw(t, "values") {
		o.Rhythm.Add(v)
	}
	return o
}

func TestVerdictHoldsTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := Judge(drawn(t))
		sum := v.Training + v.Inference + v.Other
		if v.Told() && math.Abs(sum-1) > 1e-9 || min(v.Training, v.Inference, v.Other) < 0 || math.IsNaN(sum) {
			t.Errorf("probabilities %v, %v, %v", v.Training, v.Inference, v.Other)
		}
		for i := 1; i < len(v.Evidence); i++ {
			if math.Abs(v.Evidence[i].LogOdds) > math.Abs(v.Evidence[i-1].LogOdds) {
				t.Errorf("evidence is not ranked: %v", v.Evidence)
			}
		}
	})
}

// Utilization alone decides nothing; it adds nothing either.
func TestUtilizationDecidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawn(t)
		b := a
		b.Utilization = rapid.Float64Range(0, 1).Draw(t, "utilization")
		if diff := cmp.Diff(Judge(a), Judge(b)); diff != "" {
			t.Errorf("utilization moves the verdict: %s", diff)
		}
	})
}

func TestScorecardIsRead(t *testing.T) {
	good := string(shipped)
	for _, test := range []struct{ name, from, to, want string }{
		{"utilization as a feature", `"feature": "hosts"`, `"feature": "utilization"`, "utilization"},
		{"a feature twice", `"feature": "hosts"`, `"feature": "dips"`, "there twice"},
		{"an unknown key", `"version"`, `"vision"`, "vision"},
		{"answers from a guess", `"decide"`, `"decide": 0.5, "decide"`, ""},
		{"no origin", `"origin": "judgement"`, `"origin": ""`, "origin"},
		{"nothing needed", `"shortest_changes"`, `"shortest_changes": 0, "x"`, "x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(good, test.from, test.to, 1)
			if text == good {
				t.Fatalf("%q is not in the scorecard", test.from)
			}
			s, err := Read([]byte(text))
			if test.want == "" {
				if err != nil || s.Digest == Shipped().Digest {
					t.Errorf("another file has the same digest, or fails: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that names %q", err, test.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(shipped)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read(data)
		if err != nil {
			return
		}
		v := s.Judge(seen(series(360, 30, 0.02)))
		if sum := v.Training + v.Inference + v.Other; math.IsNaN(sum) || sum < 0 || sum > 1+1e-9 {
			t.Errorf("probabilities %v", sum)
		}
	})
}
