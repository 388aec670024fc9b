package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// A job runs for 100 s at 300 a second, on a device that can do 2,000. The first
// 10 s belong to another that shares the device.
func TestSpanCutsSegments(t *testing.T) {
	s := open(t, t.TempDir())
	other := measure.Workload{Kind: measure.KindSlurmJob, ID: "8"}
	count(t, s, nil, reports("h", "h", 1, []ledger.Device{gpu("d", "H100")},
		window("d", 0, 10,
			entry(measure.Attributed, "t1", job, measure.GPM, 4, compute.Bounds{Low: 400, Best: 1_200, High: 8_000}, 4_000),
			entry(measure.Attributed, "t2", other, measure.Allocation, 6, compute.Bounds{Best: 600, High: 12_000}, 6_000)),
		window("d", 10, 100, entry(measure.Attributed, "t1", job, measure.GPM, 90, compute.Bounds{Low: 19_600, Best: 28_800, High: 52_000}, 90_000))))
	r := NewReader(s, "", false)
	for name, c := range map[string]struct {
		from, to int64
		want     desk.Totals
	}{
		// 94 s of the first job lie over 100 s: a half of them is 47 s, and the
		// device has 50 s in the span, which nothing else fills. Low: 20,000, of
		// which 100,000 fit outside. High: 60,000, of which all fit inside.
		"the second half": {at(50), at(100), desk.Totals{
			FromNS: at(50), ToNS: at(100), Elapsed: secondsOf(50), Attributed: secondsOf(50), Devices: 1, Hosts: 1, Segments: 1, Windows: 2,
			Figure: desk.Figure{Empirical: compute.Bounds{Best: 15_957, High: 60_000}, Ceiling: 50_000, DeviceTime: secondsOf(50), Coverage: 1, Methods: []measure.MethodName{measure.GPM}},
		}},
		// The last 95 s: 5 s outside hold at most 10,000 of the low 20,000. By time
		// they are 89.3 and 3 s, and 95 s are to be shared: 91.912 and 3.088 s.
		"all but the start": {at(5), 0, desk.Totals{
			FromNS: at(5), ToNS: at(100), Elapsed: secondsOf(95), Attributed: secondsOf(95), Devices: 1, Hosts: 1, Segments: 2, Windows: 2,
			Figure: desk.Figure{
				Empirical:   compute.Bounds{Low: 10_000, Best: 29_333, High: 60_000},
				Theoretical: compute.Bounds{Best: 308, High: 10_000}, // 5 s at 2,000
				Ceiling:     91_912 + 3_087, DeviceTime: secondsOf(95), Coverage: 1, Methods: []measure.MethodName{measure.Allocation, measure.GPM},
			},
		}},
		"a second": {at(70), at(71), desk.Totals{
			FromNS: at(70), ToNS: at(71), Elapsed: secondsOf(1), Attributed: secondsOf(1), Devices: 1, Hosts: 1, Segments: 1, Windows: 2,
			Figure: desk.Figure{Empirical: compute.Bounds{Best: 319, High: 2_000}, Ceiling: 1_000, DeviceTime: secondsOf(1), Coverage: 1, Methods: []measure.MethodName{measure.GPM}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Totals(t.Context(), c.from, c.to)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(desk.Totals{}, "Evidence")); d != "" {
				t.Errorf("totals (-want +got):\n%s", d)
			}
		})
	}
}

// history keeps a made-up history and returns what its ledger wrote.
func history(t *testing.T, rt *rapid.T, dir string) (*Store, ledger.Changes) {
	s, err := openOn(t, filepath.Join(dir, "flopwatch.db"), Options{})
	if err != nil {
		rt.Fatal(err)
	}
	steps := ledgertest.History(rapid.IntRange(1, 40).Draw(rt, "windows"), func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "n") })
	book := ledger.New()
	for _, b := range ledgertest.Batches(steps, func() bool { return false }) {
		if err := book.Apply(b); err != nil {
			rt.Fatal(err)
		}
	}
	changes := book.Take()
	if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: changes}); err != nil {
		rt.Fatal(err)
	}
	return s, changes
}

// Invariant I1 holds for any interval, and the bounds of its parts hold those
// of the whole.
func TestAnySpanBalances(t *testing.T) {
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		if run++; run > 60 {
			return // each opens a database
		}
		s, wrote := history(t, rt, filepath.Join(dir, fmt.Sprint(run)))
		accounts := wrote.Accounts
		defer func() {
			if err := s.Close(); err != nil {
				rt.Error(err)
			}
		}()
		first, last := accounts[0].FirstNS, accounts[0].LastNS
		for _, a := range accounts {
			first, last = min(first, a.FirstNS), max(last, a.LastNS)
		}
		r := NewReader(s, "", false)
		read := func(from, to int64) desk.Totals {
			got, err := r.Totals(t.Context(), from, to)
			if err != nil {
				rt.Fatal(err)
			}
			elapsed := int64(0)
			for _, a := range accounts {
				elapsed += max(0, min(a.LastNS, to)-max(a.FirstNS, from))
			}
			// Each of the four states is cut to whole milliseconds.
			if missing := elapsed/1e6 - int64(got.Elapsed); missing < 0 || missing > 4 {
				rt.Errorf("%d ms elapsed from %d to %d, the desk shows %d", elapsed/1e6, from, to, got.Elapsed)
			}
			if got.Attributed+got.Idle+got.Unattributed+got.Unobserved != got.Elapsed {
				rt.Errorf("from %d to %d does not balance: %+v", from, to, got)
			}
			if !got.Figure.Empirical.Valid() || !got.Figure.Theoretical.Valid() || !got.Unseen.Valid() {
				rt.Errorf("bounds are out of order: %+v", got)
			}
			return got
		}
		whole := read(first, last)
		// Where a segment starts, one without length may lie beside it.
		starts := []int64{first}
		for _, c := range wrote.Opened {
			if c.StartNS < last {
				starts = append(starts, c.StartNS)
			}
		}
		cut := rapid.OneOf(rapid.Int64Range(first, last-1), rapid.SampledFrom(starts)).Draw(rt, "cut")
		if cut == first {
			return
		}
		a, b := read(first, cut), read(cut, last)
		for name, of := range map[string]func(desk.Totals) compute.Bounds{
			"measured": func(t desk.Totals) compute.Bounds { return t.Figure.Empirical },
			"unseen":   func(t desk.Totals) compute.Bounds { return t.Unseen },
		} {
			parts := of(a).Add(of(b))
			if parts.Low > of(whole).Low || parts.High < of(whole).High {
				rt.Errorf("%s: %s and %s do not hold %s", name, of(a), of(b), of(whole))
			}
		}
	})
}

// A host may claim more than an int64 holds. Sums then stay at the end of it,
// and the desk still answers.
func TestSumsSaturate(t *testing.T) {
	s := open(t, t.TempDir())
	const devices = 100
	fastest := ledger.MaxRate
	var rows []ledger.Device
	var windows []measure.Window
	for i := range devices {
		id := measure.DeviceID(fmt.Sprintf("d%d", i))
		rows = append(rows, ledger.Device{Device: measure.Device{ID: id}, SKU: "X", Peak: fastest, Ceiling: fastest})
		held := time.Duration(began - 1) // since 1970
		all := fastest.Over(held, compute.Down)
		windows = append(windows, measure.Window{Device: id, StartNS: 1, EndNS: began, Entries: []measure.Entry{
			{State: measure.Attributed, Tenant: "t1", Workload: job, Method: measure.Method{Name: measure.GPM}, Duration: held, Operations: compute.Exactly(all), Ceiling: all, EnergyMJ: -1},
		}}, window(id, 1e9, 1e9+1, entry(measure.Idle, "", measure.Workload{}, measure.NoMethod, 1, compute.Bounds{}, 0)))
	}
	count(t, s, nil, reports("h", "h", 1, rows, windows...))
	derive(t, NewDeriver(s, lines(t), atNoon))
	r := NewReader(s, "", false)
	full := compute.Exactly(compute.MaxOperations)
	if got := must(t, r.Tenants)[0].Figure; got.Empirical != full || got.Ceiling != compute.MaxOperations {
		t.Errorf("tenant %+v", got)
	}
	if got := must(t, r.Check); !got.Balanced || got.Totals.Figure.Empirical != full || got.Totals.Unseen.High != compute.MaxOperations {
		t.Errorf("check %+v", got)
	}
	if got := must(t, r.Coverage)[0]; got.Hidden != compute.MaxOperations {
		t.Errorf("coverage %+v", got)
	}
	runs, err := r.Runs(t.Context(), desk.RunQuery{})
	if err != nil || len(runs) != 1 || runs[0].Figure.Empirical != full {
		t.Errorf("runs %+v: %v", runs, err)
	}
	put(t, s, alpha)
	if got := must(t, r.Customers); len(got) != 1 {
		t.Errorf("customers %+v", got)
	}
	if len(findings(t, s)) == 0 {
		t.Error("nothing was found")
	}
}

// Halves meet in what a sum without an end would be, or in the largest count.
func TestHalvesAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var halves sum
		want := compute.Operations(0)
		for _, n := range rapid.SliceOf(rapid.Custom(func(t *rapid.T) int64 {
			return rapid.Int64Min(0).Draw(t, "n") >> rapid.IntRange(0, 62).Draw(t, "shift")
		})).Draw(t, "counts") {
			halves.high, halves.low = halves.high+n>>32, halves.low+n&0xffffffff
			want = want.Add(compute.Operations(n))
		}
		if got := halves.operations(); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	})
}
