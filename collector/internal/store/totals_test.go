package store

import (
	"fmt"
	"path/filepath"
	"strings"
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

// whole is the account of the fleet, worked out by hand.
var whole = desk.Totals{
	FromNS: at(0), ToNS: at(60),
	Elapsed: secondsOf(95), Attributed: secondsOf(40), Idle: secondsOf(10), Unattributed: secondsOf(5), Unobserved: secondsOf(40), Overlap: secondsOf(5),
	Figure: desk.Figure{
		Empirical:   compute.Bounds{Low: 1_170, Best: 1_340, High: 1_510},
		Theoretical: compute.Bounds{Low: 0, Best: 1_000, High: 4_000},
		Ceiling:     80_000, DeviceTime: secondsOf(40), Coverage: 55.0 / 95,
		Methods: []measure.MethodName{measure.Allocation, measure.Cycles, measure.GPM},
	},
	// The gap: 30 s at the 1,320 in 20 s that the device did before, at most at
	// twice its peak. And the 10 s that the host says it did not see.
	Unseen:  compute.Bounds{Low: 0, Best: 1_980 + 50, High: 60_000 + 20_000},
	Devices: 3, Hosts: 2, Segments: 9, Windows: 7,
}

func TestTotals(t *testing.T) {
	_, r := counted(t)
	gap := desk.Totals{
		FromNS: at(20), ToNS: at(50), Elapsed: secondsOf(30), Unobserved: secondsOf(30), Unseen: compute.Bounds{Low: 0, Best: 1_980, High: 60_000},
		Devices: 1, Hosts: 1, Segments: 1, Windows: 3,
	}
	for name, c := range map[string]struct {
		from, to int64
		want     desk.Totals
	}{
		"all":       {0, 0, whole},
		"span":      {at(0), at(60), whole},
		"the gap":   {at(20), at(50), gap},
		"open from": {at(60), 0, desk.Totals{Figure: desk.Figure{Coverage: 1}}},
		"open to":   {0, at(0), desk.Totals{Figure: desk.Figure{Coverage: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Totals(t.Context(), c.from, c.to)
			if err != nil {
				t.Fatal(err)
			}
			// Nobody enrolled these hosts: what they observed they claim.
			c.want.Evidence = &desk.Evidence{Claimed: c.want.Elapsed - c.want.Unobserved}
			if d := cmp.Diff(c.want, got, cmpopts.EquateApprox(0, 1e-12), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("totals (-want +got):\n%s", d)
			}
		})
	}
}

func TestCheckBalances(t *testing.T) {
	_, r := counted(t)
	want := desk.Check{Balanced: true, Devices: 3, Totals: whole}
	if d := cmp.Diff(want, must(t, r.Check), cmpopts.EquateApprox(0, 1e-12)); d != "" {
		t.Errorf("check (-want +got):\n%s", d)
	}
}

// Invariant I1 as the desk sees it: whatever hosts report, the states add up to
// the time since each device was first seen.
func TestAnyHistoryBalances(t *testing.T) {
	dir, run := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		if run++; run > 20 {
			return // each opens a database
		}
		s, err := openOn(t, filepath.Join(dir, fmt.Sprint(run), "flopwatch.db"), Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				rt.Error(err)
			}
		}()
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
		got, err := NewReader(s, "", false).Check(t.Context())
		if err != nil || !got.Balanced || len(got.Problems) != 0 {
			rt.Fatalf("check %+v: %v", got, err)
		}
		var elapsed int64 // milliseconds; a history is far shorter than 292 years
		for _, a := range changes.Accounts {
			elapsed += a.Elapsed()
		}
		// Each of the four states is cut to whole milliseconds.
		if missing := elapsed/1e6 - int64(got.Totals.Elapsed); missing < 0 || missing > 4 {
			rt.Errorf("%d ms elapsed, the desk shows %d", elapsed/1e6, got.Totals.Elapsed)
		}
	})
}

func TestCheckNamesTheDevice(t *testing.T) {
	const a0 = "(SELECT no FROM device WHERE id = 'a0')"
	for name, tamper := range map[string]string{
		"time taken":      "UPDATE segment SET duration_ns = duration_ns - 1 WHERE id = (SELECT min(id) FROM segment WHERE device = " + a0 + ")",
		"segment deleted": "DELETE FROM segment WHERE id = (SELECT max(id) FROM segment WHERE device = " + a0 + ")",
		"before it began": "UPDATE segment SET start_ns = 1 WHERE id = (SELECT min(id) FROM segment WHERE device = " + a0 + ")",
		"after its end":   "UPDATE segment SET end_ns = end_ns + 3600000000000 WHERE id = (SELECT max(id) FROM segment WHERE device = " + a0 + ")",
	} {
		t.Run(name, func(t *testing.T) {
			s, r := counted(t)
			if _, err := s.db.Exec(tamper); err != nil {
				t.Fatal(err)
			}
			got := must(t, r.Check)
			if got.Balanced || got.Devices != 3 || len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "host hosta device a0:") {
				t.Errorf("check %+v", got)
			}
		})
	}
	t.Run("moved to another device", func(t *testing.T) {
		s, r := counted(t)
		if _, err := s.db.Exec("UPDATE segment SET device = (SELECT no FROM device WHERE id = 'b0') WHERE id = (SELECT max(id) FROM segment WHERE device = " + a0 + ")"); err != nil {
			t.Fatal(err)
		}
		if got := must(t, r.Check); got.Balanced || len(got.Problems) != 2 {
			t.Errorf("check %+v", got)
		}
	})
}

// Bounds that are out of order are refused by the database itself.
func TestBoundsStayInOrder(t *testing.T) {
	s, _ := counted(t)
	for _, set := range []string{"ops_low = ops_best + 1", "ops_high = ops_best - 1", "ops_low = -1", "duration_ns = -1", "end_ns = start_ns - 1", "state = 5"} {
		if _, err := s.db.Exec("UPDATE segment SET " + set); err == nil {
			t.Errorf("%s is taken", set)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	var devices []ledger.Device
	var windows []measure.Window
	for i := range maxProblems + 20 {
		id := measure.DeviceID(fmt.Sprintf("d%d", i))
		devices = append(devices, gpu(id, "H100"))
		windows = append(windows, window(id, 0, 10, entry(measure.Idle, "", measure.Workload{}, measure.NoMethod, 10, compute.Bounds{}, 0)))
	}
	count(t, s, nil, reports("h", "h", 1, devices, windows...))
	if _, err := s.db.Exec("UPDATE segment SET duration_ns = 1"); err != nil {
		t.Fatal(err)
	}
	if got := must(t, NewReader(s, "", false).Check); got.Balanced || len(got.Problems) != maxProblems {
		t.Errorf("%d problems, want %d; balanced %v", len(got.Problems), maxProblems, got.Balanced)
	}
}

// A year of 400 devices is more nanoseconds than an int64 holds.
func TestCenturiesDoNotOverflow(t *testing.T) {
	const devices, year = 400, 365 * 24 * 3600
	s := open(t, t.TempDir())
	var rows []ledger.Device
	var windows []measure.Window
	for i := range devices {
		id := measure.DeviceID(fmt.Sprintf("d%d", i))
		rows = append(rows, gpu(id, "H100"))
		windows = append(windows,
			window(id, 0, year, entry(measure.Attributed, "t1", job, measure.GPM, year, compute.Exactly(year*500), year*1000)),
			window(id, 2*year, 2*year+1, entry(measure.Idle, "", measure.Workload{}, measure.NoMethod, 1, compute.Bounds{}, 0)))
	}
	count(t, s, nil, reports("h", "h", 1, rows, windows...))
	if err := NewDeriver(s, nil, time.Now).Derive(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := NewReader(s, "", false)
	const ms = desk.DeviceTime(devices * year * 1000)
	check := must(t, r.Check)
	got := check.Totals
	if !check.Balanced || got.Attributed != ms || got.Unobserved != ms || got.Idle != devices*1000 || got.Elapsed != 2*ms+devices*1000 || got.Figure.DeviceTime != ms {
		t.Errorf("check %+v", check)
	}
	if want := compute.Exactly(devices * year * 500); got.Figure.Empirical != want {
		t.Errorf("operations %s, want %s", got.Figure.Empirical, want)
	}
	if c := must(t, r.Coverage)[0]; c.Elapsed != 2*ms+devices*1000 || c.Unobserved != ms || c.Coverage < 0.5 || c.Coverage > 0.5001 {
		t.Errorf("coverage %+v", c)
	}
	if tenant := must(t, r.Tenants)[0]; tenant.Figure.DeviceTime != ms || tenant.Devices != devices {
		t.Errorf("tenant %+v", tenant)
	}
	runs, err := r.Runs(t.Context(), desk.RunQuery{Tenant: "t1"})
	if err != nil || len(runs) != 1 || runs[0].Figure.DeviceTime != ms || runs[0].Devices != devices {
		t.Errorf("runs %+v: %v", runs, err)
	}
}
