// Package training judges which workloads serve one training run. It is pure,
// and the order in which workloads come to be known changes nothing.
//
// For now three kinds of evidence join: a run hint that the scheduler gives, one
// scheduler job, and, for workloads without a scheduler, starting at the same
// time on the same accelerator.
package training

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Together is how far apart workloads without a scheduler may start and still
// be one run.
const Together = 60 * time.Second

// Stretch is what one workload did on one host with one accelerator.
type Stretch struct {
	Host        string
	Workload    measure.Workload
	Accelerator string
	StartNS     int64
}

// Run is a set of stretches that serve one effort.
type Run struct {
	ID       string // run_…, follows from what joined it
	Label    string
	JoinedBy string // the evidence, in words
	Members  []int  // indexes of the stretches, ascending
}

// scheduled are the kinds whose id means the same on every host.
var scheduled = []measure.WorkloadKind{measure.KindSlurmJob, measure.KindPod}

// Join groups the stretches of one tenant into runs, ordered by id.
func Join(tenant measure.TenantID, stretches []Stretch) []Run {
	runs := map[string]*Run{}
	var loose []int
	for i, s := range stretches {
		var label, evidence string
		switch {
		case s.Workload.Hint != "":
			label, evidence = s.Workload.Hint, "run hint "+s.Workload.Hint
		case slices.Contains(scheduled, s.Workload.Kind):
			label, evidence = s.Workload.ID, string(s.Workload.Kind)+" "+s.Workload.ID
		default:
			loose = append(loose, i)
			continue
		}
		add(runs, tenant, label, evidence, evidence, i)
	}
	simultaneous(runs, tenant, stretches, loose)
	out := make([]Run, 0, len(runs))
	for _, r := range runs {
		slices.Sort(r.Members)
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Run) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// simultaneous joins workloads that start within a minute of the first of their
// group on the same accelerator.
func simultaneous(runs map[string]*Run, tenant measure.TenantID, stretches []Stretch, loose []int) {
	slices.SortFunc(loose, func(i, j int) int {
		a, b := stretches[i], stretches[j]
		return cmp.Or(cmp.Compare(a.Accelerator, b.Accelerator), cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.Host, b.Host),
			cmp.Compare(a.Workload.Kind, b.Workload.Kind), cmp.Compare(a.Workload.ID, b.Workload.ID))
	})
	for from := 0; from < len(loose); {
		first := stretches[loose[from]]
		to := from
		for to < len(loose) && stretches[loose[to]].Accelerator == first.Accelerator && stretches[loose[to]].StartNS-first.StartNS <= int64(Together) {
			to++
		}
		evidence := "one workload, no scheduler job"
		if to-from > 1 {
			evidence = fmt.Sprintf("%d workloads started within %s on %s", to-from, Together, first.Accelerator)
		}
		key := strings.Join([]string{"start", first.Accelerator, first.Host, string(first.Workload.Kind), first.Workload.ID}, "\x00")
		for _, i := range loose[from:to] {
			add(runs, tenant, string(first.Workload.Kind)+" "+first.Workload.ID, evidence, key, i)
		}
		from = to
	}
}

func add(runs map[string]*Run, tenant measure.TenantID, label, evidence, key string, member int) {
	r := runs[key]
	if r == nil {
		sum := sha256.Sum256([]byte(string(tenant) + "\x00" + key))
		r = &Run{ID: "run_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20], Label: label, JoinedBy: evidence}
		runs[key] = r
	}
	r.Members = append(r.Members, member)
}
