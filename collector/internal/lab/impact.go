package lab

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// PackRef names a pack, "" for none.
type PackRef struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

func refOf(p *policy.Pack) PackRef {
	if p == nil {
		return PackRef{}
	}
	return PackRef{p.ID, p.Version, hex.EncodeToString(p.Digest[:])}
}

// SnapshotRef names what was simulated on.
type SnapshotRef struct {
	Digest    string `json:"digest"`
	Watermark int64  `json:"watermark"` // Unix ns
	Identity  string `json:"identity"`
	FirstDay  string `json:"first_day"`
	Days      int    `json:"days"`
	Customers int    `json:"customers"`
	Runs      int    `json:"runs"`
}

// Predicted is a finding that the new text makes and that there is not yet.
type Predicted struct {
	Customer string `json:"customer"`
	Country  string `json:"country,omitempty"`
	Reseller string `json:"reseller,omitempty"`
	Subject  string `json:"subject"`
	Rule     string `json:"rule"`
	Level    string `json:"level"`
	Reached  string `json:"reached"` // date
	// Of a level that starts a clock.
	Clock   string `json:"clock,omitempty"`
	Due     string `json:"due,omitempty"` // last day, by the legal zone
	Overdue bool   `json:"overdue,omitempty"`
}

// Load is what findings ask of people.
type Load struct {
	Findings      int   `json:"findings"`
	PerWeekMilli  int64 `json:"per_week_milli"` // findings per week of history, in thousandths
	AnalystMinute int64 `json:"analyst_minutes"`
}

// Impact is what moving from one text to another changes. Everything in it
// follows from the two packs, the snapshot and From.
type Impact struct {
	Engine   string      `json:"engine"`
	Before   PackRef     `json:"before"`
	After    PackRef     `json:"after"`
	Snapshot SnapshotRef `json:"snapshot"`
	From     time.Time   `json:"from"` // when the new text is to be in force: clocks are counted as of then

	Changes    []Change                  `json:"changes"`
	ByKind     map[string]int            `json:"by_kind"`
	ByCountry  map[string]map[string]int `json:"by_country"`
	ByReseller map[string]map[string]int `json:"by_reseller"`
	ByCustomer map[string]map[string]int `json:"by_customer"`

	Findings []Predicted `json:"findings"` // that looking back will make: exactly these
	// NotMade are levels that history reaches under the old text only. What was
	// found of them stays as it is.
	NotMade int `json:"not_made"`
	Clocks  int `json:"clocks"` // that would start
	Overdue int `json:"overdue"`

	LoadBefore Load `json:"load_before"`
	LoadAfter  Load `json:"load_after"`

	Above []Sample `json:"above"`
	Below []Sample `json:"below"`
	Money Money    `json:"money"`
	Curve []Point  `json:"curve,omitempty"`
}

// Digest identifies the report: the same packs on the same snapshot give the
// same one on any machine.
func (r *Impact) Digest() (string, error) {
	sum, err := canonical.Digest(r)
	if err != nil {
		return "", fmt.Errorf("digest of report: %w", err)
	}
	return hex.EncodeToString(sum[:]), nil
}

// Inputs are what a report is made from.
type Inputs struct {
	Before, After *policy.Pack // Before is nil where nothing is in force
	Snapshot      *Snapshot
	From          time.Time
	Zone          func(name string) (*time.Location, error) // of a clock
}

type level struct{ customer, subject, rule, level string }

func levelOf(x Reached) level { return level{x.Customer, x.Subject, x.Rule, x.Level} }

// Reported holds the results of both packs against one another. below is what the
// new pack with lower lines reaches, for the sample below the line.
func Reported(in Inputs, before, after, below *Result) (*Impact, error) {
	h := in.Snapshot.history
	r := &Impact{Engine: Engine, Before: refOf(in.Before), After: refOf(in.After), From: in.From.UTC(),
		Snapshot: SnapshotRef{Digest: in.Snapshot.digest, Watermark: h.Watermark, Identity: h.Identity, FirstDay: h.FirstDay, Days: h.Days, Customers: len(h.Customers)}}
	for i := range h.Customers {
		r.Snapshot.Runs += len(h.Customers[i].Runs)
	}
	r.Changes = Diff(before, after)
	r.ByKind = map[string]int{}
	for _, c := range r.Changes {
		r.ByKind[c.Kind]++
	}
	r.ByCountry = Counts(r.Changes, func(c Change) string { return c.Country })
	r.ByReseller = Counts(r.Changes, func(c Change) string { return c.Reseller })
	r.ByCustomer = Counts(r.Changes, func(c Change) string { return c.Customer })
	first, err := time.Parse(time.DateOnly, h.FirstDay)
	if err != nil {
		return nil, fmt.Errorf("first day of the history: %w", err)
	}
	ends := endsOf(h)
	had, made := map[level]bool{}, map[Made]bool{}
	for _, x := range before.Reached {
		had[levelOf(x)] = true
	}
	for _, m := range h.Made {
		made[m] = true
	}
	for _, x := range after.Reached {
		delete(had, levelOf(x))
		if made[Made{in.After.ID, x.Subject, x.Rule, x.Level}] {
			continue
		}
		p, err := predict(in, x, first, ends[x.Subject])
		if err != nil {
			return nil, err
		}
		if p.Clock != "" {
			r.Clocks++
		}
		if p.Overdue {
			r.Overdue++
		}
		r.Findings = append(r.Findings, p)
	}
	r.NotMade = len(had)
	r.LoadBefore, r.LoadAfter = load(in.Before, before, h.Days), load(in.After, after, h.Days)
	r.Above, r.Below = samples(in, before, after, below)
	r.Money = carried(h, slices.Collect(maps.Keys(r.ByCustomer)))
	r.Money.Exposure = exposure(in, r)
	return r, nil
}

// endsOf returns when each subject did something last, Unix ns, as far as known.
func endsOf(h *History) map[string]int64 {
	out := map[string]int64{}
	for i := range h.Customers {
		c := &h.Customers[i]
		for j := range c.Runs {
			out[c.Runs[j].ID] = c.Runs[j].EndNS
			out[c.ID] = max(out[c.ID], c.Runs[j].EndNS)
		}
	}
	return out
}

func predict(in Inputs, x Reached, first time.Time, endNS int64) (Predicted, error) {
	day := first.AddDate(0, 0, x.Day)
	p := Predicted{Customer: x.Customer, Country: x.Country, Reseller: x.Reseller, Subject: x.Subject, Rule: x.Rule, Level: x.Level, Reached: day.Format(time.DateOnly)}
	k, ok := in.After.ClockOf(policy.Finding{Rule: x.Rule, Level: x.Level})
	if !ok {
		return p, nil
	}
	zone, err := in.Zone(k.Zone)
	if err != nil {
		return p, fmt.Errorf("clock %s: %w", k.ID, err)
	}
	occurred := day.AddDate(0, 0, 1)
	if end := time.Unix(0, endNS).UTC(); endNS > 0 && end.Before(occurred) {
		occurred = end
	}
	c := clock.Start(clock.Obligation{Name: k.ID, Basis: clock.Basis(k.Basis), Days: k.Days, Zone: zone}, occurred, in.From)
	if due, ok := c.Due(in.From); ok {
		p.Clock, p.Due, p.Overdue = k.ID, due.Date.String(), !in.From.Before(due.Over)
	}
	return p, nil
}

func load(p *policy.Pack, r *Result, days int) Load {
	l := Load{Findings: len(r.Reached)}
	for _, x := range r.Reached {
		if p != nil {
			l.AnalystMinute += int64(p.Effort.Minutes(x.Level))
		}
	}
	l.PerWeekMilli = int64(l.Findings) * 7000 / int64(max(1, days))
	return l
}

// NewSubjects returns the subjects of the predicted findings, each once, in order.
func (r *Impact) NewSubjects() []string {
	var out []string
	for _, p := range r.Findings {
		out = append(out, p.Subject)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
