package clock

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Basis says from what an obligation runs.
type Basis string

// What obligations run from.
const (
	Earlier Basis = "earlier" // of occurrence and knowledge
	Known   Basis = "known"
	Given   Basis = "given" // one instant: a request, a discovery, the last event
)

// Obligation is what a pack asks for and how long it gives.
type Obligation struct {
	Name  string // "initial report"
	Basis Basis
	Days  int // calendar days
	Zone  *time.Location
}

// Knowledge says since when something was known. Its first record is the
// machine's; people add others.
type Knowledge struct {
	At       time.Time
	Recorded time.Time
	By       string // who determined it, by id; "" for the machine
	Second   string // who agreed, where a second person is needed
	Reason   string
}

// Clock is one obligation of one case. Its history is only ever added to.
type Clock struct {
	Obligation
	Occurred  time.Time // what the obligation is about came to be; zero if not known
	Signalled time.Time // the collector said so
	History   []Knowledge
	Met       time.Time // zero while it is not
}

// Errors of Know.
var (
	ErrReason = errors.New("a reason is needed")
	ErrSecond = errors.New("moving knowledge later needs a second person")
	ErrOrder  = errors.New("knowledge is of a time before it is recorded, and recorded after what was before")
)

// Start returns a clock that a signal starts: what the machine says counts as
// known at once, until people determine otherwise.
func Start(o Obligation, occurred, signalled time.Time) Clock {
	return Clock{Obligation: o, Occurred: occurred, Signalled: signalled, History: []Knowledge{{At: signalled, Recorded: signalled}}}
}

// KnownAt returns since when it was known, as determined up to an instant: what
// was believed then, whatever was found out later. It is zero if nothing was.
func (c Clock) KnownAt(asOf time.Time) time.Time {
	known := time.Time{}
	for _, k := range c.History {
		if !k.Recorded.After(asOf) {
			known = k.At
		}
	}
	return known
}

// Know returns the clock with a new determination of since when it was known. It
// may always be moved earlier, with a reason; later only with a second person.
func (c Clock) Know(k Knowledge) (Clock, error) {
	switch {
	case k.By == "" || k.Reason == "":
		return c, fmt.Errorf("determine knowledge: %w", ErrReason)
	case k.At.IsZero() || k.At.After(k.Recorded):
		return c, fmt.Errorf("determine knowledge: %s is not before it is recorded: %w", k.At.UTC().Format(time.RFC3339), ErrOrder)
	case len(c.History) > 0 && k.Recorded.Before(c.History[len(c.History)-1].Recorded):
		return c, fmt.Errorf("determine knowledge: a later determination is recorded already: %w", ErrOrder)
	case k.At.After(c.KnownAt(k.Recorded)) && (k.Second == "" || k.Second == k.By):
		return c, fmt.Errorf("determine knowledge: %w", ErrSecond)
	}
	c.History = append(slices.Clip(c.History), k)
	return c, nil
}

// Began returns when the obligation began to run, as determined up to an
// instant, and whether it had.
func (c Clock) Began(asOf time.Time) (time.Time, bool) {
	known := c.KnownAt(asOf)
	switch {
	case c.Basis == Earlier && !c.Occurred.IsZero() && (known.IsZero() || c.Occurred.Before(known)):
		return c.Occurred, true
	case c.Basis == Given:
		return c.Occurred, !c.Occurred.IsZero()
	}
	return known, !known.IsZero()
}

// Due is a deadline: the last day, and the instant at which it is over.
type Due struct {
	Date Date
	Over time.Time // the first instant that is late
}

// Due returns the deadline as determined up to an instant, and whether there is one.
func (c Clock) Due(asOf time.Time) (Due, bool) {
	began, ok := c.Began(asOf)
	if !ok {
		return Due{}, false
	}
	last := DateOf(began, c.Zone).Add(c.Days)
	return Due{Date: last, Over: last.Add(1).Begin(c.Zone)}, true
}

// State is how a clock stands.
type State string

// How clocks stand.
const (
	Waiting   State = "waiting" // it has not begun
	Running   State = "running"
	Overdue   State = "overdue"
	MetInTime State = "met"
	MetLate   State = "met late"
)

// Standing is how a clock stands at an instant.
type Standing struct {
	State    State
	Due      Due
	DaysLeft int // whole days until the last day; 0 on it, negative after
}

// Standing returns how the clock stands at an instant, with what was determined
// up to then.
func (c Clock) Standing(now time.Time) Standing {
	due, ok := c.Due(now)
	if !ok {
		return Standing{State: Waiting}
	}
	s := Standing{State: Running, Due: due, DaysLeft: due.Date.Sub(DateOf(now, c.Zone))}
	switch {
	case !c.Met.IsZero() && !c.Met.After(now) && c.Met.Before(due.Over):
		s.State = MetInTime
	case !c.Met.IsZero() && !c.Met.After(now):
		s.State = MetLate
	case !now.Before(due.Over):
		s.State = Overdue
	}
	return s
}

// Escalation is a day on which somebody must be told.
type Escalation struct {
	DaysLeft int // 10, 5, 2, 0; −1 when it is overdue
	At       time.Time
}

// Steps are the days before a deadline on which to escalate.
var Steps = []int{10, 5, 2, 0, -1}

// Escalations returns what falls due after one instant and not after another,
// the first first: after a stop all that was missed. The deadline is that
// determined up to the later one; a deadline that came nearer meanwhile makes
// what lies before from fall due at once, unless done says that it was told.
func (c Clock) Escalations(from, to time.Time, done func(daysLeft int) bool) []Escalation {
	due, ok := c.Due(to)
	if !ok || !c.Met.IsZero() && !c.Met.After(to) {
		return nil
	}
	began, _ := c.Began(to)
	var all []Escalation
	for _, days := range Steps {
		at := due.Date.Add(-days).Begin(c.Zone)
		if at.Before(began) && days > 0 {
			continue // an obligation of 10 days is not escalated on the day it begins
		}
		if at.After(to) || done(days) || (!at.After(from) && !c.movedAfter(from)) {
			continue
		}
		all = append(all, Escalation{DaysLeft: days, At: at})
	}
	return all
}

// movedAfter reports whether knowledge was determined after an instant.
func (c Clock) movedAfter(at time.Time) bool {
	return len(c.History) > 0 && c.History[len(c.History)-1].Recorded.After(at)
}
