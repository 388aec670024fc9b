package lab

import (
	"maps"
	"math"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Step is a level that a subject reaches, and the first day at whose end it
// holds. Subject is what was known then.
type Step struct {
	Rule    *policy.Rule
	Level   string
	Day     int
	Subject policy.Subject
}

// Evaluator holds one pack against subjects by day. Live evaluation and
// simulation are both this: live calls it for the subjects that changed, a
// simulation for all. It may be used by one goroutine at a time.
type Evaluator struct {
	pack *policy.Pack
	// Facts that follow from the days, of those that the pack looks at.
	ofRuns, ofCustomers []policy.FactKey
	rules               map[kind]concerned

	told []reachedLevel // of the subject, reused
	bare bool           // steps are told without the facts of the subject
}

type reachedLevel struct {
	rule  *policy.Rule
	level string
}

// NewEvaluator returns an evaluator of a pack.
func NewEvaluator(p *policy.Pack) *Evaluator {
	e := &Evaluator{pack: p, rules: map[kind]concerned{}}
	for _, k := range p.Keys(false) {
		if follows(k) {
			e.ofRuns = append(e.ofRuns, k)
		}
	}
	for _, k := range p.Keys(true) {
		if follows(k) {
			e.ofCustomers = append(e.ofCustomers, k)
		}
	}
	return e
}

// kind is what decides which rules concern a subject.
type kind struct {
	customer bool
	status   party.ForeignStatus
}

// concerned is the rules that concern a subject.
type concerned struct {
	rules  []*policy.Rule
	levels int // that they can tell
}

// concern returns the rules that concern a subject.
func (e *Evaluator) concern(customer bool, status party.ForeignStatus) concerned {
	k := kind{customer, status}
	c, known := e.rules[k]
	if !known {
		c.rules = e.pack.About(customer, status)
		for _, r := range c.rules {
			c.levels += r.MostLevels()
		}
		e.rules[k] = c
	}
	return c
}

// Extent is what no day of a subject can be above.
type Extent struct {
	Operations compute.Bounds     // of all days
	Day        compute.Operations // the most of one day
	Devices    int64              // the most of one day
}

// ExtentOf returns the extent of days.
func ExtentOf(days []Day) Extent {
	var x Extent
	for i := range days {
		d := &days[i]
		x.Operations = x.Operations.Add(d.Operations)
		x.Day, x.Devices = max(x.Day, d.Operations.High), max(x.Devices, int64(d.Devices))
	}
	return x
}

// follows reports whether a fact follows from the days of a subject.
func follows(k policy.FactKey) bool {
	switch k.Measure {
	case policy.CustomerOperations:
		return k.WindowDays > 0
	case policy.ProjectedOperations, policy.DeviceCount, policy.AccountAgeDays, policy.CoveragePercent:
		return true
	}
	return false
}

// NeverUsed is the first day of use of an account of which it is not known.
const NeverUsed = math.MinInt

// Walk tells every level that the subject reaches over the days, each once, in
// order of the days. The subject comes without operations; its Facts are those
// that do not follow from the days. firstUse is the day on which its customer
// first used a device.
//
// A subject that reaches no line by its last day reaches none before, so most
// are done with one look.
func (e *Evaluator) Walk(subject policy.Subject, days []Day, firstUse int, tell func(Step)) {
	if e.MayReach(&subject, ExtentOf(days)) {
		e.walk(subject, days, firstUse, tell)
	}
}

// MayReach reports whether any rule can tell anything of the subject, of whose
// days no more is known than their extent. The subject comes as to Walk.
func (e *Evaluator) MayReach(subject *policy.Subject, x Extent) bool {
	for _, r := range e.concern(subject.Measure == policy.CustomerOperations, subject.Status).rules {
		var f policy.Figure
		switch r.Measure {
		case policy.RunOperations, policy.CustomerOperations:
			f = figureOf(subject.Operations.Add(x.Operations))
		case policy.ProjectedOperations:
			f = policy.Exactly(int64(subject.Operations.High.Add(x.Operations.High).Add(times(x.Day, r.WindowDays))))
		case policy.DeviceCount:
			f = policy.Exactly(x.Devices)
		default:
			var known bool
			if f, known = subject.Facts[r.Key()]; !known {
				continue
			}
		}
		if r.Reaches(f) {
			return true
		}
	}
	return false
}

func (e *Evaluator) walk(subject policy.Subject, days []Day, firstUse int, tell func(Step)) {
	keys := e.ofRuns
	if subject.Measure == policy.CustomerOperations {
		keys = e.ofCustomers
	}
	if len(keys) > 0 {
		facts := subject.Facts
		subject.Facts = make(policy.Facts, len(facts)+len(keys))
		maps.Copy(subject.Facts, facts)
	}
	about := e.concern(subject.Measure == policy.CustomerOperations, subject.Status)
	e.told = e.told[:0]
	w := walk{days: days, firstUse: firstUse}
	for at := range days {
		subject.Operations = subject.Operations.Add(days[at].Operations)
		w.advance(at)
		for _, k := range keys {
			if f, known := w.fact(k, subject.Operations); known {
				subject.Facts[k] = f
			} else {
				delete(subject.Facts, k)
			}
		}
		policy.LevelsOf(about.rules, &subject, func(r *policy.Rule, level string) {
			key := reachedLevel{r, level}
			if slices.Contains(e.told, key) {
				return
			}
			e.told = append(e.told, key)
			step := Step{Rule: r, Level: level, Day: days[at].Day, Subject: subject}
			if e.bare {
				step.Subject.Facts = nil
			} else if len(keys) > 0 {
				step.Subject.Facts = maps.Clone(subject.Facts)
			}
			tell(step)
		})
		if len(e.told) == about.levels {
			return // there is nothing left to tell
		}
	}
}

// walk is what is known while one goes through the days.
type walk struct {
	days              []Day
	firstUse          int
	at                int
	devices           int64
	observed, elapsed int64
}

func (w *walk) advance(at int) {
	d := &w.days[at]
	w.at = at
	w.devices = max(w.devices, int64(d.Devices))
	w.observed, w.elapsed = w.observed+d.ObservedS, w.elapsed+d.ElapsedS
}

// fact returns what the days up to now say.
func (w *walk) fact(k policy.FactKey, total compute.Bounds) (policy.Figure, bool) {
	switch k.Measure {
	case policy.CustomerOperations:
		return figureOf(w.window(k.WindowDays)), true
	case policy.ProjectedOperations:
		return w.projected(k.WindowDays, total), true
	case policy.DeviceCount:
		return policy.Exactly(w.devices), true
	case policy.AccountAgeDays:
		if w.firstUse == NeverUsed {
			return policy.Figure{}, false
		}
		return policy.Exactly(int64(max(0, w.days[w.at].Day-w.firstUse))), true
	case policy.CoveragePercent:
		if w.elapsed <= 0 {
			return policy.Figure{}, false
		}
		return policy.Exactly(w.observed / max(1, w.elapsed/100)), true
	}
	return policy.Figure{}, false
}

// window is what was done in the n days that end now. A window can hold on a day
// of nothing only if it held the day before, so only days of work are looked at.
func (w *walk) window(n int) compute.Bounds {
	var sum compute.Bounds
	for i := w.at; i >= 0 && w.days[i].Day > w.days[w.at].Day-n; i-- {
		sum = sum.Add(w.days[i].Operations)
	}
	return sum
}

// rateDays is how far back a projection looks.
const rateDays = 14

// projected is where the subject is in n days: if it stops now, if it goes on at
// the median of its last days, and if it goes on at the highest of them.
func (w *walk) projected(n int, total compute.Bounds) policy.Figure {
	today := w.days[w.at].Day
	var best []compute.Operations
	var highest compute.Operations
	for i := w.at; i >= 0 && w.days[i].Day > today-rateDays; i-- {
		best, highest = append(best, w.days[i].Operations.Best), max(highest, w.days[i].Operations.High)
	}
	for len(best) < min(rateDays, today-w.days[0].Day+1) {
		best = append(best, 0) // days on which nothing was done
	}
	slices.Sort(best)
	median := best[(len(best)-1)/2]
	return policy.Figure{Low: int64(total.Low), Best: int64(total.Best.Add(times(median, n))), High: int64(total.High.Add(times(highest, n)))}
}

// times multiplies, saturating.
func times(a compute.Operations, n int) compute.Operations {
	if a > 0 && int64(a) > math.MaxInt64/int64(n) {
		return compute.MaxOperations
	}
	return a * compute.Operations(n)
}

func figureOf(b compute.Bounds) policy.Figure {
	return policy.Figure{Low: int64(b.Low), Best: int64(b.Best), High: int64(b.High)}
}
