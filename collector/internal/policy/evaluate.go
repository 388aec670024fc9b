package policy

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Subject is what rules are held against.
type Subject struct {
	Measure      Measure
	ID           string // run_…, cus_… or tenant:… of a tenant that no customer claims
	Label        string // in words
	Tenant       measure.TenantID
	CustomerID   string
	CustomerName string
	Status       party.ForeignStatus
	Operations   compute.Bounds
}

// Finding is the statement that a rule held for a subject at a level.
type Finding struct {
	ID        string // follows from pack, rule, subject and level
	Pack      *Pack
	Rule      string
	Citation  string
	Level     string
	Severity  string // info, warning, high, critical
	Subject   Subject
	Threshold compute.Operations
	Reason    string
}

// Evaluate returns a finding for every level of every rule of the pack that
// holds: the warning levels and the crossing by best, the possible crossing by
// high. Because operations only grow, a level that held once holds for ever, so
// the set of findings does not depend on when one looks.
func Evaluate(p *Pack, s Subject) []Finding {
	if s.Status == "" {
		s.Status = party.Undetermined
	}
	var found []Finding
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Measure != s.Measure || !slices.Contains(r.AppliesTo, string(s.Status)) {
			continue
		}
		add := func(level, severity, why string) {
			found = append(found, Finding{
				ID: identify(p, r, s, level), Pack: p, Rule: r.ID, Citation: r.Citation, Level: level, Severity: severity, Subject: s, Threshold: r.threshold,
				Reason: fmt.Sprintf("%s of %s (%s): %s; %s, best %s, threshold %s", r.Title, s.Label, s.Status, why, interval(s.Operations), s.Operations.Best, r.threshold),
			})
		}
		for _, percent := range r.WarnPercent {
			if s.Operations.Best >= percentOf(r.threshold, percent) {
				add(fmt.Sprintf("warning %d", percent), "warning", fmt.Sprintf("best has reached %d %% of the threshold", percent))
			}
		}
		if s.Operations.High >= r.threshold {
			add("possible crossing", "high", "high has reached the threshold")
		}
		if s.Operations.Best >= r.threshold {
			add("crossing", "critical", "best has reached the threshold")
		}
	}
	return found
}

func interval(b compute.Bounds) string { return fmt.Sprintf("between %s and %s", b.Low, b.High) }

// percentOf rounds up, so that a level is reached and not nearly reached.
func percentOf(t compute.Operations, percent int) compute.Operations {
	return t/100*compute.Operations(percent) + (t%100*compute.Operations(percent)+99)/100
}

func identify(p *Pack, r *Rule, s Subject, level string) string {
	text := strings.Join([]string{p.ID, fmt.Sprint(p.Version), r.ID, s.ID, level}, "\x00")
	sum := sha256.Sum256([]byte(text))
	return "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]
}
