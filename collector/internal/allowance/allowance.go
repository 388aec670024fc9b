// Package allowance is how much somebody may still ask for: so much at once, which
// comes back one by one. Whoever keeps what is left of many forgets by a rule of its
// own. It is pure.
package allowance

import "time"

// Rate is what somebody may do.
type Rate struct {
	Most  int           // at once
	Every time.Duration // in which one comes back
}

// PerMinute is a rate of n at once and n a minute.
func PerMinute(n int) Rate { return Rate{n, time.Minute / time.Duration(n)} }

// Left is what somebody has left, as of a moment. The zero value has all.
type Left struct {
	acts float64
	at   time.Time
}

// At is when it was last taken from.
func (l Left) At() time.Time { return l.at }

// Full reports whether all is back, so that nothing need be remembered.
func (l Left) Full(r Rate, now time.Time) bool { return l.now(r, now) >= float64(r.Most) }

// now is how much there is. A clock that is set back gives nothing back.
func (l Left) now(r Rate, now time.Time) float64 {
	if l.at.IsZero() {
		return float64(r.Most)
	}
	return min(float64(r.Most), l.acts+max(0, float64(now.Sub(l.at))/float64(r.Every)))
}

// Take takes one. Where none is left, wait is how long until one is.
func (l *Left) Take(r Rate, now time.Time) (wait time.Duration, ok bool) {
	l.acts, l.at = l.now(r, now), now
	if l.acts < 1 {
		return time.Duration((1 - l.acts) * float64(r.Every)), false
	}
	l.acts--
	return 0, true
}
