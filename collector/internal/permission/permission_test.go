package permission_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// The table of roles as it stands in docs/access.md, cell by cell.
func TestMatrix(t *testing.T) {
	want := map[permission.Action]string{
		//                            vie ana ste sen fil aut app aud adm mac
		permission.ReadAggregates:  "  y   y   y   y   y   y   y   y   y   y",
		permission.ReadCases:       "  .   y   y   y   y   .   y   y   .   y",
		permission.WorkCases:       "  .   y   .   y   .   .   .   .   .   .",
		permission.ProposeDecision: "  .   y   .   .   .   .   .   .   .   .",
		permission.Approve:         "  .   .   .   y   .   .   .   .   .   .",
		permission.ReadReports:     "  .   y   .   y   y   .   .   y   .   .",
		permission.File:            "  .   .   .   .   y   .   .   .   .   .",
		permission.Reveal:          "  .   y   y   y   y   .   .   y   .   .",
		permission.ProposeLink:     "  .   y   y   .   .   .   .   .   .   .",
		permission.DecideLink:      "  .   .   y   .   .   .   .   .   .   .",
		permission.ReadPolicy:      "  y   y   y   y   y   y   y   y   y   y",
		permission.DraftPolicy:     "  .   .   .   .   .   y   .   .   .   .",
		permission.ApprovePolicy:   "  .   .   .   .   .   .   y   .   .   .",
		permission.ReadAudit:       "  .   .   .   .   .   .   .   y   .   y",
		permission.Import:          "  .   .   y   .   .   .   .   .   y   y",
		permission.Administer:      "  .   .   .   .   .   .   .   .   y   y",
	}
	roles := append(slices.Clone(permission.People), permission.Machine)
	for action, row := range want {
		for i, cell := range strings.Fields(row) {
			if got := roles[i].Allows(action); got != (cell == "y") {
				t.Errorf("%s: %s is %t", roles[i], action, got)
			}
		}
	}
}

func TestNobodyMayDoNothing(t *testing.T) {
	if permission.Of(t.Context()).May(permission.ReadAggregates) {
		t.Error("nobody may read")
	}
	if permission.Role("root").Allows(permission.Administer) {
		t.Error("a role that is not one may administer")
	}
}

func TestParseRoles(t *testing.T) {
	got, err := permission.ParseRoles([]string{"auditor", "analyst", "auditor"})
	if err != nil || !slices.Equal(got, []permission.Role{permission.Analyst, permission.Auditor}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"machine", "", "Analyst"} {
		if _, err := permission.ParseRoles([]string{bad}); err == nil {
			t.Errorf("%q is a role of people", bad)
		}
	}
}
