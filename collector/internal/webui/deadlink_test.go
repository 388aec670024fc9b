package webui_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

var links = regexp.MustCompile(`<a [^>]*?href="([^"]+)"`)

// Whatever page is shown to a role, each of its links leads to a page that the role may
// see, and each mark within a page to something that is there.
func TestNoLinkIsDead(t *testing.T) {
	k := &keeper{}
	h := webui.New(webui.Deps{Reader: busy(), Joiner: &joiner{}, Foreseer: foreseer{}, Linker: &linker{}, Caseworker: &worker{}, Parties: k, Policymaker: k, UserAdmin: k, Registrar: k, Messenger: k})
	// The canned data name these two and keep no page of them.
	absent := []string{"/policies/pol_finer", "/customers/cus_shell"}
	for _, role := range []permission.Role{permission.Viewer, permission.Analyst, permission.PolicyAuthor, permission.Auditor, permission.Admin} {
		get := func(path string) (int, string) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, as([]permission.Role{role}, httptest.NewRequest(http.MethodGet, path, nil)))
			return w.Code, w.Body.String()
		}
		answers := map[string]int{}
		for _, page := range pages {
			_, text := get(page)
			for _, m := range links.FindAllStringSubmatch(text, -1) {
				to := html.UnescapeString(m[1])
				path, _, _ := strings.Cut(to, "?")
				switch {
				case strings.HasPrefix(to, "#"):
					if !strings.Contains(text, `id="`+to[1:]+`"`) {
						t.Errorf("%s: %s has no %s", role, page, to)
					}
				case strings.HasPrefix(to, "?"): // a further page of a list
				case strings.HasPrefix(path, "/v1/"), path == "/account", path == "/sign-in": // served elsewhere, or from what is kept there
				default:
					if answers[to] == 0 {
						answers[to], _ = get(to)
					}
					if answers[to] != http.StatusOK && !slices.Contains(absent, to) {
						t.Errorf("%s: %s leads to %s, which answers %d", role, page, to, answers[to])
					}
				}
			}
		}
		if len(answers) < 5 {
			t.Errorf("%s was shown %d links", role, len(answers))
		}
	}
}
