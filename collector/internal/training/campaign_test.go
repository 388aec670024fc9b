package training

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCampaigns(t *testing.T) {
	const day = 24 * hour
	efforts := []Effort{
		{Run: "run_b", StartNS: 20 * day, EndNS: 25 * day},
		{Run: "run_a", StartNS: 0, EndNS: 10 * day, Wrote: []string{"w"}},
		{Run: "run_c", StartNS: 22 * day, EndNS: 23 * day},
		{Run: "run_d", StartNS: 55*day + 1, EndNS: 56 * day},                      // 30 days and a nanosecond later
		{Run: "run_e", StartNS: 100 * day, EndNS: 101 * day, Read: []string{"w"}}, // carries on what a wrote
	}
	var got [][]string
	var why []string
	for _, c := range Campaigns("cus_a", efforts, nil) {
		got, why = append(got, c.Runs), append(why, c.Why)
	}
	if d := cmp.Diff([][]string{{"run_a", "run_b", "run_c", "run_e"}, {"run_d"}}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"4 runs; a checkpoint was carried over a pause of 75.0 days", "one run"}, why); d != "" {
		t.Error(d)
	}
}

func TestCampaignsDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var efforts []Effort
		for i := range rapid.IntRange(0, 12).Draw(t, "runs") {
			start := rapid.Int64Range(0, 200).Draw(t, "start") * 24 * hour
			efforts = append(efforts, Effort{Run: string(rune('a' + i)), StartNS: start, EndNS: start + rapid.Int64Range(1, 20).Draw(t, "length")*24*hour})
		}
		other := rapid.Permutation(slices.Clone(efforts)).Draw(t, "other order")
		if d := cmp.Diff(Campaigns("c", efforts, nil), Campaigns("c", other, nil)); d != "" {
			t.Fatal(d)
		}
	})
}
