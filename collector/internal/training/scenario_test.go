package training

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// work is stretches of one tenant with what each did, in operations.
type work struct {
	stretches []Stretch
	done      []float64
}

func (w *work) add(s Stretch, perDevice float64) {
	w.stretches = append(w.stretches, s)
	w.done = append(w.done, perDevice*float64(s.Devices)*float64(s.EndNS-s.StartNS)/1e9)
}

// longRun is shaped as the published training of Llama 3.1 405B (Grattafiori et al.
// 2024): hosts × 8 H100 for 54 days with 419 interruptions, after each of which
// some hosts are swapped for spare ones and a new job of the scheduler begins. It
// returns the operations that were really done, of which some were lost: what was
// done since the last checkpoint is done again, and counts.
func longRun(r *rand.Rand, hosts int) (work, float64) {
	const interruptions = 419
	var w work
	on := make([]int, hosts)
	for i := range on {
		on[i] = i
	}
	spare, at, truth := hosts, int64(0), 0.0
	left := 54*24*hour - interruptions*hour/2
	for n := range interruptions + 1 {
		length := int64(float64(left) / float64(interruptions+1-n) * r.ExpFloat64())
		if n == interruptions || length > left {
			length = left
		}
		length = max(length, 5*60*second)
		left = max(0, left-length)
		for _, h := range on {
			s := stretch(fmt.Sprintf("node-%05d", h), measure.KindSlurmJob, fmt.Sprintf("job-%04d", n), "", "H100-SXM5-80GB", at, at+length)
			w.add(s, 4e14)
			truth += 4e14 * 8 * float64(length) / 1e9
		}
		for range 1 + r.IntN(4) { // swap what failed
			on[r.IntN(len(on))] = spare
			spare++
		}
		at += length + int64(r.IntN(50)+10)*60*second
	}
	return w, truth
}

// The whole of it is one run, and nothing that the tenant does besides is drawn in.
func TestLongRun(t *testing.T) {
	for _, hosts := range []int{32, 64, 256, 512, 2048} {
		t.Run(fmt.Sprintf("%d hosts", hosts), func(t *testing.T) { longRunIsOne(t, hosts) })
	}
}

func longRunIsOne(t *testing.T, hosts int) {
	t.Helper()
	r := rand.New(rand.NewPCG(405, 1))
	w, truth := longRun(r, hosts)
	long := len(w.stretches)
	for i := range 200 { // what people of the same tenant try out meanwhile
		start := r.Int64N(54*24) * hour
		for h := range 1 << r.IntN(4) {
			w.add(stretch(fmt.Sprintf("dev-%d-%d", i%30, h), measure.KindSlurmJob, fmt.Sprintf("dev-%d", i), "", "H100-SXM5-80GB", start, start+int64(float64(hour)*(0.1+8*r.Float64()))), 1e14)
		}
	}
	runs := Runs("ten-long", w.stretches, Knowledge{UntilNS: 100 * 24 * hour})
	var found *Run
	for i := range runs {
		if len(runs[i].Members) > long/2 {
			found = &runs[i]
		}
	}
	if found == nil {
		t.Fatalf("%d runs, none has half of the work", len(runs))
	}
	done, foreign := 0.0, 0
	for _, i := range found.Members {
		if i >= long {
			foreign++
		}
		done += w.done[i]
	}
	off := (done - truth) / truth * 100
	t.Logf("%d hosts, %d stretches: one run of %d starts with %d joins, operations off by %.3f %%, %s", hosts, long, found.Attempts, len(found.Joins), off, found.JoinedBy)
	if off < -2 || off > 2 || foreign > 0 {
		t.Errorf("operations off by %.2f %%, %d stretches of other work in it", off, foreign)
	}
	if found.Attempts != 420 || len(found.Joins) != 419 {
		t.Errorf("%d starts and %d joins, want 420 and 419", found.Attempts, len(found.Joins))
	}
	for _, j := range found.Joins {
		if j.Kind != Time || len(j.Evidence) < 3 || j.FromLabel == "" || j.ToLabel == "" || j.Bits < Default().Threshold {
			t.Fatalf("a join that nobody can read: %+v", j)
		}
		for _, e := range j.Evidence {
			if e.Detail == "" || strings.Contains(e.Detail, "\n") {
				t.Fatalf("evidence %+v", e)
			}
		}
	}
}

// Ordinary work of 300 tenants, on hosts that they have one after the other: runs
// never reach over tenants, and jobs of one tenant stay apart.
func TestOrdinaryTenants(t *testing.T) {
	r := rand.New(rand.NewPCG(300, 1))
	merged, runsOf := 0, map[string]measure.TenantID{}
	jobs := 0
	for n := range 300 {
		tenant := measure.TenantID(fmt.Sprintf("ten-%03d", n))
		var all []Stretch
		for i := range 5 + r.IntN(30) {
			start, length := r.Int64N(30*24)*hour+r.Int64N(hour), int64(float64(hour)*(0.1+20*r.ExpFloat64()))
			first := r.IntN(500)
			for h := range 1 << r.IntN(5) {
				all = append(all, stretch(fmt.Sprintf("node-%05d", (first+h)%500), measure.KindSlurmJob, fmt.Sprintf("%d-%d", n, i), "", "H100-SXM5-80GB", start, start+length))
			}
			jobs++
		}
		for _, run := range Runs(tenant, all, Knowledge{UntilNS: 100 * 24 * hour}) {
			if other := runsOf[run.ID]; other != "" {
				t.Errorf("run %s is of %s and of %s", run.ID, other, tenant)
			}
			runsOf[run.ID] = tenant
			ids := map[string]bool{}
			for _, i := range run.Members {
				ids[all[i].Workload.ID] = true
			}
			if len(ids) > 1 {
				merged++
			}
		}
	}
	t.Logf("%d jobs of 300 tenants made %d runs, of which %d hold several jobs of their tenant", jobs, len(runsOf), merged)
	if merged*100 > jobs*3 {
		t.Errorf("%d of %d jobs were joined with others of their tenant", merged, jobs)
	}
}

// day is what a fleet did in a day: half of the hosts in one training without a
// scheduler, told together by starts and stops, the rest in jobs of many tenants.
func day(r *rand.Rand, hosts int) map[measure.TenantID][]Stretch {
	out := map[measure.TenantID][]Stretch{}
	add := func(tenant measure.TenantID, s Stretch) { out[tenant] = append(out[tenant], s) }
	at := int64(0)
	for at < 23*hour { // the large one, interrupted now and then
		length := min(24*hour-at, int64(float64(6*hour)*r.ExpFloat64())+hour)
		for h := range hosts / 2 {
			add("ten-large", stretch(fmt.Sprintf("n%06d", h), measure.KindContainer, fmt.Sprintf("c%d-%d", at, h), "", "H100", at+r.Int64N(20*second), at+length-r.Int64N(20*second)))
		}
		at += length + hour/2
	}
	for h := hosts / 2; h < hosts; {
		size := min(1<<r.IntN(7), hosts-h)
		tenant := measure.TenantID(fmt.Sprintf("ten-%04d", r.IntN(1+hosts/50)))
		for at := r.Int64N(hour); at < 24*hour; {
			length := int64(float64(4*hour)*r.ExpFloat64()) + 600*second
			id := fmt.Sprintf("j%d-%d", h, at)
			for k := range size {
				add(tenant, stretch(fmt.Sprintf("n%06d", h+k), measure.KindSlurmJob, id, "", "H100", at, min(24*hour, at+length)))
			}
			at += length + r.Int64N(hour)
		}
		h += size
	}
	return out
}

// BenchmarkRuns shows how joining a day grows with the fleet.
func BenchmarkRuns(b *testing.B) {
	for _, hosts := range []int{1_000, 10_000, 100_000, 125_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			fleet := day(rand.New(rand.NewPCG(1, uint64(hosts))), hosts)
			n := 0
			for _, all := range fleet {
				n += len(all)
			}
			b.ReportAllocs()
			for b.Loop() {
				runs := 0
				for tenant, all := range fleet {
					runs += len(Runs(tenant, all, Knowledge{UntilNS: 25 * hour}))
				}
				b.ReportMetric(float64(runs), "runs")
			}
			b.ReportMetric(float64(n), "stretches")
		})
	}
}
