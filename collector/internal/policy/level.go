package policy

import (
	"strconv"
	"strings"
)

// Percent returns the level of a finding in percent of its threshold: 100 for a
// crossing, 99 for a possible one, which may be decided without a case. Findings
// that are not about a threshold have 0.
func Percent(level string) int {
	switch level {
	case Crossing:
		return 100
	case PossibleCrossing:
		return 99
	}
	if text, ok := strings.CutPrefix(level, warning); ok {
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	}
	return 0
}

// ClockOf returns the clock of the pack that a finding starts: crossings do, and
// those that are foreseen nearly for certain, since what is known starts it.
func (p *Pack) ClockOf(f Finding) (Clock, bool) {
	if f.Level != Crossing && f.Level != ForecastCertain {
		return Clock{}, false
	}
	for i := range p.Rules {
		if p.Rules[i].ID != f.Rule {
			continue
		}
		return p.ClockNamed(p.Rules[i].Clock)
	}
	return Clock{}, false
}

// ClockNamed returns the clock of an id.
func (p *Pack) ClockNamed(id string) (Clock, bool) {
	for _, c := range p.Clocks {
		if c.ID == id && id != "" {
			return c, true
		}
	}
	return Clock{}, false
}
