package webui_test

import (
	"context"
	"errors"
	"fmt"
	htmltemplate "html"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

var pages = []string{"/", "/findings", "/runs", "/runs/run_4kq2", "/runs/run_9zd7", "/customers", "/hosts", "/cases", "/cases/cas_0001", "/cases/cas_0000", "/reports", "/reports/rep_0001", "/reports/rep_0003", "/customers/cus_orion", "/customers/cus_delta", "/customers/clu_0001", "/links", "/resellers", "/exemptions", "/programme", "/coverage", "/policies", "/policies/pol_lower", "/policies/pol_draft", "/policies/pol_draft?job=job_1", "/policies/pol_tried", "/queue", "/queue?show=mine", "/findings/fnd_0003", "/admin", "/search", "/fleet", "/audit", "/audit?check=now", "/runs/run_none", "/customers/cus_none", "/nowhere"}

// as is the request by somebody with the roles.
func as(roles []permission.Role, r *http.Request) *http.Request {
	return r.WithContext(permission.With(r.Context(), permission.Principal{ID: "usr_a", Roles: roles}))
}

func ask(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, as(permission.People, httptest.NewRequest(http.MethodGet, path, nil)))
	return w
}

// The gallery renders every page over every kind of desk. GALLERY=folder keeps
// the pages, to be looked at behind any file server.
func TestGallery(t *testing.T) {
	kinds := map[string]*desktest.Reader{"full": busy(), "empty": desktest.Empty(), "hostile": desktest.NewHostile(), "large": desktest.NewLarge(30)}
	for name, reader := range kinds {
		d := deps(reader, map[string]string{"hostile": desktest.Hostile}[name])
		d.Foreseer = foreseer{none: name == "empty"}
		h := webui.New(d)
		for _, path := range pages {
			t.Run(name+path, func(t *testing.T) {
				w := ask(t, h, path)
				missing := path == "/nowhere" || strings.HasSuffix(path, "_none") || (strings.HasPrefix(path, "/runs/") && name == "large") ||
					(name == "empty" && strings.Count(path, "/") > 1) || (name != "full" && (strings.HasPrefix(path, "/policies/pol_draft") || path == "/policies/pol_tried"))
				if want := map[bool]int{true: 404, false: 200}[missing]; w.Code != want {
					t.Fatalf("status %d, want %d", w.Code, want)
				}
				structure(t, w.Body.String())
				keep(t, name, path, w.Body.Bytes())
			})
		}
		keep(t, "assets", "/policy", []byte(access.Policy))
		for path, form := range map[string]string{"/search": "q=orion", "/queue": "act=case&item=fnd_0003&item=fnd_0001", "/admin/hosts": "name=gpu-0102&minutes=60", "/cases/cas_0001/assign": "version=x"} {
			w := send(h, role[path], path, form)
			structure(t, w.Body.String())
			keep(t, name, "posted"+path, w.Body.Bytes())
		}
		for _, a := range []string{"desk.css", "desk.js", "icon.svg"} {
			keep(t, "assets", "/"+a, ask(t, h, "/assets/"+a).Body.Bytes())
		}
	}
}

// role is who posts a form of the gallery.
var role = map[string]permission.Role{"/search": permission.Analyst, "/queue": permission.Analyst, "/admin/hosts": permission.Admin, "/cases/cas_0001/assign": permission.Analyst}

// The gallery of what may not be seen, or cannot be read.
func TestGalleryOfStates(t *testing.T) {
	for _, r := range []permission.Role{permission.Viewer, permission.Auditor, permission.Admin} {
		h := webui.New(deps(busy(), ""))
		for _, path := range []string{"/", "/runs/run_4kq2", "/customers", "/cases/cas_0001", "/exemptions", "/policies/pol_lower", "/queue"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, as([]permission.Role{r}, httptest.NewRequest(http.MethodGet, path, nil)))
			structure(t, w.Body.String())
			if r == permission.Viewer {
				keep(t, "states", "viewer"+path, w.Body.Bytes())
			}
		}
	}
	broken := busy()
	broken.Err = errors.New("no database")
	keep(t, "states", "broken", ask(t, webui.New(deps(broken, "")), "/").Body.Bytes())
	k := &keeper{refuse: errors.New("a.yaml:3: rules: are missing")}
	keep(t, "states", "faults", send(webui.New(webui.Deps{Reader: busy(), Policymaker: k}), permission.PolicyAuthor, "/policies", "kind=pack&file=a.yaml&text=id:+x").Body.Bytes())
	alone := webui.New(webui.Deps{Reader: busy()})
	for _, path := range []string{"/admin", "/queue"} {
		keep(t, "states", "alone"+path, ask(t, alone, path).Body.Bytes())
	}
}

func keep(t *testing.T, kind, path string, body []byte) {
	t.Helper()
	dir := os.Getenv("GALLERY")
	if dir == "" {
		return
	}
	file := strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(strings.Trim(path, "/"))
	if file == "" {
		file = "today"
	}
	if kind != "assets" {
		file += ".html"
	}
	if err := os.MkdirAll(filepath.Join(dir, kind), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, kind, file), body, 0o644); err != nil {
		t.Fatal(err)
	}
}

var (
	tables   = regexp.MustCompile(`(?s)<table>.*?</table>`)
	headers  = regexp.MustCompile(`<th\b[^>]*>`)
	inline   = regexp.MustCompile(`(?i)<style|<script>|<script [^s]|\sstyle=|\son[a-z]+=|javascript:`)
	tag      = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*?(/?)>`)
	idAttr   = regexp.MustCompile(`\sid="([^"]*)"`)
	svg      = regexp.MustCompile(`<svg [^>]*>`)
	external = regexp.MustCompile(`(?:src|href)="(?:[a-z]+:)?//`)
)

// structure holds what every page must have whatever it shows.
func structure(t *testing.T, html string) {
	t.Helper()
	for _, want := range []string{"<!DOCTYPE html>", `<html lang="en">`, `name="viewport"`, "<title>", `<main id="main"`, `class="skip"`, `aria-label="Pages"`, `role="status"`} {
		if !strings.Contains(html, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if n := strings.Count(html, "<h1>"); n != 1 {
		t.Errorf("%d h1, want 1", n)
	}
	if m := inline.FindString(html); m != "" {
		t.Errorf("inline script or style: %q", m)
	}
	if m := external.FindString(html); m != "" {
		t.Errorf("asset from elsewhere: %q", m)
	}
	for _, table := range tables.FindAllString(html, -1) {
		if !strings.Contains(table, "<caption>") {
			t.Error("table without caption")
		}
		for _, th := range headers.FindAllString(table, -1) {
			if !strings.Contains(th, `scope="`) && !strings.HasPrefix(th, "<thead") {
				t.Errorf("header without scope: %s", th)
			}
		}
	}
	for _, s := range svg.FindAllString(html, -1) {
		if !strings.Contains(s, `aria-hidden="true"`) && (!strings.Contains(s, `role="img"`) || !strings.Contains(s, `aria-label`)) {
			t.Errorf("picture without a text: %s", s)
		}
	}
	seen := map[string]bool{}
	for _, m := range idAttr.FindAllStringSubmatch(html, -1) {
		if seen[m[1]] {
			t.Errorf("id %q stands twice", m[1])
		}
		seen[m[1]] = true
	}
	closed(t, html)
}

// closed checks that elements nest.
func closed(t *testing.T, html string) {
	t.Helper()
	void := map[string]bool{"meta": true, "input": true, "link": true, "br": true, "img": true, "hr": true}
	var open []string
	for _, m := range tag.FindAllStringSubmatch(html, -1) {
		name := strings.ToLower(m[2])
		switch {
		case void[name] || m[3] == "/":
		case m[1] == "":
			open = append(open, name)
		case len(open) == 0 || open[len(open)-1] != name:
			t.Fatalf("</%s> closes %v", name, open)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("not closed: %v", open)
	}
}

func TestTodaySaysWhatMatters(t *testing.T) {
	html := ask(t, webui.New(webui.Deps{Reader: desktest.New()}), "/").Body.String()
	for _, want := range []string{
		"<strong>Demonstration.</strong>",
		"97.4 %",  // coverage
		"3.10e24", // hidden at most
		"2026-11-20</span> 12:00:00\u00a0UTC</time>", // watermark
		"1,537",                        // hosts
		"</span> balanced",             // ledger
		"9.10e25",                      // best
		"[8.40e25, 9.90e25]",           // low, high
		"91 % of 1.00e26 [84 %, 99 %]", // bar in words
		"<strong>may be above</strong>",
		"proposed", "89 FR 5698",
		"</span> undetermined",
		"no customer claims it",
		`<a href="/runs/run_4kq2">`,
		"partly by allocation only",
		`http-equiv="refresh"`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("Today lacks %q", want)
		}
	}
}

func TestEmptyDeskSaysSoAndShowsNoZero(t *testing.T) {
	h := webui.New(webui.Deps{Reader: desktest.Empty()})
	html := ask(t, h, "/").Body.String()
	for _, want := range []string{"No windows yet", "No findings", "no windows yet", "not yet"} {
		if !strings.Contains(html, want) {
			t.Errorf("empty Today lacks %q", want)
		}
	}
	for _, never := range []string{"0 %", "1970", "Demonstration"} {
		if strings.Contains(html, never) {
			t.Errorf("empty Today shows %q", never)
		}
	}
}

func TestBalanceIsNotAssumed(t *testing.T) {
	r := desktest.New()
	r.CheckView.Balanced, r.CheckView.Problems = false, []string{"device GPU-1: 3 s too many"}
	html := ask(t, webui.New(webui.Deps{Reader: r}), "/").Body.String()
	if !strings.Contains(html, "not balanced") || !strings.Contains(html, "device GPU-1: 3 s too many") {
		t.Error("Today does not say that the ledger is out of balance")
	}
}

func TestHostileTextIsInert(t *testing.T) {
	h := webui.New(deps(desktest.NewHostile(), desktest.Hostile))
	for _, path := range pages {
		html := ask(t, h, path).Body.String()
		if strings.Contains(html, "<script>alert") {
			t.Errorf("%s: script came through", path)
		}
		if strings.ContainsAny(html, "\x1b\u202e") {
			t.Errorf("%s: control or bidi character came through", path)
		}
	}
	if html := ask(t, h, "/runs/run_4kq2").Body.String(); !strings.Contains(html, "&lt;script&gt;") {
		t.Error("the hostile text is not shown at all, so this test shows nothing")
	}
}

func TestHostsSayWhatTheyReported(t *testing.T) {
	page := func(r *desktest.Reader) string {
		return ask(t, webui.New(webui.Deps{Reader: r}), "/hosts").Body.String()
	}
	html := page(desktest.New())
	for _, want := range []string{
		"<h2 id=\"events\">What hosts reported</h2>", "the code is its Xid", "code 79", "590.10 after 580.65", "the host itself", "gpu-0002",
		`data-label="What">kind_of_a_later_agent</th>`, "code -1: not known to this collector", "not known</td>", "2026-11-20</span> 11:00:00\u00a0UTC</time>",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("Hosts lacks %q", want)
		}
	}
	if strings.Contains(html, "1970") || strings.Contains(html, "There are older ones") {
		t.Error("Hosts shows an unknown time, or older events that there are not")
	}
	if html := page(desktest.Empty()); !strings.Contains(html, "no host has reported anything beside its figures") {
		t.Error("an empty list of events does not say so")
	}
	html = page(desktest.NewLarge(21))
	if n := strings.Count(html, "the code is its Xid"); n != 20 || !strings.Contains(html, "There are older ones") {
		t.Errorf("%d of 21 events, or it does not say that there are more", n)
	}
	if html := page(desktest.NewHostile()); !strings.Contains(html, "&lt;script&gt;alert") {
		t.Error("the hostile text is not shown at all")
	}
}

func TestFailureIsAPageWithoutDetails(t *testing.T) {
	r := desktest.New()
	r.Err = errors.New("secret path /srv/data/flopwatch.db")
	for _, path := range []string{"/", "/runs", "/hosts", "/customers", "/findings", "/runs/run_4kq2", "/links", "/audit", "/coverage", "/programme", "/reports", "/customers/cus_orion"} {
		w := ask(t, webui.New(webui.Deps{Reader: r}), path)
		if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		structure(t, w.Body.String())
	}
}

// Page after page shows each item of a long list once.
func TestLongListsHavePages(t *testing.T) {
	h := webui.New(webui.Deps{Reader: desktest.NewLarge(250)})
	link := regexp.MustCompile(`<a rel="next" href="([^"]+)"`)
	for _, path := range []string{"/runs", "/findings", "/customers"} {
		seen, at, pages := map[string]int{}, path, 0
		for at != "" && pages < 10 {
			html := ask(t, h, at).Body.String()
			pages++
			rows := strings.Split(html, "<tr>")
			if n := len(rows) - 1; n > 101*2 {
				t.Errorf("%s: %d rows", at, n)
			}
			for _, row := range rows[2:] {
				seen[row]++
			}
			at = ""
			if m := link.FindStringSubmatch(html); m != nil {
				at = path + htmltemplate.UnescapeString(m[1])
			}
		}
		if pages != 5 {
			t.Errorf("%s: %d pages", path, pages)
		}
		if path == "/runs" && len(seen) < 250 {
			t.Errorf("%s: %d rows on all pages", path, len(seen))
		}
	}
	if w := ask(t, h, "/runs?after=run_gone"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Start again") {
		t.Errorf("behind an item that is gone: %d", w.Code)
	}
}

func TestAssets(t *testing.T) {
	h := webui.New(webui.Deps{Reader: desktest.New()})
	html := ask(t, h, "/").Body.String()
	for _, m := range regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(html, -1) {
		w := ask(t, h, m[1])
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", m[1], w.Code, w.Header())
		}
	}
	for _, bad := range []string{"/assets/none.css", "/assets/..%2fwebui.go"} {
		if w := ask(t, h, bad); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
		t.Errorf("POST /: %d", w.Code)
	}
}

// Who may not read findings sees none, and is not told that there are any.
func TestPagesByRole(t *testing.T) {
	h := webui.New(webui.Deps{Reader: desktest.New()})
	for _, role := range append(permission.People, "nobody") {
		for path, need := range map[string]permission.Action{
			"/": permission.ReadAggregates, "/runs/run_4kq2": permission.ReadAggregates, "/hosts": permission.ReadAggregates, "/customers": permission.ReadAggregates, "/coverage": permission.ReadAggregates,
			"/findings": permission.ReadCases, "/cases": permission.ReadCases, "/cases/cas_0001": permission.ReadCases, "/customers/cus_orion": permission.ReadCases, "/links": permission.ReadCases,
			"/resellers": permission.ReadCases, "/exemptions": permission.ReadCases, "/programme": permission.ReadCases,
			"/policies": permission.ReadPolicy, "/policies/pol_lower": permission.ReadPolicy, "/fleet": permission.ReadAggregates,
			"/queue": permission.ReadCases, "/findings/fnd_0003": permission.ReadCases, "/admin": permission.Administer, "/search": permission.ReadAggregates,
			"/reports": permission.ReadReports, "/reports/rep_0001": permission.ReadReports, "/audit": permission.ReadAudit,
		} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, as([]permission.Role{role}, httptest.NewRequest(http.MethodGet, path, nil)))
			if want := map[bool]int{true: 200, false: 404}[role.Allows(need)]; w.Code != want {
				t.Errorf("%s to %s: %d, want %d", path, role, w.Code, want)
			}
			for link, need := range map[string]permission.Action{"/findings": permission.ReadCases, "/links": permission.ReadCases, "/customers/": permission.ReadCases, "/reports": permission.ReadReports, "/audit": permission.ReadAudit, "/hosts": permission.ReadAggregates} {
				if strings.Contains(w.Body.String(), `href="`+link) && !role.Allows(need) {
					t.Errorf("%s shows %s a link to %s, which it may not see", path, role, link)
				}
			}
			// That rules say nothing is not said to who may not see what they say.
			if !role.Allows(permission.ReadCases) && strings.Contains(strings.ToLower(w.Body.String()), "no rule has spoken") {
				t.Errorf("%s tells %s that no rule has spoken", path, role)
			}
			// What an impact tells of findings to come has a test of its own.
			if !role.Allows(permission.ReadCases) && path != "/policies/pol_lower" && path != "/search" && (strings.Contains(w.Body.String(), "fnd_") || strings.Contains(w.Body.String(), "crossing")) {
				t.Errorf("%s shows findings to %s", path, role)
			}
		}
	}
}

// worker notes what it was asked and refuses what it is told to.
type worker struct {
	asked  []string
	refuse error
}

func (w *worker) OpenCase(_ context.Context, finding, reason string) (apitypes.Case, error) {
	w.asked = append(w.asked, "open "+finding+" "+reason)
	return apitypes.Case{ID: "cas_new"}, w.refuse
}

func (w *worker) ActOnCase(_ context.Context, id string, version int64, a apitypes.CaseAct) (apitypes.Case, error) {
	w.asked = append(w.asked, fmt.Sprint(id, " ", version, " ", a.Act, " ", a.To, a.Outcome, a.Digest, a.Reason))
	return apitypes.Case{}, w.refuse
}

func (w *worker) NoteOnCase(_ context.Context, id, text string) (apitypes.Case, error) {
	w.asked = append(w.asked, "note "+id+" "+text)
	return apitypes.Case{}, w.refuse
}

func (w *worker) WorkOnFinding(_ context.Context, id string, a apitypes.FindingAct) (apitypes.FindingWork, error) {
	w.asked = append(w.asked, "work "+id+" "+a.State+" "+a.Code)
	return apitypes.FindingWork{}, w.refuse
}

// send posts a form as somebody with the role.
func send(h http.Handler, role permission.Role, path, form string) *httptest.ResponseRecorder {
	r := as([]permission.Role{role}, httptest.NewRequest(http.MethodPost, path, strings.NewReader(form)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	out := httptest.NewRecorder()
	h.ServeHTTP(out, r)
	return out
}

type no struct{}

func (no) Error() string          { return "no" }
func (no) Refused() (int, string) { return http.StatusConflict, "somebody else changed it <b>" }

// Forms act for whom their roles allow it, and say why not in words.
func TestForms(t *testing.T) {
	w := &worker{}
	h := webui.New(webui.Deps{Reader: desktest.New(), Caseworker: w})
	post := func(role permission.Role, path, form string) *httptest.ResponseRecorder {
		return send(h, role, path, form)
	}
	for _, c := range []act{
		{permission.Analyst, "/cases/cas_0001/assign", "version=4", 303, "/cases/cas_0001", "cas_0001 4 assign usr_a"},
		{permission.Analyst, "/cases/cas_0001/propose", "version=4&outcome=reportable&code=C&reason=r", 303, "/cases/cas_0001", "cas_0001 4 propose decision reportabler"},
		{permission.SeniorReviewer, "/cases/cas_0001/approve", "version=4&digest=d5", 303, "/cases/cas_0001", "cas_0001 4 approve decision d5"},
		{permission.Analyst, "/cases/cas_0001/note", "text=hello", 303, "/cases/cas_0001", "note cas_0001 hello"},
		{permission.Analyst, "/findings/fnd_1/work", "state=case&reason=r", 303, "/cases/cas_new", "open fnd_1 r"},
		{permission.Analyst, "/findings/fnd_1/work", "state=dismissed&code=C", 303, "/findings", "work fnd_1 dismissed C"},
		{permission.Analyst, "/cases/cas_0001/erase", "version=4", 400, "", ""},
		{permission.Analyst, "/cases/cas_0001/assign", "version=x", 400, "", ""},
		{permission.Analyst, "/cases/cas_0001/know", "version=4&at=yesterday", 422, "", ""},
		{permission.Auditor, "/cases/cas_0001/assign", "version=4", 403, "", ""},
		{permission.Viewer, "/cases/cas_0001/assign", "version=4", 404, "", ""},
		{permission.Admin, "/findings/fnd_1/work", "state=triaged", 404, "", ""},
	} {
		c.check(t, h, &w.asked)
	}
	w.refuse = no{}
	if got := post(permission.Analyst, "/cases/cas_0001/close", "version=4"); got.Code != http.StatusConflict || !strings.Contains(got.Body.String(), "somebody else changed it &lt;b&gt;") || !strings.Contains(got.Body.String(), `<a href="/cases/cas_0001">Back to where the form was</a>`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	w.refuse = errors.New("no disk at /secret")
	if got := post(permission.Analyst, "/cases/cas_0001/close", "version=4"); got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "secret") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}
