package collector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// operation is what the permission matrix says of one operation of the API. It is
// written by hand and not taken from the code that it is held against.
type operation struct {
	need    permission.Action
	also    []permission.Action // one of these besides, told by the act itself
	object  string              // kind of what {id} names, "" for nothing
	people  bool                // who has signed in with an account, and no program
	noToken bool                // an API token does not do it, whatever its scope
	secret  bool                // who lacks also is not told that the object is there
	absent  int                 // status for an object that is not there, where it is not 404
	spent   bool                // somebody who asked before may have ended the object
	body    string              // kind of what the body names, "" for nothing
	ownCase bool                // analysts do it for customers of their own cases only
}

// operations has an entry for every operation: one that is new fails until it is here.
var operations = map[string]operation{
	"add-accesses":         {need: permission.Import},
	"reveal-accesses":      {need: permission.Reveal, object: "account", ownCase: true},
	"list-allocations":     {need: permission.ReadAggregates},
	"put-allocations":      {need: permission.Import},
	"check-audit":          {need: permission.ReadAudit},
	"list-audit-entries":   {need: permission.ReadAudit},
	"show-audit-file":      {need: permission.ReadAudit},
	"end-calendar-link":    {need: permission.ReadCases, noToken: true},
	"make-calendar-link":   {need: permission.ReadCases, noToken: true},
	"list-campaigns":       {need: permission.ReadAggregates},
	"list-capabilities":    {need: permission.ReadAggregates},
	"list-cases":           {need: permission.ReadCases},
	"open-case":            {need: permission.WorkCases},
	"show-case":            {need: permission.ReadCases, object: "cas"},
	"approve-decision":     {need: permission.Approve, object: "cas"},
	"assign-case":          {need: permission.WorkCases, object: "cas"},
	"start-clock":          {need: permission.WorkCases, object: "cas"},
	"close-case":           {need: permission.WorkCases, object: "cas"},
	"file-on-case":         {need: permission.WorkCases, object: "cas"},
	"show-case-file":       {need: permission.ReadCases, object: "cas"},
	"attach-finding":       {need: permission.WorkCases, object: "cas"},
	"hold-case":            {need: permission.WorkCases, object: "cas"},
	"determine-knowledge":  {need: permission.ProposeDecision, object: "cas"},
	"approve-knowledge":    {need: permission.Approve, object: "cas"},
	"note-on-case":         {need: permission.WorkCases, object: "cas"},
	"propose-decision":     {need: permission.ProposeDecision, object: "cas"},
	"reopen-case":          {need: permission.WorkCases, object: "cas"},
	"return-decision":      {need: permission.Approve, object: "cas"},
	"list-channels":        {need: permission.Administer},
	"list-clusters":        {need: permission.ReadCases},
	"show-cluster":         {need: permission.ReadCases, object: "clu"},
	"list-corrections":     {need: permission.ReadAggregates},
	"list-coverage":        {need: permission.ReadAggregates},
	"list-customers":       {need: permission.ReadAggregates},
	"import-customers":     {need: permission.Import},
	"hold-customer":        {need: permission.WorkCases, object: "cus"},
	"events":               {need: permission.ReadAggregates},
	"show-evidence":        {need: permission.ReadAggregates},
	"list-exemptions":      {need: permission.ReadCases},
	"propose-exemption":    {need: permission.ProposeExemption},
	"approve-exemption":    {need: permission.ApproveExemption, object: "exm"},
	"withdraw-exemption":   {need: permission.ProposeExemption, object: "exm"},
	"show-filer":           {need: permission.ReadReports},
	"set-filer":            {need: permission.Administer},
	"list-findings":        {need: permission.ReadCases},
	"export-findings":      {need: permission.ReadCases},
	"export-runs":          {need: permission.ReadAggregates},
	"export-customers":     {need: permission.ReadAggregates},
	"export-tenants":       {need: permission.ReadAggregates},
	"export-audit":         {need: permission.ReadAudit},
	"work-on-finding":      {need: permission.WorkCases, object: "fnd"},
	"list-forecasts":       {need: permission.ReadCases},
	"release-hold":         {need: permission.WorkCases, object: "hld", spent: true},
	"list-host-events":     {need: permission.ReadAggregates},
	"list-hosts":           {need: permission.ReadAggregates},
	"list-inventory":       {need: permission.ReadAggregates},
	"invite-host":          {need: permission.Administer},
	"decide-host":          {need: permission.Administer, object: "host"},
	"show-job":             {need: permission.ReadPolicy, object: "job"},
	"cancel-job":           {need: permission.DraftPolicy, object: "job"},
	"watch-job":            {need: permission.ReadPolicy, object: "job"},
	"list-join-decisions":  {need: permission.ReadAggregates},
	"decide-join":          {need: permission.WorkCases, object: "jon"},
	"ledger-check":         {need: permission.ReadAggregates},
	"ledger-totals":        {need: permission.ReadAggregates},
	"list-links":           {need: permission.ReadCases},
	"decide-links":         {need: permission.DecideLink, body: "lnk"},
	"list-link-history":    {need: permission.ReadCases, object: "lnk"},
	"approve-link":         {need: permission.Approve, object: "lnk"},
	"decide-hit":           {need: permission.WorkCases, object: "hit"},
	"create-login-link":    {need: permission.Administer, noToken: true},
	"show-me":              {need: permission.ReadAggregates},
	"list-packs":           {need: permission.ReadPolicy},
	"list-parties":         {need: permission.ReadCases},
	"import-parties":       {need: permission.Import},
	"show-party":           {need: permission.ReadCases, object: "pty"},
	"erase-party":          {need: permission.Administer, object: "pty"},
	"reveal-party":         {need: permission.Reveal, object: "pty", ownCase: true},
	"list-policies":        {need: permission.ReadPolicy},
	"draft-policy":         {need: permission.DraftPolicy},
	"check-policy":         {need: permission.DraftPolicy},
	"show-policy":          {need: permission.ReadPolicy, object: "pol"},
	"approve-policy":       {need: permission.ApprovePolicy, object: "pol"},
	"propose-policy":       {need: permission.DraftPolicy, object: "pol"},
	"reject-policy":        {need: permission.ApprovePolicy, object: "pol"},
	"roll-back-policy":     {need: permission.DraftPolicy, object: "pol"},
	"simulate-policy":      {need: permission.DraftPolicy, object: "pol"},
	"edit-policy":          {need: permission.DraftPolicy, object: "pol"},
	"withdraw-policy":      {need: permission.DraftPolicy, object: "pol"},
	"list-power":           {need: permission.ReadAggregates},
	"put-power":            {need: permission.Import},
	"show-certification":   {need: permission.ReadCases},
	"list-programme-gaps":  {need: permission.ReadCases},
	"list-reports":         {need: permission.ReadReports},
	"open-report":          {need: permission.ReadReports, also: []permission.Action{permission.ProposeDecision, permission.File}},
	"show-report":          {need: permission.ReadReports, object: "rep"},
	"amend-report":         {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.ProposeDecision, permission.File}},
	"answer-report":        {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.File}},
	"approve-report":       {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.Approve}},
	"show-report-bundle":   {need: permission.ReadReports, object: "rep"},
	"complete-report":      {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.ProposeDecision, permission.File}},
	"set-report-fields":    {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.ProposeDecision, permission.File}},
	"file-on-report":       {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.ProposeDecision, permission.File}},
	"show-report-file":     {need: permission.ReadReports, object: "rep"},
	"file-report":          {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.File}},
	"fill-report":          {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.ProposeDecision, permission.File}},
	"show-report-output":   {need: permission.ReadReports, object: "rep"},
	"propose-report":       {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.ProposeDecision, permission.File}},
	"ask-report":           {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.ProposeDecision, permission.File}},
	"return-report":        {need: permission.ReadReports, object: "rep", also: []permission.Action{permission.Approve}},
	"list-resellers":       {need: permission.ReadCases},
	"act-on-reseller":      {need: permission.Import, object: "rsl"},
	"list-reservations":    {need: permission.ReadAggregates},
	"put-reservations":     {need: permission.Import},
	"import-revenue":       {need: permission.Import},
	"list-reverifications": {need: permission.ReadCases},
	"note-review":          {need: permission.Import, body: "of"},
	"show-run":             {need: permission.ReadAggregates, object: "run"},
	"list-run-days":        {need: permission.ReadAggregates, object: "run"},
	"list-customer-days":   {need: permission.ReadCases, object: "cus"},
	"list-runs":            {need: permission.ReadAggregates},
	"list-run-history":     {need: permission.ReadAggregates, object: "run"},
	"list-run-joins":       {need: permission.ReadAggregates, object: "run"},
	"join-runs":            {need: permission.WorkCases, object: "run", body: "run"},
	"screen-parties":       {need: permission.Import},
	"show-settings":        {need: permission.ReadPolicy},
	"list-settings-hosts":  {need: permission.ReadPolicy},
	"show-simulation":      {need: permission.ReadPolicy, object: "sim", also: []permission.Action{permission.DraftPolicy, permission.ApprovePolicy, permission.ReadCases}, secret: true},
	"list-standings":       {need: permission.ReadCases},
	"show-standing":        {need: permission.ReadCases, object: "cus"},
	"status":               {need: permission.ReadAggregates},
	"show-storage":         {need: permission.ReadAggregates},
	"list-tenants":         {need: permission.ReadAggregates},
	"list-tokens":          {need: permission.ReadAggregates, people: true},
	"make-token":           {need: permission.ReadAggregates, people: true},
	"revoke-token":         {need: permission.ReadAggregates, object: "tok", people: true},
	"list-users":           {need: permission.Administer},
	"add-user":             {need: permission.Administer, noToken: true},
	"change-user":          {need: permission.Administer, object: "usr", noToken: true},
	"list-grants":          {need: permission.Administer},
	"propose-grant":        {need: permission.Administer, object: "usr", noToken: true},
	"approve-grant":        {need: permission.Administer, object: "grt", people: true},
	"refuse-grant":         {need: permission.Administer, object: "grt", noToken: true},
	"add-vendor":           {need: permission.Administer, object: "vendor", absent: http.StatusOK},
}

// untold are what nobody is told of who may not see it: the answer is the same as for
// what is not there.
var untold = []permission.Action{permission.ReadCases, permission.ReadReports}

// Answers, as who asks can tell them apart.
const (
	unknown  = "not signed in"
	denied   = "refused by role"
	nothing  = "nothing that you may see"
	missing  = "not there"
	another  = "of nobody's case of theirs"
	admitted = "admitted"
)

// actor is somebody who asks.
type actor struct {
	name    string
	bearer  string
	roles   []permission.Role
	scope   []permission.Action // of a token
	program bool                // the token of the data directory
}

func (a actor) may(x permission.Action) bool {
	if a.scope != nil && !slices.Contains(a.scope, x) {
		return false
	}
	return slices.ContainsFunc(a.roles, func(r permission.Role) bool { return r.Allows(x) })
}

// expect is what the matrix says.
func (op operation) expect(a actor, x target) string {
	switch {
	case a.roles == nil:
		return unknown
	case !a.may(op.need) && slices.Contains(untold, op.need):
		return nothing
	case !a.may(op.need), op.people && (a.scope != nil || a.program), op.noToken && a.scope != nil:
		return denied
	case op.also != nil && !slices.ContainsFunc(op.also, a.may) && op.secret:
		return nothing
	case op.also != nil && !slices.ContainsFunc(op.also, a.may):
		return denied
	case !x.there:
		return missing
	case op.ownCase && x.whose != "own" && slices.Equal(a.roles, []permission.Role{permission.Analyst}):
		return another
	}
	return admitted
}

// target is what an operation is asked about.
type target struct {
	id, file string         // in the path
	say      map[string]any // in the body
	there    bool
	whose    string
}

// answerOf tells what an answer was.
func answerOf(status int, body []byte, op operation, there bool) string {
	switch {
	case status == http.StatusUnauthorized:
		return unknown
	case status == http.StatusForbidden && bytes.Contains(body, []byte("your roles do not allow")):
		return denied
	case status == http.StatusNotFound && bytes.Contains(body, []byte("nothing that you may see")):
		return nothing
	case status == http.StatusNotFound, !there && op.absent != 0 && status == op.absent:
		return missing
	case status == http.StatusForbidden && bytes.Contains(body, []byte("their own cases only")):
		return another
	}
	return admitted
}

// linesPack is the text of a pack that can be drafted.
func linesPack(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "scenarios", "lines.pack.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every operation of the API × everybody who can ask (each role, each scope of a
// token, the token of the data directory, nobody) × objects of their own, of others
// and of nobody answers exactly as the table says. The operations come from the
// document that the router makes of itself.
func TestEveryOperationByEverybody(t *testing.T) {
	if storetest.Postgres() {
		t.Skip("what is asked here does not depend on the engine")
	}
	o := openOffice(t, time.Now().Truncate(time.Second), func(c *serveCommand) {
		c.Agents, c.ScreeningURL, c.ScreeningKind = "127.0.0.1:0", watchLists(t).URL, "yente"
	})
	o.signal("fnd_00000001", "fnd_00000004")
	o.ran("run_own", "run_foreign")
	var people []string
	for _, r := range permission.People {
		people = append(people, string(r))
	}
	o.hire(people...)
	done[any](o, "", http.MethodPost, "/v1/users", "", map[string]any{"login": "everything", "password": testPassword, "roles": people})
	var actors []actor
	ids := map[string]string{} // login → usr_…
	for _, u := range done[apitypes.List[apitypes.User]](o, "", http.MethodGet, "/v1/users", "", nil).Items {
		ids[u.Login] = u.ID
	}
	for _, r := range permission.People {
		o.signIn(string(r))
		actors = append(actors, actor{name: string(r), bearer: o.token[string(r)], roles: []permission.Role{r}})
	}
	o.token["everything"] = o.sessionOf("everything")
	newToken := func(who, name string, scope ...permission.Action) apitypes.MadeToken {
		t.Helper()
		var names []string
		for _, a := range scope {
			names = append(names, permission.ScopeName(a))
		}
		return done[apitypes.MadeToken](o, who, http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: name, Scope: names, Days: 1})
	}
	var all []permission.Action
	for _, a := range permission.Actions {
		if permission.Delegable(a) {
			all = append(all, a)
			actors = append(actors, actor{name: "token: " + string(a), bearer: newToken("everything", string(a), a).Text, roles: permission.People, scope: []permission.Action{a}})
		}
	}
	actors = append(actors, actor{name: "token: all that a token can have", bearer: newToken("everything", "all", all...).Text, roles: permission.People, scope: all},
		actor{name: "the token of the data directory", bearer: o.token[""], roles: []permission.Role{permission.Machine}, program: true}, actor{name: "nobody"}, actor{name: "a token made up", bearer: "fwt_" + strings.Repeat("a", 39)})

	// Objects that are there, made by somebody else than most who ask.
	register, err := os.ReadFile(filepath.Join("..", "testdata", "scenarios", "demonstration.register.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	o.register(string(register))
	o.register(ownRegister)
	o.joined("jon_own", "jon_foreign")
	finding := "fnd_00000001"
	mine := done[apitypes.Case](o, "analyst", http.MethodPost, "/v1/cases", "", map[string]string{"finding": finding, "reason": "to look"})
	done[apitypes.Case](o, "analyst", http.MethodPost, "/v1/cases/"+mine.ID+"/assignments", fmt.Sprint(mine.Version), map[string]string{"to": ids["analyst"]})
	other := done[apitypes.Case](o, "senior-reviewer", http.MethodPost, "/v1/cases", "", map[string]string{"finding": "fnd_00000004", "reason": "to look"})
	policy := done[apitypes.Policy](o, "policy-author", http.MethodPost, "/v1/policies", "", map[string]string{"kind": "pack", "file": "lines.yaml", "text": linesPack(t)})
	report := done[apitypes.Report](o, "analyst", http.MethodPost, "/v1/reports", "", map[string]string{"form": "us-iaas-certification"})
	exemption := done[apitypes.Recorded](o, "analyst", http.MethodPost, "/v1/exemptions", "", map[string]any{"basis": "a licence", "scope": "customer", "of": "cus_saltmarsh", "issued_by": "an agency", "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z", "evidence": []string{"file 1"}})
	hold := done[apitypes.Recorded](o, "analyst", http.MethodPost, "/v1/customers/cus_saltmarsh/holds", "", map[string]string{"reason": "a subpoena"})
	done[any](o, "", http.MethodPost, "/v1/users", "", map[string]any{"login": "somebody", "password": testPassword, "roles": []string{"viewer"}})
	for _, u := range done[apitypes.List[apitypes.User]](o, "", http.MethodGet, "/v1/users", "", nil).Items {
		ids[u.Login] = u.ID
	}
	grant := done[apitypes.User](o, "admin", http.MethodPost, "/v1/users/"+ids["somebody"]+"/grants", "", map[string]any{"roles": []string{"auditor"}, "reason": "because"}).Grants[0]
	host := done[apitypes.Invited](o, "", http.MethodPost, "/v1/inventory", "", map[string]any{"name": "gpu-0001"})
	job := done[apitypes.Job](o, "policy-author", http.MethodPost, "/v1/policies/"+policy.ID+"/simulations", "", map[string]any{})
	for job.State == "running" {
		time.Sleep(20 * time.Millisecond)
		job = done[apitypes.Job](o, "policy-author", http.MethodGet, "/v1/jobs/"+job.ID, "", nil)
	}
	if job.State != "done" {
		t.Fatalf("simulation: %+v", job)
	}
	files := map[string]string{}
	for of, path := range map[string]string{"cas": "/v1/cases/" + mine.ID, "rep": "/v1/reports/" + report.ID} {
		if status, text := o.send("analyst", http.MethodPost, path+"/files?name=x.txt", "application/octet-stream", []byte("x\n")); status/100 != 2 {
			t.Fatalf("%d %s", status, text)
		}
		shown := done[struct{ Files []struct{ ID string } }](o, "analyst", http.MethodGet, path, "", nil)
		if len(shown.Files) != 1 {
			t.Fatalf("%s has %d files", of, len(shown.Files))
		}
		files[of] = shown.Files[0].ID
	}
	foreignToken := newToken("filing-officer", "of somebody else", permission.ReadAggregates)
	there := map[string][]string{
		"cas": {mine.ID, other.ID}, "fnd": {finding}, "pol": {policy.ID}, "rep": {report.ID}, "exm": {exemption.ID}, "hld": {hold.ID}, "usr": {ids["somebody"]}, "grt": {grant.ID},
		"cus": {"cus_000000", "cus_saltmarsh"}, "pty": {"pty_own", "pty_saltmarsh"}, "clu": {"cus_000000", "cus_saltmarsh"}, "run": {"run_own", "run_foreign"}, "host": {host.Host.ID}, "job": {job.ID}, "sim": {job.Simulation},
		"lnk": o.linked(2), "jon": {"jon_own", "jon_foreign"}, "hit": o.hits("pty_own", "pty_saltmarsh"), "rsl": {"rsl_own", "rsl_foreign"}, "account": {"acc_own", "acc_saltmarsh"},
		"vendor": {"vendor-own", "vendor-foreign"}, "of": {"cus_000000", exemption.ID},
	}
	for _, name := range there["vendor"] {
		done[apitypes.Vendor](o, "", http.MethodPost, "/v1/vendors/"+name+"/secrets", "", nil)
	}
	say := map[string]any{
		"login": "new-account", "password": testPassword, "roles": []any{"viewer"}, "state": "triaged", "outcome": "reportable", "code": "CROSSED",
		"scope": []any{"read-aggregates"}, "days": 1, "digest": strings.Repeat("0", 64), "reason": "because", "finding": finding, "form": "us-iaas-certification",
	}
	text := maps.Clone(say) // what is said of policies
	text["kind"], text["file"], text["text"] = "pack", "lines.yaml", linesPack(t)

	var d document
	status, document := o.ask("", http.MethodGet, "/v1/openapi.json", "", nil)
	if err := json.Unmarshal(document, &d); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v", status, err)
	}
	seen := map[string]bool{}
	asked, cells := 0, map[string]int{}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for method, route := range d.Paths[path] {
			op, ok := operations[route.OperationID]
			if !ok {
				t.Errorf("%s %s (%s) has no entry: say in this test who may do it", method, path, route.OperationID)
				continue
			}
			seen[route.OperationID] = true
			if (op.object != "") != strings.Contains(path, "{id}") {
				t.Errorf("%s: the object of %s", route.OperationID, path)
			}
			with := say
			if strings.HasPrefix(path, "/v1/policies") {
				with = text
			}
			for _, a := range actors {
				targets := []target{{there: true, say: with}}
				if op.object != "" {
					targets = nil
					for _, x := range threeWays(op.object, there) {
						targets = append(targets, target{id: x.id, there: x.there, whose: x.whose, file: "fil_none", say: with})
					}
				}
				if op.body != "" {
					targets = naming(op.body, targets, there)
				}
				if strings.Contains(path, "{file}") { // no file of an object that is there, its own, and its own asked of others
					for i := range targets {
						targets[i].there = false
					}
					for i, x := range targets {
						targets = append(targets, target{id: x.id, there: i == 1, whose: "with a file, " + x.whose, file: files[op.object], say: with})
					}
				}
				if op.object == "tok" { // another person's token is not there
					targets = append(targets, target{id: foreignToken.ID, there: a.may(permission.Administer) || a.name == "filing-officer", whose: "foreign", say: with})
					if a.roles != nil && a.scope == nil && !a.program {
						targets = append(targets, target{id: newToken(a.name, "own", permission.ReadAggregates).ID, there: true, whose: "own", say: with})
					}
				}
				answers := map[string][]byte{}
				for _, x := range targets {
					status, body := o.request(d, a, method, path, x, route.OperationID)
					asked++
					want, got := op.expect(a, x), answerOf(status, body, op, x.there)
					if op.spent && want == admitted && got == missing {
						got = want
					}
					if cells[want]++; want != got {
						t.Errorf("%s %s as %s, object %s: %s (%d %.200s), want %s", strings.ToUpper(method), path, a.name, x.whose, got, status, body, want)
					}
					if want != admitted && want != missing && want != another {
						answers[string(body)] = body // who may not do it learns nothing of what is there
					}
					if status >= 500 && status != http.StatusNotImplemented {
						t.Errorf("%s %s as %s: %d %s", method, path, a.name, status, body)
					}
				}
				if len(answers) > 1 {
					t.Errorf("%s %s as %s tells what is there from what is not", method, path, a.name)
				}
			}
		}
	}
	pages := o.askPages(actors, there)
	for id := range operations {
		if !seen[id] {
			t.Errorf("%s is in this test and not in the API", id)
		}
	}
	t.Logf("%d operations, %d who ask, %d requests: %v; %d pages", len(operations), len(actors), asked, cells, pages)
}

// askPages asks for the page of each object that is there and of one that is not, by
// everybody who signs in with an account: who may sees the one and is told that the
// other is not there, and who may not is told the same of both.
func (o *office) askPages(actors []actor, there map[string][]string) (asked int) {
	o.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(o.url, "http://"))
	if err != nil {
		o.Fatal(err)
	}
	for _, page := range []struct {
		path, object string
		need         permission.Action
	}{
		{"/cases/", "cas", permission.ReadCases}, {"/reports/", "rep", permission.ReadReports}, {"/findings/", "fnd", permission.ReadCases}, {"/runs/", "run", permission.ReadAggregates},
		{"/customers/", "cus", permission.ReadCases}, {"/policies/", "pol", permission.ReadPolicy},
	} {
		for _, a := range actors {
			if a.roles == nil || a.scope != nil || a.program {
				continue
			}
			answers := map[string]bool{}
			for _, id := range append([]string{absentID(page.object)}, there[page.object]...) {
				r, err := http.NewRequestWithContext(o.Context(), http.MethodGet, o.url+page.path+id, nil)
				if err != nil {
					o.Fatal(err)
				}
				r.AddCookie(&http.Cookie{Name: "flopwatch_session_" + port, Value: strings.TrimPrefix(a.bearer, "fws_")})
				w, err := deskClient.Do(r)
				if err != nil {
					o.Fatal(err)
				}
				text, err := io.ReadAll(w.Body)
				if err = errorsOf(err, w.Body.Close()); err != nil {
					o.Fatal(err)
				}
				asked++
				want := http.StatusNotFound
				if a.may(page.need) && id != absentID(page.object) {
					want = http.StatusOK
				}
				if w.StatusCode != want {
					o.Errorf("%s%s as %s: %d, want %d", page.path, id, a.name, w.StatusCode, want)
				}
				if !a.may(page.need) {
					answers[strings.ReplaceAll(string(text), id, "")] = true
				}
			}
			if len(answers) > 1 {
				o.Errorf("%s as %s tells what is there from what is not", page.path, a.name)
			}
		}
	}
	return asked
}

// ran puts runs where the collector would have found them itself.
func (o *office) ran(ids ...string) {
	o.Helper()
	var rows [][]any
	for _, id := range ids {
		rows = append(rows, []any{id})
	}
	for i, id := range ids { // each of another tenant: no two can be joined, so none goes away
		storetest.Edit(o, filepath.Join(o.data, "flopwatch.db"), "INSERT INTO run_part (tenant, part, run, start_ns) VALUES (?, 'first', ?, 1)", []any{fmt.Sprint("ten_", i+1), id})
	}
	storetest.Edit(o, filepath.Join(o.data, "flopwatch.db"), `INSERT INTO run (id, tenant, label, joined_by, hosts, devices, accelerators, methods, start_ns, end_ns, attributed_s, attributed_ns, unobserved_s, unobserved_ns,
		emp_low, emp_best, emp_high, theo_low, theo_best, theo_high, ceiling) VALUES (?, 'ten_1', 'job', 'job', 4, 32, 'H100', 'cycles', 1, 2, 3600, 0, 0, 0, 1, 2, 3, 0, 0, 0, 4)`, rows...)
}

// absentID is an id of the right form that names nothing.
func absentID(kind string) string {
	switch kind {
	case "host":
		return strings.Repeat("z", 26)
	case "account", "hit", "vendor":
		return kind + "-none"
	case "of":
		return "cus_none"
	}
	return kind + "_none"
}
