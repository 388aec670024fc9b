package programme

import (
	"errors"
	"fmt"
	"time"
)

// Retention says until when the personal data of a customer are kept. While an
// account is open there is no end.
type Retention struct {
	Until time.Time // zero: no end is in sight
	Why   string
	Hold  string // id of the legal hold that keeps them, "" for none
	Due   bool   // they may and should be erased now
}

// retention runs from the later of closing and last access, the longest rule wins,
// and a legal hold or an open case overrides all.
func (b *Book) retention(c Customer) Retention {
	r := Retention{}
	if h, held := b.holds[c.ID]; held {
		r.Hold = h.ID
	}
	switch {
	case c.Open:
		r.Why = "an account is open"
		return r
	case len(c.Accounts) == 0:
		r.Why = "no account is recorded, so nothing says when the time began"
		return r
	}
	last := c.LastAccess
	for _, a := range c.Accounts {
		if a.Closed.After(last) {
			last = a.Closed
		}
	}
	r.Until = last.AddDate(0, 0, b.pack.Retention.DefaultDays)
	r.Why = fmt.Sprintf("%d days after the account was closed or last accessed on %s (%s asks for %d)", b.pack.Retention.DefaultDays, last.UTC().Format(time.DateOnly),
		b.pack.Retention.Citation, b.pack.Retention.MinimumDays)
	if at, reported := b.beside.Reported[c.ID]; reported {
		if until := at.AddDate(0, 0, b.pack.Retention.ReportedDays); until.After(r.Until) {
			r.Until, r.Why = until, fmt.Sprintf("%d days after a case was decided to be reportable", b.pack.Retention.ReportedDays)
		}
	}
	if b.beside.OpenCase[c.ID] {
		r.Until, r.Why = time.Time{}, "a case is open"
		return r
	}
	r.Due = r.Hold == "" && !b.now.Before(r.Until)
	return r
}

// ErrKept is wrapped by what MayErase returns where time alone keeps the data:
// two people may erase them early, for a reason.
var ErrKept = errors.New("they are kept for a time")

// MayErase returns why the personal data of a party may not be erased yet, nil if
// they may. A party may be above several customers: their owner, a company
// between, or the reseller.
func (b *Book) MayErase(id string) error {
	if _, known := b.s.Parties[id]; !known {
		return fmt.Errorf("party %s is not there", id)
	}
	found := false
	var kept error
	for _, c := range b.Customers() {
		if c.Party != id && !c.owns(id) && !b.above(c.Party)[id] {
			continue
		}
		found = true
		switch _, reported := b.beside.Reported[c.ID]; {
		case c.Retention.Hold != "":
			return fmt.Errorf("customer %s is under legal hold %s", c.ID, c.Retention.Hold)
		case c.Retention.Until.IsZero():
			return fmt.Errorf("customer %s: %s", c.ID, c.Retention.Why)
		case !c.Retention.Due && reported:
			return fmt.Errorf("customer %s: kept until %s, %s", c.ID, c.Retention.Until.UTC().Format(time.DateOnly), c.Retention.Why)
		case !c.Retention.Due:
			kept = fmt.Errorf("customer %s: kept until %s, %s: %w", c.ID, c.Retention.Until.UTC().Format(time.DateOnly), c.Retention.Why, ErrKept)
		}
	}
	for _, r := range b.s.Resellers {
		if r.Party != id {
			continue
		}
		found = true
		until := r.Ended.AddDate(0, 0, b.pack.Retention.DefaultDays)
		switch {
		case r.Ended.IsZero():
			return fmt.Errorf("reseller %s: the relationship goes on", r.ID)
		case b.now.Before(until):
			kept = fmt.Errorf("reseller %s: kept until %s, %d days after the relationship ended: %w", r.ID, until.UTC().Format(time.DateOnly), b.pack.Retention.DefaultDays, ErrKept)
		}
	}
	if !found {
		return fmt.Errorf("party %s belongs to no customer or reseller, so nothing says when the time to keep it began: %w", id, ErrKept)
	}
	return kept
}

// above are the parties that have an interest in one, over any number of steps and
// through circles.
func (b *Book) above(id string) map[string]bool {
	out := map[string]bool{}
	for todo := []string{id}; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		for _, owner := range b.owners[next] {
			if !out[owner] {
				out[owner] = true
				todo = append(todo, owner)
			}
		}
	}
	return out
}

func (c Customer) owns(id string) bool {
	for _, o := range c.Owners {
		if o.Party == id {
			return true
		}
	}
	return false
}
