package lab

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/canonical"
	"github.com/flopwatch/flopwatch/pkg/compute"
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
	s := simulation{pack: p, days: h.Days, out: out}
	for i := range h.Customers {
		if i%1000 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("simulate pack %s: %w", p.ID, err)
			}
			if progress != nil {
				progress(i, len(h.Customers))
			}
		}
		s.customer(&h.Customers[i])
	}
	if progress != nil {
		progress(len(h.Customers), len(h.Customers))
	}
	return out, nil
}

type simulation struct {
	pack   *policy.Pack
	days   int
	out    *Result
	total  []compute.Bounds // of the customer by day, reused
	seen   map[string]bool  // findings of the subject, reused
	active []int            // days on which the customer did something
}

func (s *simulation) customer(c *Customer) {
	if s.total == nil {
		s.total, s.seen = make([]compute.Bounds, s.days), map[string]bool{}
	}
	for _, day := range s.active {
		s.total[day] = compute.Bounds{}
	}
	s.active = s.active[:0]
	first := len(s.out.Reached)
	for i := range c.Runs {
		r := &c.Runs[i]
		for _, d := range r.Days {
			if d.Day < 0 || d.Day >= s.days {
				continue // outside of the history
			}
			if s.total[d.Day] == (compute.Bounds{}) {
				s.active = append(s.active, d.Day)
			}
			s.total[d.Day] = s.total[d.Day].Add(d.Operations)
		}
		s.run(c, r)
	}
	slices.Sort(s.active)
	s.active = slices.Compact(s.active)
	s.whole(c)
	slices.SortFunc(s.out.Reached[first:], func(a, b Reached) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Level, b.Level))
	})
}

// run walks the days of a run. A run that does not reach a level by its end
// reaches none before, so most are done with one look.
func (s *simulation) run(c *Customer, r *Run) {
	subject := policy.Subject{Measure: policy.RunOperations, ID: r.ID, Status: c.Status, CustomerID: c.ID, Facts: r.Facts}
	for _, d := range r.Days {
		subject.Operations = subject.Operations.Add(d.Operations)
	}
	if !policy.Reaches(s.pack, &subject) {
		return
	}
	clear(s.seen)
	subject.Operations = compute.Bounds{}
	for _, d := range r.Days {
		if d.Day < 0 || d.Day >= s.days {
			continue
		}
		subject.Operations = subject.Operations.Add(d.Operations)
		s.note(c, &subject, d.Day)
	}
}

// whole walks the days of the customer as a whole, with every window that the
// pack has. A window may hold on a day on which nothing was done only if it held
// the day before, so only days of work are looked at.
func (s *simulation) whole(c *Customer) {
	var windows []int
	for i := range s.pack.Rules {
		if k := s.pack.Rules[i].Key(); k.Measure == policy.CustomerOperations && k.WindowDays > 0 && !slices.Contains(windows, k.WindowDays) {
			windows = append(windows, k.WindowDays)
		}
	}
	subject := policy.Subject{Measure: policy.CustomerOperations, ID: c.ID, Status: c.Status, CustomerID: c.ID, Facts: c.Facts}
	for _, day := range s.active {
		subject.Operations = subject.Operations.Add(s.total[day])
	}
	// No window holds more than all days together.
	most := subject
	most.Facts = withWindows(c.Facts, windows, func(int) compute.Bounds { return most.Operations })
	if !policy.Reaches(s.pack, &most) {
		return
	}
	clear(s.seen)
	subject.Operations = compute.Bounds{}
	for at, day := range s.active {
		subject.Operations = subject.Operations.Add(s.total[day])
		if len(windows) > 0 {
			subject.Facts = withWindows(c.Facts, windows, func(n int) compute.Bounds { return s.window(at, n) })
		}
		s.note(c, &subject, day)
	}
}

// window is what was done in the n days that end with the active day at.
func (s *simulation) window(at, n int) compute.Bounds {
	var sum compute.Bounds
	for i := at; i >= 0 && s.active[i] > s.active[at]-n; i-- {
		sum = sum.Add(s.total[s.active[i]])
	}
	return sum
}

func withWindows(facts policy.Facts, windows []int, of func(days int) compute.Bounds) policy.Facts {
	if len(windows) == 0 {
		return facts
	}
	all := make(policy.Facts, len(facts)+len(windows))
	for k, f := range facts {
		all[k] = f
	}
	for _, n := range windows {
		b := of(n)
		all[policy.FactKey{Measure: policy.CustomerOperations, WindowDays: n}] = policy.Figure{Low: int64(b.Low), Best: int64(b.Best), High: int64(b.High)}
	}
	return all
}

// note adds the levels that hold on a day and did not before.
func (s *simulation) note(c *Customer, subject *policy.Subject, day int) {
	policy.Levels(s.pack, subject, func(r *policy.Rule, level string) {
		key := r.ID + "\x00" + level
		if s.seen[key] {
			return
		}
		s.seen[key] = true
		s.out.Reached = append(s.out.Reached, Reached{Customer: c.ID, Country: c.Country, Reseller: c.Reseller, Subject: subject.ID, Rule: r.ID, Level: level, Day: day})
	})
}
