package lab

import "slices"

// Change is one subject's difference between two results under one rule.
type Change struct {
	Customer string `json:"customer"`
	Country  string `json:"country"`
	Reseller string `json:"reseller"`
	Subject  string `json:"subject"`
	Rule     string `json:"rule"`
	Kind     string `json:"kind"`             // appears, disappears, moves level, shifts
	Before   string `json:"before,omitempty"` // highest level
	After    string `json:"after,omitempty"`
	// ShiftDays is by how many days the crossing comes later (above 0) or earlier,
	// where both cross.
	ShiftDays int `json:"shift_days,omitempty"`
}

// Kinds of changes.
const (
	Appears    = "appears"
	Disappears = "disappears"
	MovesLevel = "moves level"
	Shifts     = "shifts"
)

// rank orders levels by what they ask of people.
func rank(level string) int {
	switch level {
	case "crossing":
		return 1000
	case "possible crossing":
		return 500
	}
	n := 0
	for _, c := range level {
		if c >= '0' && c <= '9' {
			n = n*10 + int(c-'0')
		}
	}
	return n
}

type subjectRule struct{ customer, subject, rule string }

// standing is how a subject stands under a rule at the end.
type standing struct {
	Reached
	crossed int // day, −1 if it did not
}

func standings(r *Result) (map[subjectRule]standing, []subjectRule) {
	all := map[subjectRule]standing{}
	var order []subjectRule
	for _, x := range r.Reached {
		key := subjectRule{x.Customer, x.Subject, x.Rule}
		s, known := all[key]
		if !known {
			order = append(order, key)
			s = standing{Reached: x, crossed: -1}
		}
		if rank(x.Level) > rank(s.Level) {
			s.Reached = x
		}
		if x.Level == "crossing" {
			s.crossed = x.Day
		}
		all[key] = s
	}
	return all, order
}

// Diff says what is different between two results of one history: who appears,
// who disappears, who moves to another level, and whose crossing shifts. Rules
// are matched by id. What is the same is not told.
func Diff(before, after *Result) []Change {
	old, oldOrder := standings(before)
	next, nextOrder := standings(after)
	var out []Change
	add := func(x Reached, kind, was, is string, shift int) {
		out = append(out, Change{Customer: x.Customer, Country: x.Country, Reseller: x.Reseller, Subject: x.Subject, Rule: x.Rule, Kind: kind, Before: was, After: is, ShiftDays: shift})
	}
	for _, key := range nextOrder {
		n := next[key]
		o, known := old[key]
		shift := 0
		if known && o.crossed >= 0 && n.crossed >= 0 {
			shift = n.crossed - o.crossed
		}
		switch {
		case !known:
			add(n.Reached, Appears, "", n.Level, 0)
		case o.Level != n.Level:
			add(n.Reached, MovesLevel, o.Level, n.Level, shift)
		case shift != 0:
			add(n.Reached, Shifts, o.Level, n.Level, shift)
		}
	}
	for _, key := range oldOrder {
		if _, still := next[key]; !still {
			add(old[key].Reached, Disappears, old[key].Level, "", 0)
		}
	}
	return out
}

// Counts says how many changes of each kind there are, by country, reseller,
// customer or any other name of a change.
func Counts(changes []Change, by func(Change) string) map[string]map[string]int {
	out := map[string]map[string]int{}
	for _, c := range changes {
		if out[by(c)] == nil {
			out[by(c)] = map[string]int{}
		}
		out[by(c)][c.Kind]++
	}
	return out
}

// Crossings returns the crossings of a result, by day and subject.
func Crossings(r *Result) []Reached {
	var out []Reached
	for _, x := range r.Reached {
		if x.Level == "crossing" {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b Reached) int { return a.Day - b.Day })
	return out
}
