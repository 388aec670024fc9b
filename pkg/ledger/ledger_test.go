package ledger_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const second = int64(time.Second)

func drawHistory(t *rapid.T) []ledgertest.Step {
	return ledgertest.History(rapid.IntRange(1, 60).Draw(t, "windows"), func(n int) int {
		return rapid.IntRange(0, n-1).Draw(t, "n")
	})
}

// Invariant I1 over histories that nobody would wish for, with the ledger
// restored at random points from what it gave out.
func TestAccountsBalanceWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flip := rapid.Bool()
		batches := ledgertest.Batches(drawHistory(t), func() bool { return flip.Draw(t, "cut") })
		book, rows := ledger.New(), ledgertest.NewRows()
		var before compute.Bounds
		for _, b := range batches {
			if err := book.Apply(b); err != nil {
				t.Fatal(err)
			}
			if !flip.Draw(t, "take") {
				continue
			}
			rows.Write(book.Take())
			after := checkRows(t, rows)
			if after.Low < before.Low || after.Best < before.Best || after.High < before.High {
				t.Fatalf("totals went down: %v, then %v", before, after)
			}
			before = after
			if flip.Draw(t, "restore") {
				var err error
				if book, err = ledger.Restore(rows.State()); err != nil {
					t.Fatal(err)
				}
			}
		}
		rows.Write(book.Take())
		checkRows(t, rows)
	})
}

func checkRows(t *rapid.T, rows *ledgertest.Rows) compute.Bounds {
	accounts := slices.Collect(maps.Values(rows.Accounts))
	if problems := ledger.Check(accounts, maps.Values(rows.Segments)); problems != nil {
		t.Fatalf("does not balance: %v", problems)
	}
	var sum compute.Bounds
	for _, s := range rows.Segments {
		sum = sum.Add(s.Operations)
	}
	return sum
}

// How windows are cut into batches, and where a collector restarts, changes no
// figure.
func TestCutsAndRestartsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := drawHistory(t)
		flip := rapid.Bool()
		whole, rows := ledger.New(), ledgertest.NewRows()
		for _, b := range ledgertest.Batches(steps, func() bool { return false }) {
			if err := whole.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
		rows.Write(whole.Take())
		cut, cutRows := ledger.New(), ledgertest.NewRows()
		for _, b := range ledgertest.Batches(steps, func() bool { return flip.Draw(t, "cut") }) {
			if err := cut.Apply(b); err != nil {
				t.Fatal(err)
			}
			if flip.Draw(t, "restart") {
				cutRows.Write(cut.Take())
				var err error
				if cut, err = ledger.Restore(cutRows.State()); err != nil {
					t.Fatal(err)
				}
			}
		}
		cutRows.Write(cut.Take())
		if diff := cmp.Diff(rows.Segments, cutRows.Segments); diff != "" {
			t.Fatalf("segments differ (-whole +cut):\n%s", diff)
		}
		if diff := cmp.Diff(rows.Accounts, cutRows.Accounts); diff != "" {
			t.Fatalf("accounts differ (-whole +cut):\n%s", diff)
		}
	})
}

// busy is a window of one entry that ran at 100 units a second, [50, 200].
func busy(from, to int64) measure.Window {
	n := (to - from)
	return measure.Window{Device: "GPU-0", StartNS: from * second, EndNS: to * second, Entries: []measure.Entry{{
		State: measure.Attributed, Tenant: "t", Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "1"},
		Method: measure.Method{Name: measure.GPM, Version: 1}, Duration: time.Duration(n * second),
		Operations: compute.Bounds{Low: compute.Operations(50 * n), Best: compute.Operations(100 * n), High: compute.Operations(200 * n)},
		Ceiling:    compute.Operations(400 * n), EnergyMJ: 10 * n,
	}}}
}

func apply(t *testing.T, windows ...measure.Window) (ledger.Account, []ledger.Segment) {
	t.Helper()
	book := ledger.New()
	b := &ledger.Batch{Host: "h", Position: ledger.Position{Epoch: 1, Seq: 1}, Windows: windows, Devices: []ledger.Device{{
		Device: measure.Device{ID: "GPU-0"}, Peak: 400_000, Ceiling: 800_000, // 400 and 800 units a second
	}}}
	if err := book.Apply(b); err != nil {
		t.Fatal(err)
	}
	c := book.Take()
	return c.Accounts[0], c.Opened
}

func TestRules(t *testing.T) {
	type row struct {
		State            measure.State
		From, To, Second int64
		Operations       compute.Bounds
		Ceiling          compute.Operations
		Energy           int64
	}
	idleThen := busy(10, 20)
	idleThen.Entries[0].State = measure.Idle
	unknown := busy(10, 20)
	unknown.Entries[0].EnergyMJ = -1
	for _, c := range []struct {
		name    string
		windows []measure.Window
		overlap int64
		want    []row
	}{
		{"one window", []measure.Window{busy(0+1, 10)}, 0, []row{{measure.Attributed, 1, 10, 9, compute.Bounds{Low: 450, Best: 900, High: 1800}, 3600, 90}}},
		{"continues", []measure.Window{busy(1, 10), busy(10, 20)}, 0, []row{
			{measure.Attributed, 1, 20, 19, compute.Bounds{Low: 950, Best: 1900, High: 3800}, 7600, 190}}},
		{"other state", []measure.Window{busy(1, 10), idleThen}, 0, []row{
			{measure.Attributed, 1, 10, 9, compute.Bounds{Low: 450, Best: 900, High: 1800}, 3600, 90},
			{measure.Idle, 10, 20, 10, compute.Bounds{Low: 500, Best: 1000, High: 2000}, 4000, 100}}},
		{"energy unknown", []measure.Window{busy(1, 10), unknown}, 0, []row{
			{measure.Attributed, 1, 10, 9, compute.Bounds{Low: 450, Best: 900, High: 1800}, 3600, 90},
			{measure.Attributed, 10, 20, 10, compute.Bounds{Low: 500, Best: 1000, High: 2000}, 4000, -1}}},
		{"hole", []measure.Window{busy(1, 10), busy(15, 20)}, 0, []row{
			{measure.Attributed, 1, 10, 9, compute.Bounds{Low: 450, Best: 900, High: 1800}, 3600, 90},
			{measure.Unobserved, 10, 15, 5, compute.Bounds{Low: 0, Best: 500, High: 4000}, 2000, -1},
			{measure.Attributed, 15, 20, 5, compute.Bounds{Low: 250, Best: 500, High: 1000}, 2000, 50}}},
		{"overlap by half", []measure.Window{busy(1, 10), busy(5, 15)}, 5, []row{
			{measure.Attributed, 1, 15, 14, compute.Bounds{Low: 450, Best: 1400, High: 3800}, 5600, 140}}},
		{"overlap whole", []measure.Window{busy(1, 10), busy(2, 8)}, 6, []row{
			{measure.Attributed, 1, 10, 9, compute.Bounds{Low: 450, Best: 900, High: 3000}, 3600, 90}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			account, segments := apply(t, c.windows...)
			var got []row
			for _, s := range segments {
				got = append(got, row{s.Key.State, s.StartNS / second, s.EndNS / second, s.DurationNS / second, s.Operations, s.Ceiling, s.EnergyMJ})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("segments (-want +got):\n%s", diff)
			}
			if account.OverlapNS != c.overlap*second {
				t.Errorf("overlap is %d ns, want %d s", account.OverlapNS, c.overlap)
			}
		})
	}
}

// The best of a hole never exceeds the training peak, and a device that was
// never observed has none.
func TestHoleBest(t *testing.T) {
	fast := busy(1, 10)
	fast.Entries[0].Operations = compute.Bounds{Low: 0, Best: 9 * 700, High: 9 * 800}
	if _, s := apply(t, fast, busy(20, 30)); s[1].Operations.Best != 4000 {
		t.Errorf("best of the hole is %d units, want the peak's 4000", s[1].Operations.Best)
	}
	blind := busy(1, 10)
	blind.Entries[0].State = measure.Unobserved
	if _, s := apply(t, blind, busy(20, 30)); s[1].Operations != (compute.Bounds{High: 8000}) {
		t.Errorf("hole of a device never observed: %v", s[1].Operations)
	}
}

func TestRefusedBatchesCountNothing(t *testing.T) {
	change := func(f func(w *measure.Window, b *ledger.Batch)) *ledger.Batch {
		b := &ledger.Batch{Host: "h", Position: ledger.Position{Epoch: 1, Seq: 1}, Windows: []measure.Window{busy(1, 10), busy(10, 20)},
			Devices: []ledger.Device{{Device: measure.Device{ID: "GPU-0"}, Peak: 1, Ceiling: 1}}}
		f(&b.Windows[1], b)
		return b
	}
	for name, b := range map[string]*ledger.Batch{
		"unbalanced":     change(func(w *measure.Window, _ *ledger.Batch) { w.EndNS++ }),
		"before 1970":    change(func(w *measure.Window, _ *ledger.Batch) { w.StartNS, w.EndNS = -10*second, 0 }),
		"bounds crossed": change(func(w *measure.Window, _ *ledger.Batch) { w.Entries[0].Operations.Low = 9999 }),
		"too fast":       change(func(w *measure.Window, _ *ledger.Batch) { w.Entries[0].Operations.High = compute.MaxOperations }),
		"too high":       change(func(w *measure.Window, _ *ledger.Batch) { w.Entries[0].Ceiling = compute.MaxOperations }),
		"energy":         change(func(w *measure.Window, _ *ledger.Batch) { w.Entries[0].EnergyMJ = 1 << 60 }),
		"energy below":   change(func(w *measure.Window, _ *ledger.Batch) { w.Entries[0].EnergyMJ = -2 }),
		"unknown device": change(func(w *measure.Window, _ *ledger.Batch) { w.Device = "GPU-1" }),
		"ceiling":        change(func(_ *measure.Window, b *ledger.Batch) { b.Devices[0].Ceiling = ledger.MaxRate + 1 }),
		"peak":           change(func(_ *measure.Window, b *ledger.Batch) { b.Devices[0].Peak = -1 }),
	} {
		t.Run(name, func(t *testing.T) {
			book := ledger.New()
			if err := book.Apply(b); !errors.Is(err, ledger.ErrRefused) {
				t.Fatalf("error is %v, want ErrRefused", err)
			}
			if c := book.Take(); !c.Empty() || c.Windows != 0 || book.Position("h") != (ledger.Position{}) {
				t.Errorf("something was counted: %+v", c)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	h := func(b byte) (x [32]byte) { x[0] = b; return }
	at := ledger.Position{Epoch: 3, Seq: 7, Hash: h(7)}
	for _, c := range []struct {
		name       string
		from       ledger.Position
		epoch, seq uint64
		prev, hash [32]byte
		want       ledger.Verdict
	}{
		{"next", at, 3, 8, h(7), h(8), ledger.Next},
		{"next after another", at, 3, 8, h(6), h(8), ledger.ChainBreak},
		{"again", at, 3, 7, h(6), h(7), ledger.Duplicate},
		{"older", at, 3, 2, h(1), h(2), ledger.Duplicate},
		{"older epoch", at, 2, 90, h(1), h(2), ledger.Duplicate},
		{"two of one number", at, 3, 7, h(6), h(9), ledger.Equivocation},
		{"hole", at, 3, 9, h(8), h(9), ledger.Missing},
		{"new epoch", at, 4, 1, h(7), h(1), ledger.Next},
		{"new epoch later", at, 9, 1, h(7), h(1), ledger.Next},
		{"new epoch, not first", at, 4, 2, h(7), h(1), ledger.Missing},
		{"new epoch, older batches missing", at, 4, 1, h(8), h(1), ledger.Orphan},
		{"new epoch, no past", at, 4, 1, h(0), h(1), ledger.ChainBreak},
		{"first of a host", ledger.Position{}, 1, 1, h(0), h(1), ledger.Next},
		{"unknown host, not first", ledger.Position{}, 1, 5, h(4), h(5), ledger.Missing},
		{"unknown host with a past", ledger.Position{}, 5, 1, h(4), h(5), ledger.Orphan},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.from.Judge(c.epoch, c.seq, c.prev, c.hash); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestCheckFindsWhatDoesNotAddUp(t *testing.T) {
	account, segments := apply(t, busy(1, 10), busy(15, 20))
	good := slices.Values(segments)
	if p := ledger.Check([]ledger.Account{account}, good); p != nil {
		t.Fatalf("good account: %v", p)
	}
	account.LastNS++
	if p := ledger.Check([]ledger.Account{account}, good); len(p) != 1 {
		t.Errorf("a missing nanosecond: %v", p)
	}
	account.LastNS--
	segments[0].Operations.Low = segments[0].Operations.High + 1
	if p := ledger.Check([]ledger.Account{account}, slices.Values(segments)); len(p) != 1 {
		t.Errorf("crossed bounds: %v", p)
	}
	if p := ledger.Check(nil, good); len(p) != 3 {
		t.Errorf("segments of no device: %v", p)
	}
}

func BenchmarkApply(b *testing.B) {
	book := ledger.New()
	batch := &ledger.Batch{Host: "h"}
	for d := range 8 {
		dev := ledgertest.Device(measure.DeviceID(rune('a' + d)))
		batch.Devices = append(batch.Devices, dev)
		for i := range int64(60) {
			w := busy(1+10*i, 11+10*i)
			w.Device = dev.ID
			batch.Windows = append(batch.Windows, w)
		}
	}
	n := 0
	for b.Loop() {
		if err := book.Apply(batch); err != nil {
			b.Fatal(err)
		}
		for i := range batch.Windows {
			batch.Windows[i].StartNS += 600 * second
			batch.Windows[i].EndNS += 600 * second
		}
		n += len(batch.Windows)
		if n%(480*100) == 0 {
			book.Take()
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "windows/s")
}
