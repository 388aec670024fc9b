// Package policy holds policy packs and decides whether their rules hold. It is
// pure: facts and packs go in, findings come out, and no fact changes.
package policy

import (
	"crypto/sha256"

	"github.com/flopwatch/flopwatch/pkg/config"
)

// The statuses of a pack: what force its text has.
var statuses = []string{"proposed", "final", "guidance", "revoked", "contractual", "internal"}

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

	Definitions []Definition  `yaml:"definitions"` // of the words that the rules use
	Report      []ReportField `yaml:"report"`      // what a report under the pack must hold
	Retention   []Retention   `yaml:"retention"`
	Penalties   []Penalty     `yaml:"penalties"` // what not reporting may cost
	Effort      Effort        `yaml:"effort"`

	// What those who keep the pack say of it.
	Owner       string   `yaml:"owner"`
	Review      string   `yaml:"review"` // date by which it is looked at again
	Limitations []string `yaml:"limitations"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity
}

// Rule counts one measure against a threshold, where its conditions hold.
type Rule struct {
	ID           string      `yaml:"id"`
	Title        string      `yaml:"title"`
	Citation     string      `yaml:"citation"`
	Measure      Measure     `yaml:"measure"`
	Threshold    string      `yaml:"threshold"` // single operations, as "1e26", or in the measure's unit
	Unit         string      `yaml:"unit"`      // of the threshold; that of the measure if empty
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
	warnFrom  []int64  // where they begin
}

// draw sets the line, and where the warnings before it begin.
func (r *Rule) draw(line int64) {
	r.threshold, r.warnFrom = line, make([]int64, len(r.WarnPercent))
	for i, percent := range r.WarnPercent {
		r.warnFrom[i] = percentOf(line, percent)
	}
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

// MaxBytes is the largest pack.
const MaxBytes = config.MaxBytes
