package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// moved is a pack of every kind of rule, with its lines where the test wants them.
func moved(version int, run, customer, window string) string {
	return fmt.Sprintf(`id: moved
version: %d
title: Lines
effective: always
citation: made up
status: internal
active: true
clocks:
  - {id: report, title: Report, citation: line 9, basis: earlier, days: 15, zone: America/New_York}
rules:
  - {id: run, title: A run, citation: line 1, measure: run_operations, threshold: "%s", warn_percent: [50, 80], applies_to: [foreign, undetermined], clock: report}
  - {id: customer, title: A customer, citation: line 2, measure: customer_operations, threshold: "%s", bound: low, applies_to: [foreign, us, undetermined], clock: report}
  - {id: window, title: A week, citation: line 3, measure: customer_operations, window_days: 7, threshold: "%s", bound: high, warn_percent: [50], applies_to: [foreign, undetermined]}
  - {id: projected, title: Soon, citation: line 4, measure: projected_operations, subject: customer, window_days: 30, threshold: "%s", applies_to: [foreign, undetermined]}
  - {id: devices, title: A new account, citation: line 5, measure: device_count, subject: customer, threshold: "2", and: [{measure: account_age_days, at_most: "2"}], applies_to: [foreign, undetermined]}
`, version, run, customer, window, customer)
}

func readMoved(t testing.TB, text string) *policy.Pack {
	t.Helper()
	p, err := policy.Read("moved.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// approved puts a pack in force at an instant, by two people.
func approved(t testing.TB, s *Store, text string, at time.Time) draft.Policy {
	t.Helper()
	p := readMoved(t, text)
	ctx := audit.With(t.Context(), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "usr_ana"}})
	made, err := s.CreatePolicy(ctx, draft.Text{Kind: draft.Pack, Name: p.ID, Number: p.Version, Text: text, Digest: sha256.Sum256([]byte(text))})
	act := func(f func(draft.Policy) (draft.Policy, error)) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		made, err = s.ActOnPolicy(ctx, made.ID, 0, "act", "", func(p draft.Policy, _ []draft.Policy, _ time.Time) (draft.Policy, error) { return f(p) })
	}
	act(func(p draft.Policy) (draft.Policy, error) {
		return p.Simulate(draft.Simulation{ID: "sim_x", Pinned: at})
	})
	act(func(p draft.Policy) (draft.Policy, error) { return p.Propose("usr_ana", "because", at, at, 0) })
	act(func(p draft.Policy) (draft.Policy, error) {
		return p.Approve(approval.Approver{ID: "usr_ben", SignedIn: at}, p.Proposal.Digest, at)
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// levelsMoved are findings as one compares them.
func levelsMoved(t testing.TB, s *Store, only func(policy string) bool) []string {
	t.Helper()
	out := []string{}
	for _, f := range findings(t, s) {
		if f.Pack == "moved" && only(f.Policy) {
			out = append(out, f.Subject+" "+f.Rule+" "+f.Level)
		}
	}
	slices.Sort(out)
	return out
}

func everything(string) bool { return true }

// replayed is what a pack finds in the history of the store.
func replayed(t testing.TB, s *Store, p *policy.Pack) []string {
	t.Helper()
	h, err := s.History(t.Context(), HistoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := lab.Pin(h)
	if err != nil {
		t.Fatal(err)
	}
	r, err := lab.Simulate(t.Context(), p, snapshot, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, x := range r.Reached {
		out = append(out, x.Subject+" "+x.Rule+" "+x.Level)
	}
	slices.Sort(out)
	return out
}

// daysOfWork draws twelve days of three tenants: an hour of work on most of them.
// A segment does not go on over midnight, so that what was done by day does not
// depend on when one looks.
func daysOfWork(rt *rapid.T) [][]measure.Window {
	var days [][]measure.Window
	for day := range 12 {
		var windows []measure.Window
		for i, tenant := range []measure.TenantID{"t1", "t2", "t3"} {
			if day%2 == 1 && rapid.Bool().Draw(rt, "idle") {
				continue
			}
			from := day*86400 + rapid.IntRange(0, 22).Draw(rt, "hour")*3600
			best := compute.Operations(rapid.IntRange(0, 100).Draw(rt, "best"))
			w := measure.Workload{Kind: measure.KindSlurmJob, ID: string(tenant)}
			for n := range rapid.IntRange(1, 2).Draw(rt, "devices") {
				e := entry(measure.Attributed, tenant, w, measure.GPM, 3600, compute.Bounds{Low: best / 2, Best: best, High: 2 * best}, 1_000_000)
				e.Method.Version = day + 1
				windows = append(windows, window(measure.DeviceID(fmt.Sprintf("d%d", 2*i+n)), from, from+3600, e))
			}
		}
		slices.SortStableFunc(windows, func(a, b measure.Window) int { return cmp.Compare(a.StartNS, b.StartNS) })
		days = append(days, windows)
	}
	return days
}

// lived is a store in which a fleet worked while a pack was in force and looked
// at now and then.
func lived(t *testing.T, seed int) (*Store, *Deriver, *policy.Pack) {
	t.Helper()
	s := open(t, t.TempDir())
	now := noon
	s.opts.Now = func() time.Time { return now }
	put(t, s, party.Customer{ID: "cus_f", Name: "Far", Country: "SG", Status: party.Foreign, Tenants: []measure.TenantID{"t1", "t2"}})
	p := readMoved(t, moved(1, "3e11", "6e11", "3e11"))
	d := NewDeriver(s, []*policy.Pack{p}, s.opts.Now)
	var devices []ledger.Device
	for n := range 6 {
		devices = append(devices, gpu(measure.DeviceID(fmt.Sprintf("d%d", n)), "H100"))
	}
	days := rapid.Custom(daysOfWork).Example(seed)
	for i, windows := range days {
		if len(windows) == 0 {
			continue
		}
		count(t, s, []Follower{d}, reports("hosta", "alpha", uint64(i+1), devices, windows...))
		if (seed+i)%3 != 0 {
			derive(t, d)
		}
	}
	derive(t, d)
	return s, d, p
}

// Live evaluation, whenever it looked, found what the same evaluator finds in the
// history of the store: run, customer by another bound, week, projection, devices
// and age of an account.
func TestReplayOfTheStoreIsLive(t *testing.T) {
	some := 0
	for seed := range 8 {
		s, _, p := lived(t, seed)
		live := levelsMoved(t, s, everything)
		if d := gocmp.Diff(live, replayed(t, s, p)); d != "" {
			t.Errorf("seed %d (-live +replay):\n%s", seed, d)
		}
		some += len(live)
	}
	if some < 50 {
		t.Errorf("%d findings of 8 fleets: this test shows little", some)
	}
}

// Moving lines up and down finds exactly what was predicted, closes nothing, and
// what is found counts as known since the policy came into force.
func TestLookbackIsPredicted(t *testing.T) {
	for seed := range 4 {
		s, d, _ := lived(t, seed)
		now := noon
		s.opts.Now = func() time.Time { return now }
		d.now = s.opts.Now
		r := NewReader(s, "", false)
		cases := len(must(t, r.Cases))
		total := 0
		for i, lines := range [][3]string{{"9e12", "9e12", "9e12"}, {"1e11", "3e11", "2e11"}, {"3e11", "6e11", "3e11"}, {"1e9", "1e9", "1e9"}} {
			now = now.Add(24 * time.Hour)
			text := moved(i+2, lines[0], lines[1], lines[2])
			next := readMoved(t, text)
			before := levelsMoved(t, s, everything)
			predicted := predict(t, s, next, now)
			p := approved(t, s, text, now)
			derive(t, d)
			derive(t, d)
			got := levelsMoved(t, s, func(policy string) bool { return policy == p.ID })
			if d := gocmp.Diff(predicted, got); d != "" {
				t.Errorf("seed %d, move %d (-predicted +found):\n%s", seed, i, d)
			}
			if after := levelsMoved(t, s, everything); len(after) != len(before)+len(got) {
				t.Errorf("seed %d, move %d: %d findings were there, %d are", seed, i, len(before), len(after))
			}
			for _, f := range findings(t, s) {
				if f.Policy == p.ID && (f.KnownNS != now.UnixNano() || f.OccurredNS > now.UnixNano() || f.PackVersion != i+2) {
					t.Errorf("finding %+v", f)
				}
			}
			looked, ok, err := s.Lookback(t.Context(), p.ID)
			if err != nil || !ok || len(looked.Findings) != len(predicted) {
				t.Errorf("looked back: %v, %v, %v", looked, ok, err)
			}
			if n := len(must(t, r.Cases)); n < cases {
				t.Errorf("%d cases of %d are left", n, cases)
			} else {
				cases = n
			}
			total += len(got)
			if i == 0 && len(got) > 0 {
				t.Errorf("raising the lines found %v", got)
			}
		}
		if total == 0 {
			t.Errorf("seed %d: lowering the lines found nothing", seed)
		}
		if check := must(t, func(ctx context.Context) ([]string, error) {
			c, err := r.CheckAudit(ctx)
			return slices.DeleteFunc(c.Problems, func(p string) bool { return !containsPolicy(p) }), err
		}); len(check) > 0 {
			t.Errorf("audit: %v", check)
		}
	}
}

func containsPolicy(problem string) bool {
	for _, kind := range []string{"policy", "simulation"} {
		if len(problem) >= len(kind) && problem[:len(kind)] == kind {
			return true
		}
	}
	return false
}

// predict is what a simulation says that looking back will find.
func predict(t testing.TB, s *Store, next *policy.Pack, from time.Time) []string {
	t.Helper()
	h, err := s.History(t.Context(), HistoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := lab.Pin(h)
	if err != nil {
		t.Fatal(err)
	}
	after, err := lab.Simulate(t.Context(), next, snapshot, nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := lab.Reported(lab.Inputs{After: next, Snapshot: snapshot, From: from, Zone: time.LoadLocation}, lab.None(snapshot), after, after)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, x := range report.Findings {
		out = append(out, x.Subject+" "+x.Rule+" "+x.Level)
	}
	slices.Sort(out)
	return out
}

// A policy that is approved for later decides from then on, with nobody there.
func TestScheduledPolicy(t *testing.T) {
	s, d, _ := lived(t, 1)
	now := noon
	s.opts.Now = func() time.Time { return now }
	d.now = s.opts.Now
	p := approved(t, s, moved(2, "1e9", "1e9", "1e9"), noon.Add(time.Hour))
	derive(t, d)
	if got := levelsMoved(t, s, func(policy string) bool { return policy == p.ID }); len(got) != 0 {
		t.Errorf("found before its time: %v", got)
	}
	now = noon.Add(time.Hour)
	derive(t, d)
	if got := levelsMoved(t, s, func(policy string) bool { return policy == p.ID }); len(got) == 0 {
		t.Error("found nothing when its time came")
	}
	if again := NewDeriver(s, nil, s.opts.Now); again.Derive(t.Context()) != nil {
		t.Error("a new deriver")
	}
}
