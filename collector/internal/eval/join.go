package eval

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Labelled are the workloads of one tenant, with the true run of each.
type Labelled struct {
	Tenant    measure.TenantID
	Stretches []training.Stretch
	Truth     []string
	UntilNS   int64 // up to when the set is known
}

// Joining is how joining did on one set.
type Joining struct {
	Set       string
	What      string // the evidence that joining was given, and the rule that the truth follows
	Workloads int
	Runs      int      // true ones
	Exact     int      // that came out with just their workloads
	Merges    int      // joined runs that hold workloads of several true ones
	Splits    int      // true runs whose workloads lie in several joined ones
	Merged    []Merged `json:"-"`
	together  int64
	right     int64
	belong    int64
}

// Merged is a joined run that holds workloads of several true ones.
type Merged struct {
	Runs          []string      // true ones, by start
	Nodes         []int         // workloads of each
	Starts, Stops time.Duration // from the first to the last of them
}

// Precision returns the share of pairs joined that belong together, Recall that
// of pairs belonging together that were joined; 1 where there is no pair.
func (j Joining) Precision() float64 { return pairs(j.right, j.together) }

// Recall is described at Precision.
func (j Joining) Recall() float64 { return pairs(j.right, j.belong) }

func pairs(n, of int64) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

// add joins the workloads of a tenant and counts.
func (j *Joining) add(l Labelled) {
	j.Workloads += len(l.Stretches)
	sizes, parts := map[string]int{}, map[string]int{}
	for _, truth := range l.Truth {
		sizes[truth]++
	}
	for _, n := range sizes {
		j.belong += choose(n)
	}
	j.Runs += len(sizes)
	for _, run := range training.Runs(l.Tenant, l.Stretches, training.Knowledge{UntilNS: l.UntilNS}) {
		inside := map[string]int{}
		for _, i := range run.Members {
			inside[l.Truth[i]]++
		}
		j.together += choose(len(run.Members))
		for truth, n := range inside {
			j.right += choose(n)
			parts[truth]++
			if len(inside) == 1 && n == sizes[truth] {
				j.Exact++
			}
		}
		if len(inside) > 1 {
			j.Merges++
			j.Merged = append(j.Merged, mergedOf(l, run.Members))
		}
	}
	for _, n := range parts {
		if n > 1 {
			j.Splits++
		}
	}
}

// mergedOf describes a joined run of several true ones.
func mergedOf(l Labelled, members []int) Merged {
	first := map[string]training.Stretch{}
	nodes := map[string]int{}
	for _, i := range members {
		if _, known := first[l.Truth[i]]; !known {
			first[l.Truth[i]] = l.Stretches[i]
		}
		nodes[l.Truth[i]]++
	}
	var m Merged
	m.Runs = slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		return cmp.Or(cmp.Compare(first[a].StartNS, first[b].StartNS), cmp.Compare(a, b))
	})
	lo, hi := first[m.Runs[0]], first[m.Runs[0]]
	for _, id := range m.Runs {
		s := first[id]
		m.Nodes = append(m.Nodes, nodes[id])
		lo.StartNS, hi.StartNS, lo.EndNS, hi.EndNS = min(lo.StartNS, s.StartNS), max(hi.StartNS, s.StartNS), min(lo.EndNS, s.EndNS), max(hi.EndNS, s.EndNS)
	}
	m.Starts, m.Stops = time.Duration(hi.StartNS-lo.StartNS), time.Duration(hi.EndNS-lo.EndNS)
	return m
}

func choose(n int) int64 { return int64(n) * int64(n-1) / 2 }

// Joinings measures joining on every set below the folder.
func Joinings(traces string) ([]Joining, error) {
	var out []Joining
	for _, set := range []struct {
		name, what string
		read       func(string) ([]Labelled, error)
	}{
		{"mlperf-training-v4.0-runs as jobs", "one scheduler job for each published run, on hosts that later runs have again", publishedJobs},
		{"mlperf-training-v4.0-runs", "one container on each node, no scheduler job; each published run is one run", publishedRuns},
		{trainingPowerSet, "one container on each node, no scheduler job; each recording of several nodes is one run", recordedNodes},
		{"acme-kalos-completed-jobs", "one scheduler job after the other, no user; continued pre-training by the rule of the folder's README", continuedJobs},
	} {
		j := Joining{Set: set.name, What: set.what}
		labelled, err := set.read(traces)
		if err != nil {
			return nil, err
		}
		// The sets are of the past: whatever they hold has ended.
		until := int64(0)
		for _, l := range labelled {
			for i := range l.Stretches {
				until = max(until, l.Stretches[i].EndNS+int64(time.Hour))
			}
		}
		for _, l := range labelled {
			l.UntilNS = until
			j.add(l)
		}
		out = append(out, j)
	}
	return out, nil
}

// byTenant collects labelled workloads in the order in which tenants appear.
type byTenant struct {
	order []measure.TenantID
	all   map[measure.TenantID]*Labelled
}

func (b *byTenant) add(tenant measure.TenantID, truth string, s training.Stretch) {
	if b.all == nil {
		b.all = map[measure.TenantID]*Labelled{}
	}
	l := b.all[tenant]
	if l == nil {
		l = &Labelled{Tenant: tenant}
		b.all[tenant], b.order = l, append(b.order, tenant)
	}
	l.Stretches, l.Truth = append(l.Stretches, s), append(l.Truth, truth)
}

func (b *byTenant) list() []Labelled {
	var out []Labelled
	for _, tenant := range b.order {
		out = append(out, *b.all[tenant])
	}
	return out
}

// publishedRuns makes one workload for each node of each published run. Hosts
// have no names there: the nodes of a system are numbered.
func publishedRuns(traces string) ([]Labelled, error) {
	var b byTenant
	err := rows(filepath.Join(traces, "mlperf-training-v4.0-runs", "runs.csv.gz"),
		[]string{"run_id", "submitter", "system", "nodes", "accelerator", "init_start_ms", "run_stop_ms", "accelerators_per_node"}, func(r *row) error {
			id, system := strings.Clone(r.text(0)), strings.Clone(r.text(2))
			stop := r.int(5)
			if r.text(6) != "" { // one log breaks off
				stop = r.int(6)
			}
			for node := range r.int(3) {
				b.add(measure.TenantID(strings.Clone(r.text(1))), id, training.Stretch{
					Host: fmt.Sprintf("%s-%d", system, node), Accelerator: strings.Clone(r.text(4)),
					Workload: measure.Workload{Kind: measure.KindContainer, ID: fmt.Sprintf("%s/%d", id, node)},
					StartNS:  r.int(5) * int64(time.Millisecond), EndNS: stop * int64(time.Millisecond), Devices: int(r.int(7)),
				})
			}
			return nil
		})
	return b.list(), err
}

// publishedJobs are the same with a scheduler that numbers its jobs.
func publishedJobs(traces string) ([]Labelled, error) {
	all, err := publishedRuns(traces)
	for _, l := range all {
		for i := range l.Stretches {
			l.Stretches[i].Workload = measure.Workload{Kind: measure.KindSlurmJob, ID: l.Truth[i]}
		}
	}
	return all, err
}

// recordedNodes makes one workload for each node whose power was recorded. The
// first reading is its start.
func recordedNodes(traces string) ([]Labelled, error) {
	runs, err := nodePower(traces)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(runs))
	for id := range runs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var b byTenant
	for _, id := range ids {
		for node, readings := range runs[id] {
			start, end := readings[0].ns, readings[0].ns
			for _, r := range readings {
				start, end = min(start, r.ns), max(end, r.ns)
			}
			b.add("smc", id, training.Stretch{
				Host: strings.Split(id, "/")[1] + "-" + node, Accelerator: "H100-SXM5-80GB", StartNS: start, EndNS: end, Devices: 8,
				Workload: measure.Workload{Kind: measure.KindContainer, ID: id + "/" + node}, Activity: curveOf(readings),
			})
		}
	}
	return b.list(), nil
}

// curveStep is how long each value of a curve is the mean of: five readings.
const curveStep = 10 * time.Second

// curveOf returns power on a grid of steps that all nodes share. Readings that
// are impossible are left out, a step without any is a hole.
func curveOf(readings []reading) training.Curve {
	first, last := readings[0].ns, readings[0].ns
	for _, r := range readings {
		first, last = min(first, r.ns), max(last, r.ns)
	}
	step := int64(curveStep)
	first -= first % step
	sums, counts := make([]float64, (last-first)/step+1), make([]float64, (last-first)/step+1)
	for _, r := range readings {
		if r.w > 0 {
			sums[(r.ns-first)/step] += r.w
			counts[(r.ns-first)/step]++
		}
	}
	c := training.Curve{StartNS: first, StepNS: step, Values: make([]float32, len(sums))}
	for i := range sums {
		c.Values[i] = float32(sums[i] / counts[i]) // 0/0 is NaN: a hole
	}
	return c
}

// continuedJobs are the pre-training jobs of at least an hour. The truth follows
// the rule of the README: GPUs within 5 % of the job before, arrival between 15
// minutes before and 2 hours after its end, nearest first, each job once. Hosts are
// not in the set, so no two jobs share one.
func continuedJobs(traces string) ([]Labelled, error) {
	type job struct {
		id         string
		start, end float64 // seconds
		gpus       float64
		run        string
		continued  bool
	}
	var jobs []*job
	err := rows(filepath.Join(traces, "acme-kalos-completed-jobs", "jobs.csv.gz"),
		[]string{"job_id", "arrival_time", "num_iteration", "gpu_workers", "gpu_per_worker", "profiled_network"}, func(r *row) error {
			j := &job{id: strings.Clone(r.text(0)), start: r.float(1), gpus: r.float(3) * r.float(4)}
			j.end = j.start + r.float(2)/2
			if r.float(5) == 1000 && j.end-j.start >= 3600 {
				jobs = append(jobs, j)
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	var b byTenant
	for _, j := range jobs {
		var before *job
		for _, o := range jobs {
			gap := j.start - o.end
			if o.run == "" || o.continued || gap < -900 || gap > 7200 || j.gpus < 0.95*o.gpus || j.gpus > 1.05*o.gpus {
				continue
			}
			if before == nil || abs(gap) < abs(j.start-before.end) {
				before = o
			}
		}
		j.run = "from " + j.id
		if before != nil {
			before.continued, j.run = true, before.run
		}
		b.add("kalos", j.run, training.Stretch{
			Host: "of job " + j.id, Accelerator: "A100-SXM4-80GB",
			Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: j.id}, StartNS: int64(j.start * 1e9), EndNS: int64(j.end * 1e9), Devices: int(j.gpus),
		})
	}
	return b.list(), nil
}

func abs(x float64) float64 { return max(x, -x) }
