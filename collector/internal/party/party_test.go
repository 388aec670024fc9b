package party

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

func TestCompare(t *testing.T) {
	current := map[string]Customer{
		"a": {ID: "a", Name: "A", Status: US, Tenants: []measure.TenantID{"t1"}},
		"b": {ID: "b", Name: "B", Status: US},
		"c": {ID: "c", Name: "C", Status: US},
		"z": {ID: "z", Name: "left alone", Status: US},
	}
	got := Compare(current, []Customer{
		{ID: "a", Name: "A", Status: US, Tenants: []measure.TenantID{"t1"}, Source: "f:1"},
		{ID: "b", Name: "B", Status: Undetermined},
		{ID: "c", Name: "C", Status: US, Tenants: []measure.TenantID{"t2"}},
		{ID: "d", Name: "D", Status: US},
	})
	if d := cmp.Diff(table.Diff{New: []string{"d"}, Changed: []string{"b", "c"}, Unchanged: []string{"a"}}, got); d != "" {
		t.Error(d)
	}
}

func TestConflicts(t *testing.T) {
	current := map[string]Customer{
		"a": {ID: "a", Tenants: []measure.TenantID{"t1", "t2"}},
		"b": {ID: "b", Tenants: []measure.TenantID{"t3"}},
	}
	for name, c := range map[string]struct {
		next []Customer
		want []string
	}{
		"same":          {[]Customer{{ID: "a", Tenants: []measure.TenantID{"t1", "t2"}}}, nil},
		"swapped":       {[]Customer{{ID: "a", Tenants: []measure.TenantID{"t3"}}, {ID: "b", Tenants: []measure.TenantID{"t1", "t2"}}}, nil},
		"let go":        {[]Customer{{ID: "a"}, {ID: "c", Tenants: []measure.TenantID{"t1"}}}, nil},
		"taken":         {[]Customer{{ID: "c", Tenants: []measure.TenantID{"t1", "t9", "t3"}, Source: "file:7"}}, []string{"7: tenant_id", "7: tenant_id"}},
		"taken, unread": {[]Customer{{ID: "c", Tenants: []measure.TenantID{"t1"}, Source: "file:0"}}, []string{"0: tenant_id"}},
		"within":        {[]Customer{{ID: "c", Tenants: []measure.TenantID{"n"}}, {ID: "d", Tenants: []measure.TenantID{"n"}, Source: "file:2"}}, []string{"2: tenant_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, places(t, Conflicts(current, c.next))); d != "" {
				t.Error(d)
			}
		})
	}
}
