package collector

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/bundle"
	"github.com/flopwatch/flopwatch/pkg/verdict"
)

// A pack that two people put in force while the collector runs is the one that a
// report names, whose clocks run, and that its bundle holds; a report that was
// written under the one before keeps that one.
func TestPacksPutInForceGoIntoBundles(t *testing.T) {
	o := openOffice(t, time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC))
	o.hire("analyst", "senior-reviewer", "filing-officer", "policy-author", "policy-approver", "admin")
	o.signIn("admin")
	done[any](o, "admin", http.MethodPut, "/v1/filer", "", apitypes.Filer{Name: "Example Compute", Address: "1 Main Street", Contact: "Officer", Email: "o@example.com", Phone: "1"})
	c := o.crossing(time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC))
	o.signIn("analyst", "policy-author", "policy-approver")
	before := done[apitypes.Report](o, "analyst", http.MethodPost, "/v1/reports", "", apitypes.NewReport{Case: c.ID})

	shipped := shippedText(t, "us-iaas-2024-proposed")
	// The next version gives 20 days to answer a request.
	text := strings.Replace(string(shipped), "version: 1", "version: 2", 1)
	text = strings.Replace(text, "{id: request, title: Answer to a request for information, citation: 89 FR 5698, basis: given, days: 15,", "{id: request, title: Answer to a request for information, citation: 89 FR 5698, basis: given, days: 20,", 1)
	if !strings.Contains(text, "days: 20") {
		t.Fatal("the shipped pack is written otherwise now")
	}
	pol := o.enforce(text)

	after := done[apitypes.Report](o, "analyst", http.MethodPost, "/v1/reports", "", apitypes.NewReport{Case: c.ID})
	for _, x := range []struct {
		r    apitypes.Report
		text []byte
	}{{before, shipped}, {after, []byte(text)}} {
		_, data := o.ask("analyst", http.MethodGet, "/v1/reports/"+x.r.ID+"/bundle", "", nil)
		v, err := bundle.Verify(bytes.NewReader(data), int64(len(data)), "")
		if err != nil {
			t.Fatalf("%v: %.300s", err, data)
		}
		for _, s := range v.Steps {
			if s.Answer == verdict.No {
				t.Errorf("%s: %s", s.What, s.Why)
			}
		}
		if !bytes.Contains(data, x.text) {
			t.Errorf("the bundle of %s does not hold the pack that it names", x.r.ID)
		}
	}
	c = done[apitypes.Case](o, "", http.MethodGet, "/v1/cases/"+c.ID, "", nil)
	done[apitypes.Case](o, "analyst", http.MethodPost, "/v1/cases/"+c.ID+"/clocks", fmt.Sprint(c.Version), apitypes.CaseAct{Clock: "request", At: time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC), Reason: "a request came in"})
	if k := o.clockOf(c.ID, "request"); k.Days != 20 || k.Due != "2026-11-12" {
		t.Errorf("under %s the request has %d days and is due %s", pol, k.Days, k.Due)
	}
}

// What a case was opened under keeps its clocks when the pack is put out of force: a
// request that comes in then has its deadline.
func TestClocksOutliveTheirPack(t *testing.T) {
	o := openOffice(t, time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC))
	o.hire("analyst", "policy-author", "policy-approver")
	c := o.crossing(time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC))
	o.signIn("analyst", "policy-author", "policy-approver")
	text := strings.Replace(string(shippedText(t, "us-iaas-2024-proposed")), "version: 1", "version: 2", 1)
	o.enforce(strings.Replace(text, "active: true", "active: false", 1))
	c = done[apitypes.Case](o, "", http.MethodGet, "/v1/cases/"+c.ID, "", nil)
	done[apitypes.Case](o, "analyst", http.MethodPost, "/v1/cases/"+c.ID+"/clocks", fmt.Sprint(c.Version), apitypes.CaseAct{Clock: "request", At: time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC), Reason: "a request came in"})
	if k := o.clockOf(c.ID, "request"); k.Days != 15 {
		t.Errorf("the request has %d days, want 15", k.Days)
	}
}

// shippedText returns the text of a pack that comes with the program.
func shippedText(t *testing.T, id string) []byte {
	t.Helper()
	for _, p := range policy.Shipped() {
		if p.ID == id {
			return policy.ShippedSource(p.Digest)
		}
	}
	t.Fatalf("no pack %s is shipped", id)
	return nil
}

// enforce puts the text of a pack in force by two people, and returns the policy's id.
func (o *office) enforce(text string) string {
	o.Helper()
	p := done[apitypes.Policy](o, "policy-author", http.MethodPost, "/v1/policies", "", map[string]any{"kind": "pack", "file": "pack.yaml", "text": text})
	path := "/v1/policies/" + p.ID
	job := done[apitypes.Job](o, "policy-author", http.MethodPost, path+"/simulations", fmt.Sprint(p.Version), map[string]any{})
	o.eventually("the simulation", func() bool {
		job = done[apitypes.Job](o, "policy-author", http.MethodGet, "/v1/jobs/"+job.ID, "", nil)
		return job.State != "running" && job.State != "waiting"
	})
	p = done[apitypes.Policy](o, "policy-author", http.MethodGet, path, "", nil)
	p = done[apitypes.Policy](o, "policy-author", http.MethodPost, path+"/proposals", fmt.Sprint(p.Version), map[string]any{"reason": "twenty days"})
	p = done[apitypes.Policy](o, "policy-approver", http.MethodPost, path+"/approvals", fmt.Sprint(p.Version), map[string]any{"digest": p.Proposal})
	if p.State != "in force" {
		o.Fatalf("the policy is %s", p.State)
	}
	return p.ID
}
