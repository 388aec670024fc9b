package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/party"
)

func pack(t testing.TB, id string) *Pack {
	t.Helper()
	for _, p := range Shipped() {
		if p.ID == id {
			return p
		}
	}
	t.Fatalf("pack %s is not shipped", id)
	return nil
}

// The revoked order asks for operations and a cluster. What nobody can tell of
// the cluster keeps a crossing possible; a cluster that is too slow ends it.
func TestBothConditions(t *testing.T) {
	cluster := FactKey{Measure: ClusterRate, NetworkGbitS: 100}
	const e20 = 100_000_000_000_000 // mega-operations per second
	for name, c := range map[string]struct {
		facts Facts
		want  []string
		why   string
	}{
		"not known":      {nil, []string{"warning 50/warning", "warning 80/warning", "warning 95/warning", "possible crossing/high"}, "cannot tell: cluster rate at 100 Gbit/s is not known"},
		"at other speed": {Facts{{Measure: ClusterRate, NetworkGbitS: 300}: Exactly(e20)}, []string{"warning 50/warning", "warning 80/warning", "warning 95/warning", "possible crossing/high"}, "is not known"},
		"too slow":       {Facts{cluster: Exactly(e20 - 1)}, nil, ""},
		"perhaps":        {Facts{cluster: {0, e20 / 2, e20}}, []string{"warning 50/warning", "warning 80/warning", "warning 95/warning", "possible crossing/high"}, "not surely at least 1e20"},
		"fast":           {Facts{cluster: Exactly(e20)}, []string{"warning 50/warning", "warning 80/warning", "warning 95/warning", "possible crossing/high", "crossing/critical"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := subject(party.Foreign, limit, limit, limit)
			s.Facts = c.facts
			var got []Finding
			for _, f := range Evaluate(pack(t, "us-eo-14110"), s) {
				if f.Rule == "run-and-cluster" {
					got = append(got, f)
				}
			}
			if d := cmp.Diff(c.want, levels(got)); d != "" {
				t.Errorf("levels (-want +got):\n%s", d)
			}
			for _, f := range got {
				if strings.Contains(f.Reason, "cannot tell") != (c.why != "") || !strings.Contains(f.Reason, c.why) {
					t.Errorf("reason %q", f.Reason)
				}
			}
		})
	}
}

func TestNewAccount(t *testing.T) {
	devices, age := FactKey{Measure: DeviceCount}, FactKey{Measure: AccountAgeDays}
	for name, c := range map[string]struct {
		facts Facts
		want  []string
	}{
		"few devices":      {Facts{devices: Exactly(255), age: Exactly(3)}, nil},
		"an old account":   {Facts{devices: Exactly(4000), age: Exactly(31)}, nil},
		"a new account":    {Facts{devices: Exactly(256), age: Exactly(30)}, []string{"possible crossing/high", "crossing/critical"}},
		"of unknown age":   {Facts{devices: Exactly(256)}, []string{"possible crossing/high"}},
		"nothing is known": {nil, nil},
	} {
		s := Subject{Measure: CustomerOperations, ID: "cus_a", Label: "customer a", Status: party.Undetermined, Facts: c.facts}
		var got []Finding
		for _, f := range Evaluate(pack(t, "us-bis-2025-05-guidance"), s) {
			if f.Rule == "new-account-cluster" {
				got = append(got, f)
			}
		}
		if d := cmp.Diff(c.want, levels(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// Knowing more never turns a clear answer round: yes and no stay, and only what
// nobody could tell is decided.
func TestKnowingMoreDecides(t *testing.T) {
	leaf := rapid.Custom(func(t *rapid.T) Condition {
		c := Condition{Measure: rapid.SampledFrom([]Measure{DeviceCount, AccountAgeDays, TrainingPercent}).Draw(t, "measure"), line: rapid.Int64Range(0, 5).Draw(t, "line")}
		if rapid.Bool().Draw(t, "at most") {
			c.AtMost = "x"
		} else {
			c.AtLeast = "x"
		}
		return c
	})
	var tree func(depth int) *rapid.Generator[Condition]
	tree = func(depth int) *rapid.Generator[Condition] {
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(leaf, rapid.Custom(func(t *rapid.T) Condition {
			parts := rapid.SliceOfN(tree(depth-1), 1, 3).Draw(t, "parts")
			if rapid.Bool().Draw(t, "all") {
				return Condition{All: parts}
			}
			return Condition{Any: parts}
		}))
	}
	rapid.Check(t, func(t *rapid.T) {
		c := tree(3).Draw(t, "condition")
		full := Subject{Measure: RunOperations, Facts: Facts{}}
		less := Subject{Measure: RunOperations, Facts: Facts{}}
		for _, m := range []Measure{DeviceCount, AccountAgeDays, TrainingPercent} {
			n := rapid.Int64Range(0, 5).Draw(t, "fact")
			full.Facts[FactKey{Measure: m}] = Exactly(n)
			if rapid.Bool().Draw(t, "known") {
				less.Facts[FactKey{Measure: m}] = Exactly(n)
			}
		}
		var why, whyVague []string
		exact := c.holds(&full, &why)
		vague := c.holds(&less, &whyVague)
		if exact == CannotTell {
			t.Fatalf("everything is known and nobody can tell: %v", why)
		}
		if vague != CannotTell && vague != exact {
			t.Fatalf("%v with less, %v with all that is known", vague, exact)
		}
		if vague == CannotTell && len(whyVague) == 0 {
			t.Fatal("nobody can tell, and nobody says why")
		}
	})
}
