package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// exportLog remembers what was noted, or fails.
type exportLog struct {
	mu    sync.Mutex
	noted []string
	fails error
}

func (l *exportLog) NoteExport(_ context.Context, kind, how string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noted = append(l.noted, kind+" "+how)
	return l.fails
}

// endOf takes the last line off an export in NDJSON.
func endOf(t *testing.T, text string) (lines []string, end apitypes.ExportTotal) {
	t.Helper()
	lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var last apitypes.ExportEnd
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.End == nil {
		t.Fatalf("the last line is %.200q: %v", lines[len(lines)-1], err)
	}
	return lines[:len(lines)-1], *last.End
}

// Each export says what its list says, row by row, and ends with the count.
func TestExportsSayWhatListsSay(t *testing.T) {
	r := desktest.New()
	r.CustomerList[0].Name = desktest.Hostile
	r.TenantList[0].ID = "#end"
	log := &exportLog{}
	h := httpapi.New(httpapi.Deps{Reader: r, ExportLog: log})
	lists := map[string]string{"findings": "/v1/findings", "runs": "/v1/runs", "customers": "/v1/customers", "tenants": "/v1/tenants", "audit": "/v1/audit/entries"}
	for kind, list := range lists {
		want := decode[apitypes.List[map[string]any]](t, call(t, h, "GET", list, "", ""))
		w := call(t, h, "GET", "/v1/exports/"+kind, "", "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-ndjson" || w.Header().Get("Content-Disposition") != `attachment; filename="`+kind+`.ndjson"` {
			t.Errorf("%s: %d %v", kind, w.Code, w.Header())
		}
		lines, end := endOf(t, w.Body.String())
		if end != (apitypes.ExportTotal{Kind: kind, Rows: int64(len(want.Items))}) || len(lines) != len(want.Items) || len(lines) == 0 {
			t.Errorf("%s ends with %+v after %d lines, the list has %d items", kind, end, len(lines), len(want.Items))
		}
		for i, line := range lines {
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatalf("%s line %d: %v", kind, i+1, err)
			}
			if d := cmp.Diff(want.Items[i], got); d != "" {
				t.Errorf("%s line %d: %s", kind, i+1, d)
			}
		}
		w = call(t, h, "GET", "/v1/exports/"+kind+"?format=csv", "", "")
		rows, err := csv.NewReader(w.Body).ReadAll() // every row has as many cells as the first
		if err != nil || len(rows) != len(want.Items)+2 {
			t.Fatalf("%s: %d rows of CSV for %d items: %v", kind, len(rows), len(want.Items), err)
		}
		last := rows[len(rows)-1]
		if last[0] != "#end" || last[1] != fmt.Sprint(len(want.Items)) || last[2] != kind {
			t.Errorf("%s ends with %q", kind, last)
		}
		for _, row := range rows[1 : len(rows)-1] {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@#\t\r\n", rune(cell[0])) {
					t.Errorf("%s: %q could be a formula, or the end", kind, cell)
				}
			}
		}
	}
	slices.Sort(log.noted)
	if want := []string{"audit csv", "audit ndjson", "customers csv", "customers ndjson", "findings csv", "findings ndjson", "runs csv", "runs ndjson", "tenants csv", "tenants ndjson"}; !slices.Equal(log.noted, want) {
		t.Errorf("noted %q", log.noted)
	}
}

func TestExportsTakeTheFiltersOfLists(t *testing.T) {
	log := &exportLog{}
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), ExportLog: log})
	lines, _ := endOf(t, call(t, h, "GET", "/v1/exports/runs?tenant=ten-7f3a", "", "").Body.String())
	if len(lines) != 1 || !strings.Contains(lines[0], "run_1aa0") {
		t.Errorf("of one tenant: %q", lines)
	}
	for _, path := range []string{"/v1/exports/runs?state=open", "/v1/exports/findings?state=none", "/v1/exports/findings?format=xlsx"} {
		if w := call(t, h, "GET", path, "", ""); w.Code/100 != 4 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := call(t, h, "GET", "/v1/exports/hosts", "", ""); w.Code != http.StatusNotFound {
		t.Errorf("a kind that is not exported: %d", w.Code)
	}
	if want := []string{`runs ndjson, tenant "ten-7f3a"`}; !slices.Equal(log.noted, want) {
		t.Errorf("noted %q", log.noted)
	}
}

func TestFormOfAnExport(t *testing.T) {
	for _, c := range []struct {
		query, accept, media string
		status               int
	}{
		{"", "", "application/x-ndjson", 200},
		{"", "text/csv", "text/csv; charset=utf-8; header=present", 200},
		{"", "text/html, text/csv;q=0.9", "text/csv; charset=utf-8; header=present", 200},
		{"", "application/x-ndjson", "application/x-ndjson", 200},
		{"", "*/*", "application/x-ndjson", 200},
		{"", "text/csv;q=0, */*", "application/x-ndjson", 200},
		{"?format=csv", "application/x-ndjson", "text/csv; charset=utf-8; header=present", 200},
		{"", "application/json", "application/problem+json", 406},
		{"", "image/png", "application/problem+json", 406},
	} {
		h := httpapi.New(httpapi.Deps{Reader: desktest.New(), ExportLog: &exportLog{}})
		r := httptest.NewRequestWithContext(trusted(t.Context()), "GET", "/v1/exports/tenants"+c.query, nil)
		if c.accept != "" {
			r.Header.Set("Accept", c.accept)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.media {
			t.Errorf("%s as %q: %d %s", c.query, c.accept, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

// A person has ten exports an hour with all that they ask with, and one more each
// six minutes; what is refused for it is neither noted nor read.
func TestTenExportsAnHour(t *testing.T) {
	now := desktest.Noon
	log := &exportLog{}
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), ExportLog: log, Now: func() time.Time { return now }})
	ask := func(who, token string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		p := permission.Principal{ID: who, Roles: permission.People, Token: token}
		if token != "" {
			p.Scope = permission.Actions
		}
		h.ServeHTTP(w, httptest.NewRequestWithContext(permission.With(t.Context(), p), "GET", "/v1/exports/tenants", nil))
		return w
	}
	for i := range 10 {
		if w := ask("usr_a", []string{"", "tok_1"}[i%2]); w.Code != http.StatusOK {
			t.Fatalf("export %d: %d %s", i+1, w.Code, w.Body)
		}
	}
	w := ask("usr_a", "tok_2")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "361" || w.Header().Get("Content-Type") != apitypes.ProblemMedia {
		t.Errorf("the eleventh: %d, wait %q, %s", w.Code, w.Header().Get("Retry-After"), w.Header().Get("Content-Type"))
	}
	if w := ask("usr_b", ""); w.Code != http.StatusOK {
		t.Errorf("another person: %d", w.Code)
	}
	now = now.Add(6 * time.Minute)
	if w := ask("usr_a", ""); w.Code != http.StatusOK {
		t.Errorf("after six minutes: %d", w.Code)
	}
	if w := ask("usr_a", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("and another: %d", w.Code)
	}
	if len(log.noted) != 12 {
		t.Errorf("%d exports are noted, want 12", len(log.noted))
	}
}

func TestNoExportThatIsNotNoted(t *testing.T) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), ExportLog: &exportLog{fails: errors.New("disk full")}})
	if w := call(t, h, "GET", "/v1/exports/tenants", "", ""); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "orion") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(t, httpapi.New(httpapi.Deps{Reader: desktest.New()}), "GET", "/v1/exports/tenants", "", ""); w.Code != http.StatusNotImplemented {
		t.Errorf("without a log: %d", w.Code)
	}
}

// endless has as many findings as it is told to, and holds none of them.
type endless struct {
	desk.Reader
	findings int
	fails    int // after how many findings the reading fails, 0 for never

	mu    sync.Mutex
	asked int // pages
}

func (e *endless) pages() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

func (e *endless) Findings(ctx context.Context, q desk.FindingQuery) ([]desk.Finding, error) {
	e.mu.Lock()
	e.asked++
	e.mu.Unlock()
	first := 0
	if q.After != "" {
		if _, err := fmt.Sscanf(q.After, "fnd_%d", &first); err != nil {
			return nil, err
		}
		first++
	}
	if e.fails > 0 && first >= e.fails {
		return nil, errors.New("the disk is gone")
	}
	var out []desk.Finding
	for i := first; i < e.findings && len(out) < q.Limit; i++ {
		out = append(out, desk.Finding{ID: fmt.Sprintf("fnd_%08d", i), Pack: "pack", Rule: "rule", Reason: "=" + strings.Repeat("because ", 40)})
	}
	return out, ctx.Err()
}

func (e *endless) FindingWork(context.Context, []string) (map[string]desk.FindingWork, error) {
	return nil, nil
}

// gauge counts what it takes and looks how much memory is held on the way.
type gauge struct {
	header      http.Header
	bytes, next int
	most        uint64
	last        []byte
}

func (g *gauge) Header() http.Header { return g.header }
func (g *gauge) WriteHeader(int)     {}

func (g *gauge) Write(b []byte) (int, error) {
	g.bytes += len(b)
	g.last = append(g.last[:0], b[max(0, len(b)-200):]...)
	if g.bytes > g.next {
		g.next = g.bytes + 8<<20
		g.most = max(g.most, heap())
	}
	return len(b), nil
}

func (g *gauge) Flush() {}

// heap is what is held after everything that is not was given back.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An export of 100,000 findings, some 50 MB, holds a few pages of them at a time.
func TestExportOfManyFindingsHoldsFew(t *testing.T) {
	const many = 100_000
	for _, format := range []string{"ndjson", "csv"} {
		r := &endless{Reader: desktest.New(), findings: many}
		h := httpapi.New(httpapi.Deps{Reader: r, ExportLog: &exportLog{}})
		before := heap()
		w := &gauge{header: http.Header{}}
		h.ServeHTTP(w, httptest.NewRequestWithContext(trusted(t.Context()), "GET", "/v1/exports/findings?format="+format, nil))
		if want := map[string]string{"ndjson": `{"end":{"kind":"findings","rows":100000}}`, "csv": "#end,100000,findings,"}[format]; !bytes.HasPrefix(w.last, []byte(want)) {
			t.Errorf("%s ends with %q", format, w.last)
		}
		grew := int64(w.most) - int64(before)
		t.Logf("%s: %d MB written, at most %d kB held more than before", format, w.bytes>>20, grew>>10)
		if w.bytes < 30<<20 || grew > 8<<20 {
			t.Errorf("%s: %d bytes were written, and %d held", format, w.bytes, grew)
		}
	}
}

func serveExports(t *testing.T, r desk.Reader) (url string, ended chan any) {
	t.Helper()
	h := open(httpapi.New(httpapi.Deps{Reader: r, ExportLog: &exportLog{}}))
	ended = make(chan any, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			why := recover()
			ended <- why
			if why != nil {
				panic(why)
			}
		}()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v1/exports/findings", ended
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A reader that goes away ends the work: no more pages are read than were on the way.
func TestAnExportEndsWithItsReader(t *testing.T) {
	r := &endless{Reader: desktest.New(), findings: 1 << 40}
	url, ended := serveExports(t, r)
	w := get(t, url)
	if _, err := bufio.NewReader(w.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = w.Body.Close() // before its end
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("the export goes on without a reader")
	}
	if n := r.pages(); n > 10_000 {
		t.Errorf("%d pages were read for nobody", n)
	}
}

// An export that fails in the middle is cut: the client sees that on the wire, and
// there is no last line.
func TestAnExportThatFailsIsCut(t *testing.T) {
	url, ended := serveExports(t, &endless{Reader: desktest.New(), findings: 5000, fails: 2000})
	w := get(t, url)
	defer func() { _ = w.Body.Close() }()
	text, err := io.ReadAll(w.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || bytes.Contains(text, []byte(`"end"`)) || bytes.Count(text, []byte("\n")) > 2000 {
		t.Errorf("%d lines, then %v", bytes.Count(text, []byte("\n")), err)
	}
	if why := <-ended; why != http.ErrAbortHandler {
		t.Errorf("ended with %v", why)
	}
}

// restless gives runs whose order is another one each time, and loses the one after
// which to go on now and then.
type restless struct {
	desk.Reader
	runs  []desk.Run
	asked int
}

func (r *restless) Runs(_ context.Context, q desk.RunQuery) ([]desk.Run, error) {
	r.asked++
	if r.asked <= 6 { // then it keeps still
		k := 700 * r.asked % len(r.runs)
		r.runs = slices.Concat(r.runs[k:], r.runs[:k])
	}
	if r.asked == 3 && q.After != "" {
		return nil, fmt.Errorf("run %s: %w", q.After, desk.ErrGone)
	}
	from := 0
	if q.After != "" {
		from = 1 + slices.IndexFunc(r.runs, func(run desk.Run) bool { return run.ID == q.After })
	}
	return slices.Clone(r.runs[from:min(len(r.runs), from+q.Limit)]), nil
}

// Runs change their places while they are read, and each is exported once.
func TestRunsThatMoveAreExportedOnce(t *testing.T) {
	r := &restless{Reader: desktest.New()}
	for i := range 3210 {
		r.runs = append(r.runs, desk.Run{ID: fmt.Sprintf("run_%d", i)})
	}
	h := httpapi.New(httpapi.Deps{Reader: r, ExportLog: &exportLog{}})
	lines, end := endOf(t, call(t, h, "GET", "/v1/exports/runs", "", "").Body.String())
	seen := map[string]bool{}
	for _, line := range lines {
		var run apitypes.Run
		if err := json.Unmarshal([]byte(line), &run); err != nil {
			t.Fatal(err)
		}
		if seen[run.ID] {
			t.Errorf("%s is there twice", run.ID)
		}
		seen[run.ID] = true
	}
	if len(seen) != len(r.runs) || end.Rows != int64(len(r.runs)) {
		t.Errorf("%d runs, the last line says %d, there are %d", len(seen), end.Rows, len(r.runs))
	}
}
