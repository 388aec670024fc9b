package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// trusted is the context of a request by somebody who may do everything.
func trusted(ctx context.Context) context.Context {
	return permission.With(ctx, permission.Principal{ID: "usr_all", Roles: append(slices.Clone(permission.People), permission.Machine)})
}

// open serves as to somebody who may do everything.
func open(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r.WithContext(trusted(r.Context()))) })
}

func call(t *testing.T, h http.Handler, method, target, media, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r = r.WithContext(trusted(r.Context()))
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var out T
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%d: %v", w.Code, err)
	}
	return out
}

// UPDATE=1 writes the document anew.
func TestOpenAPIIsCommitted(t *testing.T) {
	w := call(t, httpapi.New(httpapi.Deps{Reader: desktest.New()}), "GET", "/v1/openapi.json", "", "")
	var got bytes.Buffer
	if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile("openapi.json", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("openapi.json is stale, UPDATE=1 go test writes it (-committed +code):\n%s", d)
	}
	for _, p := range []string{"/v1/status", "/v1/tenants", "/v1/customers", "/v1/runs", "/v1/ledger/totals", "/v1/ledger/check", "/v1/coverage", "/v1/hosts", "/v1/host-events", "/v1/findings", "/v1/customers/import", "/v1/allocations", "/v1/corrections", "/v1/events", "/v1/login-links"} {
		if !bytes.Contains(want, []byte(`"`+p+`"`)) {
			t.Errorf("%s is not documented", p)
		}
	}
	if !bytes.Contains(want, []byte(`"openapi": "3.1.0"`)) {
		t.Error("not OpenAPI 3.1")
	}
}

func TestViews(t *testing.T) {
	r := desktest.New()
	h := httpapi.New(httpapi.Deps{Reader: r})
	runs := decode[apitypes.List[apitypes.Run]](t, call(t, h, "GET", "/v1/runs", "", ""))
	if d := cmp.Diff(apitypes.Each(r.RunList, apitypes.FromRun), runs.Items); d != "" {
		t.Error(d)
	}
	if got := runs.Items[0].Figure.Combined; got.Best != "91000000000000000000000000" {
		t.Errorf("best is %q", got.Best)
	}
	if d := cmp.Diff(apitypes.Each(r.TenantList, apitypes.FromTenant), decode[apitypes.List[apitypes.Tenant]](t, call(t, h, "GET", "/v1/tenants", "", "")).Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.Each(r.CustomerList, apitypes.FromCustomer), decode[apitypes.List[apitypes.Customer]](t, call(t, h, "GET", "/v1/customers", "", "")).Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.Each(r.FindingList, func(f desk.Finding) apitypes.Finding { return apitypes.FromFinding(f, r.WorkView[f.ID]) }), decode[apitypes.List[apitypes.Finding]](t, call(t, h, "GET", "/v1/findings", "", "")).Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.Each(r.HostList, apitypes.FromHost), decode[apitypes.List[apitypes.Host]](t, call(t, h, "GET", "/v1/hosts", "", "")).Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.Each(r.CoverageList, apitypes.FromCoverage), decode[apitypes.List[apitypes.Coverage]](t, call(t, h, "GET", "/v1/coverage", "", "")).Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.Each(r.EventList, apitypes.FromEvent), decode[apitypes.List[apitypes.Event]](t, call(t, h, "GET", "/v1/host-events", "", "")).Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.Each(r.AllocList, apitypes.FromAllocation), decode[apitypes.List[apitypes.Allocation]](t, call(t, h, "GET", "/v1/allocations", "", "")).Items); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.FromCheck(r.CheckView), decode[apitypes.Check](t, call(t, h, "GET", "/v1/ledger/check", "", ""))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(apitypes.FromStatus(r.StatusView), decode[apitypes.Status](t, call(t, h, "GET", "/v1/status", "", ""))); d != "" {
		t.Error(d)
	}
	one := decode[apitypes.List[apitypes.Run]](t, call(t, h, "GET", "/v1/runs?tenant=ten-7f3a", "", ""))
	if len(one.Items) != 1 || one.Items[0].ID != "run_1aa0" {
		t.Errorf("runs of one tenant: %v", one.Items)
	}
}

func TestHostEventsAreFiltered(t *testing.T) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.New()})
	const second = "bcdefghijklmnopqrstuvwxyz2"
	after := base64.RawURLEncoding.EncodeToString([]byte("after:evt_3"))
	for query, want := range map[string]string{
		"": "evt_5 evt_4 evt_3 evt_2 evt_1", "?host=" + second: "evt_3 evt_2", "?kind=xid": "evt_5", "?host=" + second + "&kind=xid": "",
		"?limit=2": "evt_5 evt_4 …", "?cursor=" + after: "evt_2 evt_1", "?limit=1&cursor=" + after: "evt_2 …", "?limit=5": "evt_5 evt_4 evt_3 evt_2 evt_1",
	} {
		got := decode[apitypes.List[apitypes.Event]](t, call(t, h, "GET", "/v1/host-events"+query, "", ""))
		ids := []string{}
		for _, e := range got.Items {
			ids = append(ids, e.ID)
		}
		if got.Next != "" {
			ids = append(ids, "…")
		}
		if text := strings.Join(ids, " "); text != want {
			t.Errorf("%q: %s, want %s", query, text, want)
		}
	}
	if w := call(t, h, "GET", "/v1/host-events", "", ""); strings.Contains(w.Body.String(), "1970") {
		t.Errorf("an unknown time is shown: %s", w.Body)
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.Empty()})
	for _, p := range []string{"tenants", "customers", "runs", "findings", "hosts", "coverage", "host-events"} {
		if w := call(t, h, "GET", "/v1/"+p, "", ""); strings.TrimSpace(w.Body.String()) != `{"items":[]}` {
			t.Errorf("%s: %s", p, w.Body)
		}
	}
	if w := call(t, h, "GET", "/v1/status", "", ""); strings.Contains(w.Body.String(), "1970") || strings.Contains(w.Body.String(), "watermark") {
		t.Errorf("an unknown time is shown: %s", w.Body)
	}
}

func TestSpanOfTotals(t *testing.T) {
	r := desktest.New()
	h := httpapi.New(httpapi.Deps{Reader: r})
	for _, q := range []string{"", "?from=2026-11-01T00:00:00Z", "?from=2026-11-01T02:00:00%2B02:00&to=2026-11-02T00:00:00Z"} {
		if w := call(t, h, "GET", "/v1/ledger/totals"+q, "", ""); w.Code != 200 {
			t.Fatalf("%q: %d %s", q, w.Code, w.Body)
		}
	}
	first, noon := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixNano(), desktest.Noon.UnixNano()
	if d := cmp.Diff([][2]int64{{0, noon}, {first, noon}, {first, first + int64(24*time.Hour)}}, r.Spans()); d != "" {
		t.Error(d)
	}
}

func TestPagesFollowOneAnother(t *testing.T) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.NewLarge(450)})
	for _, list := range []string{"runs", "findings", "tenants", "host-events"} {
		seen, cursor, pages := map[string]bool{}, "", 0
		for {
			got := decode[apitypes.List[struct {
				ID string `json:"id"`
			}]](t, looseBody(t, h, "/v1/"+list+"?limit=200&cursor="+cursor))
			pages++
			for _, item := range got.Items {
				if seen[item.ID] {
					t.Errorf("%s: %s twice", list, item.ID)
				}
				seen[item.ID] = true
			}
			if cursor = got.Next; cursor == "" {
				break
			}
		}
		if len(seen) != 450 || pages != 3 {
			t.Errorf("%s: %d items on %d pages", list, len(seen), pages)
		}
	}
}

// looseBody keeps only ids, so that one type reads every list.
func looseBody(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := call(t, h, "GET", target, "", "")
	var all struct {
		Items []map[string]any `json:"items"`
		Next  string           `json:"next,omitempty"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	for i, item := range all.Items {
		all.Items[i] = map[string]any{"id": item["id"]}
	}
	w.Body.Reset()
	if err := json.NewEncoder(w.Body).Encode(all); err != nil {
		t.Fatal(err)
	}
	return w
}

type importer func(name, format string, data []byte, dryRun bool) (httpapi.Diff, error)

func (f importer) ImportCustomers(_ context.Context, name, format string, data []byte, dryRun bool) (httpapi.Diff, error) {
	return f(name, format, data, dryRun)
}

func TestErrorsAreProblemsWithoutEcho(t *testing.T) {
	const secret = "SECRETNAME"
	broken := importer(func(name, _ string, data []byte, _ bool) (httpapi.Diff, error) {
		if bytes.Contains(data, []byte("crash")) {
			return httpapi.Diff{}, errors.New("database: " + secret)
		}
		return httpapi.Diff{}, errors.Join(fmt.Errorf("%s:2: country: %q is not a country code", name, secret), errors.New(secret+" was refused"), fmt.Errorf("%s:3: foreign_status: must be foreign, us or undetermined", name))
	})
	var log bytes.Buffer
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), Importer: broken, Log: slog.New(slog.NewTextHandler(&log, nil))})
	failing := desktest.New()
	failing.Err = errors.New(secret)
	sick := httpapi.New(httpapi.Deps{Reader: failing, Log: slog.New(slog.DiscardHandler)})
	for _, c := range []struct {
		name, method, target, media, body string
		want                              int
		handler                           http.Handler
	}{
		{"no such route", "GET", "/v1/" + secret, "", "", 404, h},
		{"wrong method", "DELETE", "/v1/runs", "", "", 405, h},
		{"limit over", "GET", "/v1/runs?limit=201", "", "", 422, h},
		{"limit under", "GET", "/v1/runs?limit=0", "", "", 422, h},
		{"limit no number", "GET", "/v1/runs?limit=" + secret, "", "", 422, h},
		{"unknown parameter", "GET", "/v1/runs?" + secret + "=1", "", "", 422, h},
		{"cursor", "GET", "/v1/runs?cursor=" + secret, "", "", 400, h},
		{"cursor gone", "GET", "/v1/runs?cursor=YWZ0ZXI6cnVuX25vbmU", "", "", 410, h},
		{"time", "GET", "/v1/ledger/totals?from=" + secret, "", "", 422, h},
		{"time order", "GET", "/v1/ledger/totals?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "", "", 422, h},
		{"time before Unix", "GET", "/v1/ledger/totals?from=0900-01-02T00:00:00Z", "", "", 422, h},
		{"tenant too long", "GET", "/v1/runs?tenant=" + strings.Repeat(secret, 30), "", "", 422, h},
		{"import media", "POST", "/v1/customers/import", "text/" + secret, "a", 415, h},
		{"import no media", "POST", "/v1/customers/import", "", "a", 415, h},
		{"import empty", "POST", "/v1/customers/import", "text/csv", "", 400, h},
		{"import name", "POST", "/v1/customers/import?name=%3C" + secret, "text/csv", "a", 422, h},
		{"import large", "POST", "/v1/customers/import", "text/csv", strings.Repeat("a", apitypes.MaxImportBytes+1), 413, h},
		{"import faults", "POST", "/v1/customers/import?name=c.csv", "text/csv", "a", 422, h},
		{"import crash", "POST", "/v1/customers/import", "text/csv", "crash", 500, h},
		{"import absent", "POST", "/v1/customers/import", "text/csv", "a", 501, sick},
		{"link absent", "POST", "/v1/login-links", "", "", 501, sick},
		{"status fails", "GET", "/v1/status", "", "", 500, sick},
		{"runs fail", "GET", "/v1/runs", "", "", 500, sick},
		{"tenants fail", "GET", "/v1/tenants", "", "", 500, sick},
		{"customers fail", "GET", "/v1/customers", "", "", 500, sick},
		{"findings fail", "GET", "/v1/findings", "", "", 500, sick},
		{"hosts fail", "GET", "/v1/hosts", "", "", 500, sick},
		{"event limit", "GET", "/v1/host-events?limit=201", "", "", 422, h},
		{"event host too long", "GET", "/v1/host-events?host=" + strings.Repeat(secret, 30), "", "", 422, h},
		{"event cursor", "GET", "/v1/host-events?cursor=" + secret, "", "", 400, h},
		{"event cursor of a list", "GET", "/v1/host-events?cursor=YWZ0ZXI6cnVuX25vbmU", "", "", 400, h},
		{"events fail", "GET", "/v1/host-events", "", "", 500, sick},
		{"coverage fails", "GET", "/v1/coverage", "", "", 500, sick},
		{"check fails", "GET", "/v1/ledger/check", "", "", 500, sick},
		{"totals fail", "GET", "/v1/ledger/totals", "", "", 500, sick},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := call(t, c.handler, c.method, c.target, c.media, c.body)
			body := w.Body.String()
			if w.Code != c.want || w.Header().Get("Content-Type") != apitypes.ProblemMedia {
				t.Fatalf("%d %s, want %d: %s", w.Code, w.Header().Get("Content-Type"), c.want, body)
			}
			if strings.Contains(body, secret) || strings.Contains(body, "$schema") {
				t.Errorf("echo: %s", body)
			}
			if p := decode[apitypes.Problem](t, w); p.Status != c.want || p.Title == "" || !strings.HasPrefix(p.Type, "urn:flopwatch:problem:") {
				t.Errorf("%+v", p)
			}
		})
	}
	p := decode[apitypes.Problem](t, call(t, h, "POST", "/v1/customers/import?name=c.csv", "text/csv", "a"))
	if d := cmp.Diff([]string{"c.csv:2: country: … is not a country code", "c.csv:3: foreign_status: must be foreign, us or undetermined"}, p.Faults); d != "" {
		t.Error(d)
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log holds what was imported: %s", &log)
	}
}

func TestImport(t *testing.T) {
	var got []string
	take := importer(func(name, format string, data []byte, dryRun bool) (httpapi.Diff, error) {
		got = append(got, fmt.Sprint(name, " ", format, " ", string(data), " ", dryRun))
		return httpapi.Diff{New: []string{"cus_1"}}, nil
	})
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), Importer: take})
	w := call(t, h, "POST", "/v1/customers/import?name=a.csv&dry_run=true", "text/csv; charset=utf-8", "x,y")
	want := httpapi.Diff{DryRun: true, New: []string{"cus_1"}, Changed: []string{}, Unchanged: []string{}}
	if d := cmp.Diff(want, decode[httpapi.Diff](t, w)); d != "" {
		t.Error(d)
	}
	if w := call(t, h, "POST", "/v1/customers/import", "application/json", `[{}]`); w.Code != 200 {
		t.Errorf("JSON: %d %s", w.Code, w.Body)
	}
	if d := cmp.Diff([]string{"a.csv csv x,y true", "customers json [{}] false"}, got); d != "" {
		t.Error(d)
	}
}

func TestCorrectionsArePaged(t *testing.T) {
	r := desktest.New()
	h := httpapi.New(httpapi.Deps{Reader: r})
	whole := decode[apitypes.List[apitypes.Correction]](t, call(t, h, "GET", "/v1/corrections", "", ""))
	if d := cmp.Diff(apitypes.Each(r.CorrectList, apitypes.FromCorrection), whole.Items); d != "" || whole.Next != "" {
		t.Error(d)
	}
	first := decode[apitypes.List[apitypes.Correction]](t, call(t, h, "GET", "/v1/corrections?limit=1", "", ""))
	second := decode[apitypes.List[apitypes.Correction]](t, call(t, h, "GET", "/v1/corrections?limit=1&cursor="+first.Next, "", ""))
	if d := cmp.Diff(whole.Items, append(first.Items, second.Items...)); d != "" || second.Next != "" {
		t.Error(d)
	}
	event := base64.RawURLEncoding.EncodeToString([]byte("after:evt_3"))
	if w := call(t, h, "GET", "/v1/corrections?cursor="+event, "", ""); w.Code != 400 {
		t.Errorf("the cursor of another list: %d", w.Code)
	}
}

type allocator func(name, format string, data []byte, dryRun bool) (apitypes.AllocationDiff, error)

func (f allocator) ImportAllocations(_ context.Context, name, format string, data []byte, dryRun bool) (apitypes.AllocationDiff, error) {
	return f(name, format, data, dryRun)
}

func TestPutAllocations(t *testing.T) {
	var got []string
	fail := error(nil)
	take := allocator(func(name, format string, data []byte, dryRun bool) (apitypes.AllocationDiff, error) {
		got = append(got, fmt.Sprint(name, " ", format, " ", string(data), " ", dryRun))
		return apitypes.AllocationDiff{New: []string{"a1"}, Corrections: 2, Corrected: 1500}, fail
	})
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), Allocator: take})
	w := call(t, h, "PUT", "/v1/allocations?name=a.csv&dry_run=true", "text/csv; charset=utf-8", "x,y")
	want := apitypes.AllocationDiff{DryRun: true, New: []string{"a1"}, Changed: []string{}, Unchanged: []string{}, Corrections: 2, Corrected: 1500, Conflicts: []apitypes.AllocationConflict{}}
	if d := cmp.Diff(want, decode[apitypes.AllocationDiff](t, w)); d != "" {
		t.Error(d)
	}
	if w := call(t, h, "PUT", "/v1/allocations", "application/x-ndjson", `{}`); w.Code != 200 {
		t.Errorf("NDJSON: %d %s", w.Code, w.Body)
	}
	if w := call(t, h, "PUT", "/v1/allocations", "application/json", `{}`); w.Code != 415 {
		t.Errorf("JSON: %d %s", w.Code, w.Body)
	}
	if d := cmp.Diff([]string{"a.csv csv x,y true", "allocations ndjson {} false"}, got); d != "" {
		t.Error(d)
	}
	fail = errors.Join(errors.New("f:2: from: is missing"), errors.New("something else"))
	p := decode[apitypes.Problem](t, call(t, h, "PUT", "/v1/allocations", "text/csv", "x"))
	if d := cmp.Diff([]string{"f:2: from: is missing"}, p.Faults); d != "" || p.Status != 422 {
		t.Errorf("%+v", p)
	}
	fail = errors.New("disk of ten-secret is full")
	if w := call(t, h, "PUT", "/v1/allocations", "text/csv", "x"); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("failure: %d %s", w.Code, w.Body)
	}
	if w := call(t, httpapi.New(httpapi.Deps{Reader: desktest.New()}), "PUT", "/v1/allocations", "text/csv", "x"); w.Code != 501 {
		t.Errorf("nobody takes allocations: %d %s", w.Code, w.Body)
	}
	if w := call(t, h, "DELETE", "/v1/allocations", "", ""); w.Code != 405 {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
}

func TestEvents(t *testing.T) {
	r := desktest.New()
	stopping := make(chan struct{})
	server := httptest.NewServer(open(httpapi.New(httpapi.Deps{Reader: r, Poll: 5 * time.Millisecond, Stopping: stopping})))
	defer server.Close()
	answer, err := http.Get(server.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if media := answer.Header.Get("Content-Type"); media != "text/event-stream" {
		t.Fatalf("%s %s", answer.Status, media)
	}
	lines := bufio.NewScanner(answer.Body)
	next := func() (data string) {
		for lines.Scan() {
			if d, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return d
			}
		}
		return "end"
	}
	if got := next(); got != "7" {
		t.Fatalf("first revision %q", got)
	}
	r.Advance()
	if got := next(); got != "8" {
		t.Errorf("second revision %q", got)
	}
	close(stopping)
	if got := next(); got != "end" {
		t.Errorf("after the stop: %q", got)
	}
}

// All have 64 streams and each person 8, with whatever token or session: nobody
// takes them all, and a stream that ends makes room.
func TestEventStreamsAreBounded(t *testing.T) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), Poll: time.Hour})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := permission.Principal{ID: r.Header.Get("X-Who"), Roles: []permission.Role{permission.Viewer}}
		if p.Token = r.Header.Get("X-Token"); p.Token != "" {
			p.Scope = []permission.Action{permission.ReadAggregates}
		}
		h.ServeHTTP(w, r.WithContext(permission.With(r.Context(), p)))
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(who, token string) (int, func()) {
		t.Helper()
		one, leave := context.WithCancel(ctx)
		request, err := http.NewRequestWithContext(one, "GET", server.URL+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Who", who)
		request.Header.Set("X-Token", token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusOK {
			if problem, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(problem), "too many event streams are open") {
				t.Errorf("%d %s, %v", answer.StatusCode, problem, err)
			}
		}
		return answer.StatusCode, func() { leave(); answer.Body.Close() }
	}
	var leave func()
	codes := map[string]int{}
	for person := range 8 {
		for i := range 9 {
			token := ""
			if i%2 == 1 {
				token = fmt.Sprint("tok_", i)
			}
			code, done := open(fmt.Sprint("usr_", person), token)
			defer done()
			codes[fmt.Sprint(person, " ", code)]++
			if code == http.StatusOK {
				leave = done
			}
		}
	}
	want := map[string]int{}
	for person := range 8 {
		want[fmt.Sprint(person, " 200")], want[fmt.Sprint(person, " 503")] = 8, 1
	}
	if d := cmp.Diff(want, codes); d != "" {
		t.Error(d)
	}
	if code, _ := open("usr_late", ""); code != http.StatusServiceUnavailable {
		t.Errorf("a stream more than all have: %d", code)
	}
	leave()
	deadline := time.Now().Add(time.Minute)
	for code := 0; code != http.StatusOK; {
		var done func()
		code, done = open("usr_late", "")
		defer done()
		if code != http.StatusOK && time.Now().After(deadline) {
			t.Fatal("a stream that ended makes no room")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func FuzzCursorAndQuery(f *testing.F) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.NewLarge(5)})
	f.Add("cursor=YWZ0ZXI6cnVuX25vbmU&limit=2")
	f.Add("limit=-1&tenant=%ff&&=;")
	f.Add("cursor=YWZ0ZXI6ZXZ0XzM&kind=xid&host=h")
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/v1/runs", "/v1/host-events"} {
			r := httptest.NewRequestWithContext(trusted(t.Context()), "GET", path, nil)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s?%q: %d %s", path, query, w.Code, w.Body)
			}
		}
	})
}
