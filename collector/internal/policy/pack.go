// Package policy holds policy packs and decides whether their rules hold. It is
// pure: facts and packs go in, findings come out, and no fact changes.
package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/config"
)

// The statuses of a pack: what force its text has.
var statuses = []string{"proposed", "final", "guidance", "revoked", "internal"}

// Pack is a versioned set of rules with the text that it stands for.
type Pack struct {
	ID        string `yaml:"id"`
	Version   int    `yaml:"version"`
	Title     string `yaml:"title"`
	Citation  string `yaml:"citation"`
	Status    string `yaml:"status"`
	Effective string `yaml:"effective"` // in words: proposed rules have no date
	Published string `yaml:"published"` // dates, as 2024-01-29; empty if there is none
	From      string `yaml:"from"`
	Until     string `yaml:"until"` // excluded
	// Binds says whom the text binds. A pack that does not bind the provider ships
	// inactive: it says what customers will be asked to show.
	Binds  string  `yaml:"binds"`
	Active bool    `yaml:"active"` // held against the fleet unless a provider decides otherwise
	Clocks []Clock `yaml:"clocks"`
	Rules  []Rule  `yaml:"rules"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity
}

// Rule counts one measure against a threshold, where its conditions hold.
type Rule struct {
	ID           string      `yaml:"id"`
	Title        string      `yaml:"title"`
	Citation     string      `yaml:"citation"`
	Measure      Measure     `yaml:"measure"`
	Threshold    string      `yaml:"threshold"` // single operations, as "1e26", or in the measure's unit
	WindowDays   int         `yaml:"window_days"`
	NetworkGbitS int         `yaml:"network_gbit_s"`
	Subject      string      `yaml:"subject"` // run or customer, where the measure is of both
	Bound        string      `yaml:"bound"`   // that decides: low, best or high; best if empty
	And          []Condition `yaml:"and"`
	WarnPercent  []int       `yaml:"warn_percent"`
	AppliesTo    []string    `yaml:"applies_to"` // foreign statuses
	Clock        string      `yaml:"clock"`      // that a crossing starts; none if empty
	Aggregate    string      `yaml:"aggregate"`  // how far customers are taken together: identity if empty, or control

	threshold int64    // in the measure's unit
	warnings  []string // levels of WarnPercent
}

// Key names the fact that the rule counts.
func (r *Rule) Key() FactKey {
	return FactKey{Measure: r.Measure, WindowDays: r.WindowDays, NetworkGbitS: r.NetworkGbitS}
}

// Line is the threshold in the measure's unit.
func (r *Rule) Line() int64 { return r.threshold }

// OfCustomers reports whether the rule is about customers, and not about runs.
func (r *Rule) OfCustomers() bool {
	m := measures[r.Measure]
	return m.customer && (!m.run || r.Subject == "customer")
}

// warning is what warning levels begin with, before the percent.
const warning = "warning "

// Clock is an obligation that a crossing starts.
type Clock struct {
	ID       string `yaml:"id"`
	Title    string `yaml:"title"`
	Citation string `yaml:"citation"`
	Basis    string `yaml:"basis"` // earlier (of occurrence and knowledge), known, given
	Days     int    `yaml:"days"`  // calendar days
	Zone     string `yaml:"zone"`  // IANA name of the legal time zone
}

// Read reads a pack. Faults name the file, line and key where they can.
func Read(name string, data []byte) (*Pack, error) {
	p := &Pack{Digest: sha256.Sum256(data)}
	if err := config.Decode(name, data, p); err != nil {
		return nil, err
	}
	return p, nil
}

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
	if len(p.Rules) == 0 {
		fault("rules", "is empty")
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
	var err error
	if r.threshold, err = m.unit.parse(r.Threshold); err != nil || r.threshold <= 0 {
		fault(key+"threshold", "must be a number above 0, such as 1e26")
	}
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
