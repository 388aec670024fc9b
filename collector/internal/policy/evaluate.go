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
	Measure      Measure // that Operations are of: RunOperations or CustomerOperations
	ID           string  // run_…, cus_… or tenant:… of a tenant that no customer claims
	Label        string  // in words
	Tenant       measure.TenantID
	CustomerID   string
	CustomerName string
	Status       party.ForeignStatus
	Operations   compute.Bounds
	Facts        Facts // what else is known
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
	Threshold compute.Operations // 0 where the rule counts something else
	Reason    string
}

// fact returns what is known about the subject.
func (s *Subject) fact(k FactKey) (Figure, bool) {
	if k == (FactKey{Measure: s.Measure}) {
		return operationsFigure(s.Operations), true
	}
	f, known := s.Facts[k]
	return f, known
}

// Evaluate returns a finding for every level of every rule of the pack that
// holds: the warning levels and the crossing by the bound that the rule decides
// on, the possible crossing by high. Conditions that nobody can answer keep a
// crossing possible; they never make it go away. A rule whose own figure is not
// known finds nothing.
//
// Where a figure only grows a level that held once holds for ever, so the set
// of findings does not depend on when one looks.
func Evaluate(p *Pack, s Subject) []Finding {
	if s.Status == "" {
		s.Status = party.Undetermined
	}
	var found []Finding
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.OfCustomers() != (s.Measure == CustomerOperations) || !slices.Contains(r.AppliesTo, string(s.Status)) {
			continue
		}
		figure, known := s.fact(r.Key())
		if !known {
			continue
		}
		answer, why := combine(r.And, &s, func(worst, a Answer) Answer { return min(worst, a) }, Yes)
		if answer == No {
			continue
		}
		found = append(found, r.levels(p, s, figure, answer, why)...)
	}
	return found
}

func (r *Rule) levels(p *Pack, s Subject, figure Figure, answer Answer, why []string) []Finding {
	u := measures[r.Measure].unit
	decide, bound := figure.Best, "best"
	switch r.Bound {
	case "low":
		decide, bound = figure.Low, "low"
	case "high":
		decide, bound = figure.High, "high"
	}
	var found []Finding
	add := func(level, severity, what string) {
		reason := fmt.Sprintf("%s of %s (%s): %s; between %s and %s, best %s, threshold %s",
			r.Title, s.Label, s.Status, what, u.format(figure.Low), u.format(figure.High), u.format(figure.Best), u.format(r.threshold))
		if len(why) > 0 {
			reason += "; cannot tell: " + strings.Join(why, "; ")
		}
		f := Finding{ID: identify(p, r, s, level), Pack: p, Rule: r.ID, Citation: r.Citation, Level: level, Severity: severity, Subject: s, Reason: reason}
		if u == unitOperations {
			f.Threshold = compute.Operations(r.threshold)
		}
		found = append(found, f)
	}
	for _, percent := range r.WarnPercent {
		if decide >= percentOf(r.threshold, percent) {
			add(fmt.Sprintf("warning %d", percent), "warning", fmt.Sprintf("%s has reached %d %% of the threshold", bound, percent))
		}
	}
	if figure.High >= r.threshold {
		add("possible crossing", "high", "high has reached the threshold")
	}
	if decide >= r.threshold && answer == Yes {
		add("crossing", "critical", bound+" has reached the threshold")
	}
	return found
}

// percentOf rounds up, so that a level is reached and not nearly reached.
func percentOf(t int64, percent int) int64 {
	return t/100*int64(percent) + (t%100*int64(percent)+99)/100
}

func identify(p *Pack, r *Rule, s Subject, level string) string {
	text := strings.Join([]string{p.ID, fmt.Sprint(p.Version), r.ID, s.ID, level}, "\x00")
	sum := sha256.Sum256([]byte(text))
	return "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]
}
