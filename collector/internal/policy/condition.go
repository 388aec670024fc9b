package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Answer is what a condition says of a subject.
type Answer int

// The three answers.
const (
	No Answer = iota
	CannotTell
	Yes
)

// Condition narrows a rule: one measure against a line, or several conditions.
type Condition struct {
	All []Condition `yaml:"all"`
	Any []Condition `yaml:"any"`

	Measure      Measure `yaml:"measure"`
	AtLeast      string  `yaml:"at_least"`
	AtMost       string  `yaml:"at_most"`
	Unit         string  `yaml:"unit"` // of the line; that of the measure if empty
	WindowDays   int     `yaml:"window_days"`
	NetworkGbitS int     `yaml:"network_gbit_s"`
	CountryGroup string  `yaml:"country_group"`
	Bound        string  `yaml:"bound"` // low, best or high; best if empty

	line int64
}

// maxDepth and maxConditions bound what one rule costs.
const maxDepth, maxConditions = 5, 50

// Bounds that a rule may be decided on.
var bounds = []string{"low", "best", "high"}

// settle checks a condition and settles its lines. It calls fault with the key
// and what is wrong.
func (c *Condition) settle(key string, depth int, left *int, fault func(key, rule string)) {
	if *left--; *left < 0 || depth > maxDepth {
		if *left == -1 || depth > maxDepth {
			fault(key, fmt.Sprintf("at most %d conditions, at most %d deep", maxConditions, maxDepth))
		}
		return
	}
	kinds := 0
	for _, has := range []bool{len(c.All) > 0, len(c.Any) > 0, c.Measure != ""} {
		if has {
			kinds++
		}
	}
	if kinds != 1 {
		fault(key, "must have exactly one of all, any and measure")
		return
	}
	for i := range c.All {
		c.All[i].settle(fmt.Sprintf("%s.all[%d]", key, i), depth+1, left, fault)
	}
	for i := range c.Any {
		c.Any[i].settle(fmt.Sprintf("%s.any[%d]", key, i), depth+1, left, fault)
	}
	if c.Measure == "" {
		if c.AtLeast+c.AtMost+c.Unit+c.Bound+c.CountryGroup != "" || c.WindowDays != 0 || c.NetworkGbitS != 0 {
			fault(key, "all and any take no other key")
		}
		return
	}
	m, known := measures[c.Measure]
	if !known {
		fault(key+".measure", "must be one of "+strings.Join(measureNames(), ", "))
		return
	}
	text, side := c.AtLeast, "at_least"
	if text == "" {
		text, side = c.AtMost, "at_most"
	}
	if (c.AtLeast == "") == (c.AtMost == "") {
		fault(key, "must have exactly one of at_least and at_most")
		return
	}
	var err error
	if c.line, err = m.unit.parse(text); err != nil {
		fault(key+"."+side, err.Error())
	}
	checkUnit(key+".", c.Unit, m.unit, fault)
	checkParameters(key, c.key(), fault)
	if c.Bound != "" && !slices.Contains(bounds, c.Bound) {
		fault(key+".bound", "must be low, best or high")
	}
}

// checkParameters finds parameters that a measure does not have, or lacks.
func checkParameters(key string, k FactKey, fault func(key, rule string)) {
	if k.WindowDays < 0 || k.WindowDays > 3660 || k.WindowDays > 0 && k.Measure != CustomerOperations && k.Measure != ProjectedOperations {
		fault(key+".window_days", "must be from 1 to 3660, of customer_operations or projected_operations")
	}
	if k.Measure == ProjectedOperations && k.WindowDays == 0 {
		fault(key+".window_days", "is missing: how far to look ahead")
	}
	if (k.NetworkGbitS > 0) != (k.Measure == ClusterRate) || k.NetworkGbitS < 0 {
		fault(key+".network_gbit_s", "must be above 0 for cluster_rate, and is for it only")
	}
	if (k.CountryGroup != "") != (k.Measure == HeadquartersInGroup) {
		fault(key+".country_group", "is for headquarters_in_group, which needs it")
	}
}

func measureNames() []string {
	var names []string
	for m := range measures {
		names = append(names, string(m))
	}
	slices.Sort(names)
	return names
}

// applies reports whether every measure in it is of runs, or of customers.
func (c *Condition) applies(customer bool) bool {
	for _, part := range slices.Concat(c.All, c.Any) {
		if !part.applies(customer) {
			return false
		}
	}
	m := measures[c.Measure]
	return c.Measure == "" || customer && m.customer || !customer && m.run
}

// holds answers for a subject. Where it does not hold, it adds why to why, if
// that is not nil.
func (c *Condition) holds(s *Subject, why *[]string) Answer {
	switch {
	case len(c.All) > 0:
		return combine(c.All, s, worst, Yes, why)
	case len(c.Any) > 0:
		return combine(c.Any, s, better, No, why)
	}
	f, known := s.fact(c.key())
	if !known {
		if why != nil {
			*why = append(*why, c.title()+" is not known")
		}
		return CannotTell
	}
	answer := c.compare(f)
	if answer != Yes && why != nil {
		u := measures[c.Measure].unit
		side := "at least " + c.AtLeast
		if c.AtMost != "" {
			side = "at most " + c.AtMost
		}
		*why = append(*why, fmt.Sprintf("%s is between %s and %s, not surely %s", c.title(), u.format(f.Low), u.format(f.High), side))
	}
	return answer
}

// compare decides on the bound, and cannot tell where another bound decides otherwise.
func (c *Condition) compare(f Figure) Answer {
	decide, other := f.Best, f.High
	switch c.Bound {
	case "low":
		decide = f.Low
	case "high":
		decide = f.High
	}
	reached := func(n int64) bool { return n >= c.line }
	if c.AtMost != "" {
		other = f.Low
		reached = func(n int64) bool { return n <= c.line }
	}
	switch {
	case reached(decide):
		return Yes
	case reached(other):
		return CannotTell
	}
	return No
}

func (c *Condition) title() string {
	name := strings.ReplaceAll(string(c.Measure), "_", " ")
	switch {
	case c.NetworkGbitS > 0:
		return fmt.Sprintf("%s at %d Gbit/s", name, c.NetworkGbitS)
	case c.WindowDays > 0:
		return fmt.Sprintf("%s over %d days", name, c.WindowDays)
	case c.CountryGroup != "":
		return name + " " + c.CountryGroup
	}
	return name
}

func worst(a, b Answer) Answer  { return min(a, b) }
func better(a, b Answer) Answer { return max(a, b) }

// combine joins the answers of parts, by worst or better, and begins with the answer
// of no part. Why is emptied where the whole holds.
func combine(parts []Condition, s *Subject, join func(a, b Answer) Answer, answer Answer, why *[]string) Answer {
	var reasons []string
	collect := &reasons
	if why == nil {
		collect = nil
	}
	for i := range parts {
		answer = join(answer, parts[i].holds(s, collect))
	}
	if answer != Yes && why != nil {
		slices.Sort(reasons)
		*why = append(*why, slices.Compact(reasons)...)
	}
	return answer
}
