package store

import (
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/foresight"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

// Where headquarters are decides a rule, whoever holds it against the fleet: what is
// derived from what was counted, and what looks ahead. A move of headquarters alone
// is heard of, though the customer's foreign status stays.
func TestHeadquartersDecideWhoeverLooks(t *testing.T) {
	pack, err := policy.Read("place.yaml", []byte(`id: place
version: 1
title: Place
effective: always
citation: made up
status: internal
rules:
  - {id: place, title: Place, citation: line 1, measure: customer_operations, threshold: "1e12", warn_percent: [], applies_to: [foreign, undetermined], and: [{measure: headquarters_in_group, at_least: "100", country_group: "D:5"}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := openAt(t, atNoon)
	company := party.Party{ID: "p-a", Form: party.Organisation, Incorporation: party.Is("SG"), Headquarters: party.Is("SG"), UltimateParent: party.Is("p-a")}
	record(t, s, append(shell("a", "t1"), party.Change{Object: company})[1:]...)
	d := NewDeriver(s, []*policy.Pack{pack}, s.opts.Now)
	count(t, s, []Follower{d}, fleet()...)
	ahead := func() string {
		t.Helper()
		state, _, err := NewReader(s, "", false).Foresight(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		state.Packs = []*policy.Pack{pack}
		var told []string
		for _, f := range foresight.Look(state, forecast.Default(), evasion.Default()).Findings {
			if f.Rule == "place" {
				told = append(told, f.Subject.ID+" "+f.Level)
			}
		}
		return strings.Join(told, ", ")
	}
	derived := func() string {
		t.Helper()
		derive(t, d)
		var told []string
		for _, f := range findings(t, s) {
			if f.Rule == "place" {
				told = append(told, f.Subject+" "+f.Level)
			}
		}
		return strings.Join(told, ", ")
	}
	const others = "tenant:t2 possible crossing" // nobody knows where it is
	if a, b := derived(), ahead(); a != others || b != others {
		t.Errorf("headquarters elsewhere: derived %q, looking ahead %q", a, b)
	}
	status := func() string {
		t.Helper()
		c, err := NewReader(s, "", false).Customers(t.Context())
		if err != nil || len(c) != 1 {
			t.Fatal(c, err)
		}
		return c[0].ForeignStatus
	}
	before := status()
	company.Headquarters = party.Is("CN")
	record(t, s, party.Change{Object: company})
	d.CustomersChanged()
	if status() != before {
		t.Fatalf("the status moved from %s to %s: this test shows nothing", before, status())
	}
	for _, told := range []string{derived(), ahead()} {
		if !strings.Contains(told, "cus_a crossing") {
			t.Errorf("headquarters in the group: %q", told)
		}
	}
}
