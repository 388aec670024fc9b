package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const hourS = 3600

// worked is a batch of one host of eight devices that did a job for ten
// operations per second and device.
func worked(host string, seq uint64, tenant measure.TenantID, id string, from, to int) *ledger.Batch {
	var devices []ledger.Device
	var windows []measure.Window
	for i := range 8 {
		device := measure.DeviceID(fmt.Sprint(host, i))
		devices = append(devices, gpu(device, "H100"))
		windows = append(windows, window(device, from, to, entry(measure.Attributed, tenant, measure.Workload{Kind: measure.KindSlurmJob, ID: id}, measure.GPM,
			to-from, compute.Exactly(compute.Operations(10*(to-from))), compute.Operations(1000*(to-from)))))
	}
	return reports(ledger.HostID(host), host, seq, devices, windows...)
}

// restarted is one run on 16 hosts in two jobs, of which the second took up an hour
// after the first, and another tenant's job long after.
func restarted() []*ledger.Batch {
	var all []*ledger.Batch
	for i := range 16 {
		all = append(all, worked(fmt.Sprintf("r%02d", i), 1, "t1", "1", 0, 10*hourS))
	}
	for i := range 16 {
		all = append(all, worked(fmt.Sprintf("r%02d", i), 2, "t1", "2", 11*hourS, 30*hourS))
	}
	return append(all, worked("other", 1, "t2", "9", 40*hourS, 41*hourS))
}

func runsOf(t testing.TB, s *Store, tenant measure.TenantID) []desk.Run {
	t.Helper()
	return must(t, func(ctx context.Context) ([]desk.Run, error) {
		return NewReader(s, "", false).Runs(ctx, desk.RunQuery{Tenant: tenant})
	})
}

func joinsOf(t testing.TB, s *Store, run string) []desk.Join {
	t.Helper()
	return must(t, func(ctx context.Context) ([]desk.Join, error) { return NewReader(s, "", false).RunJoins(ctx, run) })
}

func historyOf(t testing.TB, s *Store, run string) (out []string) {
	t.Helper()
	for _, c := range must(t, func(ctx context.Context) ([]desk.RunChange, error) {
		return NewReader(s, "", false).RunHistory(ctx, run)
	}) {
		out = append(out, fmt.Sprintf("%s %s %s %d", c.Run, c.Act, c.Other, c.Operations.Best))
	}
	return out
}

// What never was a run has no history, which is not the same as one without changes.
func TestHistoryOfNoRun(t *testing.T) {
	s := open(t, t.TempDir())
	fillDesk(t, s, 2, 3, 4)
	r := NewReader(s, "", false)
	if _, err := r.RunHistory(t.Context(), "run_none"); !errors.Is(err, ErrNoRun) {
		t.Errorf("of what is no run: %v", err)
	}
	if all, err := r.RunHistory(t.Context(), "run_0000001"); err != nil || len(all) > 0 {
		t.Errorf("of a run that never changed: %v, %v", all, err)
	}
}

func decide(t testing.TB, s *Store, d *Deriver, id string, v training.Verdict) {
	t.Helper()
	said, err := s.DecideJoin(t.Context(), id, v, "usr_ana", "looked at the logs", noon)
	if err != nil {
		t.Fatal(err)
	}
	d.JoinsChanged(said.Tenant)
	derive(t, d)
}

// A join is stored with its evidence, a person can undo and confirm it, totals
// follow at once, history is kept, and undone and redone is as before.
func TestJoinsAreKeptUndoneAndRedone(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, nil, atNoon)
	count(t, s, []Follower{d}, restarted()...)
	derive(t, d)
	before := runsOf(t, s, "t1")
	if len(before) != 1 || before[0].Figure.Empirical.Best != 16*8*10*29*hourS {
		t.Fatalf("runs %+v", before)
	}
	run := before[0].ID
	joins := joinsOf(t, s, run)
	want := []desk.Join{{Run: run, Kind: training.Time, FromPart: "slurm_job 1", ToPart: "slurm_job 2", FromLabel: "1", ToLabel: "2", AtNS: at(11 * hourS),
		Gap: 3600e9, Verdict: training.Open, Evidence: []training.Evidence{
			{Name: "soon", Bits: 4, Detail: "after 1 h 0 min"}, {Name: "hosts", Bits: 4, Detail: "16 of 16 hosts the same"},
			{Name: "shape", Bits: 3, Detail: "128 and 128 devices"}, {Name: "accelerator", Bits: 1, Detail: "all on H100"}}, Bits: 12}}
	if diff := cmp.Diff(want, joins, cmpopts.IgnoreFields(desk.Join{}, "ID", "Weights")); diff != "" {
		t.Fatalf("joins (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(joins[0].Weights, "joins 2 ") {
		t.Errorf("weights %q", joins[0].Weights)
	}

	decide(t, s, d, joins[0].ID, training.Apart)
	cut := runsOf(t, s, "t1")
	if len(cut) != 2 || cut[0].Figure.Empirical.Best != 16*8*10*19*hourS || cut[1].ID != run || cut[1].Figure.Empirical.Best != 16*8*10*10*hourS {
		t.Fatalf("after the split: %+v", cut)
	}
	total := cut[0].Figure.Empirical.Add(cut[1].Figure.Empirical)
	if total != before[0].Figure.Empirical {
		t.Errorf("the split changed the total from %v to %v", before[0].Figure.Empirical, total)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("%s split %s %d", cut[0].ID, run, 16*8*10*19*hourS), fmt.Sprintf("%s begun  %d", run, 16*8*10*29*hourS)}, historyOf(t, s, run)); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	// What stands holds for a new deriver too, and saying it again adds nothing.
	derive(t, NewDeriver(s, nil, atNoon))
	decide(t, s, d, joins[0].ID, training.Apart)
	if diff := cmp.Diff(cut, runsOf(t, s, "t1")); diff != "" {
		t.Errorf("a new deriver (-followed +new):\n%s", diff)
	}

	decide(t, s, d, joins[0].ID, training.Open)
	if diff := cmp.Diff(before, runsOf(t, s, "t1")); diff != "" {
		t.Errorf("undone and redone, runs (-before +after):\n%s", diff)
	}
	joins[0].Reason, joins[0].By = "looked at the logs", "usr_ana"
	if diff := cmp.Diff(joins, joinsOf(t, s, run)); diff != "" {
		t.Errorf("undone and redone, joins (-before +after):\n%s", diff)
	}
	if h := historyOf(t, s, run); len(h) != 3 || h[0] != fmt.Sprintf("%s merged %s %d", cut[0].ID, run, 16*8*10*19*hourS) {
		t.Errorf("history %q", h)
	}
	decide(t, s, d, joins[0].ID, training.Together)
	if j := joinsOf(t, s, run); j[0].Verdict != training.Together || j[0].By != "usr_ana" {
		t.Errorf("confirmed: %+v", j)
	}
	if c := checkAudit(t, s); !c.Intact {
		t.Errorf("audit log: %+v", c)
	}
	actions := []string{}
	for _, e := range must(t, func(ctx context.Context) ([]desk.AuditEntry, error) {
		return NewReader(s, "", false).AuditEntries(ctx, 0, 0)
	}) {
		if e.Object.Kind == "join_decision" {
			actions = append(actions, e.Action+" "+e.Object.ID+" "+e.Reason)
		}
	}
	said := joins[0].ID + " looked at the logs"
	if diff := cmp.Diff([]string{"join.together " + said, "join.open " + said, "join.apart " + said}, actions); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
	for _, query := range []string{"UPDATE join_decision SET verdict = 'open'", "DELETE FROM join_decision", "UPDATE run_change SET act = 'begun'", "DELETE FROM run_change"} {
		if _, err := s.db.Exec(query); err == nil {
			t.Errorf("%s went through", query)
		}
	}
}

func TestRunsAreJoinedByPeople(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, nil, atNoon)
	// Two jobs of one size and length are a repetition by the evidence.
	count(t, s, []Follower{d}, worked("a", 1, "t1", "1", 0, 10*hourS), worked("a", 2, "t1", "2", 11*hourS, 21*hourS), worked("a", 3, "t2", "3", 22*hourS, 30*hourS))
	derive(t, d)
	apart, others := runsOf(t, s, "t1"), runsOf(t, s, "t2")
	if len(apart) != 2 || len(others) != 1 {
		t.Fatalf("runs %+v %+v", apart, others)
	}
	for _, c := range []struct {
		a, b string
		want error
	}{{apart[0].ID, apart[0].ID, ErrSameRun}, {apart[0].ID, others[0].ID, ErrTwoTenants}, {apart[0].ID, "run_none", ErrNoRun}} {
		if _, err := s.JoinRuns(t.Context(), c.a, c.b, "usr_ana", "", noon); !errors.Is(err, c.want) {
			t.Errorf("join %s and %s: %v, want %v", c.a, c.b, err, c.want)
		}
	}
	if _, err := s.DecideJoin(t.Context(), "jon_none", training.Apart, "usr_ana", "", noon); !errors.Is(err, ErrNoJoin) {
		t.Errorf("a join that is none: %v", err)
	}
	if _, err := NewReader(s, "", false).RunJoins(t.Context(), "run_none"); !errors.Is(err, ErrNoRun) {
		t.Errorf("joins of a run that is none: %v", err)
	}
	said, err := s.JoinRuns(t.Context(), apart[0].ID, apart[1].ID, "usr_ana", "one checkpoint", noon)
	if err != nil {
		t.Fatal(err)
	}
	d.JoinsChanged(said.Tenant)
	derive(t, d)
	if joined := runsOf(t, s, "t1"); len(joined) != 1 || joined[0].Figure.Empirical.Best != 8*10*20*hourS {
		t.Fatalf("joined by a person: %+v", joined)
	}
	// A decision stands against another that would go round it.
	decide(t, s, d, said.ID, training.Apart)
	if got := runsOf(t, s, "t1"); len(got) != 2 {
		t.Errorf("taken apart again: %+v", got)
	}
	if all := must(t, func(ctx context.Context) ([]JoinDecision, error) {
		return NewReader(s, "", false).JoinDecisions(ctx, 0)
	}); len(all) != 2 || all[0].Verdict != training.Apart {
		t.Errorf("decisions %+v", all)
	}
}

// What lies further apart than a join may reach is two stretches, whatever the
// workload is called.
func TestPausesCutAWorkload(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, nil, atNoon)
	machine := func(seq uint64, from, to int) *ledger.Batch {
		b := worked("a", seq, "t1", "x", from, to)
		for i := range b.Windows {
			b.Windows[i].Entries[0].Workload = measure.Workload{Kind: measure.KindVM, ID: "vm"}
		}
		return b
	}
	count(t, s, []Follower{d}, machine(1, 0, 10*hourS), machine(2, 12*hourS, 20*hourS), machine(3, 120*hourS, 130*hourS))
	derive(t, d)
	got := runsOf(t, s, "t1")
	if len(got) != 2 || got[0].Figure.Empirical.Best != 8*10*18*hourS || got[1].StartNS != at(120*hourS) || got[1].Figure.Empirical.Best != 8*10*10*hourS {
		t.Errorf("runs %+v", got)
	}
}

// The last work of a tenant that then does nothing is looked at again when the
// fleet is known past its end.
func TestEndedIsLookedAtAgain(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, nil, atNoon)
	all := restarted()
	for i := range 16 { // as long as the first: a repetition
		all[16+i] = worked(fmt.Sprintf("r%02d", i), 2, "t1", "2", 11*hourS, 21*hourS)
	}
	count(t, s, []Follower{d}, all[:32]...)
	derive(t, d)
	if got := runsOf(t, s, "t1"); len(got) != 1 {
		t.Fatalf("while it may go on: %+v", got)
	}
	count(t, s, []Follower{d}, all[32])
	derive(t, d)
	if got := runsOf(t, s, "t1"); len(got) != 2 {
		t.Errorf("when it has ended: %+v", got)
	}
}
