package store

import (
	"testing"
	"time"
)

func TestRest(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: 500 * time.Millisecond, 100 * time.Millisecond: 500 * time.Millisecond, 200 * time.Millisecond: 800 * time.Millisecond,
		400 * time.Millisecond: time.Second, time.Second: time.Second, 3 * time.Second: 3 * time.Second,
	} {
		if got := rest(500*time.Millisecond, took, false); got != want {
			t.Errorf("after %s it rests %s, want %s", took, got, want)
		}
	}
}

// Where rows are behind anyway it takes a fifth of a core, up to a bound.
func TestRestBehind(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: 500 * time.Millisecond, 100 * time.Millisecond: 500 * time.Millisecond, time.Second: 4 * time.Second, 5 * time.Second: 20 * time.Second,
		20 * time.Second: 30 * time.Second, 40 * time.Second: 40 * time.Second,
	} {
		if got := rest(500*time.Millisecond, took, true); got != want {
			t.Errorf("after %s it rests %s, want %s", took, got, want)
		}
	}
}
