package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func stored(t testing.TB, s *Store) map[string]party.Customer {
	t.Helper()
	all, err := customers(t.Context(), s.read)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func revision(t testing.TB, s *Store) int64 {
	t.Helper()
	return must(t, NewReader(s, "", false).Status).Revision
}

var (
	alpha = party.Customer{ID: "a", Name: "Alpha", Country: "DE", Status: party.Foreign, StatusReason: "why", Demonstration: true, Tenants: []measure.TenantID{"t1", "t2"}}
	beta  = party.Customer{ID: "b", Name: "Beta", Status: party.US, Tenants: []measure.TenantID{"t3"}}
)

func TestPutCustomers(t *testing.T) {
	s := open(t, t.TempDir())
	if d := cmp.Diff(party.Diff{New: []string{"a", "b"}}, put(t, s, alpha, beta)); d != "" {
		t.Error(d)
	}
	want := map[string]party.Customer{"a": alpha, "b": beta}
	if d := cmp.Diff(want, stored(t, s)); d != "" {
		t.Errorf("stored (-want +got):\n%s", d)
	}
	before := revision(t, s)
	if d := cmp.Diff(party.Diff{Unchanged: []string{"a", "b"}}, put(t, s, alpha, beta)); d != "" {
		t.Errorf("a second time:\n%s", d)
	}
	if d := cmp.Diff(want, stored(t, s)); d != "" || revision(t, s) != before {
		t.Errorf("an import of what is there changed revision %d to %d:\n%s", before, revision(t, s), d)
	}
	// Only what is named changes, and a tenant that is no longer named is let go.
	less := alpha
	less.Tenants, less.Status = []measure.TenantID{"t2"}, party.Undetermined
	if d := cmp.Diff(party.Diff{Changed: []string{"a"}}, put(t, s, less)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]party.Customer{"a": less, "b": beta}, stored(t, s)); d != "" {
		t.Errorf("stored (-want +got):\n%s", d)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, alpha)
	before := revision(t, s)
	changed := alpha
	changed.Name = "Other"
	got, err := s.PutCustomers(t.Context(), []party.Customer{changed, beta}, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(party.Diff{New: []string{"b"}, Changed: []string{"a"}}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]party.Customer{"a": alpha}, stored(t, s)); d != "" || revision(t, s) != before {
		t.Errorf("a dry run changed revision %d to %d:\n%s", before, revision(t, s), d)
	}
}

// A tenant that another customer holds refuses the whole import, and a dry run
// says so already.
func TestTakenTenantRefusesAll(t *testing.T) {
	for _, dryRun := range []bool{true, false} {
		s := open(t, t.TempDir())
		put(t, s, alpha)
		before := revision(t, s)
		thief := party.Customer{ID: "z", Name: "Zeta", Status: party.US, Tenants: []measure.TenantID{"t0", "t2"}, Source: "c.csv:4"}
		got, err := s.PutCustomers(t.Context(), []party.Customer{beta, thief}, dryRun)
		if err == nil {
			t.Errorf("taken, dry run %v", dryRun)
		} else if !strings.Contains(err.Error(), "c.csv:4: tenant_id: ") {
			t.Errorf("the error names no line: %v", err)
		}
		if d := cmp.Diff(party.Diff{}, got, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(map[string]party.Customer{"a": alpha}, stored(t, s)); d != "" || revision(t, s) != before {
			t.Errorf("a refused import changed revision %d to %d:\n%s", before, revision(t, s), d)
		}
	}
}

// Tenants may move between customers that one import names, in either order.
func TestTenantsMove(t *testing.T) {
	a, b := alpha, beta
	a.Tenants, b.Tenants = []measure.TenantID{"t3"}, []measure.TenantID{"t1", "t2"}
	for _, next := range [][]party.Customer{{a, b}, {b, a}} {
		s := open(t, t.TempDir())
		put(t, s, alpha, beta)
		put(t, s, next...)
		if d := cmp.Diff(map[string]party.Customer{"a": a, "b": b}, stored(t, s)); d != "" {
			t.Errorf("stored (-want +got):\n%s", d)
		}
	}
}
