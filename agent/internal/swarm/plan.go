package swarm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Sizes says what share of the hosts runs workloads of which size in hosts. Hosts of
// size 0 are idle.
type Sizes []Size

// Size is one size and its share.
type Size struct {
	Hosts int
	Share float64 // of all hosts; shares are relative to one another
}

// ParseSizes reads sizes as "0:0.1,1:0.3,64:0.6".
func ParseSizes(text string) (Sizes, error) {
	var all Sizes
	for part := range strings.SplitSeq(text, ",") {
		hosts, share, ok := strings.Cut(strings.TrimSpace(part), ":")
		n, err := strconv.Atoi(hosts)
		f, errShare := strconv.ParseFloat(share, 64)
		if !ok || err != nil || errShare != nil || n < 0 || n > 1_000_000 || !(f > 0) || f > 1e6 {
			return nil, fmt.Errorf("sizes %q: want hosts:share and more of them after commas, such as 0:0.1,1:0.3,64:0.6", text)
		}
		all = append(all, Size{n, f})
	}
	return all, nil
}

// job is a workload of one or more hosts.
type job struct {
	workload measure.Workload
	tenant   measure.TenantID
	did      compute.Operations // so far
	crossed  bool
}

// plan says which host runs what.
type plan struct {
	first []int // host with which each stretch begins
	jobs  []*job
}

// newPlan deals the hosts out: workloads of the different sizes follow one another,
// each size as often as its share asks for.
func newPlan(cfg Config) *plan {
	p := &plan{}
	sizes := cfg.Sizes
	if len(sizes) == 0 {
		sizes = Sizes{{1, 1}}
	}
	given := make([]float64, len(sizes))
	for at := 0; at < cfg.Hosts; {
		// The size that lacks most comes next.
		next := 0
		for i := range sizes {
			if given[i]/sizes[i].Share < given[next]/sizes[next].Share {
				next = i
			}
		}
		n := min(max(sizes[next].Hosts, 1), cfg.Hosts-at)
		given[next] += float64(n)
		var j *job
		if sizes[next].Hosts > 0 {
			no := len(p.jobs)
			j = &job{workload: measure.Workload{Kind: measure.KindSlurmJob, ID: fmt.Sprintf("%d-%d", cfg.Seed, no)}, tenant: measure.TenantID(fmt.Sprintf("ten-%06d", no%max(cfg.Tenants, 1)))}
		}
		p.first, p.jobs = append(p.first, at), append(p.jobs, j)
		at += n
	}
	return p
}

// jobOf returns what a host runs, nil if it is idle.
func (p *plan) jobOf(host int) *job {
	i, found := slices.BinarySearch(p.first, host)
	if !found {
		i--
	}
	return p.jobs[i]
}
