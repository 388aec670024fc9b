package lab_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// lines is a pack with a line on runs, one on customers and one on a window.
func lines(t testing.TB, run, customer, window string) *policy.Pack {
	t.Helper()
	p, err := policy.Read("lines.yaml", []byte(strings.NewReplacer("RUN", run, "CUSTOMER", customer, "WINDOW", window).Replace(`id: lines
version: 1
title: Lines
effective: always
citation: made up
status: internal
active: true
rules:
  - {id: run, title: A run, citation: line 1, measure: run_operations, threshold: "RUN", warn_percent: [50, 80], applies_to: [foreign, undetermined], and: [{measure: training_percent, at_least: "50"}]}
  - {id: customer, title: A customer, citation: line 2, measure: customer_operations, threshold: "CUSTOMER", warn_percent: [95], applies_to: [foreign, undetermined]}
  - {id: window, title: A month, citation: line 3, measure: customer_operations, window_days: 7, threshold: "WINDOW", applies_to: [foreign, undetermined]}
`)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func histories() *rapid.Generator[*lab.History] {
	return rapid.Custom(func(t *rapid.T) *lab.History {
		h := &lab.History{FirstDay: "2026-01-01", Days: 30, Identity: "as known now"}
		for i := range rapid.IntRange(0, 6).Draw(t, "customers") {
			c := lab.Customer{ID: fmt.Sprintf("cus_%d", i), Country: rapid.SampledFrom([]string{"US", "SG"}).Draw(t, "country"),
				Status: rapid.SampledFrom([]party.ForeignStatus{party.Foreign, party.US, party.Undetermined, ""}).Draw(t, "status")}
			for j := range rapid.IntRange(0, 4).Draw(t, "runs") {
				r := lab.Run{ID: fmt.Sprintf("run_%d_%d", i, j)}
				if rapid.Bool().Draw(t, "class") {
					r.Facts = policy.Facts{{Measure: policy.TrainingPercent}: policy.Exactly(rapid.Int64Range(0, 100).Draw(t, "percent"))}
				}
				for day := range h.Days {
					if n := rapid.IntRange(0, 9).Draw(t, "operations"); n > 6 {
						b := compute.Operations(n) * 10
						r.Days = append(r.Days, lab.Day{Day: day, Operations: compute.Bounds{Low: b / 2, Best: b, High: b * 2}})
					}
				}
				c.Runs = append(c.Runs, r)
			}
			h.Customers = append(h.Customers, c)
		}
		return h
	})
}

func pin(t testing.TB, h *lab.History) *lab.Snapshot {
	t.Helper()
	s, err := lab.Pin(h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// live evaluates every subject at the end of every day, as a collector does, and
// notes when a finding is new.
func live(p *policy.Pack, h *lab.History) []lab.Reached {
	var out []lab.Reached
	for _, c := range h.Customers {
		found := map[string]bool{}
		note := func(s policy.Subject, day int) {
			for _, f := range policy.Evaluate(p, s) {
				if !found[f.ID] {
					found[f.ID] = true
					out = append(out, lab.Reached{Customer: c.ID, Country: c.Country, Reseller: c.Reseller, Subject: s.ID, Rule: f.Rule, Level: f.Level, Day: day})
				}
			}
		}
		for day := range h.Days {
			var all, week compute.Bounds
			for _, r := range c.Runs {
				var sum compute.Bounds
				for _, d := range r.Days {
					if d.Day <= day {
						sum = sum.Add(d.Operations)
						if d.Day > day-7 {
							week = week.Add(d.Operations)
						}
					}
				}
				all = all.Add(sum)
				note(policy.Subject{Measure: policy.RunOperations, ID: r.ID, Status: c.Status, Operations: sum, Facts: r.Facts}, day)
			}
			note(policy.Subject{Measure: policy.CustomerOperations, ID: c.ID, Status: c.Status, Operations: all, Facts: policy.Facts{
				{Measure: policy.CustomerOperations, WindowDays: 7}: {Low: int64(week.Low), Best: int64(week.Best), High: int64(week.High)}}}, day)
		}
	}
	return out
}

func sorted(all []lab.Reached) []string {
	var out []string
	for _, r := range all {
		out = append(out, fmt.Sprint(r))
	}
	slices.Sort(out)
	return out
}

// Replay finds what live evaluation finds, on the same days.
func TestReplayIsLive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := histories().Draw(rt, "history")
		p := lines(t, "3e11", "6e11", "3e11")
		got, err := lab.Simulate(t.Context(), p, pin(t, h), nil)
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(sorted(live(p, h)), sorted(got.Reached)); d != "" {
			rt.Errorf("live and replay (-live +replay):\n%s", d)
		}
	})
}

// A diff is exactly what separates two results: applied to one it gives the other.
func TestDiffPredicts(t *testing.T) {
	thresholds := rapid.SampledFrom([]string{"1e11", "2e11", "3e11", "6e11", "1e12"})
	rapid.Check(t, func(rt *rapid.T) {
		h := histories().Draw(rt, "history")
		draw := func() *lab.Result {
			r, err := lab.Simulate(t.Context(), lines(t, thresholds.Draw(rt, "run"), thresholds.Draw(rt, "customer"), thresholds.Draw(rt, "window")), pin(t, h), nil)
			if err != nil {
				rt.Fatal(err)
			}
			return r
		}
		before, after := draw(), draw()
		levels := func(r *lab.Result) map[string]string {
			out := map[string]string{}
			for _, c := range lab.Diff(&lab.Result{}, r) {
				if c.Kind != lab.Appears {
					rt.Fatalf("%+v of nothing", c)
				}
				out[c.Subject+" "+c.Rule] = c.After
			}
			return out
		}
		predicted := levels(before)
		for _, c := range lab.Diff(before, after) {
			key := c.Subject + " " + c.Rule
			if predicted[key] != c.Before {
				rt.Fatalf("%+v, it was %q", c, predicted[key])
			}
			if predicted[key] = c.After; c.After == "" {
				delete(predicted, key)
			}
		}
		if d := cmp.Diff(levels(after), predicted); d != "" {
			rt.Errorf("predicted and found (-found +predicted):\n%s", d)
		}
		if same := lab.Diff(after, after); len(same) != 0 {
			rt.Errorf("a result differs from itself: %v", same)
		}
	})
}

func TestDigestIsOfTheInputs(t *testing.T) {
	h := generate(50, 200, 60)
	p := lines(t, "1e24", "1e25", "1e24")
	digest := func(p *policy.Pack, h *lab.History) string {
		r, err := lab.Simulate(t.Context(), p, pin(t, h), nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := digest(p, h)
	if got := digest(lines(t, "1e24", "1e25", "1e24"), generate(50, 200, 60)); got != want {
		t.Error("the same inputs have another digest")
	}
	// Golden: another machine must say the same.
	if golden := "b379c9c6a802e89df4e2ff2ee91fcdc94a1bca952499b9e3943d66c09965c114"; want != golden {
		t.Errorf("digest %s, want %s", want, golden)
	}
	changed := generate(50, 200, 60)
	changed.Customers[7].Runs[0].Days[3].Operations.Low--
	if digest(p, changed) == want {
		t.Error("another history has the same digest")
	}
	if digest(lines(t, "1e24", "1e25", "2e24"), h) == want {
		t.Error("another pack has the same digest")
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	told := 0
	_, err := lab.Simulate(ctx, lines(t, "1e24", "1e25", "1e24"), pin(t, generate(5000, 5000, 2)), func(done, of int) {
		if told++; of != 5000 || done > of {
			t.Errorf("%d of %d", done, of)
		}
		if done >= 2000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || told != 3 {
		t.Errorf("told %d times, %v", told, err)
	}
}

// generate makes a history with so many customers, runs and days, the same each time.
func generate(customers, runs, days int) *lab.History {
	random := rand.New(rand.NewPCG(7, uint64(customers)))
	h := &lab.History{FirstDay: "2026-01-01", Days: days, Identity: "as known now", Customers: make([]lab.Customer, customers)}
	for i := range h.Customers {
		h.Customers[i] = lab.Customer{ID: fmt.Sprintf("cus_%06d", i), Country: []string{"US", "SG", "DE", "AE"}[random.IntN(4)],
			Status: []party.ForeignStatus{party.Foreign, party.US, party.Undetermined}[random.IntN(3)]}
	}
	for i := range runs {
		c := &h.Customers[i%customers]
		r := lab.Run{ID: fmt.Sprintf("run_%07d", i), Facts: policy.Facts{{Measure: policy.TrainingPercent}: policy.Exactly(int64(random.IntN(101)))}}
		size := compute.Operations(1) << random.IntN(48) // from a GPU-second to a large cluster
		from := random.IntN(days)
		for day := from; day < min(days, from+1+random.IntN(60)); day++ {
			best := size + compute.Operations(random.Int64N(int64(size)+1))
			r.Days = append(r.Days, lab.Day{Day: day, Operations: compute.Bounds{Low: best / 2, Best: best, High: best + best/2}})
		}
		c.Runs = append(c.Runs, r)
	}
	return h
}

// A year of 100,000 runs of 10,000 customers, and less.
func BenchmarkSimulateYear(b *testing.B) {
	for _, customers := range []int{1_000, 10_000, 100_000} {
		h := generate(customers, 10*customers, 365)
		p := lines(b, "1e22", "1e23", "1e22")
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			for b.Loop() {
				if _, err := lab.Simulate(b.Context(), p, pin(b, h), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A threshold in 50 steps over the same year.
func BenchmarkCurve(b *testing.B) {
	snapshot := pin(b, generate(10_000, 100_000, 365))
	packs := steps(b, 50)
	for b.Loop() {
		if _, err := lab.Curve(b.Context(), packs, snapshot, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// steps is a pack with its thresholds moved from 1e22 on.
func steps(t testing.TB, n int) []*policy.Pack {
	var packs []*policy.Pack
	for i := range n {
		packs = append(packs, lines(t, fmt.Sprintf("%de21", 10+i), fmt.Sprintf("%de22", 10+i), fmt.Sprintf("%de21", 10+i)))
	}
	return packs
}

// A curve is the simulations of its packs, in their order, and a higher line
// never finds more crossings.
func TestCurve(t *testing.T) {
	snapshot := pin(t, generate(300, 3000, 200))
	packs := steps(t, 9)
	told := 0
	got, err := lab.Curve(t.Context(), packs, snapshot, func(done, of int) {
		if told++; done != told || of != len(packs) {
			t.Errorf("%d of %d", done, of)
		}
	})
	if err != nil || told != len(packs) {
		t.Fatalf("told %d times, %v", told, err)
	}
	for i, p := range packs {
		alone, err := lab.Simulate(t.Context(), p, snapshot, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(alone, got[i]); d != "" {
			t.Errorf("step %d (-alone +curve):\n%s", i, d)
		}
		if i > 0 && len(lab.Crossings(got[i])) > len(lab.Crossings(got[i-1])) {
			t.Errorf("step %d finds more than the step below it", i)
		}
	}
	if len(lab.Crossings(got[0])) == 0 {
		t.Error("nothing crosses, so this test shows nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lab.Curve(ctx, packs, snapshot, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
