package webui_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// keeper notes what is done about parties, policies, accounts and hosts. Its word
// stands in every text from outside.
type keeper struct {
	word   string
	asked  []string
	refuse error
	job    apitypes.Job
}

func (k *keeper) note(format string, args ...any) {
	k.asked = append(k.asked, fmt.Sprintf(format, args...))
}

func (k *keeper) ActOnReseller(_ context.Context, id string, a apitypes.ResellerAct) (apitypes.Recorded, error) {
	k.note("%s %s %s %s", id, a.Act, a.At.Format(time.DateTime), a.Reason)
	return apitypes.Recorded{ID: id}, k.refuse
}

func (k *keeper) ProposeExemption(_ context.Context, e apitypes.NewExemption) (apitypes.Recorded, error) {
	k.note("exempt %s %s %s %s %q", e.Scope, e.Of, e.From.Format(time.DateOnly), e.To.Format(time.DateOnly), e.Evidence)
	return apitypes.Recorded{}, k.refuse
}

func (k *keeper) ApproveExemption(_ context.Context, id, digest string) (apitypes.Recorded, error) {
	k.note("approve %s %s", id, digest)
	return apitypes.Recorded{}, k.refuse
}

func (k *keeper) WithdrawExemption(_ context.Context, id, reason string) (apitypes.Recorded, error) {
	k.note("withdraw %s %s", id, reason)
	return apitypes.Recorded{}, k.refuse
}

func (k *keeper) DraftPolicy(_ context.Context, in apitypes.PolicyText) (apitypes.Policy, error) {
	k.note("draft %s %s %q", in.Kind, in.File, in.Text)
	return apitypes.Policy{ID: "pol_new"}, k.refuse
}

func (k *keeper) EditPolicy(_ context.Context, id string, version int64, in apitypes.PolicyText) (apitypes.Policy, error) {
	k.note("edit %s %d %q", id, version, in.Text)
	return apitypes.Policy{ID: id}, k.refuse
}

func (k *keeper) ActOnPolicy(_ context.Context, id string, version int64, a apitypes.PolicyAct) (apitypes.Policy, error) {
	k.note("%s %d %s %s%s", id, version, a.Act, a.Digest, a.Reason)
	return apitypes.Policy{}, k.refuse
}

func (k *keeper) Simulate(_ context.Context, id string, in apitypes.SimulationRequest) (apitypes.Job, error) {
	k.note("simulate %s %d", id, in.Days)
	return apitypes.Job{ID: "job_1", Policy: id}, k.refuse
}

func (k *keeper) Job(context.Context, string) (apitypes.Job, bool) { return k.job, k.job.ID != "" }

func (k *keeper) CancelJob(_ context.Context, id string) (apitypes.Job, bool) {
	k.note("cancel %s", id)
	return k.job, true
}

func (k *keeper) Users(context.Context) ([]apitypes.User, error) {
	made := desktest.Noon.AddDate(0, -3, 0)
	return []apitypes.User{
		{ID: "usr_ana", Login: "ana" + k.word, Roles: []string{"analyst"}, Created: made, Grants: []apitypes.RoleGrant{
			{ID: "grt_1", User: "usr_ana", Login: "ana" + k.word, Has: []string{"analyst"}, Roles: []string{"auditor"}, Reason: "holidays" + k.word, By: "usr_a", Lapses: made.AddDate(0, 0, 7), State: "proposed", Digest: strings.Repeat("0", 64), Advice: "nobody else here can approve it"},
			{ID: "grt_2", User: "usr_ana", Login: "ana" + k.word, Has: []string{"analyst"}, Roles: []string{"admin"}, Reason: "on call" + k.word, By: "usr_b", Lapses: made.AddDate(0, 0, 7), State: "proposed", Digest: strings.Repeat("1", 64)},
		}},
		{ID: "usr_a", Login: "root", Roles: []string{"admin"}, Created: made},
		{ID: "usr_kim", Login: "kim", Roles: []string{"senior-reviewer", "identity-steward"}, Created: made},
		{ID: "usr_old", Login: "old", Roles: []string{"viewer"}, Disabled: true, Created: made},
	}, nil
}

func (k *keeper) AddUser(_ context.Context, u apitypes.NewUser) (apitypes.User, error) {
	k.note("add %s %d %v", u.Login, len(u.Password), u.Roles)
	return apitypes.User{}, k.refuse
}

func (k *keeper) ChangeUser(_ context.Context, id string, c apitypes.UserChange) (apitypes.User, error) {
	state := "as it is"
	if c.Disabled != nil {
		state = fmt.Sprint("disabled ", *c.Disabled)
	}
	k.note("change %s %v %s %s", id, c.Roles, state, c.Reason)
	return apitypes.User{}, k.refuse
}

func (k *keeper) ApproveGrant(_ context.Context, id, digest string) (apitypes.RoleGrant, error) {
	k.note("approve %s %.4s", id, digest)
	return apitypes.RoleGrant{}, k.refuse
}

func (k *keeper) RefuseGrant(_ context.Context, id, reason string) (apitypes.RoleGrant, error) {
	k.note("refuse %s %s", id, reason)
	return apitypes.RoleGrant{}, k.refuse
}

func (k *keeper) Inventory(context.Context) ([]apitypes.InventoryHost, error) {
	host := func(id, name, state, suspicion string) apitypes.InventoryHost {
		return apitypes.InventoryHost{ID: strings.Repeat(id, 26), Name: name + k.word, Site: "fsn" + k.word, State: state, Administered: "provider", Suspicion: suspicion, Changed: desktest.Noon}
	}
	invited := host("a", "gpu-0101", "invited", "")
	invited.TokenUntil = desktest.Noon.Add(time.Hour)
	return []apitypes.InventoryHost{invited, host("b", "gpu-0002", "enrolled", "two hosts send with its key"+k.word), host("c", "gpu-0001", "enrolled", ""), host("d", "gpu-0003", "retired", "")}, nil
}

func (k *keeper) Invite(_ context.Context, in apitypes.Invitation) (apitypes.Invited, error) {
	k.note("invite %s%s %d %v", in.Host, in.Name, in.Seconds, in.Devices)
	return apitypes.Invited{Host: apitypes.InventoryHost{ID: strings.Repeat("a", 26), Name: in.Name}, Token: "fwj_3k5m7q2wz4v6", Expires: desktest.Noon, Server: "collector.example:7443"}, k.refuse
}

func (k *keeper) DecideHost(_ context.Context, host string, d apitypes.HostDecision) (apitypes.InventoryHost, error) {
	k.note("%s %s %s", d.Act, host[:3], d.Reason)
	return apitypes.InventoryHost{}, k.refuse
}

func (k *keeper) Channels(context.Context) ([]apitypes.Channel, error) {
	return []apitypes.Channel{{Name: "mail" + k.word, Took: desktest.Noon}, {Name: "webhook", Waiting: 14, Attempts: 5, Next: desktest.Noon.Add(time.Minute), Problem: "connection refused" + k.word}}, nil
}

// deps are a desk on which everything can be done.
func deps(r desk.Reader, word string) webui.Deps {
	k := &keeper{word: word, job: apitypes.Job{ID: "job_1", Policy: "pol_draft", State: "running", Phase: "days", Done: 140, Of: 365}}
	return webui.Deps{Reader: r, Joiner: &joiner{word: word}, Foreseer: foreseer{}, Linker: &linker{}, Caseworker: &worker{}, Reporter: &reporter{},
		Parties: k, Policymaker: k, UserAdmin: k, Registrar: k, Messenger: k}
}

// busy is the canned desk with work that waits and policies in each early state.
func busy() *desktest.Reader {
	r := desktest.New()
	late, soon := r.CaseList[0], r.CaseList[0]
	for i, c := range []*desk.Case{&late, &soon} {
		c.ID, c.Subject, c.CustomerName, c.Assignee, c.State = fmt.Sprintf("cas_01%02d", i), "cus_delta", "Delta Compute (demonstration)", "", "new"
		c.Decision, c.Move, c.History, c.Notes, c.Files = desk.Decision{}, desk.Move{}, nil, nil, nil
		clock := c.Clocks[0]
		clock.Due, clock.DaysLeft, clock.State = []string{"2026-11-19", "2026-11-23"}[i], []int{-1, 3}[i], []string{"overdue", "running"}[i]
		c.Clocks = []desk.Clock{clock}
	}
	r.CaseList = append([]desk.Case{late, soon}, r.CaseList...)
	mine := r.FindingList[1]
	mine.ID, mine.Level = "fnd_0009", "warning 50"
	r.FindingList = append(r.FindingList, mine)
	if r.WorkView == nil {
		r.WorkView = map[string]desk.FindingWork{}
	}
	for i := range 380 { // a rack that was switched off, and hosts that were away for a while
		c := r.CoverageList[0]
		c.Host, c.HostName = fmt.Sprintf("%026d", i), fmt.Sprintf("gpu-%04d", i+3)
		switch {
		case i >= 130 && i < 146:
			c.Coverage = 0.62
		case i%53 == 7:
			c.Coverage = 0.87
		case i%29 == 3:
			c.Coverage = 0.964
		case i%11 == 5:
			c.Coverage = 0.995
		}
		c.Unobserved = desk.DeviceTime(float64(c.Elapsed) * (1 - c.Coverage))
		c.Hidden = compute.Operations(float64(c.Unobserved) * 2)
		r.CoverageList = append(r.CoverageList, c)
	}
	r.WorkView["fnd_0009"] = desk.FindingWork{State: "triaged", By: "usr_a", AtNS: desktest.Noon.UnixNano()}
	draft, simulated := r.PolicyList[0], r.PolicyList[0]
	draft.ID, draft.State, draft.Simulation, draft.Proposal, draft.Rationale, draft.Planned, draft.Lapses = "pol_draft", "draft", "", "", "", time.Time{}, time.Time{}
	simulated.ID, simulated.State, simulated.Proposal, simulated.Rationale, simulated.Planned, simulated.Lapses = "pol_tried", "simulated", "", "", time.Time{}, time.Time{}
	r.PolicyList = append(r.PolicyList, simulated, draft)
	return r
}

// act is a form that a role sends, what it is answered, and what the collector was
// asked to do for it.
type act struct {
	role            permission.Role
	path, form      string
	code            int
	location, asked string
}

// check sends the form to a desk whose collector notes in asked what it is asked.
func (a act) check(t *testing.T, desk http.Handler, asked *[]string) *httptest.ResponseRecorder {
	t.Helper()
	*asked = nil
	got := send(desk, a.role, a.path, a.form)
	if got.Code != a.code || got.Header().Get("Location") != a.location || strings.Join(*asked, ";") != a.asked {
		t.Errorf("%s %s as %s: %d %q, asked %q", a.path, a.form, a.role, got.Code, got.Header().Get("Location"), *asked)
	}
	return got
}

// What is posted does what it says, for whom the roles allow it.
func TestActsOfThePages(t *testing.T) {
	const digest = "9f3a0000000000000000000000000000000000000000000000000000000000aa"
	for _, c := range []act{
		{permission.IdentitySteward, "/resellers/rsl_nord/events", "act=attest&at=2026-11-19T10:00&reason=letter", 303, "/resellers", "rsl_nord attest 2026-11-19 10:00:00 letter"},
		{permission.IdentitySteward, "/resellers/rsl_nord/events", "act=erase&at=2026-11-19T10:00&reason=letter", 422, "", ""},
		{permission.IdentitySteward, "/resellers/rsl_nord/events", "act=attest&at=2026-11-19T10:00", 422, "", ""},
		{permission.Analyst, "/resellers/rsl_nord/events", "act=attest&at=2026-11-19T10:00&reason=letter", 403, "", ""},
		{permission.Admin, "/resellers/rsl_nord/events", "act=attest&at=2026-11-19T10:00&reason=letter", 404, "", ""},
		{permission.Analyst, "/exemptions", "scope=customer&of=cus_delta&from=2026-11-01&to=2027-11-01&basis=7.306&issued_by=Secretary&evidence=a%0d%0ab", 303, "/exemptions", `exempt customer cus_delta 2026-11-01 2027-11-01 ["a" "b"]`},
		{permission.Analyst, "/exemptions", "scope=world&of=cus_delta&from=2026-11-01&to=2027-11-01&basis=7.306&issued_by=Secretary", 400, "", ""},
		{permission.Analyst, "/exemptions", "scope=customer&of=cus_delta&from=x&to=2027-11-01&basis=7.306&issued_by=Secretary", 422, "", ""},
		{permission.SeniorReviewer, "/exemptions", "scope=customer", 403, "", ""},
		{permission.SeniorReviewer, "/exemptions/exm_1/approve", "digest=" + digest, 303, "/exemptions", "approve exm_1 " + digest},
		{permission.Analyst, "/exemptions/exm_1/approve", "digest=" + digest, 403, "", ""},
		{permission.Analyst, "/exemptions/exm_1/withdraw", "reason=over", 303, "/exemptions", "withdraw exm_1 over"},
		{permission.Analyst, "/exemptions/exm_1/withdraw", "", 422, "", ""},
		{permission.Analyst, "/exemptions/exm_1/erase", "", 400, "", ""},
		{permission.PolicyAuthor, "/policies", "kind=pack&file=a.yaml&text=id:+x%0d%0a", 303, "/policies/pol_new", `draft pack a.yaml "id: x\n"`},
		{permission.PolicyAuthor, "/policies", "kind=law&text=x", 400, "", ""},
		{permission.PolicyAuthor, "/policies", "kind=pack&file=../a&text=x", 400, "", ""},
		{permission.PolicyApprover, "/policies", "kind=pack&text=x", 403, "", ""},
		{permission.PolicyAuthor, "/policies/pol_draft/edit", "version=3&kind=pack&text=y", 303, "/policies/pol_draft", `edit pol_draft 3 "y"`},
		{permission.PolicyAuthor, "/policies/pol_draft/simulate", "days=365", 303, "/policies/pol_draft?job=job_1", "simulate pol_draft 365"},
		{permission.PolicyAuthor, "/policies/pol_draft/simulate", "days=-1", 422, "", ""},
		{permission.PolicyAuthor, "/policies/pol_draft/cancel", "job=job_1", 303, "/policies/pol_draft", "cancel job_1"},
		{permission.PolicyAuthor, "/policies/pol_tried/propose", "version=3&reason=r&from=2026-12-01T00:00", 303, "/policies/pol_tried", "pol_tried 3 propose r"},
		{permission.PolicyAuthor, "/policies/pol_tried/propose", "version=3", 422, "", ""},
		{permission.PolicyAuthor, "/policies/pol_lower/approve", "version=3&digest=d", 403, "", ""},
		{permission.PolicyApprover, "/policies/pol_lower/approve", "version=3&digest=d", 303, "/policies/pol_lower", "pol_lower 3 approve d"},
		{permission.PolicyApprover, "/policies/pol_lower/reject", "version=3&reason=no", 303, "/policies/pol_lower", "pol_lower 3 reject no"},
		{permission.PolicyAuthor, "/policies/pol_lower/erase", "version=3&reason=no", 400, "", ""},
		{permission.Admin, "/admin/users", "login=ben&password=a+long+password&role=viewer&role=auditor", 303, "/admin", "add ben 15 [viewer auditor]"},
		{permission.Admin, "/admin/users", "login=Ben&password=a+long+password&role=viewer", 422, "", ""},
		{permission.Admin, "/admin/users", "login=ben&password=a+long+password", 422, "", ""},
		{permission.Admin, "/admin/users/usr_ana/changes", "state=disabled&reason=left", 303, "/admin", "change usr_ana [] disabled true left"},
		{permission.Admin, "/admin/users/usr_ana/changes", "state=disabled", 422, "", ""},
		{permission.Auditor, "/admin/users/usr_ana/changes", "state=disabled&reason=left", 404, "", ""},
		{permission.Admin, "/admin/grants/grt_2/approve", "digest=1111", 303, "/admin", "approve grt_2 1111"},
		{permission.Admin, "/admin/grants/grt_2/refuse", "reason=not+needed", 303, "/admin", "refuse grt_2 not needed"},
		{permission.Admin, "/admin/grants/grt_2/refuse", "", 422, "", ""},
		{permission.Admin, "/admin/grants/grt_2/give", "digest=1111", 400, "", ""},
		{permission.Auditor, "/admin/grants/grt_2/approve", "digest=1111", 404, "", ""},
		{permission.Admin, "/admin/hosts/bbbbbbbbbbbbbbbbbbbbbbbbbb/decisions", "act=clear&reason=one+machine", 303, "/admin", "clear bbb one machine"},
		{permission.Admin, "/admin/hosts/bbbbbbbbbbbbbbbbbbbbbbbbbb/decisions", "act=clear", 422, "", ""},
		{permission.Admin, "/admin/hosts", "name=gpu-0102&minutes=30&devices=8", 200, "", "invite gpu-0102 1800 [{ 8 []}]"},
		{permission.Admin, "/admin/hosts", "host=x", 400, "", ""},
		{permission.Analyst, "/admin/hosts", "name=gpu-0102", 404, "", ""},
	} {
		k := &keeper{}
		h := webui.New(webui.Deps{Reader: busy(), Parties: k, Policymaker: k, UserAdmin: k, Registrar: k, Messenger: k})
		got := c.check(t, h, &k.asked)
		if bare := send(webui.New(webui.Deps{Reader: busy()}), c.role, c.path, c.form); bare.Code != http.StatusForbidden && bare.Code != http.StatusNotFound {
			t.Errorf("%s as %s on a desk that does nothing: %d", c.path, c.role, bare.Code)
		}
		structure(t, (map[bool]string{true: got.Body.String(), false: wholePage})[got.Code != 303])
	}
	k := &keeper{refuse: fmt.Errorf("a.yaml:3: rules: are missing\na.yaml:4: unit: is unknown")}
	h := webui.New(webui.Deps{Reader: busy(), Policymaker: k})
	got := send(h, permission.PolicyAuthor, "/policies", "kind=pack&file=a.yaml&text=id:+<b>")
	if html := got.Body.String(); got.Code != http.StatusUnprocessableEntity || !strings.Contains(html, "<li>a.yaml:4: unit: is unknown</li>") || !strings.Contains(html, "id: &lt;b&gt;</textarea>") {
		t.Errorf("the faults of a text: %d %s", got.Code, html)
	}
	k.refuse = fmt.Errorf("database /srv/secret is locked")
	if got := send(h, permission.PolicyAuthor, "/policies", "kind=pack&file=a.yaml&text=x"); got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "secret") {
		t.Errorf("a failure: %d", got.Code)
	}
}

// wholePage passes structure.
const wholePage = `<!DOCTYPE html><html lang="en"><title></title><meta name="viewport"><p class="skip"></p><nav aria-label="Pages"></nav><p role="status"></p><main id="main"><h1></h1></main></html>`

func TestQueueSaysWhatIsFirstAndWhy(t *testing.T) {
	h := webui.New(deps(busy(), ""))
	html := ask(t, h, "/queue").Body.String()
	at := 0
	for _, want := range []string{"overdue by 1 day", "cas_0100", "clock initial-report, last day 2026-11-19 in America/New_York", "3 days left", "cas_0101", "fnd_0003", "high: possible crossing", "best figure is 75 % of 1.00e26", "fnd_0002"} {
		i := strings.Index(html[at:], want)
		if i < 0 {
			t.Fatalf("the queue lacks %q in its place", want)
		}
		at += i
	}
	for _, never := range []string{"cas_0001", "cas_0000", "fnd_0009"} {
		if strings.Contains(html, never) {
			t.Errorf("the queue shows %s, which somebody has", never)
		}
	}
	mine := ask(t, h, "/queue?show=mine").Body.String()
	if !strings.Contains(mine, "fnd_0009") || strings.Contains(mine, "fnd_0003") || strings.Contains(mine, "cas_0100") {
		t.Error("what is taken is not what somebody took")
	}
}

// Marked items are each done or said not to be.
func TestManyAtOnce(t *testing.T) {
	w := &worker{}
	h := webui.New(webui.Deps{Reader: busy(), Caseworker: w})
	for _, c := range []struct {
		form, asked string
		code        int
	}{
		{"act=take&item=fnd_1&item=cas_0100%404", "work fnd_1 triaged ;cas_0100 4 assign usr_a", 303},
		{"act=dismiss&code=C&reason=r&item=fnd_1&item=fnd_2", "work fnd_1 dismissed C;work fnd_2 dismissed C", 303},
		{"act=give&to=usr_kim&reason=r&item=fnd_1&item=cas_0100%404", "open fnd_1 r;cas_new 0 assign usr_kim;cas_0100 4 assign usr_kim", 303},
		{"act=case&item=fnd_1", "", 409},
		{"act=dismiss&item=cas_0100%404", "", 409},
		{"act=take&item=cas_0100%40x", "", 409},
		{"act=take", "", 422},
		{"act=erase&item=fnd_1", "", 400},
	} {
		w.asked = nil
		got := send(h, permission.Analyst, "/queue", c.form)
		if got.Code != c.code || strings.Join(w.asked, ";") != c.asked {
			t.Errorf("%s: %d, asked %q", c.form, got.Code, w.asked)
		}
	}
	w.refuse = no{}
	got := send(h, permission.Analyst, "/queue", "act=take&item=fnd_1&item=%3Cb%3E")
	if html := got.Body.String(); got.Code != 409 || !strings.Contains(html, "fnd_1: somebody else changed it &lt;b&gt;") || strings.Contains(html, "<b>") {
		t.Errorf("what was not done is not said: %d %s", got.Code, html)
	}
	for role, code := range map[permission.Role]int{permission.Auditor: 403, permission.Viewer: 404} {
		if got := send(h, role, "/queue", "act=take&item=fnd_1"); got.Code != code {
			t.Errorf("%s: %d", role, got.Code)
		}
	}
}

// A search finds what begins so and leads to an exact id; it tells nobody of what
// they may not see.
func TestSearch(t *testing.T) {
	h := webui.New(deps(busy(), ""))
	for _, c := range []struct {
		role     permission.Role
		q        string
		location string
		has, not string
	}{
		{permission.Analyst, "run_4kq2", "/runs/run_4kq2", "", ""},
		{permission.Analyst, " cas_0001 ", "/cases/cas_0001", "", ""},
		{permission.Analyst, "fnd_0003", "/findings/fnd_0003", "", ""},
		{permission.Analyst, "cus_orion", "/customers/cus_orion", "", ""},
		{permission.Analyst, "clu_0001", "/customers/clu_0001", "", ""},
		{permission.Analyst, "rep_0001", "/reports/rep_0001", "", ""},
		{permission.Analyst, "pol_lower", "/policies/pol_lower", "", ""},
		{permission.Analyst, "run_", "", "run_9zd7", "Nothing"},
		{permission.Analyst, "orion", "", "Orion Labs", "Nothing"},
		{permission.Analyst, "LABS", "", "cus_orion", "Nothing"},
		{permission.Analyst, "gpu-00", "", "gpu-0002", "Nothing"},
		{permission.Viewer, "orion", "", "Orion Labs", "/cases/"},
		{permission.Viewer, "cas_0001", "", "Nothing that you may see", "Location"},
		{permission.Viewer, "fnd_0003", "", "Nothing that you may see", ""},
		{permission.Admin, "clu_0001", "", "Nothing that you may see", ""},
		{permission.PolicyAuthor, "rep_0001", "", "Nothing that you may see", ""},
		{permission.Viewer, "cus_orion", "", "cus_orion", `href="/customers/cus_orion"`},
		{permission.Analyst, "x", "", "Too short", ""},
		{permission.Analyst, "<script>alert(1)</script>", "", "Nothing that you may see", "<script>alert"},
		{permission.Analyst, "%00%ff", "", "too long", ""},
	} {
		got := send(h, c.role, "/search", "q="+c.q)
		html := got.Body.String()
		if got.Header().Get("Location") != c.location || c.has != "" && !strings.Contains(html, c.has) || c.not != "" && strings.Contains(html, c.not) {
			t.Errorf("%s looks for %q: %d, to %q", c.role, c.q, got.Code, got.Header().Get("Location"))
		}
	}
	if got := send(h, "nobody", "/search", "q=orion"); got.Code != http.StatusNotFound {
		t.Errorf("nobody: %d", got.Code)
	}
	if html := ask(t, h, "/search?q=orion").Body.String(); strings.Contains(html, "Orion Labs") {
		t.Error("what is looked for is taken from an address")
	}
}
