// Package policy holds policy packs and decides whether their rules hold. It is
// pure: facts and packs go in, findings come out, and no fact changes.
package policy

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/config"
)

//go:embed packs/*.yaml
var shipped embed.FS

// The statuses of a pack: what force its text has.
var statuses = []string{"proposed", "final", "guidance", "revoked", "internal"}

// Measure is what a rule looks at.
type Measure string

// The measures: operations of one run, and of all runs of one customer.
const (
	RunOperations      Measure = "run_operations"
	CustomerOperations Measure = "customer_operations"
)

// Pack is a versioned set of rules with the text that it stands for.
type Pack struct {
	ID        string `yaml:"id"`
	Version   int    `yaml:"version"`
	Title     string `yaml:"title"`
	Citation  string `yaml:"citation"`
	Status    string `yaml:"status"`
	Effective string `yaml:"effective"` // in words: proposed rules have no date
	Rules     []Rule `yaml:"rules"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity
}

// Rule is one condition.
type Rule struct {
	ID          string   `yaml:"id"`
	Title       string   `yaml:"title"`
	Citation    string   `yaml:"citation"`
	Measure     Measure  `yaml:"measure"`
	Threshold   string   `yaml:"threshold"` // single operations, as "1e26"
	WarnPercent []int    `yaml:"warn_percent"`
	AppliesTo   []string `yaml:"applies_to"` // foreign statuses

	threshold compute.Operations
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
		if r.Measure != RunOperations && r.Measure != CustomerOperations {
			fault(key+"measure", "must be run_operations or customer_operations")
		}
		var err error
		if r.threshold, err = compute.ParseOperations(r.Threshold); err != nil || r.threshold <= 0 {
			fault(key+"threshold", "must be a number of operations above 0, such as 1e26")
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

// Shipped returns the packs of the program, ordered by id. They are part of the
// program and under test.
var Shipped = sync.OnceValue(func() []*Pack {
	entries, err := shipped.ReadDir("packs")
	if err != nil {
		panic(err)
	}
	var packs []*Pack
	for _, entry := range entries {
		data, err := shipped.ReadFile("packs/" + entry.Name())
		if err != nil {
			panic(err)
		}
		p, err := Read(entry.Name(), data)
		if err != nil {
			panic(err)
		}
		packs = append(packs, p)
	}
	slices.SortFunc(packs, func(a, b *Pack) int { return cmp.Compare(a.ID, b.ID) })
	return packs
})
