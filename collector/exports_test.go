package collector

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// An export of the real ledger says what the list says, asks for the same rights, and
// leaves an entry with which the audit log still holds.
func TestExportIsAnEntryOfTheAuditLog(t *testing.T) {
	o := openOffice(t, time.Now().Truncate(time.Second))
	o.signal("fnd_00000001", "fnd_00000002")
	o.hire("analyst", "viewer")
	o.signIn("analyst")
	o.signIn("viewer")
	want := done[apitypes.List[apitypes.Finding]](o, "analyst", http.MethodGet, "/v1/findings?state=open", "", nil)
	status, text := o.ask("analyst", http.MethodGet, "/v1/exports/findings?state=open", "", nil)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if status != http.StatusOK || len(lines) != len(want.Items)+1 || len(want.Items) < 2 {
		t.Fatalf("%d, %d lines for %d findings: %s", status, len(lines), len(want.Items), text)
	}
	for i, f := range want.Items {
		var got apitypes.Finding
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil || got.ID != f.ID {
			t.Errorf("line %d is of %q, the list has %q: %v", i+1, got.ID, f.ID, err)
		}
	}
	if status, text := o.ask("viewer", http.MethodGet, "/v1/exports/findings", "", nil); status != http.StatusNotFound {
		t.Errorf("who may not see findings: %d %s", status, text)
	}
	entries := done[apitypes.List[apitypes.AuditEntry]](o, "", http.MethodGet, "/v1/audit/entries", "", nil)
	exports := 0
	for _, e := range entries.Items {
		if e.Action == "export.make" {
			exports++
			if e.ObjectKind != "export" || e.Object != "findings" || e.Reason != `ndjson, state "open"` || e.ActorKind != "person" || !strings.HasPrefix(e.Actor, "usr_") || e.SignIn == "" {
				t.Errorf("%+v", e)
			}
		}
	}
	if exports != 1 {
		t.Errorf("%d entries of exports, want that of the analyst alone", exports)
	}
	if check := done[apitypes.AuditCheck](o, "", http.MethodGet, "/v1/audit/check", "", nil); strings.Contains(strings.Join(check.Problems, " "), "export") {
		t.Errorf("the log does not hold with an export in it: %q", check.Problems) // the findings were put there by hand
	}
}
