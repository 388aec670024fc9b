package policy

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// limit is 1e26 operations, the threshold of the proposed pack.
const limit = compute.Operations(100_000_000_000_000_000)

func proposed(t testing.TB) *Pack {
	t.Helper()
	for _, p := range Shipped() {
		if p.ID == "us-iaas-2024-proposed" {
			return p
		}
	}
	t.Fatal("the proposed pack is not shipped")
	return nil
}

func subject(status party.ForeignStatus, low, best, high compute.Operations) Subject {
	return Subject{Measure: RunOperations, ID: "run_a", Label: "run a", Tenant: "ten", Status: status, Operations: compute.Bounds{Low: low, Best: best, High: high}}
}

func levels(all []Finding) []string {
	var out []string
	for _, f := range all {
		out = append(out, f.Level+"/"+f.Severity)
	}
	return out
}

func TestEvaluate(t *testing.T) {
	const w50, w80, w95, possible, crossing = "warning 50/warning", "warning 80/warning", "warning 95/warning", "possible crossing/high", "crossing/critical"
	for name, c := range map[string]struct {
		low, best, high compute.Operations
		want            []string // of a foreign customer; US: none
	}{
		"nothing":           {0, 0, 0, nil},
		"below the first":   {0, limit/2 - 1, limit - 1, nil},
		"at 50 %":           {0, limit / 2, limit - 1, []string{w50}},
		"below 80 %":        {0, limit/10*8 - 1, limit - 1, []string{w50}},
		"at 80 %":           {0, limit / 10 * 8, limit - 1, []string{w50, w80}},
		"below 95 %":        {0, limit/100*95 - 1, limit - 1, []string{w50, w80}},
		"at 95 %":           {0, limit / 100 * 95, limit - 1, []string{w50, w80, w95}},
		"below":             {0, limit - 1, limit - 1, []string{w50, w80, w95}},
		"possibly, barely":  {0, 0, limit, []string{possible}},
		"possibly":          {0, limit - 1, limit, []string{w50, w80, w95, possible}},
		"crossed by best":   {0, limit, limit, []string{w50, w80, w95, possible, crossing}},
		"crossed by low":    {limit, limit, limit, []string{w50, w80, w95, possible, crossing}},
		"as large as it is": {0, compute.MaxOperations, compute.MaxOperations, []string{w50, w80, w95, possible, crossing}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range []struct {
				status party.ForeignStatus
				want   []string
			}{
				{party.Foreign, c.want},
				{party.Undetermined, c.want}, // unknown is not domestic
				{"", c.want},                 // a tenant that nobody claims
				{party.US, nil},
			} {
				found := Evaluate(proposed(t), subject(s.status, c.low, c.best, c.high))
				if d := cmp.Diff(s.want, levels(found)); d != "" {
					t.Errorf("status %q (-want +got):\n%s", s.status, d)
				}
				for _, f := range found {
					if f.Rule != "run-1e26" || f.Threshold != limit || f.Citation == "" || f.Subject.Status == "" || f.Subject.Status == party.US {
						t.Errorf("finding %+v", f)
					}
				}
			}
		})
	}
}

func TestUndeterminedIsNamed(t *testing.T) {
	for _, f := range Evaluate(proposed(t), subject("", limit, limit, limit)) {
		if f.Subject.Status != party.Undetermined || !strings.Contains(f.Reason, "(undetermined)") {
			t.Errorf("status %q, reason %q", f.Subject.Status, f.Reason)
		}
	}
}

func TestEachMeasureHasItsRules(t *testing.T) {
	s := subject(party.Foreign, limit, limit, limit)
	s.Measure = CustomerOperations
	s.ID = "cus_a"
	for _, f := range Evaluate(proposed(t), s) {
		if f.Rule != "customer-1e26" {
			t.Errorf("rule %s on a customer", f.Rule)
		}
	}
	if n := len(Evaluate(proposed(t), s)); n != 5 {
		t.Errorf("%d findings, want 5", n)
	}
}

// A level that is not a whole number of operations is reached, not nearly.
func TestPercentRoundsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.Int64Range(1, int64(compute.MaxOperations)).Draw(t, "threshold")
		percent := rapid.IntRange(1, 99).Draw(t, "percent")
		got := percentOf(whole, percent)
		// whole = 100 q + r, so percent of it is q × percent + r × percent / 100.
		q, r := whole/100, whole%100
		over := int64(got) - q*int64(percent)
		if over*100 < r*int64(percent) || (over-1)*100 >= r*int64(percent) {
			t.Errorf("%d %% of %d is given as %d", percent, whole, got)
		}
	})
}

func operations() *rapid.Generator[compute.Operations] {
	return rapid.Custom(func(t *rapid.T) compute.Operations {
		n := rapid.SampledFrom([]compute.Operations{0, limit / 1000, limit / 20, limit / 10, limit / 2, limit / 10 * 8, limit / 100 * 95, limit, 2 * limit}).Draw(t, "near")
		return max(0, n+compute.Operations(rapid.Int64Range(-2, 2).Draw(t, "off")))
	})
}

func subjects() *rapid.Generator[Subject] {
	return rapid.Custom(func(t *rapid.T) Subject {
		low, best, high := operations().Draw(t, "low"), operations().Draw(t, "best"), operations().Draw(t, "high")
		best = max(low, best)
		s := subject(rapid.SampledFrom([]party.ForeignStatus{party.Foreign, party.Undetermined, party.US, ""}).Draw(t, "status"), low, best, max(best, high))
		s.Measure = rapid.SampledFrom([]Measure{RunOperations, CustomerOperations}).Draw(t, "measure")
		return s
	})
}

var findingID = regexp.MustCompile(`^fnd_[a-z2-7]{20}$`)

// What holds for a figure holds for every larger one, with the same id, and no
// two levels share one.
func TestFindingsOnlyGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := subjects().Draw(t, "subject")
		large := small
		large.Operations = large.Operations.Add(compute.Bounds{Low: 0, Best: operations().Draw(t, "more"), High: 0})
		large.Operations.High = max(large.Operations.High, large.Operations.Best).Add(operations().Draw(t, "more high"))
		for _, p := range Shipped() {
			later := map[string]string{}
			for _, f := range Evaluate(p, large) {
				if later[f.ID] != "" || !findingID.MatchString(f.ID) {
					t.Errorf("id %q of level %s is bad or there twice", f.ID, f.Level)
				}
				later[f.ID] = f.Rule + " " + f.Level
			}
			for _, f := range Evaluate(p, small) {
				if later[f.ID] != f.Rule+" "+f.Level {
					t.Errorf("%s %s of %s is gone at %s", f.Rule, f.Level, small.Operations, large.Operations)
				}
			}
		}
	})
}

// Other subjects have other findings; another name, status or version of the pack
// has not: what was found before a line moved is not found anew.
func TestIDsFollowTheSubject(t *testing.T) {
	s := subject(party.Foreign, limit, limit, limit)
	want := Evaluate(proposed(t), s)
	renamed := s
	renamed.Label, renamed.CustomerName, renamed.CustomerID, renamed.Status = "other", "other", "cus_o", party.Undetermined
	moved := s
	moved.ID = "run_b"
	next := *proposed(t)
	next.Version++
	for i, f := range Evaluate(proposed(t), renamed) {
		if f.ID != want[i].ID {
			t.Errorf("%s changes its id with the customer", f.Level)
		}
	}
	for i, f := range Evaluate(proposed(t), moved) {
		if f.ID == want[i].ID {
			t.Errorf("%s has the same id on two runs", f.Level)
		}
	}
	for i, f := range Evaluate(&next, s) {
		if f.ID != want[i].ID {
			t.Errorf("%s has another id in the next version of the pack", f.Level)
		}
	}
}

// Invariant I5: rules read facts and change none, and say the same again.
func TestEvaluateChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := subjects().Draw(t, "subject")
		before := s
		for i, p := range Shipped() {
			first, second := Evaluate(p, s), Evaluate(p, s)
			if d := cmp.Diff(first, second, cmpopts.IgnoreUnexported(Rule{}, Condition{})); d != "" {
				t.Errorf("said otherwise the second time:\n%s", d)
			}
			if d := cmp.Diff(fresh(t)[i], p, cmp.AllowUnexported(Rule{}, Condition{})); d != "" {
				t.Errorf("the pack changed:\n%s", d)
			}
		}
		if !reflect.DeepEqual(s, before) {
			t.Errorf("the subject changed from %+v to %+v", before, s)
		}
	})
}
