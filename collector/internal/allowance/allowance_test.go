package allowance_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func TestTake(t *testing.T) {
	r := allowance.Rate{Most: 3, Every: 6 * time.Second}
	var l allowance.Left
	if !l.Full(r, noon) || !l.At().IsZero() {
		t.Error("who never asked has not all")
	}
	for _, c := range []struct {
		at   time.Duration
		ok   bool
		wait time.Duration
	}{{0, true, 0}, {0, true, 0}, {0, true, 0}, {0, false, 6 * time.Second}, {3 * time.Second, false, 3 * time.Second}, {6 * time.Second, true, 0},
		{-time.Hour, false, 6 * time.Second}, {-time.Hour + 6*time.Second, true, 0}, {time.Hour, true, 0}, {time.Hour, true, 0}, {time.Hour, true, 0}, {time.Hour, false, 6 * time.Second}} {
		wait, ok := l.Take(r, noon.Add(c.at))
		if ok != c.ok || (wait-c.wait).Abs() > time.Microsecond {
			t.Errorf("at %s: %v, wait %s; want %v, %s", c.at, ok, wait, c.ok, c.wait)
		}
	}
	if at := noon.Add(time.Hour + 17*time.Second); l.Full(r, at) || !l.Full(r, at.Add(2*time.Second)) {
		t.Error("full before all is back, or not after")
	}
}

// Whatever the clock does, no span that it goes through forwards lets more through
// than there is at once and what comes back in it.
func TestNoMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := allowance.PerMinute(rapid.IntRange(1, 600).Draw(t, "a minute"))
		var l allowance.Left
		now, forward, taken := noon, time.Duration(0), 0
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			step := time.Duration(rapid.IntRange(-2000, 5000).Draw(t, "milliseconds")) * time.Millisecond
			now, forward = now.Add(step), forward+max(0, step)
			if _, ok := l.Take(r, now); ok {
				taken++
			}
			if most := float64(r.Most) + float64(forward)/float64(r.Every) + 1e-6; float64(taken) > most {
				t.Fatalf("%d were let through, %.3f may be", taken, most)
			}
		}
	})
}
