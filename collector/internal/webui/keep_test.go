package webui_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// Pages that are kept say to each of many people, of all roles, what they say where
// nothing is kept: nobody is given what was made for somebody with other rights, or
// what is somebody else's own.
func TestKeptPagesAreNobodyElses(t *testing.T) {
	reader := desktest.New()
	all := deps(reader, "")
	plain := webui.New(all)
	keeper := &desktest.Keeping{Reader: reader}
	all.Reader = keeper
	kept := webui.New(all)
	var who []permission.Principal
	for _, id := range []string{"usr_a", "usr_b"} {
		for _, role := range permission.People {
			who = append(who, permission.Principal{ID: id, Roles: []permission.Role{role}, Session: "ses_1"})
		}
		who = append(who, permission.Principal{ID: id, Roles: permission.People, Session: "ses_1"}, permission.Principal{ID: id})
	}
	paths := []string{"/", "/queue", "/queue?show=mine", "/cases", "/findings", "/runs", "/customers", "/coverage", "/hosts", "/fleet", "/reports", "/links", "/account", "/runs/run_4kq2", "/runs/none", "/customers/cus_orion", "/customers/none", "/findings/none"}
	for _, f := range reader.FindingList {
		paths = append(paths, "/findings/"+f.ID)
	}
	for range 2 {
		for _, path := range paths {
			for _, p := range who {
				want, got := pageFor(t, plain, p, path), pageFor(t, kept, p, path)
				if want != got {
					t.Errorf("%s as %s %v: what is kept differs from what is not", path, p.ID, p.Roles)
				}
			}
		}
	}
	if keeper.Hits < 300 {
		t.Errorf("only %d pages were given again", keeper.Hits)
	}
	for what := range keeper.Kept {
		for _, own := range []string{"page account", "page admin", "page audit", "page case\x00", "page report", "page search", "page policy"} {
			if strings.HasPrefix(what, own) {
				t.Errorf("%q is kept", what)
			}
		}
	}
}

var agoRE = regexp.MustCompile(`\d+ (s|min|h|d) ago`)

func pageFor(t *testing.T, h http.Handler, p permission.Principal, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(permission.With(t.Context(), p), http.MethodGet, path, nil))
	return http.StatusText(w.Code) + "\n" + agoRE.ReplaceAllString(w.Body.String(), "ago")
}
