package policy

import (
	"fmt"
	"slices"
	"time"
)

// Definition is a word that the rules use and what the text means by it.
type Definition struct {
	Term     string `yaml:"term"`
	Means    string `yaml:"means"`
	Citation string `yaml:"citation"`
}

// ReportField is one thing that a report under the pack must hold.
type ReportField struct {
	ID       string `yaml:"id"`
	Title    string `yaml:"title"`
	Section  string `yaml:"section"`
	Citation string `yaml:"citation"`
	Required bool   `yaml:"required"` // "not held" with a reason counts as an answer
}

// Retention is how long a kind of record is kept at least.
type Retention struct {
	Records  string `yaml:"records"` // reports, identity, evidence, audit, access
	Days     int    `yaml:"days"`
	After    string `yaml:"after"` // filing, account_end, recording
	Citation string `yaml:"citation"`
}

// Penalty is what may be asked for one violation. Amounts are adjusted now and
// then, so they are data with dates.
type Penalty struct {
	Basis        string  `yaml:"basis"` // in words
	Citation     string  `yaml:"citation"`
	Kind         string  `yaml:"kind"` // civil, criminal
	Currency     string  `yaml:"currency"`
	Amount       int64   `yaml:"amount"`        // whole units of the currency, at most
	Transaction  float64 `yaml:"transaction"`   // or so many times the transaction, if that is more; 0 if it does not matter
	Turnover     float64 `yaml:"turnover"`      // or this share of the yearly turnover; 0 if it does not matter
	Years        int     `yaml:"years"`         // of imprisonment, at most
	From         string  `yaml:"from"`          // date
	Until        string  `yaml:"until"`         // date, excluded; empty while it holds
	PerViolation bool    `yaml:"per_violation"` // as against altogether
}

// Effort is how many minutes of an analyst a finding takes. Zero values stand
// for the defaults.
type Effort struct {
	Warning  int `yaml:"warning"`
	Possible int `yaml:"possible"`
	Crossing int `yaml:"crossing"`
}

// Minutes returns the effort of a finding of a level.
func (e Effort) Minutes(level string) int {
	of := func(set, otherwise int) int {
		if set > 0 {
			return set
		}
		return otherwise
	}
	switch level {
	case Crossing:
		return of(e.Crossing, 480)
	case PossibleCrossing:
		return of(e.Possible, 120)
	}
	return of(e.Warning, 30)
}

// PenaltiesOn returns those that hold on a date such as 2026-11-23.
func (p *Pack) PenaltiesOn(date string) []Penalty {
	var out []Penalty
	for _, x := range p.Penalties {
		if x.From <= date && (x.Until == "" || date < x.Until) {
			out = append(out, x)
		}
	}
	return out
}

// Kinds of records and of what retention begins with.
var (
	recordKinds    = []string{"reports", "identity", "evidence", "audit", "access"}
	retentionStart = []string{"filing", "account_end", "recording"}
)

func (p *Pack) checkDuties(fault func(key, rule string)) {
	for _, list := range []struct {
		key string
		n   int
	}{{"clocks", len(p.Clocks)}, {"definitions", len(p.Definitions)}, {"report", len(p.Report)}, {"retention", len(p.Retention)}, {"penalties", len(p.Penalties)}, {"limitations", len(p.Limitations)}} {
		if list.n > maxList {
			fault(list.key, fmt.Sprintf("must be at most %d", maxList))
		}
	}
	if p.Review != "" {
		if _, err := time.Parse(time.DateOnly, p.Review); err != nil {
			fault("review", "must be a date such as 2026-11-23")
		}
	}
	for i, d := range p.Definitions {
		if d.Term == "" || d.Means == "" || d.Citation == "" {
			fault(fmt.Sprintf("definitions[%d]", i), "term, means and citation must be there")
		}
	}
	seen := map[string]bool{}
	for i, f := range p.Report {
		if f.ID == "" || f.Title == "" || f.Section == "" || seen[f.ID] {
			fault(fmt.Sprintf("report[%d]", i), "id, title and section must be there, and each id once")
		}
		seen[f.ID] = true
	}
	for i, r := range p.Retention {
		key := fmt.Sprintf("retention[%d]", i)
		if !slices.Contains(recordKinds, r.Records) {
			fault(key+".records", fmt.Sprintf("must be one of %v", recordKinds))
		}
		if !slices.Contains(retentionStart, r.After) {
			fault(key+".after", fmt.Sprintf("must be one of %v", retentionStart))
		}
		if r.Days < 1 || r.Days > 36600 || r.Citation == "" {
			fault(key+".days", "must be from 1 to 36600, with a citation")
		}
	}
	for i, x := range p.Penalties {
		x.check(fmt.Sprintf("penalties[%d]", i), fault)
	}
	if e := p.Effort; min(e.Warning, e.Possible, e.Crossing) < 0 || max(e.Warning, e.Possible, e.Crossing) > 100_000 {
		fault("effort", "must be minutes from 0 to 100000")
	}
}

func (x *Penalty) check(key string, fault func(key, rule string)) {
	if x.Basis == "" || x.Citation == "" {
		fault(key, "basis and citation must be there")
	}
	if x.Kind != "civil" && x.Kind != "criminal" {
		fault(key+".kind", "must be civil or criminal")
	}
	if len(x.Currency) != 3 || x.Amount < 0 || x.Transaction < 0 || x.Turnover < 0 || x.Turnover > 1 || x.Years < 0 {
		fault(key+".amount", "must be 0 or more of a currency such as USD; turnover a share from 0 to 1")
	}
	from, err := time.Parse(time.DateOnly, x.From)
	if err != nil {
		fault(key+".from", "must be a date such as 2025-01-15")
		return
	}
	if x.Until != "" {
		if until, err := time.Parse(time.DateOnly, x.Until); err != nil || !until.After(from) {
			fault(key+".until", "must be a date after from")
		}
	}
}
