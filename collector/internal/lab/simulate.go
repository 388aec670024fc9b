package lab

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Reached is a level that a subject reaches, and the first day on which it holds.
type Reached struct {
	Customer string `json:"customer"`
	Country  string `json:"country"`
	Reseller string `json:"reseller"`
	Subject  string `json:"subject"` // run_… or the customer
	Rule     string `json:"rule"`
	Level    string `json:"level"`
	Day      int    `json:"day"`
}

// Result is what a pack finds in a history.
type Result struct {
	Pack    string    // digest of the pack
	History string    // digest of the history
	Reached []Reached // by customer, subject, rule, day, level
}

// Digest identifies a result: the same pack on the same history gives the same
// one everywhere.
func (r *Result) Digest() (string, error) {
	sum, err := canonical.Digest(map[string]any{"engine": Engine, "pack": r.Pack, "history": r.History, "reached": r.Reached})
	if err != nil {
		return "", fmt.Errorf("digest of result: %w", err)
	}
	return hex.EncodeToString(sum[:]), nil
}

// Simulate holds a pack against a snapshot. progress is told how many of the
// customers are done, now and then; nil is not told.
func Simulate(ctx context.Context, p *policy.Pack, snapshot *Snapshot, progress func(done, of int)) (*Result, error) {
	h := snapshot.history
	out := &Result{Pack: hex.EncodeToString(p.Digest[:]), History: snapshot.digest}
	s := simulation{evaluator: NewEvaluator(p), days: h.Days, out: out}
	s.evaluator.bare = true
	measured := snapshot.measured()
	for i := range h.Customers {
		if i%1000 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("simulate pack %s: %w", p.ID, err)
			}
			if progress != nil {
				progress(i, len(h.Customers))
			}
		}
		s.customer(&h.Customers[i], &measured[i])
	}
	for i := range h.Sets {
		s.set(h, &h.Sets[i])
	}
	if progress != nil {
		progress(len(h.Customers), len(h.Customers))
	}
	return out, nil
}

type simulation struct {
	evaluator *Evaluator
	days      int
	out       *Result
	total     Summer // of the customer, reused
}

func (s *simulation) customer(c *Customer, x *extents) {
	first := len(s.out.Reached)
	note := func(step Step) {
		s.out.Reached = append(s.out.Reached, Reached{Customer: c.ID, Country: c.Country, Reseller: c.Reseller, Subject: step.Subject.ID, Rule: step.Rule.ID, Level: step.Level, Day: step.Day})
	}
	for i := range c.Runs {
		r := &c.Runs[i]
		subject := policy.Subject{Measure: policy.RunOperations, ID: r.ID, Status: c.Status, CustomerID: c.ID, Facts: r.Facts}
		if s.evaluator.MayReach(&subject, x.runs[i]) {
			s.evaluator.walk(subject, inside(r.Days, s.days), c.FirstUse, note)
		}
	}
	subject := policy.Subject{Measure: policy.CustomerOperations, ID: c.ID, Status: c.Status, CustomerID: c.ID, Facts: c.Facts}
	if s.evaluator.MayReach(&subject, x.all) {
		s.total.Reset()
		for i := range c.Runs {
			s.total.Add(inside(c.Runs[i].Days, s.days))
		}
		s.evaluator.walk(subject, s.total.Days(), c.FirstUse, note)
	}
	slices.SortFunc(s.out.Reached[first:], func(a, b Reached) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Level, b.Level))
	})
}

// set walks the days of customers that are taken together.
func (s *simulation) set(h *History, x *Set) {
	s.total.Reset()
	firstUse := math.MaxInt
	for _, i := range x.Customers {
		c := &h.Customers[i]
		firstUse = min(firstUse, c.FirstUse)
		for j := range c.Runs {
			s.total.Add(inside(c.Runs[j].Days, s.days))
		}
	}
	s.evaluator.Walk(policy.Subject{Measure: policy.CustomerOperations, ID: x.ID, Status: x.Status, Aggregate: x.Aggregate}, s.total.Days(), firstUse, func(step Step) {
		s.out.Reached = append(s.out.Reached, Reached{Customer: x.ID, Subject: x.ID, Rule: step.Rule.ID, Level: step.Level, Day: step.Day})
	})
}

// inside leaves out what is before or after a history of n days.
func inside(days []Day, n int) []Day {
	if len(days) == 0 || days[0].Day >= 0 && days[len(days)-1].Day < n {
		return days
	}
	from := slices.IndexFunc(days, func(d Day) bool { return d.Day >= 0 })
	if from < 0 {
		return nil
	}
	days = days[from:]
	if to := slices.IndexFunc(days, func(d Day) bool { return d.Day >= n }); to >= 0 {
		days = days[:to]
	}
	return days
}
