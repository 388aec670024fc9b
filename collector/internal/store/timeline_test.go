package store

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// The cells of a timeline hold what the run did, whatever their number.
func TestRunTimeline(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, nil, atNoon)
	machine := func(seq uint64, from, to int) *ledger.Batch {
		b := worked("vm", seq, "t3", "x", from, to)
		for i := range b.Windows {
			b.Windows[i].Entries[0].Workload = measure.Workload{Kind: measure.KindVM, ID: "vm"}
		}
		return b
	}
	count(t, s, []Follower{d}, append(restarted(), machine(1, 0, 10*hourS), machine(2, 12*hourS, 20*hourS), machine(3, 120*hourS, 130*hourS))...)
	derive(t, d)
	runs := runsOf(t, s, "t1")
	if len(runs) != 1 {
		t.Fatalf("%d runs", len(runs))
	}
	run := runs[0]
	r := NewReader(s, "", false)
	rapid.Check(t, func(rt *rapid.T) {
		rows, slots := rapid.IntRange(1, 20).Draw(rt, "rows"), rapid.IntRange(2, 100).Draw(rt, "slots")
		tl, ok, err := r.RunTimeline(t.Context(), run.ID, rows, slots)
		if err != nil || !ok {
			rt.Fatal(ok, err)
		}
		if tl.Hosts != 16 || len(tl.Rows) > rows || tl.Slots > slots || tl.FromNS > run.StartNS || tl.FromNS+int64(tl.Slots)*tl.SlotNS < run.EndNS {
			rt.Errorf("%d hosts, %d of %d rows, %d of %d slots from %d", tl.Hosts, len(tl.Rows), rows, tl.Slots, slots, tl.FromNS)
		}
		var sum desk.TimelineCell
		hosts := 0
		for _, row := range tl.Rows {
			hosts += row.Hosts
			for _, c := range row.Cells {
				sum = sum.Add(c)
			}
		}
		want := run.Figure.Combined().Best
		if hosts != 16 || sum.Best != want || sum.Ceiling != run.Figure.Ceiling {
			rt.Errorf("%d hosts, %d of %d operations, %d of %d at most", hosts, sum.Best, want, sum.Ceiling, run.Figure.Ceiling)
		}
		if d := sum.Held - run.Figure.DeviceTime; d < -desk.DeviceTime(rows*slots) || d > desk.DeviceTime(rows*slots) {
			rt.Errorf("held %d ms, the run has %d", sum.Held, run.Figure.DeviceTime)
		}
	})
	// The pause of an hour between the jobs is missing from the two slots in which it lies.
	tl, _, err := r.RunTimeline(t.Context(), run.ID, 16, 40)
	if err != nil || tl.SlotNS != hourS*1e9 {
		t.Fatal(err, tl.SlotNS)
	}
	at := (run.StartNS - tl.FromNS) / tl.SlotNS
	for _, row := range tl.Rows {
		if hour := desk.DeviceTime(8 * hourS * 1000); row.Cells[at+9].Held != hour || row.Cells[at+10].Held+row.Cells[at+11].Held != hour || row.Cells[at+12].Held != hour {
			t.Errorf("%s: the pause does not show", row.First)
		}
	}
	if _, ok, err := r.RunTimeline(t.Context(), "run_none", 16, 31); ok || err != nil {
		t.Error("a run that is not there has a timeline", err)
	}
	// One machine that came again much later did two runs, each of which has its own.
	again := runsOf(t, s, "t3")
	if len(again) != 2 {
		t.Fatalf("%d runs of a machine", len(again))
	}
	for _, run := range again {
		tl := must(t, func(ctx context.Context) (desk.Timeline, error) {
			tl, _, err := r.RunTimeline(ctx, run.ID, 16, 40)
			return tl, err
		})
		var sum desk.TimelineCell
		for _, row := range tl.Rows {
			for _, c := range row.Cells {
				sum = sum.Add(c)
			}
		}
		if sum.Best != run.Figure.Combined().Best {
			t.Errorf("%s: %d of %d operations", run.ID, sum.Best, run.Figure.Combined().Best)
		}
	}
}
