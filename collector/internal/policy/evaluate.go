package policy

import (
	"cmp"
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
	// Aggregate says of a subject of several customers what makes it one:
	// OneIdentity, OneControl or OneMeans; "" of a single customer or a run.
	Aggregate string
}

// Finding is the statement that a rule held for a subject at a level.
type Finding struct {
	ID        string // follows from the ids of pack, rule and subject, and the level
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
// holds, see Levels.
func Evaluate(p *Pack, s Subject) []Finding {
	if s.Status == "" {
		s.Status = party.Undetermined
	}
	var found []Finding
	Levels(p, &s, func(r *Rule, level string) {
		found = append(found, r.Finding(p, s, level))
	})
	return found
}

// Levels tells every level of every rule of the pack that holds, see LevelsOf.
func Levels(p *Pack, s *Subject, tell func(r *Rule, level string)) {
	LevelsOf(p.About(s.Measure == CustomerOperations, s.Status), s, tell)
}

// About returns the rules that are about customers, or runs, of a status.
func (p *Pack) About(customers bool, status party.ForeignStatus) []*Rule {
	status = cmp.Or(status, party.Undetermined)
	var about []*Rule
	for i := range p.Rules {
		if r := &p.Rules[i]; r.OfCustomers() == customers && slices.Contains(r.AppliesTo, string(status)) {
			about = append(about, r)
		}
	}
	return about
}

// LevelsOf tells every level that holds of rules that are about the subject: the
// warning levels and the crossing by the bound that the rule decides on, the
// possible crossing by high. Conditions that nobody can answer keep a crossing
// possible; they never make it go away. A rule whose own figure is not known tells
// nothing.
//
// Where a figure only grows a level that held once holds for ever, so what was
// ever told does not depend on when one looks.
func LevelsOf(rules []*Rule, s *Subject, tell func(r *Rule, level string)) {
	for _, r := range rules {
		figure, ok := s.fact(r.Key())
		if !ok || !r.Reaches(figure) {
			continue
		}
		answer := r.Answer(s)
		if answer == No {
			continue
		}
		decide := r.decide(figure)
		if !r.counts(s) {
			if figure.High >= r.threshold {
				tell(r, Review)
			}
			continue
		}
		for n := range r.WarnPercent {
			if decide >= r.warnFrom[n] {
				tell(r, r.warnings[n])
			}
		}
		if figure.High >= r.threshold {
			tell(r, PossibleCrossing)
		}
		if decide >= r.threshold && answer == Yes {
			tell(r, Crossing)
		}
	}
}

// Answer says whether the conditions of the rule hold for the subject, whatever its
// own figure is.
func (r *Rule) Answer(s *Subject) Answer { return combine(r.And, s, worst, Yes, nil) }

// Reaches reports whether the figure reaches the lowest level of the rule, whatever
// its conditions say: where it is false, no level holds for this figure or a
// smaller one.
func (r *Rule) Reaches(f Figure) bool {
	return f.High >= r.threshold || len(r.warnFrom) > 0 && r.decide(f) >= r.warnFrom[0]
}

// MostLevels is how many levels the rule can tell.
func (r *Rule) MostLevels() int { return len(r.WarnPercent) + 2 }

// The levels above the warnings.
const (
	PossibleCrossing = "possible crossing"
	Crossing         = "crossing"
)

// figure returns what the rule counts of the subject, if it is about it.
func (r *Rule) figure(s *Subject) (Figure, bool) {
	status := s.Status
	if status == "" {
		status = party.Undetermined
	}
	if r.OfCustomers() != (s.Measure == CustomerOperations) || !slices.Contains(r.AppliesTo, string(status)) {
		return Figure{}, false
	}
	return s.fact(r.Key())
}

func (r *Rule) decide(f Figure) int64 {
	switch r.bound() {
	case "low":
		return f.Low
	case "high":
		return f.High
	}
	return f.Best
}

func (r *Rule) bound() string { return cmp.Or(r.Bound, "best") }

// Finding is the statement that the rule held for a subject at a level.
func (r *Rule) Finding(p *Pack, s Subject, level string) Finding {
	if s.Status == "" {
		s.Status = party.Undetermined
	}
	u := measures[r.Measure].unit
	figure, _ := r.figure(&s)
	severity, what := "warning", ""
	switch level {
	case PossibleCrossing:
		severity, what = "high", "high has reached the threshold"
	case Crossing:
		severity, what = "critical", r.bound()+" has reached the threshold"
	case Review:
		severity, what = "high", "together they could have reached the threshold; this counts for nothing until a person decides the links"
	default:
		what = fmt.Sprintf("%s has reached %s %% of the threshold", r.bound(), strings.TrimPrefix(level, warning))
	}
	reason := fmt.Sprintf("%s of %s (%s): %s; between %s and %s, best %s, threshold %s",
		r.Title, s.Label, s.Status, what, u.format(figure.Low), u.format(figure.High), u.format(figure.Best), u.format(r.threshold))
	var why []string
	if combine(r.And, &s, worst, Yes, &why) == CannotTell {
		reason += "; cannot tell: " + strings.Join(why, "; ")
	}
	f := Finding{ID: identify(p, r, s, level), Pack: p, Rule: r.ID, Citation: r.Citation, Level: level, Severity: severity, Subject: s, Reason: reason}
	if u == unitOperations {
		f.Threshold = compute.Operations(r.threshold)
	}
	return f
}

// percentOf rounds up, so that a level is reached and not nearly reached.
func percentOf(t int64, percent int) int64 {
	return t/100*int64(percent) + (t%100*int64(percent)+99)/100
}

// identify names a finding whatever the version of its pack: what was found
// before a line moved is not found anew after it, and stays open as it is. The 1
// keeps the ids of findings that are older than that.
func identify(p *Pack, r *Rule, s Subject, level string) string {
	text := strings.Join([]string{p.ID, "1", r.ID, s.ID, level}, "\x00")
	sum := sha256.Sum256([]byte(text))
	return "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]
}
