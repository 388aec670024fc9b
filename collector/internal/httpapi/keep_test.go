package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// A list that is kept says to everybody, program and person of any role and token of
// any scope, what it says where nothing is kept, with the same status and headers.
func TestKeptListsAreNobodyElses(t *testing.T) {
	reader := desktest.New()
	plain := httpapi.New(httpapi.Deps{Reader: reader})
	keeper := &desktest.Keeping{Reader: reader}
	kept := httpapi.New(httpapi.Deps{Reader: keeper})
	who := []permission.Principal{{ID: "usr_a"}, {ID: "usr_a", Roles: permission.People}, {ID: "usr_b", Roles: permission.People}, {ID: "api-token", Roles: []permission.Role{permission.Machine}}}
	for _, role := range permission.People {
		who = append(who, permission.Principal{ID: "usr_c", Roles: []permission.Role{role}})
	}
	for _, action := range permission.Actions {
		who = append(who, permission.Principal{ID: "usr_a", Roles: permission.People, Token: "tok_1", Scope: []permission.Action{action}})
	}
	for range 2 {
		for _, path := range []string{"/v1/tenants", "/v1/customers", "/v1/runs", "/v1/runs?tenant=x", "/v1/runs?limit=1", "/v1/runs?limit=0", "/v1/findings", "/v1/findings?state=open", "/v1/findings?state=none", "/v1/hosts", "/v1/coverage",
			"/v1/cases", "/v1/parties", "/v1/links", "/v1/reports", "/v1/policies", "/v1/forecasts", "/v1/tokens", "/v1/me", "/v1/users", "/v1/audit/entries", "/v1/status"} {
			for _, p := range who {
				ask := func(h http.Handler) *httptest.ResponseRecorder {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequestWithContext(permission.With(t.Context(), p), http.MethodGet, path, nil))
					return w
				}
				want, got := ask(plain), ask(kept)
				if want.Code != got.Code || want.Body.String() != got.Body.String() || want.Header().Get("Content-Type") != got.Header().Get("Content-Type") {
					t.Errorf("%s as %s %v %v: %d %.100s, want %d %.100s", path, p.ID, p.Roles, p.Scope, got.Code, got.Body, want.Code, want.Body)
				}
			}
		}
	}
	if keeper.Hits < 100 {
		t.Errorf("only %d lists were given again", keeper.Hits)
	}
}
