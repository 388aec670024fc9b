package desktest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// cannedDays are the last days of the runs: thirty with a pause, five, and one.
func cannedDays() map[string][]desk.RunDay {
	days := func(best ...string) []desk.RunDay {
		out := make([]desk.RunDay, len(best))
		for i, b := range best {
			out[i] = desk.RunDay{ToNS: Noon.Add(-time.Duration(len(best)-1-i) * 24 * time.Hour).UnixNano(), Best: ops(b)}
		}
		return out
	}
	month := make([]string, 30)
	for i := range month {
		month[i] = []string{"1.5e24", "1.6e24", "1.4e24"}[i%3]
	}
	month[11], month[12] = "2.0e23", "0"
	return map[string][]desk.RunDay{"run_4kq2": days(month...), "run_9zd7": days("1.4e24", "1.5e24", "1.3e24", "1.5e24", "1.2e24"), "run_1aa0": days("3.5e22")}
}

// cannedVerdicts are one run that trains, one of which nothing can be told and
// one that serves.
func cannedVerdicts() []classify.Verdict {
	const method = "rhythm 2 77ab01c2"
	return []classify.Verdict{
		{Class: classify.Training, Training: 0.97, Inference: 0.02, Other: 0.01, Method: method, Evidence: []classify.Evidence{
			{Feature: "rhythm", Text: "power repeats every 11.4 s on all hosts together", LogOdds: 2.61, Origin: "fitted"},
			{Feature: "ranks", Text: "a communicator of 8,192 ranks was set up", LogOdds: 1.9, Origin: "judgement"},
			{Feature: "hour", Text: "as busy by night as by day", LogOdds: 0.4, Origin: "judgement"}}},
		{Class: classify.CannotTell, Reason: "nothing of how it computes was seen", Method: method, Missing: []string{"the rhythm of power: the time is known by allocation only", "communicators: no host reports them"}},
		{Class: classify.Inference, Training: 0.08, Inference: 0.9, Other: 0.02, Method: method, Evidence: []classify.Evidence{
			{Feature: "hour", Text: "four times as busy by day as by night", LogOdds: -2.2, Origin: "judgement"}}, Missing: []string{"communicators: no host reports them"}},
	}
}

// RunTimeline is a made-up timeline of a run that is there: as many hosts as fit
// into the rows, of which one came late, one was blind for a while and all paused.
func (r *Reader) RunTimeline(_ context.Context, id string, rows, slots int) (desk.Timeline, bool, error) {
	i := slices.IndexFunc(r.RunList, func(run desk.Run) bool { return run.ID == id })
	if i < 0 || r.Err != nil {
		return desk.Timeline{}, false, r.Err
	}
	run := r.RunList[i]
	slots = min(slots, 60)
	t := desk.Timeline{FromNS: run.StartNS, SlotNS: max((run.EndNS-run.StartNS)/int64(slots), 1), Slots: slots, Hosts: run.Hosts}
	each := (run.Hosts + rows - 1) / rows
	for first := 0; first < run.Hosts; first += each {
		hosts := min(each, run.Hosts-first)
		row := desk.TimelineRow{First: fmt.Sprintf("gpu-%04d", first+1), Last: fmt.Sprintf("gpu-%04d", first+hosts), Hosts: hosts, Devices: hosts * run.Devices / run.Hosts, Cells: make([]desk.TimelineCell, slots)}
		if run.Label == Hostile {
			row.First, row.Last = Hostile, Hostile
		}
		n := len(t.Rows)
		for s := range row.Cells {
			held := desk.DeviceTime(int64(row.Devices) * t.SlotNS / 1_000_000)
			c := desk.TimelineCell{Held: held, Ceiling: ops("1e21"), Best: ops("4e20") + compute.Operations((s*7+n*5)%11)*ops("2e19")}
			switch {
			case s == 24 || s == 25 || n == 3 && s < 12: // a pause of all, and one that came late
				c = desk.TimelineCell{}
			case n%9 == 6 && s >= 40 && s < 46:
				c.Unseen, c.Best = held, ops("2e20")
			case s > 54 && n%5 == 1:
				c.Best = ops("5e19")
			}
			row.Cells[s] = c
		}
		t.Rows = append(t.Rows, row)
	}
	return t, true, nil
}

// CustomerDays is the month of the canned customer, whose interval grows.
func (r *Reader) CustomerDays(_ context.Context, customer string) ([]desk.CustomerDay, error) {
	var out []desk.CustomerDay
	if customer != "cus_orion" || len(r.RunList) == 0 {
		return nil, r.Err
	}
	midnight := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for i := range 60 {
		best := ops([]string{"1.4e24", "1.6e24", "1.5e24", "1.7e24"}[i%4])
		if i == 41 {
			best = ops("2e23")
		}
		out = append(out, desk.CustomerDay{ToNS: midnight.AddDate(0, 0, i-59).UnixNano(), Operations: compute.Bounds{Low: best / 10 * 9, Best: best, High: best / 100 * 109}})
	}
	return out, r.Err
}
