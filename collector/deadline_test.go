package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/pkg/cli"
)

// shifted is a clock that a test sets. It goes on from there.
type shifted struct {
	mu   sync.Mutex
	by   time.Duration
	kept time.Time // while it stands still
}

func (s *shifted) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.kept.IsZero() {
		return s.kept
	}
	return time.Now().Add(s.by)
}

// set makes it an instant, and stand still there: what happens then happens at it.
func (s *shifted) set(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = at
}

// office is a collector that serves, and the people who work at it.
type office struct {
	*testing.T
	clock *shifted
	data  string
	url   string
	token map[string]string // by login; "" is the program's
	apps  map[string]*authenticator
}

// openOffice serves a collector with everything in it, on a clock of the test.
func openOffice(t *testing.T, at time.Time, adjust ...func(*serveCommand)) *office {
	t.Helper()
	o := &office{T: t, clock: &shifted{kept: at}, data: t.TempDir(), token: map[string]string{}, apps: map[string]*authenticator{}}
	command := serveCommand{Data: o.data, Listen: "127.0.0.1:0", now: o.clock.now}
	for _, f := range adjust {
		f(&command)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	var log syncBuffer // told where the test fails
	go func() {
		done <- serve(ctx, cli.Streams{Out: io.Discard, Err: &log}, command, false, func(ctx context.Context, _ *running) error {
			close(ready)
			<-ctx.Done()
			return nil
		})
	}()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("serve: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() {
			t.Logf("the collector said, at first:\n%.4000s", log.text())
		}
	})
	e, err := apitypes.ReadEndpoint(filepath.Join(o.data, apitypes.EndpointFile))
	if err != nil {
		t.Fatal(err)
	}
	o.url, o.token[""] = e.URL, e.Token
	return o
}

// ask sends a request as somebody and returns status and answer.
func (o *office) ask(who, method, path, version string, body any) (int, []byte) {
	o.Helper()
	var data []byte
	media := "application/json"
	switch body := body.(type) {
	case nil:
	case []byte:
		data, media = body, "text/csv"
	default:
		var err error
		if data, err = json.Marshal(body); err != nil {
			o.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, o.url+path, bytes.NewReader(data))
	if err != nil {
		o.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+o.token[who])
	request.Header.Set("Content-Type", media)
	if version != "" {
		request.Header.Set("If-Match", `"`+version+`"`)
	}
	client := http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		o.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err = errorsOf(err, answer.Body.Close()); err != nil {
		o.Fatal(err)
	}
	return answer.StatusCode, text
}

func errorsOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// done sends a request that must succeed, and decodes the answer.
func done[T any](o *office, who, method, path, version string, body any) T {
	o.Helper()
	var out T
	status, text := o.ask(who, method, path, version, body)
	if status/100 != 2 {
		o.Fatalf("%s %s by %q: %d %s", method, path, who, status, text)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			o.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return out
}

const testPassword = "a long password"

// hire makes accounts, one role each, named after it.
func (o *office) hire(roles ...string) {
	o.Helper()
	for _, role := range roles {
		done[any](o, "", http.MethodPost, "/v1/users", "", map[string]any{"login": role, "password": testPassword, "roles": []string{role}})
	}
}

// signIn signs people in, as they do before an approval and after a long time.
func (o *office) signIn(roles ...string) {
	o.Helper()
	for _, role := range roles {
		o.token[role] = o.session(role)
	}
}

// eventually waits until a condition holds.
func (o *office) eventually(what string, holds func() bool) {
	o.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.Fatalf("%s did not come to be", what)
		}
	}
}

// replay builds the agent and lets it replay jobs as a fleet.
func (o *office) replay(jobs string) {
	o.Helper()
	dir := o.TempDir()
	agent, trace := filepath.Join(dir, "flopwatch-agent"), filepath.Join(dir, "jobs.csv")
	build := exec.Command("go", "build", "-o", agent, "../agent/cmd/flopwatch-agent")
	build.Env = append(os.Environ(), "CGO_CFLAGS=-Wno-deprecated-declarations -O2 -DSQLITE_DEFAULT_MEMSTATUS=0")
	if out, err := build.CombinedOutput(); err != nil {
		o.Fatalf("build the agent: %v\n%s", err, out)
	}
	if err := os.WriteFile(trace, []byte(jobs), 0o600); err != nil {
		o.Fatal(err)
	}
	if out, err := exec.Command(agent, "replay", "--endpoint", filepath.Join(o.data, "agent.json"), "--data", filepath.Join(dir, "agent"), "--jobs", trace).CombinedOutput(); err != nil {
		o.Fatalf("replay: %v\n%s", err, out)
	}
}

// crossing brings about one crossing of the proposed rule and returns its case,
// which the analyst has taken.
func (o *office) crossing(end time.Time) apitypes.Case {
	o.Helper()
	done[any](o, "", http.MethodPost, "/v1/customers/import?name=c.csv", "", []byte("customer_id,name,country,foreign_status,status_reason,demonstration,tenant_id\ncus_a,Harbour Research,SG,foreign,foreign law,true,ten-a\n"))
	// 2,048 B200 devices at 2e15 operations a second reach 1e26 on the last day.
	start := end.Add(-time.Duration(283.2 * 24 * float64(time.Hour)))
	o.replay(fmt.Sprintf("job_id,tenant,accelerator,hosts,gpus_per_host,start,end,ops_per_gpu_s,kind\nj,ten-a,B200,256,8,%s,%s,2e15,training\n", start.Format(time.RFC3339), end.Format(time.RFC3339)))
	var cases []apitypes.Case
	o.eventually("a case", func() bool {
		cases = done[apitypes.List[apitypes.Case]](o, "", http.MethodGet, "/v1/cases", "", nil).Items
		return len(cases) == 1 && len(cases[0].Clocks) > 0
	})
	o.signIn("analyst")
	me := done[struct{ ID string }](o, "analyst", http.MethodGet, "/v1/me", "", nil)
	// What is found meanwhile joins the case and changes it: then it is looked at again.
	var mine apitypes.Case
	o.eventually("the assignment", func() bool {
		seen := done[apitypes.Case](o, "analyst", http.MethodGet, "/v1/cases/"+cases[0].ID, "", nil)
		status, text := o.ask("analyst", http.MethodPost, "/v1/cases/"+seen.ID+"/assignments", fmt.Sprint(seen.Version), apitypes.CaseAct{To: me.ID})
		if status == http.StatusPreconditionFailed {
			return false
		}
		if err := json.Unmarshal(text, &mine); err != nil || status/100 != 2 {
			o.Fatalf("assign %s: %d %s", seen.ID, status, text)
		}
		return true
	})
	return mine
}

// decide decides a case by two people.
func (o *office) decide(c apitypes.Case) apitypes.Case {
	o.Helper()
	o.signIn("analyst", "senior-reviewer")
	c = done[apitypes.Case](o, "analyst", http.MethodPost, "/v1/cases/"+c.ID+"/proposals", fmt.Sprint(c.Version), apitypes.CaseAct{Outcome: "reportable", Code: "CROSSED", Reason: "above the line and foreign"})
	return done[apitypes.Case](o, "senior-reviewer", http.MethodPost, "/v1/cases/"+c.ID+"/approvals", fmt.Sprint(c.Version), apitypes.CaseAct{Digest: c.Decision.Digest})
}

// approve completes a report with what nobody knows, and has it approved.
func (o *office) approve(r apitypes.Report) apitypes.Report {
	o.Helper()
	o.signIn("analyst", "senior-reviewer", "filing-officer")
	var fields []apitypes.ReportFieldValue
	for _, s := range r.Sections {
		for _, f := range s.Fields {
			switch {
			case f.Missing && f.TakesNotHeld:
				fields = append(fields, apitypes.ReportFieldValue{Field: f.ID, NotHeld: "nobody holds it"})
			case f.Missing:
				fields = append(fields, apitypes.ReportFieldValue{Field: f.ID, Text: "said by the analyst"})
			}
		}
	}
	path := "/v1/reports/" + r.ID
	if len(fields) > 0 {
		r = done[apitypes.Report](o, "analyst", http.MethodPost, path+"/fields", fmt.Sprint(r.Version), apitypes.ReportAct{Fields: fields})
	}
	r = done[apitypes.Report](o, "analyst", http.MethodPost, path+"/proposals", fmt.Sprint(r.Version), apitypes.ReportAct{})
	return done[apitypes.Report](o, "senior-reviewer", http.MethodPost, path+"/approvals", fmt.Sprint(r.Version), apitypes.ReportAct{Digest: r.Digest})
}

func (o *office) file(r apitypes.Report) apitypes.Report {
	o.Helper()
	return done[apitypes.Report](o, "filing-officer", http.MethodPost, "/v1/reports/"+r.ID+"/filings", fmt.Sprint(r.Version), apitypes.ReportAct{Method: "portal"})
}

func (o *office) clockOf(id, name string) apitypes.Clock {
	o.Helper()
	c := done[apitypes.Case](o, "", http.MethodGet, "/v1/cases/"+id, "", nil)
	for _, k := range c.Clocks {
		if k.Name == name {
			return k
		}
	}
	o.Fatalf("case %s has no clock %s: %+v", id, name, c.Clocks)
	return apitypes.Clock{}
}

// An examiner's check 4: filed on the fifteenth day at 23:59:59 in New York, with a
// change of the clocks in between, a report is in time; the second after it is
// not. What came through a reseller has thirty days.
func TestFiledOnTheLastDay(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	chat := newChat(t)
	o := openOffice(t, time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), func(c *serveCommand) { c.Notify, c.look = chat.config(t), 50*time.Millisecond })
	o.hire("analyst", "senior-reviewer", "filing-officer", "admin")
	o.signIn("admin")
	done[any](o, "admin", http.MethodPut, "/v1/filer", "", apitypes.Filer{Name: "Example Compute", Address: "1 Main Street", Contact: "Officer", Email: "o@example.com", Phone: "1"})
	c := o.crossing(time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC))
	k := o.clockOf(c.ID, "initial-report")
	last := time.Date(2026, 11, 7, 23, 59, 59, 0, zone)
	if k.Due != "2026-11-07" || !k.Over.Equal(last.Add(time.Second)) || k.Over.Sub(k.Occurred) != 15*24*time.Hour+5*time.Hour {
		t.Fatalf("occurred %s, due %s, over %s", k.Occurred, k.Due, k.Over)
	}

	// People are told by ids alone: at once, ten days before, and after a stop of the
	// step that counts. Each once.
	chat.hears("case " + c.ID + " was opened")
	calendar := done[apitypes.CalendarLink](o, "analyst", http.MethodPost, "/v1/calendar-links", "", nil).Path
	o.clock.set(time.Date(2026, 10, 28, 0, 0, 0, 0, zone))
	chat.hears("case " + c.ID + ": initial-report is due in 10 days (last day 2026-11-07, America/New_York)")
	o.clock.set(time.Date(2026, 11, 6, 9, 0, 0, 0, zone))
	chat.hears("case " + c.ID + ": initial-report is due tomorrow (last day 2026-11-07, America/New_York)")
	if status, text := o.ask("", http.MethodGet, calendar, "", nil); status != http.StatusOK || !bytes.Contains(text, []byte("DTSTART;VALUE=DATE:20261107\r\nDTEND;VALUE=DATE:20261108\r\n")) {
		t.Errorf("the calendar answers %d\n%s", status, text)
	}

	// The last second of day 15, in winter time; it occurred in summer time.
	o.clock.set(last.Add(-4 * time.Minute))
	chat.hears("case " + c.ID + ": initial-report is due today (last day 2026-11-07, America/New_York)")
	c = o.decide(c)
	chat.hears("case " + c.ID + ": a decision waits for a second person")
	r := o.approve(done[apitypes.Report](o, "analyst", http.MethodPost, "/v1/reports", "", apitypes.NewReport{Case: c.ID}))
	o.clock.set(last)
	r = o.file(r)
	chat.hears("report " + r.ID + " was filed")
	if k := o.clockOf(c.ID, "initial-report"); k.State != "met" || !k.Met.Equal(last) {
		t.Errorf("filed at %s it is %s", last, k.State)
	}

	// The first instant after it is late, for a correction learned of on the same day.
	r = done[apitypes.Report](o, "filing-officer", http.MethodPost, "/v1/reports/"+r.ID+"/answers", fmt.Sprint(r.Version), apitypes.ReportAct{Status: "accepted", RegulatorID: "BIS-1"})
	r = done[apitypes.Report](o, "analyst", http.MethodPost, "/v1/reports/"+r.ID+"/amendments", fmt.Sprint(r.Version), apitypes.ReportAct{Kind: "correction", At: k.Occurred})
	r = o.approve(r)
	if k := o.clockOf(c.ID, "correction"); k.State != "running" || k.DaysLeft != 0 {
		t.Errorf("in the last second the correction is %s with %d days left", k.State, k.DaysLeft)
	}
	o.clock.set(last.Add(time.Second))
	if k := o.clockOf(c.ID, "correction"); k.State != "overdue" {
		t.Errorf("in the second after the last day the correction is %s", k.State)
	}
	chat.hears("case " + c.ID + ": correction is OVERDUE by a day (last day 2026-11-07, America/New_York)")
	if status, text := o.ask("", http.MethodGet, calendar, "", nil); status != http.StatusOK || !bytes.Contains(text, []byte("SUMMARY:OVERDUE: correction due")) || bytes.Contains(text, []byte("initial-report")) {
		t.Errorf("the calendar answers %d\n%s", status, text)
	}
	o.file(r)
	if k := o.clockOf(c.ID, "correction"); k.State != "met late" {
		t.Errorf("filed at %s it is %s", last.Add(time.Second), k.State)
	}

	// Through a reseller: day 30.
	c = done[apitypes.Case](o, "", http.MethodGet, "/v1/cases/"+c.ID, "", nil)
	c = done[apitypes.Case](o, "analyst", http.MethodPost, "/v1/cases/"+c.ID+"/clocks", fmt.Sprint(c.Version), apitypes.CaseAct{Clock: "reseller-report", At: k.Occurred, Reason: "it came through a reseller"})
	k = o.clockOf(c.ID, "reseller-report")
	last = time.Date(2026, 11, 22, 23, 59, 59, 0, zone)
	if k.Due != "2026-11-22" || !k.Over.Equal(last.Add(time.Second)) {
		t.Fatalf("through a reseller it is due %s, over %s", k.Due, k.Over)
	}
	o.clock.set(last.Add(-4 * time.Minute))
	o.signIn("analyst")
	through := o.approve(done[apitypes.Report](o, "analyst", http.MethodPost, "/v1/reports", "", apitypes.NewReport{Case: c.ID, Chain: "through-reseller"}))
	o.clock.set(last)
	o.file(through)
	if k := o.clockOf(c.ID, "reseller-report"); k.State != "met" {
		t.Errorf("through a reseller, filed at %s, it is %s", last, k.State)
	}
	// Each was told once, and no name went out.
	for text, n := range chat.heard() {
		if n != 1 && strings.HasPrefix(text, "case ") || strings.Contains(text, "Harbour") {
			t.Errorf("told %d times: %s", n, text)
		}
	}
	// The link ends with the right to read cases.
	done[any](o, "", http.MethodPost, "/v1/users/"+done[struct{ ID string }](o, "analyst", http.MethodGet, "/v1/me", "", nil).ID+"/changes", "", map[string]any{"disabled": true, "reason": "left"})
	for _, path := range []string{calendar, "/calendar/none.ics", "/calendar/"} {
		if status, _ := o.ask("", http.MethodGet, path, "", nil); status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, status)
		}
	}
	check := done[apitypes.AuditCheck](o, "", http.MethodGet, "/v1/audit/check", "", nil)
	if !check.Intact {
		t.Errorf("%v", check.Problems)
	}
}
