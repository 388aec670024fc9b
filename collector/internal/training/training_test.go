package training

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

const second = int64(1_000_000_000)

func stretch(host string, kind measure.WorkloadKind, id, hint, accelerator string, at int64) Stretch {
	return Stretch{Host: host, Workload: measure.Workload{Kind: kind, ID: id, Hint: hint}, Accelerator: accelerator, StartNS: at}
}

// groups returns the members of each run, ordered by the first.
func groups(runs []Run) [][]int {
	var all [][]int
	for _, r := range runs {
		all = append(all, r.Members)
	}
	slices.SortFunc(all, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return all
}

func TestJoin(t *testing.T) {
	for name, c := range map[string]struct {
		stretches []Stretch
		want      [][]int
	}{
		"nothing": {},
		"a hint joins jobs, hosts, accelerators and days": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "llm", "h100", 0),
			stretch("b", measure.KindSlurmJob, "2", "llm", "b200", 86400*second),
			stretch("b", measure.KindVM, "vm", "llm", "b200", 0),
		}, [][]int{{0, 1, 2}}},
		"two hints": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "x", "h100", 0),
			stretch("a", measure.KindSlurmJob, "1", "y", "h100", 0),
		}, [][]int{{0}, {1}}},
		"one slurm job on two hosts": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "", "h100", 0),
			stretch("b", measure.KindSlurmJob, "1", "", "h100", 3600*second),
		}, [][]int{{0, 1}}},
		"two slurm jobs at once": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "", "h100", 0),
			stretch("b", measure.KindSlurmJob, "2", "", "h100", 0),
		}, [][]int{{0}, {1}}},
		"a pod is not a slurm job of the same name": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "", "h100", 0),
			stretch("b", measure.KindPod, "1", "", "h100", 0),
		}, [][]int{{0}, {1}}},
		"a hint is not a slurm job of the same name": {[]Stretch{
			stretch("a", measure.KindSlurmJob, "1", "", "h100", 0),
			stretch("b", measure.KindSlurmJob, "2", "1", "h100", 0),
		}, [][]int{{0}, {1}}},
		"a container's id says nothing on another host": {[]Stretch{
			stretch("a", measure.KindContainer, "1", "", "h100", 0),
			stretch("b", measure.KindContainer, "1", "", "h100", 3600*second),
		}, [][]int{{0}, {1}}},
		"60 s apart": {[]Stretch{
			stretch("b", measure.KindVM, "2", "", "h100", 60*second),
			stretch("a", measure.KindVM, "1", "", "h100", 0),
		}, [][]int{{0, 1}}},
		"60 s and a nanosecond apart": {[]Stretch{
			stretch("b", measure.KindVM, "2", "", "h100", 60*second+1),
			stretch("a", measure.KindVM, "1", "", "h100", 0),
		}, [][]int{{0}, {1}}},
		"61 s apart": {[]Stretch{
			stretch("a", measure.KindVM, "1", "", "h100", 0),
			stretch("b", measure.KindVM, "2", "", "h100", 61*second),
		}, [][]int{{0}, {1}}},
		"a chain goes no further than a minute from its first": {[]Stretch{
			stretch("a", measure.KindVM, "1", "", "h100", 0),
			stretch("b", measure.KindVM, "2", "", "h100", 40*second),
			stretch("c", measure.KindVM, "3", "", "h100", 80*second),
		}, [][]int{{0, 1}, {2}}},
		"other accelerators": {[]Stretch{
			stretch("a", measure.KindVM, "1", "", "h100", 0),
			stretch("b", measure.KindVM, "2", "", "b200", 0),
		}, [][]int{{0}, {1}}},
		"a job is not joined by its start": {[]Stretch{
			stretch("a", measure.KindVM, "1", "", "h100", 0),
			stretch("b", measure.KindSlurmJob, "2", "", "h100", 0),
		}, [][]int{{0}, {1}}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := gocmp.Diff(c.want, groups(Join("tenant", c.stretches))); d != "" {
				t.Errorf("runs (-want +got):\n%s", d)
			}
		})
	}
}

func TestJoinSaysWhy(t *testing.T) {
	for _, c := range []struct {
		stretches []Stretch
		label     string
		evidence  string
	}{
		{[]Stretch{stretch("a", measure.KindSlurmJob, "1", "llm", "h100", 0)}, "llm", "run hint llm"},
		{[]Stretch{stretch("a", measure.KindSlurmJob, "1", "", "h100", 0)}, "1", "slurm_job 1"},
		{[]Stretch{stretch("a", measure.KindVM, "v", "", "h100", 0)}, "vm v", "one workload, no scheduler job"},
		{[]Stretch{stretch("a", measure.KindVM, "v", "", "h100", 0), stretch("b", measure.KindVM, "w", "", "h100", 1)}, "vm v", "2 workloads started within 1m0s on h100"},
	} {
		got := Join("tenant", c.stretches)
		if len(got) != 1 || got[0].Label != c.label || got[0].JoinedBy != c.evidence {
			t.Errorf("got %+v, want label %q by %q", got, c.label, c.evidence)
		}
	}
}

func stretches() *rapid.Generator[[]Stretch] {
	one := rapid.Custom(func(t *rapid.T) Stretch {
		return stretch(
			rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "host"),
			rapid.SampledFrom([]measure.WorkloadKind{measure.KindSlurmJob, measure.KindPod, measure.KindVM, measure.KindCgroup, measure.KindNone}).Draw(t, "kind"),
			rapid.SampledFrom([]string{"1", "2", ""}).Draw(t, "id"),
			rapid.SampledFrom([]string{"", "", "", "x", "1"}).Draw(t, "hint"),
			rapid.SampledFrom([]string{"h100", "b200"}).Draw(t, "accelerator"),
			rapid.Int64Range(0, 8).Draw(t, "start")*30*second,
		)
	})
	return rapid.SliceOfN(one, 0, 20)
}

// said puts runs into words that do not depend on the stretches' places.
func said(runs []Run, all []Stretch) []string {
	var out []string
	for _, r := range runs {
		var members []string
		for _, i := range r.Members {
			members = append(members, fmt.Sprint(all[i]))
		}
		slices.Sort(members)
		out = append(out, fmt.Sprintf("%s %q %q: %s", r.ID, r.Label, r.JoinedBy, strings.Join(members, " ")))
	}
	return out
}

// The order in which stretches come to be known changes nothing.
func TestOrderChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := stretches().Draw(t, "stretches")
		mixed := rapid.Permutation(all).Draw(t, "mixed")
		if d := gocmp.Diff(said(Join("tenant", all), all), said(Join("tenant", mixed), mixed)); d != "" {
			t.Errorf("another order gives other runs:\n%s", d)
		}
	})
}

var runID = regexp.MustCompile(`^run_[a-z2-7]{20}$`)

// Every stretch is in exactly one run, ids are ordered and distinct, and no run
// of one tenant has the id of another tenant's.
func TestRunsPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := stretches().Draw(t, "stretches")
		runs := Join("one", all)
		var members []int
		ids := map[string]bool{}
		for i, r := range runs {
			if !runID.MatchString(r.ID) || i > 0 && runs[i-1].ID >= r.ID {
				t.Errorf("id %q at %d", r.ID, i)
			}
			if len(r.Members) == 0 || !slices.IsSorted(r.Members) {
				t.Errorf("members %v", r.Members)
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
		for _, r := range Join("two", all) {
			if ids[r.ID] {
				t.Errorf("run %s belongs to two tenants", r.ID)
			}
		}
	})
}

// A stretch that grows or one that comes later leaves a run's id as it is: a
// finding names it for ever.
func TestIDsOutliveGrowth(t *testing.T) {
	before := []Stretch{stretch("a", measure.KindSlurmJob, "1", "", "h100", 0), stretch("a", measure.KindVM, "v", "", "h100", 0)}
	after := append(slices.Clone(before), stretch("b", measure.KindSlurmJob, "1", "", "h100", 99*second), stretch("b", measure.KindVM, "w", "", "h100", second))
	var ids [2][]string
	for i, all := range [][]Stretch{before, after} {
		for _, r := range Join("tenant", all) {
			ids[i] = append(ids[i], r.ID)
		}
	}
	if d := gocmp.Diff(ids[0], ids[1]); d != "" {
		t.Errorf("ids change as runs grow:\n%s", d)
	}
}

// A workload that is seen from an earlier start, by a device that reports late,
// stays in the run that a finding may have named.
func TestIDsOutliveAnEarlierStart(t *testing.T) {
	late := Join("tenant", []Stretch{stretch("a", measure.KindVM, "v", "", "h100", 5)})
	early := Join("tenant", []Stretch{stretch("a", measure.KindVM, "v", "", "h100", 1)})
	if late[0].ID != early[0].ID {
		t.Errorf("the id moved from %s to %s with the start", late[0].ID, early[0].ID)
	}
}
