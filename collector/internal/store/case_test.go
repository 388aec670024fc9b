package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// clocked has the rules of lines, whose crossings start a clock.
func clocked(t testing.TB) []*policy.Pack {
	t.Helper()
	p, err := policy.Read("clocked.yaml", []byte(`id: clocked
version: 1
title: Lines with a clock
effective: always
citation: made up
status: internal
clocks:
  - {id: report, title: Report, citation: line 9, basis: earlier, days: 15, zone: America/New_York}
rules:
  - {id: run, title: A run, citation: line 1, measure: run_operations, threshold: "1e12", warn_percent: [50], applies_to: [foreign, undetermined], clock: report}
  - {id: customer, title: A customer, citation: line 2, measure: customer_operations, threshold: "1e12", warn_percent: [], applies_to: [foreign, undetermined], clock: report}
`))
	if err != nil {
		t.Fatal(err)
	}
	return []*policy.Pack{p}
}

// crossedStore has a foreign customer that crossed both rules years before, and its reader.
func crossedStore(t *testing.T) (*Store, *Reader) {
	t.Helper()
	s := open(t, t.TempDir())
	s.opts.Now = atNoon
	put(t, s, party.Customer{ID: "f", Name: "Far", Status: party.Foreign, Tenants: []measure.TenantID{"t1"}},
		party.Customer{ID: "u", Name: "Near", Status: party.US, Tenants: []measure.TenantID{"t2"}})
	d := NewDeriver(s, clocked(t), atNoon)
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	return s, NewReader(s, "", false)
}

func by(t *testing.T, id string) context.Context {
	return audit.With(t.Context(), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: id}})
}

// A crossing opens one case of its customer, whose clock runs before anybody looks.
func TestCrossingOpensACase(t *testing.T) {
	s, r := crossedStore(t)
	cases := must(t, r.Cases)
	if len(cases) != 1 {
		t.Fatalf("%d cases", len(cases))
	}
	c := cases[0]
	if c.Subject != "f" || c.CustomerName != "Far" || c.Pack != "clocked" || c.State != "new" || len(c.Findings) != 2 || len(c.Clocks) != 1 {
		t.Errorf("%+v", c)
	}
	k := c.Clocks[0]
	began := time.Unix(0, at(60))
	want := clock.DateOf(began, mustZone(t, k.Zone)).Add(15).String()
	if k.Name != "report" || k.State != "overdue" || k.Due != want || !k.Known.Equal(noon) || !k.Occurred.Equal(began) {
		t.Errorf("%+v, want due %s", k, want)
	}
	// The warning and the possible crossing of the same rule go with it.
	work := must(t, func(ctx context.Context) (map[string]desk.FindingWork, error) { return r.FindingWork(ctx, nil) })
	for _, f := range findings(t, s) {
		if w := work[f.ID]; w.State != "attached" || w.CaseID != c.ID {
			t.Errorf("%s of %s: %+v", f.Level, f.Rule, w)
		}
	}
	// Deriving again opens nothing.
	derive(t, NewDeriver(s, clocked(t), atNoon))
	if d := cmp.Diff(cases, must(t, r.Cases)); d != "" {
		t.Error(d)
	}
	if check := must(t, r.CheckAudit); len(check.Problems) > 0 && !strings.Contains(check.Problems[0], "checkpoint") {
		t.Errorf("%v", check.Problems)
	}
}

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestActsOnACase(t *testing.T) {
	s, r := crossedStore(t)
	id := must(t, r.Cases)[0].ID
	act := func(who string, version int64, name string, f func(casefile.Case) (casefile.Case, error)) (casefile.Case, error) {
		return s.ActOnCase(by(t, who), id, version, name, "because", func(c casefile.Case, _ time.Time) (casefile.Case, error) { return f(c) })
	}
	assign := func(c casefile.Case) (casefile.Case, error) { return c.Assign("usr_a") }
	c, err := act("usr_a", 2, "assign", assign)
	if err != nil || c.State != casefile.CaseInvestigating {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := act("usr_b", 2, "assign", assign); !errors.Is(err, casefile.ErrVersion) {
		t.Errorf("on what somebody else changed: %v", err)
	}
	if _, err := s.ActOnCase(by(t, "usr_a"), "cas_none", 0, "assign", "", func(c casefile.Case, _ time.Time) (casefile.Case, error) { return c, nil }); !errors.Is(err, ErrNoCase) {
		t.Errorf("of no case: %v", err)
	}
	if c, err = act("usr_a", c.Version, "propose decision", func(c casefile.Case) (casefile.Case, error) {
		return c.Propose("usr_a", casefile.Reportable, "CROSSED", "because", noon)
	}); err != nil {
		t.Fatal(err)
	}
	if c, err = act("usr_b", c.Version, "approve decision", func(c casefile.Case) (casefile.Case, error) {
		return c.Approve(approval.Approver{ID: "usr_b", SignedIn: noon}, c.Proposal.Digest, noon)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := act("usr_a", 0, "close", func(c casefile.Case) (casefile.Case, error) { return c.Close(noon) }); !errors.Is(err, casefile.ErrClocks) {
		t.Errorf("closed without a report: %v", err)
	}
	if _, err := s.AddNote(by(t, "usr_a"), id, "asked the account team"); err != nil {
		t.Fatal(err)
	}
	file, err := s.AddFile(by(t, "usr_b"), id, "answer.eml", "message/rfc822", []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"an empty note": second(s.AddNote(by(t, "usr_a"), id, "")), "a note on nothing": second(s.AddNote(by(t, "usr_a"), "cas_none", "x")),
		"an empty file": second(s.AddFile(by(t, "usr_a"), id, "x", "", nil)), "a file without a name": second(s.AddFile(by(t, "usr_a"), id, "", "", []byte("x"))),
	} {
		if err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	got, ok, err := r.Case(t.Context(), id)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	acts := []string{}
	for _, h := range got.History {
		acts = append(acts, h.By+" "+h.Act+" "+h.State)
	}
	if d := cmp.Diff([]string{"collector open new", "collector attach new", "usr_a assign investigating", "usr_a propose decision decision proposed", "usr_b approve decision reportable"}, acts); d != "" {
		t.Error(d)
	}
	if len(got.Notes) != 1 || got.Notes[0].By != "usr_a" || len(got.Files) != 1 || got.Files[0].Size != 5 || got.Decision.ApprovedBy != "usr_b" {
		t.Errorf("%+v", got)
	}
	if f, content, ok, err := r.CaseFileContent(t.Context(), id, file); err != nil || !ok || string(content) != "hello" || f.Name != "answer.eml" {
		t.Errorf("%+v %q %t %v", f, content, ok, err)
	}
	for _, table := range []string{"case_change", "case_note", "case_file", "finding_work"} {
		if _, err := s.db.Exec("DELETE FROM " + table); err == nil {
			t.Errorf("rows of %s can be deleted", table)
		}
		if _, err := s.db.Exec("UPDATE " + table + " SET at_ns = 1"); err == nil {
			t.Errorf("rows of %s can be changed", table)
		}
	}
	// A new crossing while the case is decided opens it again, under the clock that runs.
	var reason []string
	for _, e := range must(t, func(ctx context.Context) ([]desk.AuditEntry, error) { return r.AuditEntries(ctx, 0, 0) }) {
		if e.Object.ID == id {
			reason = append(reason, e.Action+" "+e.Actor.ID+" "+e.Reason)
		}
	}
	if !slices.Contains(reason, "case.approve_decision usr_b because") {
		t.Errorf("the audit log has %q", reason)
	}
}

func second(_ string, err error) error { return err }

func TestWorkOnFindings(t *testing.T) {
	s := open(t, t.TempDir())
	s.opts.Now = atNoon
	d := NewDeriver(s, lines(t), atNoon) // no clock: no case
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	r := NewReader(s, "", false)
	level := func(want string) string {
		for _, f := range findings(t, s) {
			if f.Level == want && f.Tenant == "t2" {
				return f.ID
			}
		}
		t.Fatalf("no finding at %s", want)
		return ""
	}
	crossing, warned := level("crossing"), level("warning 50")
	ctx := by(t, "usr_a")
	for what, c := range map[string]struct {
		id   string
		act  FindingAct
		want error
	}{
		"dismiss a crossing":       {crossing, FindingAct{State: casefile.FindingDismissed, Code: "C", Reason: "r"}, casefile.ErrCrossing},
		"dismiss without a reason": {warned, FindingAct{State: casefile.FindingDismissed, Code: "C"}, casefile.ErrReason},
		"suppress for long":        {warned, FindingAct{State: casefile.FindingSuppressed, Reason: "r", Until: noon.AddDate(0, 2, 0)}, casefile.ErrSecond},
		"suppress into the past":   {warned, FindingAct{State: casefile.FindingSuppressed, Reason: "r", Until: noon}, casefile.ErrInput},
		"open what is open":        {warned, FindingAct{State: casefile.FindingOpen, Reason: "r"}, casefile.ErrTransition},
		"of no finding":            {"fnd_none", FindingAct{State: casefile.FindingTriaged}, ErrNoFinding},
	} {
		if err := s.WorkOnFinding(ctx, c.id, c.act); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	// The subject has crossed: a warning that is suppressed shows again at once.
	if err := s.WorkOnFinding(ctx, warned, FindingAct{State: casefile.FindingSuppressed, Reason: "a known benchmark", Until: noon.AddDate(0, 0, 20)}); err != nil {
		t.Fatal(err)
	}
	if w := must(t, func(ctx context.Context) (map[string]desk.FindingWork, error) { return r.FindingWork(ctx, nil) })[warned]; w.State != "open" || !strings.Contains(w.Reason, "level of 100") {
		t.Errorf("%+v", w)
	}
	possible := level("possible crossing")
	if err := s.WorkOnFinding(ctx, possible, FindingAct{State: casefile.FindingDismissed, Code: "MEASURED", Reason: "the bound is wide"}); err != nil {
		t.Fatal(err)
	}
	if w := must(t, func(ctx context.Context) (map[string]desk.FindingWork, error) { return r.FindingWork(ctx, nil) })[possible]; w.State != "dismissed" || w.By != "usr_a" || w.Code != "MEASURED" {
		t.Errorf("%+v", w)
	}
	c, err := s.OpenCase(ctx, crossing, "look at it")
	if err != nil || c.Subject != "tenant:t2" || len(c.Clocks) != 0 {
		t.Fatalf("%+v %v", c, err)
	}
	again, err := s.OpenCase(ctx, possible, "and at this")
	if err != nil || again.ID != c.ID || len(again.Findings) != 2 {
		t.Errorf("%+v %v", again, err)
	}
	if w := must(t, func(ctx context.Context) (map[string]desk.FindingWork, error) { return r.FindingWork(ctx, nil) })[possible]; w.State != "attached" || w.CaseID != c.ID {
		t.Errorf("%+v", w)
	}
	if _, err := s.OpenCase(ctx, "fnd_none", "x"); !errors.Is(err, ErrNoFinding) {
		t.Errorf("a case on nothing: %v", err)
	}
}

// What a case holds comes back from its row as it went in.
func TestCaseRecord(t *testing.T) {
	zone := mustZone(t, "America/New_York")
	c := casefile.Open("cas_1", "cus_1", "pack", "fnd_1", []clock.Clock{clock.Start(clock.Obligation{Name: "report", Basis: clock.Earlier, Days: 15, Zone: zone}, noon, noon)})
	c, err := c.Assign("usr_a")
	if err == nil {
		c, err = c.Propose("usr_a", casefile.Reportable, "C", "r", noon)
	}
	if err == nil {
		c, err = c.Know("report", noon.Add(time.Hour), "usr_a", "r", noon.Add(2*time.Hour))
	}
	if err == nil {
		c, err = c.Approve(approval.Approver{ID: "usr_b", SignedIn: noon}, c.Proposal.Digest, noon)
	}
	if err == nil {
		c, err = c.Meet("report", noon.Add(time.Hour))
	}
	if err == nil {
		c, err = c.Hold("usr_a", "a court asks")
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := encodeCase(c)
	if err != nil {
		t.Fatal(err)
	}
	got := casefile.Case{ID: c.ID, Subject: c.Subject, Obligation: c.Obligation, State: c.State, Version: c.Version}
	if err := decodeCase(&got, data); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, got, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"", "{", `{"clocks":[{"zone":"Nowhere/Here"}]}`, `{"proposal":{"digest":"zz"}}`, `{"approval":{"digest":"00"}}`} {
		if decodeCase(&casefile.Case{}, []byte(bad)) == nil {
			t.Errorf("%q is a case", bad)
		}
	}
}
