package agent

import (
	"testing"
	"time"
)

// A clock that was made when the wall clock was 400 days off goes on from there, as
// fast as time does, and knows by how much the wall clock was set since.
func TestSteadyClock(t *testing.T) {
	right, err := newSteady()
	if err != nil {
		t.Fatal(err)
	}
	if off := right.skew(); off.Abs() > time.Second {
		t.Errorf("the wall clock is said to be set by %s", off)
	}
	const days = 400 * 24 * time.Hour
	for _, by := range []time.Duration{days, -days} {
		wrong := steady{right.offsetNS + int64(by)}
		if off := wrong.skew() + by; off.Abs() > time.Second {
			t.Errorf("set by %s: skew is %s", -by, wrong.skew())
		}
		began, here := wrong.now(), time.Now()
		time.Sleep(20 * time.Millisecond)
		// Both readings take time, and more of it on a busy machine: the two can differ by it.
		if passed, real := wrong.now().Sub(began), time.Since(here); passed < 20*time.Millisecond || passed > real+time.Second {
			t.Errorf("%s passed, %s really did", passed, real)
		}
	}
}
