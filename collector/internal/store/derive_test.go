package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// lines has rules that the fleet's tenants cross: t1 with 1,390 and t2 with
// exactly 1,000 giga-operations.
func lines(t testing.TB) []*policy.Pack {
	t.Helper()
	p, err := policy.Read("lines.yaml", []byte(`id: lines
version: 3
title: Lines
effective: always
citation: made up
status: internal
rules:
  - {id: run, title: A run, citation: line 1, measure: run_operations, threshold: "1e12", warn_percent: [50], applies_to: [foreign, undetermined]}
  - {id: customer, title: A customer, citation: line 2, measure: customer_operations, threshold: "1e12", warn_percent: [], applies_to: [foreign, undetermined]}
`))
	if err != nil {
		t.Fatal(err)
	}
	return []*policy.Pack{p}
}

func atNoon() time.Time { return noon }

func derive(t testing.TB, d *Deriver) {
	t.Helper()
	if err := d.Derive(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func findings(t testing.TB, s *Store) []desk.Finding {
	t.Helper()
	return must(t, func(ctx context.Context) ([]desk.Finding, error) {
		return NewReader(s, "", false).Findings(ctx, desk.FindingQuery{})
	})
}

// told returns the levels of the rule that were found for a tenant's runs.
func told(all []desk.Finding, tenant measure.TenantID) []string {
	levels := []string{}
	for _, f := range all {
		if f.Rule == "run" && f.Tenant == tenant {
			levels = append(levels, f.Level+" "+f.ForeignStatus)
		}
	}
	slices.Sort(levels)
	return levels
}

func crossed(status string) []string {
	return []string{"crossing " + status, "possible crossing " + status, "warning 50 " + status}
}

func TestForeignAndUSCustomers(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, party.Customer{ID: "f", Name: "Far", Status: party.Foreign, Tenants: []measure.TenantID{"t1"}},
		party.Customer{ID: "u", Name: "Near", Status: party.US, Tenants: []measure.TenantID{"t2"}})
	d := NewDeriver(s, lines(t), atNoon)
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	first := findings(t, s)
	if diff := cmp.Diff(crossed("foreign"), told(first, "t1")); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
	var ofCustomer []string
	for _, f := range first {
		if f.CustomerID != "f" {
			t.Errorf("finding %+v", f)
		}
		if f.Subject == "f" {
			ofCustomer = append(ofCustomer, f.Level)
		}
		want := compute.Bounds{Low: 1_170, Best: 1_390, High: 21_510}
		if f.Pack != "lines" || f.PackStatus != "internal" || f.CustomerName != "Far" || f.Threshold != 1000 || f.Operations != want ||
			f.OccurredNS != at(60) || f.SignalledNS != noon.UnixNano() || !strings.HasPrefix(f.Citation, "line ") || f.Reason == "" {
			t.Errorf("finding %+v", f)
		}
	}
	slices.Sort(ofCustomer)
	if diff := cmp.Diff([]string{"crossing", "possible crossing"}, ofCustomer); diff != "" {
		t.Errorf("of the customer (-want +got):\n%s", diff)
	}
	// Looking again, or with a new deriver, finds nothing twice.
	d.CustomersChanged()
	derive(t, d)
	derive(t, NewDeriver(s, lines(t), func() time.Time { return noon.Add(time.Hour) }))
	if diff := cmp.Diff(first, findings(t, s)); diff != "" {
		t.Errorf("after deriving again (-want +got):\n%s", diff)
	}
	got := must(t, func(ctx context.Context) ([]desk.Finding, error) {
		return NewReader(s, "", false).Findings(ctx, desk.FindingQuery{Limit: 2})
	})
	if diff := cmp.Diff(first[:2], got); diff != "" {
		t.Errorf("the newest two (-want +got):\n%s", diff)
	}
}

// Invariant I7: what is not known is not domestic.
func TestUnclaimedTenantAlerts(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, lines(t), atNoon)
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	all := findings(t, s)
	for _, tenant := range []measure.TenantID{"t1", "t2"} {
		if diff := cmp.Diff(crossed("undetermined"), told(all, tenant)); diff != "" {
			t.Errorf("tenant %s (-want +got):\n%s", tenant, diff)
		}
	}
}

func TestStatusChange(t *testing.T) {
	s := open(t, t.TempDir())
	c := party.Customer{ID: "c", Name: "C", Status: party.US, Tenants: []measure.TenantID{"t1", "t2"}}
	put(t, s, c)
	d := NewDeriver(s, lines(t), atNoon)
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	if all := findings(t, s); len(all) != 0 {
		t.Fatalf("findings for a US customer: %+v", all)
	}
	c.Status = party.Foreign
	put(t, s, c)
	d.CustomersChanged()
	derive(t, d)
	all := findings(t, s)
	for _, tenant := range c.Tenants {
		if diff := cmp.Diff(crossed("foreign"), told(all, tenant)); diff != "" {
			t.Errorf("tenant %s (-want +got):\n%s", tenant, diff)
		}
	}
	for _, f := range all {
		if want := (compute.Bounds{Low: 1_170, Best: 2_390, High: 25_510}); f.Subject == "c" && f.Operations != want {
			t.Errorf("customer's operations %s, want %s", f.Operations, want)
		}
	}
	// What was found stays found.
	c.Status = party.US
	put(t, s, c)
	d.CustomersChanged()
	derive(t, d)
	if diff := cmp.Diff(all, findings(t, s)); diff != "" {
		t.Errorf("after a change back (-want +got):\n%s", diff)
	}
}

func TestFindingsAreNeverChanged(t *testing.T) {
	s := open(t, t.TempDir())
	count(t, s, nil, fleet()...)
	derive(t, NewDeriver(s, lines(t), atNoon))
	before := findings(t, s)
	if len(before) == 0 {
		t.Fatal("no findings")
	}
	for _, query := range []string{"UPDATE finding SET level = 'none'", "UPDATE finding SET no = no + 1000", "DELETE FROM finding", "DELETE FROM finding WHERE no = 1"} {
		if _, err := s.db.Exec(query); err == nil || !strings.Contains(err.Error(), "findings are never") {
			t.Errorf("%s: error %v", query, err)
		}
	}
	if diff := cmp.Diff(before, findings(t, s)); diff != "" {
		t.Errorf("findings changed:\n%s", diff)
	}
}

// Runs follow from what is stored: a deriver that followed from the start and
// one that begins at the end come to the same.
func TestNewDeriverDerivesTheSame(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, lines(t), atNoon)
	for _, b := range fleet() {
		count(t, s, []Follower{d}, b)
		derive(t, d)
	}
	runs := func(s *Store) []desk.Run {
		return must(t, func(ctx context.Context) ([]desk.Run, error) {
			return NewReader(s, "", false).Runs(ctx, desk.RunQuery{})
		})
	}
	followed := runs(s)
	if len(followed) != 2 {
		t.Fatalf("runs %+v", followed)
	}
	derive(t, NewDeriver(s, lines(t), atNoon))
	if diff := cmp.Diff(followed, runs(s)); diff != "" {
		t.Errorf("a new deriver on the same store (-followed +new):\n%s", diff)
	}
	other := open(t, t.TempDir())
	count(t, other, nil, fleet()...)
	derive(t, NewDeriver(other, lines(t), atNoon))
	if diff := cmp.Diff(followed, runs(other)); diff != "" {
		t.Errorf("another store (-followed +new):\n%s", diff)
	}
	ids := func(s *Store) []string {
		set := map[string]bool{}
		for _, f := range findings(t, s) {
			set[f.ID] = true
		}
		return slices.Sorted(maps.Keys(set))
	}
	if diff := cmp.Diff(ids(s), ids(other)); diff != "" {
		t.Errorf("findings depend on when one looks (-followed +new):\n%s", diff)
	}
}

// A deriver that follows looks only when there is something to see.
func TestFollowing(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, lines(t), atNoon)
	derive(t, d)
	if n := len(findings(t, s)); n != 0 {
		t.Fatalf("%d findings of nothing", n)
	}
	before := revision(t, s)
	derive(t, d)
	if after := revision(t, s); after != before {
		t.Errorf("deriving nothing moved revision %d to %d", before, after)
	}
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	if diff := cmp.Diff(crossed("undetermined"), told(findings(t, s), "t1")); diff != "" {
		t.Errorf("after a checkpoint (-want +got):\n%s", diff)
	}
}

// Run derives once more when it is told to end.
func TestRunEndsDerived(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, lines(t), atNoon)
	count(t, s, []Follower{d}, fleet()...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	if len(findings(t, s)) == 0 {
		t.Error("nothing derived at the end")
	}
}
