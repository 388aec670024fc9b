package desktest

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
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
