package webui_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// shown says who may see a page, and an address at which it shows something.
type shown struct {
	need permission.Action
	at   string // "" for the path itself
}

// posted says who may send a form: who may not see is told that there is no such
// page, who may see and not do is refused.
type posted struct {
	see, need permission.Action
	at        string
}

var pageRights = map[string]shown{
	"/{$}": {permission.ReadAggregates, "/"}, "/queue": {permission.ReadCases, ""}, "/cases": {permission.ReadCases, ""}, "/cases/{id}": {permission.ReadCases, "/cases/cas_0001"},
	"/reports": {permission.ReadReports, ""}, "/reports/{id}": {permission.ReadReports, "/reports/rep_0001"}, "/findings": {permission.ReadCases, ""}, "/findings/{id}": {permission.ReadCases, "/findings/fnd_0003"},
	"/runs": {permission.ReadAggregates, ""}, "/runs/{id}": {permission.ReadAggregates, "/runs/run_4kq2"}, "/customers": {permission.ReadAggregates, ""}, "/customers/{id}": {permission.ReadCases, "/customers/cus_orion"},
	"/links": {permission.ReadCases, ""}, "/resellers": {permission.ReadCases, ""}, "/exemptions": {permission.ReadCases, ""}, "/programme": {permission.ReadCases, ""},
	"/policies": {permission.ReadPolicy, ""}, "/policies/{id}": {permission.ReadPolicy, "/policies/pol_lower"}, "/coverage": {permission.ReadAggregates, ""}, "/hosts": {permission.ReadAggregates, ""},
	"/fleet": {permission.ReadAggregates, ""}, "/audit": {permission.ReadAudit, ""}, "/admin": {permission.Administer, ""}, "/search": {permission.ReadAggregates, ""}, "/account": {permission.ReadAggregates, ""},
}

var formRights = map[string]posted{
	"/cases/{id}/{act}": {permission.ReadCases, permission.WorkCases, "/cases/cas_0001/note"}, "/reports": {permission.ReadReports, permission.ReadReports, ""}, "/reports/{id}/{act}": {permission.ReadReports, permission.ReadReports, "/reports/rep_0001/nothing"},
	"/findings/{id}/work": {permission.ReadCases, permission.WorkCases, "/findings/fnd_0003/work"}, "/joins/{id}/decisions": {permission.ReadCases, permission.WorkCases, "/joins/jon_1/decisions"}, "/runs/{id}/joins": {permission.ReadCases, permission.WorkCases, "/runs/run_4kq2/joins"},
	"/links/{id}/{act}": {permission.ReadCases, permission.DecideLink, "/links/lnk_1/decide"}, "/queue": {permission.ReadCases, permission.WorkCases, ""}, "/search": {permission.ReadAggregates, permission.ReadAggregates, ""},
	"/resellers/{id}/events": {permission.ReadCases, permission.Import, "/resellers/cus_x/events"}, "/exemptions": {permission.ReadCases, permission.ProposeExemption, ""}, "/exemptions/{id}/{act}": {permission.ReadCases, permission.ApproveExemption, "/exemptions/exm_1/approve"},
	"/policies": {permission.ReadPolicy, permission.DraftPolicy, ""}, "/policies/{id}/{act}": {permission.ReadPolicy, permission.ApprovePolicy, "/policies/pol_lower/approve"},
	"/admin/users": {permission.Administer, permission.Administer, ""}, "/admin/users/{id}/changes": {permission.Administer, permission.Administer, "/admin/users/usr_x/changes"},
	"/admin/grants/{id}/{act}": {permission.Administer, permission.Administer, "/admin/grants/grt_1/approve"},
	"/admin/hosts":             {permission.Administer, permission.Administer, ""}, "/admin/hosts/{id}/decisions": {permission.Administer, permission.Administer, "/admin/hosts/x/decisions"},
	"/account/tokens": {permission.ReadAggregates, permission.ReadAggregates, ""}, "/account/tokens/{id}/revoke": {permission.ReadAggregates, permission.ReadAggregates, "/account/tokens/tok_1/revoke"},
	"/account/recovery": {permission.ReadAggregates, permission.ReadAggregates, ""}, "/account/sessions": {permission.ReadAggregates, permission.ReadAggregates, ""},
}

// routes finds what the router is given, in the code that gives it.
func routes(t *testing.T, file, pattern string) (found []string) {
	t.Helper()
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(code), -1) {
		found = append(found, m[1])
	}
	if len(found) < 10 {
		t.Fatalf("%s: %d routes", file, len(found))
	}
	return found
}

// Every page and every form of the desk × each role answers as the tables say. A page
// or form that is new fails until it is in them.
func TestEveryPageByRole(t *testing.T) {
	d := deps(busy(), "")
	d.AccountKeeper = &owner{}
	h := webui.New(d)
	ask := func(role permission.Role, method, path string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(""))
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		p := permission.Principal{ID: "usr_a", Session: "ses_1122", Roles: []permission.Role{role}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(permission.With(r.Context(), p)))
		return w.Code
	}
	none := permission.Role("nobody")
	roles := append(slices.Clone(permission.People), none)
	for _, path := range routes(t, "navigation.go", `\n\t\t\{"(/[^"]*)", "[a-z]+", `) {
		is, ok := pageRights[path]
		if !ok {
			t.Errorf("page %s has no entry: say in this test who may see it", path)
			continue
		}
		at := is.at
		if at == "" {
			at = path
		}
		for _, role := range roles {
			want := http.StatusNotFound
			if role.Allows(is.need) {
				want = http.StatusOK
			}
			if got := ask(role, http.MethodGet, at); got != want {
				t.Errorf("GET %s as %s: %d, want %d", at, role, got, want)
			}
			if strings.Contains(path, "{id}") {
				if got := ask(role, http.MethodGet, strings.Replace(path, "{id}", "xyz_none", 1)); got != http.StatusNotFound {
					t.Errorf("GET %s of nobody as %s: %d", path, role, got)
				}
			}
		}
	}
	for _, path := range routes(t, "webui.go", `"POST (/[^"]*)"`) {
		is, ok := formRights[path]
		if !ok {
			t.Errorf("form %s has no entry: say in this test who may send it", path)
			continue
		}
		at := is.at
		if at == "" {
			at = path
		}
		for _, role := range roles {
			got := ask(role, http.MethodPost, at)
			switch {
			case !role.Allows(is.see) && got != http.StatusNotFound:
				t.Errorf("POST %s as %s, who may not see it: %d", at, role, got)
			case role.Allows(is.see) && !role.Allows(is.need) && got != http.StatusForbidden:
				t.Errorf("POST %s as %s, who may not do it: %d", at, role, got)
			case role.Allows(is.see) && role.Allows(is.need) && (got == http.StatusForbidden || got >= 500):
				t.Errorf("POST %s as %s, who may: %d", at, role, got)
			}
		}
	}
}
