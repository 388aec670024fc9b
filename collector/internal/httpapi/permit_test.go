package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Every operation of the API as every role: what is refused is refused before
// anything is read or changed, and permissions.txt says who may what. UPDATE=1
// writes it anew.
func TestEveryOperationByRole(t *testing.T) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.New()})
	var doc struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(call(t, h, "GET", "/v1/openapi.json", "", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for path, operations := range doc.Paths {
		for method := range operations {
			var may []string
			for _, role := range append(slices.Clone(permission.People), permission.Machine, "nobody") {
				if path == "/v1/events" && role.Allows(permission.ReadAggregates) {
					may = append(may, string(role)) // a stream does not end by itself
					continue
				}
				target := strings.NewReplacer("{id}", "x").Replace(path)
				r := httptest.NewRequestWithContext(permission.With(t.Context(), permission.Principal{ID: "usr_x", Roles: []permission.Role{role}}), strings.ToUpper(method), target, nil)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				refused := w.Code == http.StatusForbidden && strings.Contains(w.Body.String(), "your roles") ||
					w.Code == http.StatusNotFound && strings.Contains(w.Body.String(), "nothing that you may see")
				if !refused {
					may = append(may, string(role))
				}
			}
			if slices.Contains(may, "nobody") {
				t.Errorf("%s %s is open to everybody", method, path)
			}
			lines = append(lines, strings.ToUpper(method)+" "+path+": "+strings.Join(may, " "))
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("permissions.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("permissions.txt")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("who may what changed (-committed +code); UPDATE=1 writes permissions.txt:\n%s", d)
	}
}
