package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
)

// maxRules and maxList bound what one pack costs.
const maxRules, maxList = 100, 200

// Validate checks what the types do not, and settles the thresholds.
func (p *Pack) Validate() error {
	var faults []error
	fault := func(key, rule string) { faults = append(faults, fmt.Errorf("%s: %s", key, rule)) }
	if p.ID == "" {
		fault("id", "is empty")
	}
	if p.Version < 1 {
		fault("version", "must be 1 or more")
	}
	for _, text := range []struct{ key, value string }{{"title", p.Title}, {"citation", p.Citation}, {"effective", p.Effective}} {
		if text.value == "" {
			fault(text.key, "is empty")
		}
	}
	if !slices.Contains(statuses, p.Status) {
		fault("status", fmt.Sprintf("must be one of %v", statuses))
	}
	p.checkDates(fault)
	p.checkClocks(fault)
	p.checkDuties(fault)
	if len(p.Rules) == 0 || len(p.Rules) > maxRules {
		fault("rules", fmt.Sprintf("must be 1 to %d", maxRules))
	}
	seen := map[string]bool{}
	for i := range p.Rules {
		r := &p.Rules[i]
		key := fmt.Sprintf("rules[%d].", i)
		if r.ID == "" || seen[r.ID] {
			fault(key+"id", "is empty or there twice")
		}
		seen[r.ID] = true
		for _, text := range []struct{ key, value string }{{"title", r.Title}, {"citation", r.Citation}} {
			if text.value == "" {
				fault(key+text.key, "is empty")
			}
		}
		r.settle(key, fault)
		if r.Clock != "" && !slices.ContainsFunc(p.Clocks, func(c Clock) bool { return c.ID == r.Clock }) {
			fault(key+"clock", "is not among the pack's clocks")
		}
		for n, percent := range r.WarnPercent {
			if percent < 1 || percent > 99 || (n > 0 && percent <= r.WarnPercent[n-1]) {
				fault(key+"warn_percent", "must rise from 1 to 99")
				break
			}
		}
		if len(r.AppliesTo) == 0 {
			fault(key+"applies_to", "is empty: the rule would hold for nobody")
		}
		for _, status := range r.AppliesTo {
			if s := party.ForeignStatus(status); s != party.Foreign && s != party.US && s != party.Undetermined {
				fault(key+"applies_to", "must be foreign, us or undetermined")
			}
		}
		if slices.Contains(r.AppliesTo, string(party.Foreign)) && !slices.Contains(r.AppliesTo, string(party.Undetermined)) {
			fault(key+"applies_to", "unknown is not domestic: a rule for foreign customers must apply to undetermined ones")
		}
	}
	return errors.Join(faults...)
}

// settle checks what the rule counts and settles its lines.
func (r *Rule) settle(key string, fault func(key, rule string)) {
	m, known := measures[r.Measure]
	if !known || !m.counter {
		fault(key+"measure", "must be one that only grows, such as run_operations or customer_operations")
		return
	}
	line, err := m.unit.parse(r.Threshold)
	if err != nil || line <= 0 {
		fault(key+"threshold", "must be a number above 0, such as 1e26; its unit is "+m.unit.name())
	}
	r.draw(line)
	checkUnit(key, r.Unit, m.unit, fault)
	checkParameters(strings.TrimSuffix(key, "."), r.Key(), fault)
	if r.Bound != "" && !slices.Contains(bounds, r.Bound) {
		fault(key+"bound", "must be low, best or high")
	}
	if r.Aggregate != "" && (r.Aggregate != OneIdentity && r.Aggregate != OneControl || !r.OfCustomers()) {
		fault(key+"aggregate", "must be identity or control, and is for rules about customers")
	}
	if both := m.run && m.customer; both != (r.Subject == "run" || r.Subject == "customer") || !both && r.Subject != "" {
		fault(key+"subject", "must be run or customer where the measure is of both, and is for that only")
	}
	r.warnings = nil
	for _, percent := range r.WarnPercent {
		r.warnings = append(r.warnings, warning+strconv.Itoa(percent))
	}
	left := maxConditions
	for i := range r.And {
		part := fmt.Sprintf("%sand[%d]", key, i)
		r.And[i].settle(part, 1, &left, fault)
		if !r.And[i].applies(r.OfCustomers()) {
			fault(part, "looks at a measure that the rule's subject does not have")
		}
	}
}

func (p *Pack) checkDates(fault func(key, rule string)) {
	var dates [3]time.Time
	for i, d := range []struct{ key, value string }{{"published", p.Published}, {"from", p.From}, {"until", p.Until}} {
		if d.value == "" {
			continue
		}
		var err error
		if dates[i], err = time.Parse(time.DateOnly, d.value); err != nil {
			fault(d.key, "must be a date such as 2024-01-29")
		}
	}
	published, from, until := dates[0], dates[1], dates[2]
	if !from.IsZero() && from.Before(published) {
		fault("from", "is before it was published")
	}
	if !until.IsZero() && !until.After(from) {
		fault("until", "is not after from")
	}
	if p.Status == "final" && from.IsZero() {
		fault("from", "is missing: a final text has a date")
	}
}

func (p *Pack) checkClocks(fault func(key, rule string)) {
	seen := map[string]bool{}
	for i, c := range p.Clocks {
		key := fmt.Sprintf("clocks[%d].", i)
		if c.ID == "" || seen[c.ID] {
			fault(key+"id", "is empty or there twice")
		}
		seen[c.ID] = true
		if c.Title == "" || c.Citation == "" {
			fault(key+"title", "title and citation must be there")
		}
		if c.Basis != "earlier" && c.Basis != "known" && c.Basis != "given" {
			fault(key+"basis", "must be earlier, known or given")
		}
		if c.Days < 1 || c.Days > 3660 {
			fault(key+"days", "must be from 1 to 3660")
		}
		if !zoneForm.MatchString(c.Zone) {
			fault(key+"zone", "must be the name of a time zone, such as America/New_York")
		}
	}
}

// zoneForm is what names of time zones look like; whether one exists is known
// where clocks are started.
var zoneForm = regexp.MustCompile(`^(UTC|[A-Z][A-Za-z]+(/[A-Za-z_+-]+)+)$`)
