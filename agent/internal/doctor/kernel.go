package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/bpf"
)

// examineKernel says what the agent hears from the kernel between two samples,
// and of what it does not hear what is lost.
func examineKernel(features []bpf.Feature) []Check {
	hears := slices.ContainsFunc(features, func(f bpf.Feature) bool { return f.Name == "process events" && f.Answer == bpf.Yes })
	var working []string
	var checks []Check
	for _, f := range features {
		if f.Answer == bpf.Yes {
			working = append(working, f.Name)
			continue
		}
		if f.Answer == bpf.Unknown && hears {
			continue // a condition that could not be asked for, of what works
		}
		c := Check{Name: "kernel: " + f.Name, Status: Degraded, Found: string(f.Answer)}
		if f.Reason != "" {
			c.Found += ": " + f.Reason
		}
		if f.Lost != "" {
			c.Advice = "lost without it: " + f.Lost
		}
		checks = append(checks, c)
	}
	all := Check{Name: "kernel events", Found: fmt.Sprintf("%d of %d work: %s", len(working), len(features), strings.Join(working, ", "))}
	if !hears {
		all.Status = Degraded
		all.Advice = "processes that live and end between two samples are not attributed; their device time is unattributed"
	}
	return append([]Check{all}, checks...)
}

// examineCgroups says whether the kernel's ids of cgroups have names here.
func examineCgroups(o Options) []Check {
	mounts, err := os.ReadFile(filepath.Join(o.Proc, "self/mounts"))
	if err != nil {
		return nil // without /proc there is a check of its own
	}
	var unified, older bool
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			unified, older = unified || fields[2] == "cgroup2", older || fields[2] == "cgroup"
		}
	}
	c := Check{Name: "cgroups", Found: "the unified hierarchy (version 2)"}
	switch {
	case unified && older:
		c.Found = "version 1 with the unified hierarchy beside it"
		c.Status = Degraded
		c.Advice = "a process that ended is named by the unified hierarchy only, where a scheduler of version 1 made no folder; boot with systemd.unified_cgroup_hierarchy=1"
	case older:
		c.Found = "version 1 only"
		c.Status = Degraded
		c.Advice = "processes that end between two samples have no workload; boot with systemd.unified_cgroup_hierarchy=1"
	case !unified:
		c.Found = "none is mounted"
		c.Status = Degraded
		c.Advice = "without cgroups no workload is known; mount /sys/fs/cgroup"
	}
	return []Check{c}
}
