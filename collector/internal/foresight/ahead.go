package foresight

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Line is one threshold with when it is crossed.
type Line struct {
	Pack, Rule string
	Title      string
	forecast.Crossing
}

// Outlook is what is foreseen for one subject.
type Outlook struct {
	Subject policy.Subject
	Rate    forecast.Rate
	Days    int
	Young   bool
	Active  bool
	Method  string
	Lines   []Line // of every rule of every pack in force that is about the subject, by threshold
}

// Found is a finding with when what it rests on happened.
type Found struct {
	policy.Finding
	OccurredNS int64
}

// outlooks foresees runs, customers, and runs that a reservation would allow and
// that have not begun.
func (s *State) outlooks(x *subject, settings *forecast.Settings) ([]Outlook, []Found) {
	var out []Outlook
	var found []Found
	look := func(of policy.Subject, ahead forecast.Subject, reserved []reservation.Reservation) {
		for _, r := range reserved {
			ahead.Capacity = append(ahead.Capacity, forecast.Capacity{FromNS: r.FromNS, ToNS: r.ToNS, Peak: r.Peak()})
		}
		ahead.ID, ahead.NowNS, ahead.Done = of.ID, s.NowNS, of.Operations
		if !ahead.Active(settings) && len(ahead.Capacity) == 0 {
			return // nothing goes on and nothing is to come, as of nearly all runs that there ever were
		}
		f := forecast.New(ahead, settings)
		o := Outlook{Subject: of, Rate: f.Rate, Days: f.Days, Young: f.Young, Active: f.Active, Method: settings.Name()}
		of.Facts = s.facts(x, of, f)
		for _, p := range s.Packs {
			for i := range p.Rules {
				rule := &p.Rules[i]
				if rule.Measure != of.Measure || rule.WindowDays != 0 || !slices.Contains(rule.AppliesTo, string(of.Status)) {
					continue
				}
				c := f.Cross(compute.Operations(rule.Line()))
				o.Lines = append(o.Lines, Line{p.ID, rule.ID, rule.Title, c})
				if rule.Answer(&of) == policy.No {
					continue // its conditions do not hold: nothing would be found when the line is crossed
				}
				found = append(found, s.foreseen(p, rule, of, &o, &c, reserved, settings)...)
			}
		}
		for _, p := range s.Packs {
			for _, finding := range policy.Evaluate(p, of) {
				found = append(found, Found{finding, s.NowNS})
			}
		}
		out = append(out, o)
	}
	together := forecast.Subject{}
	for _, r := range x.runs {
		x.Operations = x.Operations.Add(r.Operations)
		together.LastNS = max(together.LastNS, r.EndNS)
		together.Days = addDays(together.Days, r.Days)
		look(x.ofRun(r), forecast.Subject{Days: r.Days, LastNS: r.EndNS, Held: r.Peak()}, x.reserved(r.Tenant))
	}
	_, together.Held = x.held(s.NowNS)
	look(x.Subject, together, x.reservations)
	for _, r := range x.reservations {
		if r.FromNS <= s.NowNS && slices.ContainsFunc(x.runs, func(run *Run) bool { return run.Tenant == r.Tenant && run.EndNS >= s.NowNS-openFor }) {
			continue // what runs in it is looked at itself
		}
		of := x.Subject
		of.Measure, of.ID, of.Tenant, of.Operations = policy.RunOperations, "reservation:"+r.ID, r.Tenant, compute.Bounds{}
		of.Label = fmt.Sprintf("a run on reservation %s of tenant %s (%d %s)", r.ID, r.Tenant, r.Devices, r.Accelerator)
		look(of, forecast.Subject{}, []reservation.Reservation{r})
	}
	return out, found
}

// addDays adds two histories that end on the same day.
func addDays(a, b []compute.Operations) []compute.Operations {
	if len(a) < len(b) {
		a, b = b, a
	}
	a = slices.Clone(a)
	for i := range b {
		at := len(a) - len(b) + i
		a[at] = a[at].Add(b[i])
	}
	return a
}

// foreseen makes findings of a crossing that lies ahead.
func (s *State) foreseen(p *policy.Pack, rule *policy.Rule, of policy.Subject, o *Outlook, c *forecast.Crossing, reserved []reservation.Reservation, settings *forecast.Settings) []Found {
	if c.Crossed {
		return nil
	}
	var out []Found
	tell := func(level, severity, reason string) {
		out = append(out, Found{p.Foreseen(rule, of, level, severity, reason), s.NowNS})
	}
	threshold := compute.Operations(rule.Line())
	if c.CouldNS > 0 {
		var words []string
		for _, r := range reserved {
			words = append(words, fmt.Sprintf("%d %s from %s to %s", r.Devices, r.Accelerator, date(r.FromNS), date(r.ToNS)))
		}
		tell(policy.CouldReach, "warning", fmt.Sprintf("%s of %s (%s) could be reached: it has done %s, and all that is reserved at peak would cross %s on %s. Reserved: %s",
			rule.Title, of.Label, of.Status, of.Operations.Best, threshold, date(c.CouldNS), strings.Join(words, "; ")))
	}
	near := c.By(s.NowNS + int64(settings.NearDays)*int64(forecast.Day))
	if near*100 < float64(settings.LikelyPercent) {
		return out
	}
	basis := fmt.Sprintf("by the median of %d days, %s a day (between %s and %s)", o.Days, o.Rate.Median, o.Rate.P10, o.Rate.P90)
	if !o.Active {
		basis = fmt.Sprintf("from what is reserved, at %d %% to %d %% of its peak", settings.UseLowPercent, settings.UseHighPercent)
	} else if o.Young {
		basis += fmt.Sprintf("; so few days say the rate to within %d %%", settings.YoungSpreadPercent)
	}
	latest := "later than is looked"
	if c.LatestNS > 0 {
		latest = date(c.LatestNS)
	}
	reason := fmt.Sprintf("%s of %s (%s) is foreseen to cross %s between %s and %s, likely on %s, with probability %.0f %% within %d days: it has done %s, %s. Method %s",
		rule.Title, of.Label, of.Status, threshold, date(c.EarliestNS), latest, date(c.LikelyNS), 100*near, settings.NearDays, of.Operations.Best, basis, o.Method)
	tell(policy.ForecastLikely, "warning", reason)
	// A clock starts where a crossing would start one: conditions that nobody can answer
	// keep it from that.
	if near*100 >= float64(settings.CertainPercent) && rule.Answer(&of) == policy.Yes {
		tell(policy.ForecastCertain, "high", reason)
	}
	return out
}

func date(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02") }
