// Package clock counts the days that the law gives: when an obligation begins to
// run, when it is due, what must be escalated, and what was known when.
//
// A day is a calendar day in the legal time zone of the pack, as long as that
// day is there. An obligation of n days is met until the end of the nth day
// after the day on which it began.
package clock

import (
	"fmt"
	"time"
)

// Date is a day in some time zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day of an instant in a time zone.
func DateOf(at time.Time, zone *time.Location) Date {
	y, m, d := at.In(zone).Date()
	return Date{y, m, d}
}

// Add returns the day that is n days later.
func (d Date) Add(n int) Date {
	y, m, day := time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC).Date()
	return Date{y, m, day}
}

// Sub returns how many days d is after from.
func (d Date) Sub(from Date) int {
	return int(d.utc().Sub(from.utc()) / (24 * time.Hour))
}

// Before reports whether d is an earlier day.
func (d Date) Before(other Date) bool { return d.Sub(other) < 0 }

func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// Begin returns the first instant of the day in a time zone. It is not always
// midnight: where clocks go forward at midnight the day begins at one. A day
// that a zone leaves out, when it changes sides of the date line, begins with
// the day after.
func (d Date) Begin(zone *time.Location) time.Time {
	// From before the day in any zone to the first instant that is not before it.
	low := time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Add(-36 * time.Hour)
	high := low.Add(72 * time.Hour)
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2).Truncate(time.Second)
		if DateOf(middle, zone).Before(d) {
			low = middle
		} else {
			high = middle
		}
	}
	return high.In(zone)
}

// String is the day as 2026-11-23.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// ParseDate reads what String writes, and nothing else.
func ParseDate(s string) (Date, error) {
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("date %.20q: must be like 2026-11-23", s)
	}
	return DateOf(at, time.UTC), nil
}
