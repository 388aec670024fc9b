package training

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	second = int64(1_000_000_000)
	hour   = 3600 * second
)

func stretch(host string, kind measure.WorkloadKind, id, hint, accelerator string, start, end int64) Stretch {
	return Stretch{Host: host, Workload: measure.Workload{Kind: kind, ID: id, Hint: hint}, Accelerator: accelerator, StartNS: start, EndNS: end, Devices: 8}
}

// groupsOf returns the members of each run, ordered by the first.
func groupsOf(runs []Run) [][]int {
	var all [][]int
	for _, r := range runs {
		all = append(all, r.Members)
	}
	slices.SortFunc(all, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return all
}

// with changes a stretch.
func with(s Stretch, change func(*Stretch)) Stretch {
	change(&s)
	return s
}

func vm(host, id string, start, end int64) Stretch {
	return stretch(host, measure.KindVM, id, "", "h100", start, end)
}

func job(host, id string, start, end int64) Stretch {
	return stretch(host, measure.KindSlurmJob, id, "", "h100", start, end)
}

func comm(s Stretch, hash string) Stretch {
	return with(s, func(s *Stretch) { s.Communicators = []string{hash} })
}

func beat(s Stretch, period, phase int64) Stretch {
	return with(s, func(s *Stretch) { s.Rhythm = Rhythm{period, phase} })
}

func TestJoinedInSpace(t *testing.T) {
	const day = 24 * hour
	late := vm("z", "later", 40*hour, 41*hour) // so that the others have ended
	for name, c := range map[string]struct {
		stretches []Stretch
		want      [][]int
	}{
		"nothing": {},
		"a hint joins jobs, hosts and accelerators": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "llm", "h100", 0, day),
			stretch("b", measure.KindSlurmJob, "2", "llm", "b200", hour, day),
			stretch("c", measure.KindVM, "vm", "llm", "b200", 2*hour, day),
		}, [][]int{{0, 1, 2}}},
		"two hints": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "x", "h100", 0, hour),
			stretch("a", measure.KindSlurmJob, "1", "y", "h100", 0, hour),
		}, [][]int{{0}, {1}}},
		"one job on two hosts": {[]Stretch{job("a", "1", 0, day), job("b", "1", hour, day)}, [][]int{{0, 1}}},
		"two jobs at once":     {[]Stretch{job("a", "1", 0, day), job("b", "2", 0, day), late}, [][]int{{0}, {1}, {2}}},
		"two jobs at once in one NVLink domain": {[]Stretch{
			with(job("a", "1", 0, day), func(s *Stretch) { s.Fabrics = []string{"f"} }),
			with(job("b", "2", 0, day), func(s *Stretch) { s.Fabrics = []string{"f"} }),
			late,
		}, [][]int{{0}, {1}, {2}}},
		"two jobs with one communicator": {[]Stretch{comm(job("a", "1", 0, day), "c"), comm(job("b", "2", hour, day), "c")}, [][]int{{0, 1}}},
		"two jobs in one array that beat together": {[]Stretch{
			beat(with(job("a", "1", 0, day), func(s *Stretch) { s.Fabrics = []string{"f"} }), 10*second, 0),
			beat(with(job("b", "2", 0, day), func(s *Stretch) { s.Fabrics = []string{"f"} }), 10*second, second/2),
			late,
		}, [][]int{{0, 1}, {2}}},
		"one communicator at another time": {[]Stretch{comm(job("a", "1", 0, hour/2), "c"), comm(job("b", "2", hour, hour+hour/2), "c")}, [][]int{{0}, {1}}},
		"a pod is not a job of the same name": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "", "h100", 0, day),
			stretch("b", measure.KindPod, "1", "", "h100", hour, day),
		}, [][]int{{0}, {1}}},
		"a container's id says nothing on another host": {[]Stretch{
			stretch("a", measure.KindContainer, "1", "", "h100", 0, day),
			stretch("b", measure.KindContainer, "1", "", "h100", hour, day),
		}, [][]int{{0}, {1}}},
		"15 s apart":                                    {[]Stretch{vm("b", "2", 15*second, day), vm("a", "1", 0, day)}, [][]int{{0, 1}}},
		"15 s and a nanosecond apart":                   {[]Stretch{vm("b", "2", 15*second+1, day), vm("a", "1", 0, day)}, [][]int{{0}, {1}}},
		"60 s apart and stopped together":               {[]Stretch{vm("b", "2", 60*second, day), vm("a", "1", 0, day), late}, [][]int{{0, 1}, {2}}},
		"60 s and a nanosecond apart, stopped together": {[]Stretch{vm("b", "2", 60*second+1, day), vm("a", "1", 0, day), late}, [][]int{{0}, {1}, {2}}},
		"a minute of starts, one after the other":       {[]Stretch{vm("a", "1", 0, day), vm("b", "2", 14*second, day), vm("c", "3", 28*second, day)}, [][]int{{0, 1, 2}}},
		"no chain beyond a minute":                      {[]Stretch{vm("a", "1", 0, day), vm("b", "2", 14*second, day), vm("c", "3", 74*second, day)}, [][]int{{0, 1}, {2}}},
		"short ones that stop apart":                    {[]Stretch{vm("a", "1", 0, hour/2), vm("b", "2", second, hour/2+16*second), late}, [][]int{{0}, {1}, {2}}},
		"a short one of whose host nothing was heard since": {[]Stretch{vm("a", "1", 0, hour),
			with(vm("b", "2", second, hour/4), func(s *Stretch) { s.KnownNS = hour / 4 }), vm("z", "later", 3*hour, 5*hour)}, [][]int{{0, 1}, {2}}},
		"a short one whose host is silent for hours": {[]Stretch{vm("a", "1", 0, hour),
			with(vm("b", "2", second, hour/4), func(s *Stretch) { s.KnownNS = hour / 4 }), late}, [][]int{{0}, {1}, {2}}},
		"two rings that begin and end at once": {slices.Concat(ring("a", 6, 0, hour/2), ring("b", 6, second, hour/2+second), []Stretch{late}),
			[][]int{{0, 1, 2, 3, 4, 5}, {6, 7, 8, 9, 10, 11}, {12}}},
		"other accelerators": {[]Stretch{vm("a", "1", 0, day), stretch("b", measure.KindVM, "2", "", "b200", 0, day)}, [][]int{{0}, {1}}},
		"a machine is not joined to a job by its start alone": {[]Stretch{vm("a", "1", 0, day), job("b", "2", 0, day)}, [][]int{{0, 1}}},
		"one that fails early":                                {[]Stretch{vm("a", "1", 0, day), vm("b", "2", 0, 3*hour), late}, [][]int{{0, 1}, {2}}},
		"interleaved by name, told apart by their beat": {[]Stretch{
			beat(vm("a", "1", 0, day), 10*second, 0), beat(vm("b", "2", 1, day), 7*second, 0),
			beat(vm("c", "3", 2, day), 10*second, 0), beat(vm("d", "4", 3, day), 7*second, 0),
		}, [][]int{{0, 2}, {1, 3}}},
		"traffic both ways": {[]Stretch{
			with(vm("a", "1", 0, day), func(s *Stretch) { s.Peers = []Peer{{"b", 1, 1}} }),
			with(vm("b", "2", hour, day), func(s *Stretch) { s.Peers = []Peer{{"a", 1, 1}} }),
		}, [][]int{{0, 1}}},
		"traffic that one side tells of": {[]Stretch{
			with(vm("a", "1", 0, day), func(s *Stretch) { s.Peers = []Peer{{"b", 1, 1}} }), vm("b", "2", hour, day),
		}, [][]int{{0}, {1}}},
		"traffic with a host that the other left": {[]Stretch{
			with(vm("a", "1", 5*hour, day), func(s *Stretch) { s.Peers = []Peer{{"b", 1, 1}} }),
			with(vm("b", "2", 0, 4*hour), func(s *Stretch) { s.Peers = []Peer{{"a", 1, 1}} }),
		}, [][]int{{0}, {1}}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := gocmp.Diff(c.want, groupsOf(Runs("tenant", c.stretches, Knowledge{}))); d != "" {
				t.Errorf("runs (-want +got):\n%s", d)
			}
		})
	}
}

// ring is machines that start and stop together, each with traffic with the next.
func ring(name string, n int, start, end int64) []Stretch {
	var out []Stretch
	host := func(i int) string { return fmt.Sprintf("%s%d", name, (i+n)%n) }
	for i := range n {
		out = append(out, with(vm(host(i), host(i), start, end), func(s *Stretch) { s.Peers = []Peer{{host(i - 1), 1, 0}, {host(i + 1), 0, 1}} }))
	}
	return out
}

// large is one start of a run on 64 hosts of 8 devices, with swapped of its
// hosts taken by others.
func large(id string, start, end int64, swapped int) []Stretch {
	var out []Stretch
	for i := range 64 {
		host := fmt.Sprintf("h%03d", i)
		if i < swapped {
			host = fmt.Sprintf("spare%03d", i)
		}
		out = append(out, job(host, id, start, end))
	}
	return out
}

func TestJoinedInTime(t *testing.T) {
	const day = 24 * hour
	for name, c := range map[string]struct {
		stretches []Stretch
		want      int // runs
	}{
		"a restart after a failure, with a host swapped": {slices.Concat(large("1", 0, 10*hour, 0), large("2", 10*hour+300*second, 50*hour, 1)), 1},
		"on other hosts altogether, at once":             {slices.Concat(large("1", 0, 10*hour, 0), large("2", 10*hour+300*second, 50*hour, 64)), 1},
		"on other hosts altogether, four days later":     {slices.Concat(large("1", 0, 10*hour, 0), large("2", 4*day+10*hour, 10*day, 64)), 2},
		"on the same hosts after four days":              {slices.Concat(large("1", 0, 10*hour, 0), large("2", 4*day+10*hour, 10*day, 0)), 2},
		"four days later from its checkpoint": {slices.Concat(checkpoint(large("1", 0, 10*hour, 0), "", "w"),
			checkpoint(large("2", 4*day+10*hour, 10*day, 64), "w", "")), 1},
		"forty days later from its checkpoint": {slices.Concat(checkpoint(large("1", 0, 10*hour, 0), "", "w"),
			checkpoint(large("2", 41*day, 50*day, 0), "w", "")), 2},
		"idle nights":                       {slices.Concat(large("1", 0, 10*hour, 0), large("2", day, day+14*hour, 0), large("3", 2*day, 2*day+8*hour, 0), large("4", 3*day, 3*day+11*hour, 0)), 1},
		"half of the hosts go on":           {slices.Concat(large("1", 0, 10*hour, 0), large("2", 10*hour+300*second, 50*hour, 0)[:32]), 1},
		"an eighth of the hosts goes on":    {slices.Concat(large("1", 0, 10*hour, 0), large("2", 10*hour+300*second, 50*hour, 0)[:8]), 2},
		"the same work again":               {slices.Concat(large("1", 0, 10*hour, 0), large("2", 10*hour+300*second, 20*hour+300*second, 64), large("3", 21*hour, 31*hour, 0), []Stretch{vm("z", "later", 40*hour, 41*hour)}), 4},
		"ten minutes of work":               {slices.Concat(large("1", 0, 600*second, 0), large("2", 700*second, 2000*second, 64), large("3", 10*hour, 31*hour, 0)[:1]), 3},
		"at the same time, other jobs":      {slices.Concat(large("1", 0, 10*hour, 0), large("2", 2*hour, 50*hour, 64)), 2},
		"one machine's jobs of one size":    {[]Stretch{job("a", "1", 0, 5*hour), job("a", "2", 5*hour+60*second, 16*hour), job("a", "3", 17*hour, 19*hour)}, 3},
		"one hint over weeks":               {[]Stretch{hinted(job("a", "1", 0, hour), "x"), hinted(job("b", "2", 20*day, 20*day+hour), "x")}, 1},
		"one hint, a quarter of a year on":  {[]Stretch{hinted(job("a", "1", 0, hour), "x"), hinted(job("b", "2", 90*day, 90*day+hour), "x")}, 2},
		"a machine again after four days":   {[]Stretch{vm("a", "v", 0, 10*hour), vm("a", "v", 5*day, 6*day)}, 2},
		"a machine again after three hours": {[]Stretch{vm("a", "v", 0, 10*hour), vm("a", "v", 13*hour, 16*hour)}, 1},
		"a job's number comes round again":  {slices.Concat(large("1", 0, 10*hour, 0), large("1", 60*day, 61*day, 0)), 2},
	} {
		t.Run(name, func(t *testing.T) {
			runs := Runs("tenant", c.stretches, Knowledge{})
			if len(runs) != c.want {
				t.Errorf("%d runs, want %d", len(runs), c.want)
				for _, r := range runs {
					t.Logf("%s %s %v", r.ID, r.JoinedBy, r.Joins)
				}
			}
		})
	}
}

func hinted(s Stretch, hint string) Stretch {
	return with(s, func(s *Stretch) { s.Workload.Hint = hint })
}

func checkpoint(all []Stretch, read, wrote string) []Stretch {
	all[0].ReadCheckpoint, all[0].WroteCheckpoint = read, wrote
	return all
}

func TestRunsSayWhy(t *testing.T) {
	for _, c := range []struct {
		stretches []Stretch
		label     string
		evidence  string
	}{
		{[]Stretch{stretch("a", measure.KindSlurmJob, "1", "llm", "h100", 0, 1)}, "llm", "run hint llm"},
		{[]Stretch{job("a", "1", 0, 1)}, "1", "slurm_job 1"},
		{[]Stretch{vm("a", "v", 0, 1)}, "vm v", "one workload, no scheduler job"},
		{[]Stretch{vm("a", "v", 0, hour), vm("b", "w", 1, hour)}, "vm v", "2 workloads in 1 starts; in space by accelerator (1), start (1)"},
		{slices.Concat(large("1", 0, 10*hour, 0), large("2", 10*hour+300*second, 50*hour, 1)), "1", "2 workloads in 2 starts; in time by accelerator (1), hosts (1), shape (1), soon (1)"},
	} {
		got := Runs("tenant", c.stretches, Knowledge{})
		if len(got) != 1 || got[0].Label != c.label || got[0].JoinedBy != c.evidence {
			t.Errorf("got %+v, want label %q by %q", got, c.label, c.evidence)
		}
	}
	joins := Runs("tenant", slices.Concat(large("1", 0, 10*hour, 0), large("2", 10*hour+300*second, 50*hour, 1)), Knowledge{})[0].Joins
	want := []Join{{ID: joins[0].ID, Kind: Time, From: "slurm_job 1", To: "slurm_job 2", FromLabel: "1", ToLabel: "2", Bits: 13, Gap: 5 * time.Minute, Evidence: []Evidence{
		{"soon", 4, "after 5 min"}, {"hosts", 4, "63 of 64 hosts the same"}, {"shape", 4, "512 and 512 devices"}, {"accelerator", 1, "all on h100"}}}}
	if d := gocmp.Diff(want, joins); d != "" {
		t.Errorf("joins (-want +got):\n%s", d)
	}
}

func TestCurves(t *testing.T) {
	nan := float32(math.NaN())
	up := Curve{0, 10, []float32{1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 2, 3, 4}}
	down := Curve{0, 10, []float32{6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6, 5, 4, 3}}
	for name, c := range map[string]struct {
		a, b Curve
		want float64
		ok   bool
	}{
		"the same":          {up, up, 1, true},
		"the other way":     {up, down, -1, true},
		"shifted":           {Curve{-20, 10, append([]float32{9, 9}, up.Values...)}, up, 1, true},
		"with gaps":         {Curve{0, 10, append([]float32{nan}, up.Values[1:]...)}, up, 1, true},
		"other steps":       {up, Curve{0, 20, up.Values}, 0, false},
		"too short":         {Curve{0, 10, up.Values[:11]}, up, 0, false},
		"flat":              {Curve{0, 10, make([]float32, 20)}, up, 0, false},
		"at other times":    {up, Curve{1000, 10, up.Values}, 0, false},
		"none":              {Curve{}, up, 0, false},
		"nothing but holes": {Curve{0, 10, slices.Repeat([]float32{nan}, 20)}, up, 0, false},
	} {
		r, ok := c.a.Correlation(c.b)
		back, also := c.b.Correlation(c.a)
		if ok != c.ok || math.Abs(r-c.want) > 1e-6 || also != ok || math.Abs(back-r) > 1e-6 {
			t.Errorf("%s: %v %v, other way %v %v, want %v %v", name, r, ok, back, also, c.want, c.ok)
		}
	}
}

func TestRhythms(t *testing.T) {
	r := Rhythm{10 * second, 0}
	for name, c := range map[string]struct {
		o           Rhythm
		with, paced bool
	}{
		"itself":            {r, true, true},
		"a thousand beats":  {Rhythm{10 * second, 10_000 * second}, true, true},
		"just before":       {Rhythm{10 * second, -second / 2}, true, true},
		"half a beat later": {Rhythm{10 * second, 5 * second}, false, true},
		"a little faster":   {Rhythm{10*second - second/25, 0}, true, true},
		"faster":            {Rhythm{9 * second, 0}, false, false},
	} {
		if with, paced := r.with(c.o, 5, 10), r.paceOf(c.o, 5); with != c.with || paced != c.paced {
			t.Errorf("%s: one beat %v, one pace %v", name, with, paced)
		}
	}
}

func stretches() *rapid.Generator[[]Stretch] {
	one := rapid.Custom(func(t *rapid.T) Stretch {
		start := rapid.SampledFrom([]int64{0, 30, 60, 90, 3600, 7200, 36000, 86400, 5 * 86400, 40 * 86400}).Draw(t, "start") * second
		s := stretch(
			rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "host"),
			rapid.SampledFrom([]measure.WorkloadKind{measure.KindSlurmJob, measure.KindPod, measure.KindVM, measure.KindCgroup, measure.KindNone}).Draw(t, "kind"),
			rapid.SampledFrom([]string{"1", "2", "3", "4", ""}).Draw(t, "id"),
			rapid.SampledFrom([]string{"", "", "", "x", "1"}).Draw(t, "hint"),
			rapid.SampledFrom([]string{"h100", "b200"}).Draw(t, "accelerator"),
			start, start+rapid.SampledFrom([]int64{1, 600, 7000, 20000, 90000}).Draw(t, "length")*second,
		)
		s.Devices = rapid.SampledFrom([]int{1, 8, 512}).Draw(t, "devices")
		s.Image = rapid.SampledFrom([]string{"", "i", "j"}).Draw(t, "image")
		s.ReadCheckpoint = rapid.SampledFrom([]string{"", "", "w"}).Draw(t, "read")
		s.WroteCheckpoint = rapid.SampledFrom([]string{"", "", "w"}).Draw(t, "wrote")
		for _, list := range []*[]string{&s.Communicators, &s.Fabrics} {
			*list = rapid.SampledFrom([][]string{nil, nil, {"c"}, {"d"}, {"c", "d"}}).Draw(t, "shared")
		}
		if peer := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "peer"); peer != "" {
			s.Peers = []Peer{{peer, 1, 1}}
		}
		s.Rhythm.PeriodNS = rapid.SampledFrom([]int64{0, 0, 10, 12}).Draw(t, "period") * second
		return s
	})
	return rapid.SliceOfN(one, 0, 24)
}

// told puts runs into words that do not depend on the stretches' places.
func told(runs []Run, all []Stretch) []string {
	var out []string
	for _, r := range runs {
		var members []string
		for _, i := range r.Members {
			members = append(members, fmt.Sprint(all[i]))
		}
		slices.Sort(members)
		out = append(out, fmt.Sprintf("%s %q %q %v: %s", r.ID, r.Label, r.JoinedBy, r.Joins, strings.Join(members, " ")))
	}
	return out
}

// The order in which stretches come to be known changes nothing.
func TestOrderChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := stretches().Draw(t, "stretches")
		mixed := rapid.Permutation(all).Draw(t, "mixed")
		if d := gocmp.Diff(told(Runs("tenant", all, Knowledge{}), all), told(Runs("tenant", mixed, Knowledge{}), mixed)); d != "" {
			t.Errorf("another order gives other runs:\n%s", d)
		}
	})
}

// known is what a store keeps of runs until the next derivation.
func known(runs []Run) map[PartKey]string {
	out := map[PartKey]string{}
	for _, r := range runs {
		for _, p := range r.Parts {
			out[p.Key] = r.ID
		}
	}
	return out
}

// sets are the members of runs without their ids.
func sets(runs []Run, all []Stretch) []string {
	var out []string
	for _, r := range runs {
		r.ID, r.Joins = "", nil
		out = append(out, told([]Run{r}, all)...)
	}
	slices.Sort(out)
	return out
}

// Whatever came when, in the end the same stretches make the same runs.
func TestLateDataConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := stretches().Draw(t, "stretches")
		arrived := rapid.Permutation(all).Draw(t, "arrived")
		before := map[PartKey]string{}
		for n := 0; n < len(arrived); n += rapid.IntRange(1, 5).Draw(t, "more") {
			before = known(Runs("tenant", arrived[:n], Knowledge{Runs: before}))
		}
		late := Runs("tenant", arrived, Knowledge{Runs: before})
		if d := gocmp.Diff(sets(Runs("tenant", all, Knowledge{}), all), sets(late, arrived)); d != "" {
			t.Errorf("(-at once +bit by bit):\n%s", d)
		}
		again := Runs("tenant", all, Knowledge{Runs: known(late)})
		if d := gocmp.Diff(told(again, all), told(late, arrived)); d != "" {
			t.Errorf("another look changes ids:\n%s", d)
		}
	})
}

// decisions on joins that there are, and on parts that never were joined.
func decisions(t *rapid.T, all []Stretch) []Decision {
	var keys []PartKey
	for _, r := range Runs("tenant", all, Knowledge{}) {
		for _, p := range r.Parts {
			keys = append(keys, p.Key)
		}
	}
	if len(keys) < 2 {
		return nil
	}
	one := rapid.Custom(func(t *rapid.T) Decision {
		return Decision{rapid.SampledFrom(keys).Draw(t, "from"), rapid.SampledFrom(keys).Draw(t, "to"), rapid.SampledFrom(Verdicts).Draw(t, "verdict")}
	})
	return rapid.SliceOfN(one, 0, 6).Draw(t, "decisions")
}

// What a person kept apart is apart; what they brought together is together
// unless that is kept apart elsewhere; and taking everything back is as if nothing
// had been said.
func TestDecisionsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := stretches().Draw(t, "stretches")
		said := decisions(t, all)
		untouched := Runs("tenant", all, Knowledge{})
		runs := Runs("tenant", all, Knowledge{Decisions: said, Runs: known(untouched)})
		in := known(runs)
		holds := standing(said)
		apart := false
		for p, v := range holds {
			apart = apart || v == Apart
			if v == Apart && p.a != p.b && in[p.a] == in[p.b] {
				t.Errorf("%s and %s are kept apart and in one run", p.a, p.b)
			}
		}
		for p, v := range holds {
			if v == Together && !apart && in[p.a] != in[p.b] {
				t.Errorf("%s and %s are confirmed and in two runs", p.a, p.b)
			}
		}
		back := slices.Clone(said)
		for _, d := range said {
			back = append(back, Decision{d.To, d.From, Open})
		}
		if d := gocmp.Diff(told(untouched, all), told(Runs("tenant", all, Knowledge{Decisions: back, Runs: in}), all)); d != "" {
			t.Errorf("undone and redone (-before +after):\n%s", d)
		}
	})
}

var runID0 = regexp.MustCompile(`^run_[a-z2-7]{20}$`)

// Every stretch is in exactly one run, ids are ordered and distinct, a run of n
// parts has n-1 joins, and no run of one tenant has the id of another tenant's.
func TestRunsPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := stretches().Draw(t, "stretches")
		runs := Runs("one", all, Knowledge{Decisions: decisions(t, all)})
		var members []int
		ids := map[string]bool{}
		for i, r := range runs {
			if !runID0.MatchString(r.ID) || i > 0 && runs[i-1].ID >= r.ID {
				t.Errorf("id %q at %d", r.ID, i)
			}
			if len(r.Members) == 0 || !slices.IsSorted(r.Members) || len(r.Joins) != len(r.Parts)-1 {
				t.Errorf("%d members, %d parts, %d joins", len(r.Members), len(r.Parts), len(r.Joins))
			}
			for _, join := range r.Joins {
				if join.Bits < Default().Threshold || len(join.Evidence) == 0 {
					t.Errorf("join without reason: %+v", join)
				}
			}
			ids[r.ID] = true
			members = append(members, r.Members...)
		}
		slices.Sort(members)
		for i, m := range members {
			if i != m {
				t.Fatalf("members %v of %d stretches", members, len(all))
			}
		}
		if len(members) != len(all) {
			t.Fatalf("%d members of %d stretches", len(members), len(all))
		}
		for _, r := range Runs("two", all, Knowledge{}) {
			if ids[r.ID] {
				t.Errorf("run %s belongs to two tenants", r.ID)
			}
		}
	})
}

// What is added behind leaves every id as it is, also where it joins two runs:
// then the one that began first goes on.
func TestIDsOutliveGrowth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := stretches().Draw(t, "stretches")
		n := rapid.IntRange(0, len(all)).Draw(t, "before")
		before := Runs("tenant", all[:n], Knowledge{})
		after := Runs("tenant", all, Knowledge{Runs: known(before)})
		have := map[string]bool{}
		for _, r := range after {
			have[r.ID] = true
		}
		gone := map[string]Change{}
		for _, c := range Changes(known(before), after) {
			gone[c.Run] = c
		}
		for _, r := range before {
			if c := gone[r.ID]; have[r.ID] == (c.Act == Merged || c.Act == Ended) || c.Act == Merged && !have[c.Other] {
				t.Errorf("run %s is there: %v, its history says %+v", r.ID, have[r.ID], c)
			}
		}
	})
}

// A workload that is seen from an earlier start, by a device that reports late,
// and one that proves to have a past, stay in the run that a finding may have named.
func TestIDsOutliveAnEarlierStart(t *testing.T) {
	late := Runs("tenant", large("2", 11*hour, 50*hour, 0), Knowledge{})
	early := Runs("tenant", slices.Concat(large("2", 11*hour, 50*hour, 0), large("1", 0, 10*hour, 0)), Knowledge{Runs: known(late)})
	if len(early) != 1 || late[0].ID != early[0].ID {
		t.Errorf("the id moved from %s to %s with the start", late[0].ID, early[0].ID)
	}
	if changes := Changes(known(late), early); changes != nil {
		t.Errorf("history of a run that only grew: %v", changes)
	}
}

func TestUndoSplitsAndRedoMerges(t *testing.T) {
	all := slices.Concat(large("1", 0, 10*hour, 0), large("2", 11*hour, 50*hour, 0), large("3", 51*hour, 70*hour, 0))
	whole := Runs("tenant", all, Knowledge{})
	if len(whole) != 1 || len(whole[0].Joins) != 2 {
		t.Fatalf("runs %+v", whole)
	}
	undone := whole[0].Joins[1]
	cut := Runs("tenant", all, Knowledge{Decisions: []Decision{{undone.From, undone.To, Apart}}, Runs: known(whole)})
	if len(cut) != 2 {
		t.Fatalf("undoing %s leaves %d runs", undone.ID, len(cut))
	}
	changes := Changes(known(whole), cut)
	if len(changes) != 1 || changes[0].Act != Split || changes[0].Other != whole[0].ID {
		t.Errorf("history of the undoing: %v", changes)
	}
	back := Runs("tenant", all, Knowledge{Decisions: []Decision{{undone.From, undone.To, Apart}, {undone.To, undone.From, Open}}, Runs: known(cut)})
	if d := gocmp.Diff(whole, back); d != "" {
		t.Errorf("undone and redone (-before +after):\n%s", d)
	}
	if again := Changes(known(cut), back); len(again) != 1 || again[0] != (Change{changes[0].Run, Merged, whole[0].ID}) {
		t.Errorf("history of the redoing: %v", again)
	}
	// A person may also join what the evidence does not.
	apart := []Stretch{vm("a", "v", 0, hour), stretch("b", measure.KindVM, "w", "", "b200", 30*24*hour, 31*24*hour)}
	joined := Runs("tenant", apart, Knowledge{Decisions: []Decision{{"vm v on a", "vm w on b", Together}}})
	if len(joined) != 1 || !joined[0].Joins[0].Confirmed || joined[0].Joins[0].Evidence[0].Name != "confirmed" {
		t.Errorf("confirmed: %+v", joined)
	}
}

func TestWeights(t *testing.T) {
	w := Default()
	if w.ID == "" || w.Digest == [32]byte{} {
		t.Errorf("weights %+v", w)
	}
	_, err := ReadWeights("w.yaml", []byte("id: x\nversion: 0\nthreshold: 0\nspace:\n  phase_percent: 101\nwild: 1\n"))
	if err == nil || !strings.Contains(err.Error(), "w.yaml:6: wild") {
		t.Errorf("bad weights: %v", err)
	}
	_, err = ReadWeights("w.yaml", []byte("id: x\nversion: 0\nthreshold: 0\nspace:\n  phase_percent: 101\n"))
	for _, want := range []string{"version", "threshold", "space.phase_percent", "time.gap"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("faults lack %s: %v", want, err)
		}
	}
	for _, v := range Verdicts {
		if err := v.Validate(); err != nil {
			t.Error(err)
		}
	}
	if Verdict("perhaps").Validate() == nil {
		t.Error("a verdict that is none passed")
	}
}
