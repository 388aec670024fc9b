package report_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/report"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func form(t testing.TB, id string) *report.Form {
	t.Helper()
	for _, f := range report.Forms() {
		if f.ID == id {
			return f
		}
	}
	t.Fatalf("no form %s", id)
	return nil
}

func facts() report.Facts {
	ops := compute.Bounds{Low: 9e16, Best: 11e16, High: 12e16}
	return report.Facts{
		AsOf: noon, Pack: "us-iaas-2024-proposed 1, proposed", FilerAsOf: noon,
		Filer:    map[string]string{"name": "Example Cloud", "address": "1 Main St", "contact": "A. Officer", "email": "officer@example.com", "phone": "+1 555 0100"},
		Case:     desk.Case{ID: "cas_a", Subject: "cus_a", Clocks: []desk.Clock{{Name: "initial-report", Basis: "earlier", Days: 15, Zone: "America/New_York", Occurred: noon, Signalled: noon, Known: noon, Due: "2026-06-16"}}},
		Findings: []desk.Finding{{ID: "fnd_a", Rule: "run-1e26", Pack: "us-iaas-2024-proposed", Level: "crossing", Operations: ops, Threshold: 1e17, SignalledNS: noon.UnixNano()}},
		Runs:     []desk.Run{{ID: "run_a", Tenant: "ten-a", Label: "llama", Figure: desk.Figure{Empirical: ops, Coverage: 1}, Accelerators: []string{"B200"}, Devices: 8, Hosts: 1, StartNS: noon.UnixNano(), EndNS: noon.UnixNano()}},
		Customer: desk.Customer{ID: "cus_a", Name: "Acme", Country: "SG", ForeignStatus: "foreign"},
	}
}

// complete fills in everything that facts leave open.
func complete(t testing.TB, r report.Report, f *report.Form, by string) report.Report {
	t.Helper()
	for _, lack := range r.Missing(f) {
		v := report.Value{Text: "said"}
		if lack.NotHeld {
			v = report.Value{NotHeld: "we have no such record"}
		}
		var err error
		if r, err = r.Set(f, lack.Field, report.ByPerson(v, by, noon), by); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func draft(t testing.TB) (report.Report, *report.Form) {
	t.Helper()
	f := form(t, "us-iaas-7308")
	r, err := report.New("rep_a", f, "cas_a", "cus_a", report.Direct)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Fill(f, facts(), "usr_author", false); err != nil {
		t.Fatal(err)
	}
	return r, f
}

func reviewer(at time.Time) approval.Approver {
	return approval.Approver{ID: "usr_second", SignedIn: at.Add(-time.Minute)}
}

// The life of a report: draft, review, approval, filing, answer, correction,
// request. What was filed stays as it was filed.
func TestLife(t *testing.T) {
	r, f := draft(t)
	if _, err := r.Propose(f, "usr_author", noon); !errors.Is(err, report.ErrIncomplete) {
		t.Fatalf("an incomplete report is proposed: %v", err)
	}
	step := func(what string, next report.Report, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if next.Version <= r.Version {
			t.Fatalf("%s: version %d after %d", what, next.Version, r.Version)
		}
		r = next
	}
	approve := func() {
		t.Helper()
		next, err := r.Propose(f, "usr_author", noon)
		step("propose", next, err)
		next, err = r.Approve(reviewer(noon), r.Proposal.Digest, "checkpoint", noon)
		step("approve", next, err)
	}
	file := func() {
		t.Helper()
		next, err := r.File(f, report.Filing{Method: "portal", At: noon.Add(time.Hour), By: "usr_officer"}, noon.Add(2*time.Hour))
		step("file", next, err)
	}
	r = complete(t, r, f, "usr_author")
	approve()
	file()
	filed := r.Filings[0]
	next, err := r.Answered(report.Accepted, "BIS-1", "", "", noon.Add(3*time.Hour))
	step("acknowledge", next, err)
	if _, err := r.Set(f, "narrative.text", report.ByPerson(report.Value{Text: "else"}, "usr_author", noon), "usr_author"); !errors.Is(err, report.ErrTransition) {
		t.Errorf("what was filed is edited: %v", err)
	}
	next, err = r.Amend(f, report.Correction, "usr_author")
	step("correct", next, err)
	if missing := r.Missing(f); !slices.ContainsFunc(missing, func(l report.Lack) bool { return l.Field == "report.what_changed" }) {
		t.Errorf("a correction need not say what was wrong: %v", missing)
	}
	next, err = r.Fill(f, facts(), "usr_author", false)
	step("fill", next, err)
	r = complete(t, r, f, "usr_author")
	approve()
	file()
	next, err = r.Answered(report.AcceptedWithWarnings, "BIS-2", "", "", noon.Add(3*time.Hour))
	step("acknowledge", next, err)
	next, err = r.Ask(f, report.Request{Text: "Which region?", Received: noon}, "usr_author", noon.Add(time.Hour))
	step("ask", next, err)
	next, err = r.Fill(f, facts(), "usr_author", false)
	step("fill", next, err)
	r = complete(t, r, f, "usr_author")
	approve()
	file()
	next, err = r.Answered(report.Accepted, "", "", "", noon.Add(3*time.Hour))
	step("answer", next, err)
	if r.State != report.RequestAnswered || len(r.Filings) != 3 || r.Filings[0].Digest != filed.Digest || r.Filings[0].RegulatorID != "BIS-1" {
		t.Errorf("after all: %s with filings %+v", r.State, r.Filings)
	}
	for k, want := range map[report.Kind]string{report.Initial: "initial-report", report.Correction: "correction", report.Answer: "request"} {
		if got := f.Clock(k, report.Direct); got != want {
			t.Errorf("a filing of kind %s meets %q, want %q", k, got, want)
		}
	}
	if got := f.Clock(report.Initial, report.ThroughReseller); got != "reseller-report" {
		t.Errorf("a first filing through a reseller meets %q", got)
	}
}

// Nobody approves what they wrote, and any edit voids an approval.
func TestFourEyes(t *testing.T) {
	r, f := draft(t)
	r = complete(t, r, f, "usr_author")
	r, err := r.Set(f, "narrative.text", report.ByPerson(report.Value{Text: "so it was"}, "usr_editor", noon), "usr_editor")
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Propose(f, "usr_author", noon); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		by   approval.Approver
		want error
	}{
		"the proposer":   {approval.Approver{ID: "usr_author", SignedIn: noon}, approval.ErrSelf},
		"an editor":      {approval.Approver{ID: "usr_editor", SignedIn: noon}, approval.ErrSelf},
		"an old sign-in": {approval.Approver{ID: "usr_second", SignedIn: noon.Add(-6 * time.Minute)}, approval.ErrSignIn},
	} {
		if _, err := r.Approve(c.by, r.Proposal.Digest, "", noon); !errors.Is(err, c.want) {
			t.Errorf("%s approves: %v", name, err)
		}
	}
	shown := r.Proposal.Digest
	edited, err := r.Set(f, "narrative.text", report.ByPerson(report.Value{Text: "otherwise"}, "usr_editor", noon), "usr_editor")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edited.Approve(reviewer(noon), shown, "", noon); !errors.Is(err, report.ErrTransition) {
		t.Errorf("an edited report is approved: %v", err)
	}
	if r, err = r.Approve(reviewer(noon), shown, "", noon); err != nil {
		t.Fatal(err)
	}
	edited, err = r.Set(f, "narrative.text", report.ByPerson(report.Value{Text: "otherwise"}, "usr_editor", noon), "usr_editor")
	if err != nil || edited.State != report.Draft || edited.Approval.By != "" {
		t.Fatalf("after an edit: %s approved by %q (%v)", edited.State, edited.Approval.By, err)
	}
	if _, err := edited.File(f, report.Filing{Method: "portal", At: noon, By: "usr_officer"}, noon); !errors.Is(err, report.ErrFiling) {
		t.Errorf("an edited report is filed: %v", err)
	}
	r.Values["narrative.text"] = report.Value{Text: "behind everybody's back"}
	if _, err := r.File(f, report.Filing{Method: "portal", At: noon, By: "usr_officer"}, noon); !errors.Is(err, report.ErrFiling) {
		t.Errorf("what was not approved is filed: %v", err)
	}
}

func TestNotHeldNeedsAReasonAndAFieldThatTakesIt(t *testing.T) {
	r, f := draft(t)
	if _, err := r.Set(f, "run.operations", report.ByPerson(report.Value{NotHeld: "x"}, "usr_author", noon), "usr_author"); !errors.Is(err, report.ErrNotHeld) {
		t.Errorf("operations are not held: %v", err)
	}
	if _, err := r.Set(f, "person.email", report.ByPerson(report.Value{}, "usr_author", noon), "usr_author"); !errors.Is(err, report.ErrInput) {
		t.Errorf("nothing is said: %v", err)
	}
	if _, err := r.Set(f, "reseller.path", report.ByPerson(report.Value{Text: "x"}, "usr_author", noon), "usr_author"); !errors.Is(err, report.ErrField) {
		t.Errorf("a field of another chain is set: %v", err)
	}
}

// What a person said is not written over by facts, and facts that say the same
// change nothing.
func TestFillKeepsWhatPeopleSaid(t *testing.T) {
	r, f := draft(t)
	r, err := r.Set(f, "person.name", report.ByPerson(report.Value{Text: "Acme Pte. Ltd."}, "usr_author", noon), "usr_author")
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Fill(f, facts(), "usr_author", false)
	if err != nil || again.Version != r.Version || again.Values["person.name"].Text != "Acme Pte. Ltd." {
		t.Errorf("filled in again: version %d after %d, name %q (%v)", again.Version, r.Version, again.Values["person.name"].Text, err)
	}
	if over, err := r.Fill(f, facts(), "usr_author", true); err != nil || over.Values["person.name"].Text != "Acme" {
		t.Errorf("asked for all: %q (%v)", over.Values["person.name"].Text, err)
	}
	for id, v := range r.Values {
		if v.Source == "" || v.AsOf.IsZero() || v.Confidence == "" {
			t.Errorf("%s says no source, time or confidence: %+v", id, v)
		}
	}
}

// Whatever people do in whatever order: nothing is filed that a second person
// did not approve as it was, versions grow, and filings are only added.
func TestNothingIsFiledUnapproved(t *testing.T) {
	f := form(t, "us-iaas-7308")
	people := []string{"usr_a", "usr_b", "usr_c"}
	rapid.Check(t, func(t *rapid.T) {
		r, err := report.New("rep_a", f, "cas_a", "cus_a", report.Direct)
		if err != nil {
			t.Fatal(err)
		}
		now := noon
		for i := range rapid.IntRange(1, 40).Draw(t, "acts") {
			now = now.Add(time.Minute)
			who := rapid.SampledFrom(people).Draw(t, "who")
			var next report.Report
			switch rapid.IntRange(0, 8).Draw(t, "act") {
			case 0:
				next, err = r.Set(f, "narrative.text", report.ByPerson(report.Value{Text: fmt.Sprint(i)}, who, now), who)
			case 1:
				next, err = r.Fill(f, facts(), who, false)
			case 2:
				next, err = r, nil
				for _, lack := range r.Missing(f) {
					if next, err = next.Set(f, lack.Field, report.ByPerson(report.Value{Text: "said"}, who, now), who); err != nil {
						break
					}
				}
			case 3:
				next, err = r.Propose(f, who, now)
			case 4:
				next, err = r.Return(who, "no")
			case 5:
				next, err = r.Approve(approval.Approver{ID: who, SignedIn: now}, r.Proposal.Digest, "", now)
			case 6:
				next, err = r.File(f, report.Filing{Method: "portal", At: now, By: who}, now)
				if err == nil {
					digest, _ := r.Digest()
					if r.Approval.Digest != digest || slices.Contains(r.Proposal.Authors, r.Approval.By) || slices.Contains(r.Editors, r.Approval.By) || len(r.Missing(f)) > 0 {
						t.Fatalf("filed: %+v", r)
					}
				}
			case 7:
				next, err = r.Answered(rapid.SampledFrom([]report.Status{report.Accepted, report.RejectedStatus}).Draw(t, "status"), "id", "", "note", now)
			case 8:
				next, err = r.Amend(f, rapid.SampledFrom([]report.Kind{report.Correction, report.Supplement}).Draw(t, "kind"), who)
			}
			if err != nil {
				continue
			}
			if next.Version < r.Version || len(next.Filings) < len(r.Filings) {
				t.Fatalf("went back: %+v after %+v", next, r)
			}
			for n, filing := range r.Filings {
				if next.Filings[n].Digest != filing.Digest || !next.Filings[n].At.Equal(filing.At) {
					t.Fatalf("a filing changed: %+v", next.Filings[n])
				}
			}
			r = next
		}
	})
}

func TestDocumentIsTheSameEachTime(t *testing.T) {
	r, f := draft(t)
	var before string
	for range 20 {
		d, err := r.Document(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if before != "" && before != string(text) {
			t.Fatal("two documents of one report differ")
		}
		before = string(text)
	}
}
