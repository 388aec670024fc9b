package allocation

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Lessor tells hosts of the allocations that name them, as tenancy leases: what a
// host claims then is what was allocated. Of workloads that may be on any host none
// is told: it is not for each to know who else there is, and the collector decides
// by itself. A lessor does not change once it is made.
type Lessor struct {
	hosts map[string][]Allocation // by id or name
	count int
}

// NewLessor returns a lessor of the allocations.
func NewLessor(all []Allocation) *Lessor {
	l := &Lessor{hosts: map[string][]Allocation{}, count: len(all)}
	for _, a := range all {
		if _, _, ok := a.leased(); ok && a.Host != "" && a.end() > max(a.FromNS, earliestLeaseNS) {
			l.hosts[a.Host] = append(l.hosts[a.Host], a)
		}
	}
	return l
}

// Silent reports whether there never was an allocation, and so nothing to tell.
func (l *Lessor) Silent() bool { return l == nil || l.count == 0 }

// leased returns the selector of the lease that says what the allocation says.
// There is none for a workload on one device, none for what hosts name without a
// scheduler, and none for a tenant that no host could read; there the collector
// decides by itself.
func (a Allocation) leased() (kind, value string, ok bool) {
	plain := a.Tenant != "" && len(a.Tenant) <= 128
	for i := range len(a.Tenant) {
		plain = plain && a.Tenant[i] > ' ' && a.Tenant[i] < 0x7f
	}
	switch {
	case !plain:
		return "", "", false
	case a.WorkloadKind != "" && a.Device != "":
		return "", "", false
	case a.WorkloadKind != "":
		kind, ok = map[measure.WorkloadKind]string{measure.KindSlurmJob: "slurm_job", measure.KindPod: "pod_uid", measure.KindContainer: "container",
			measure.KindUnit: "systemd_unit", measure.KindVM: "vm"}[a.WorkloadKind]
		return kind, a.WorkloadID, ok
	case strings.HasPrefix(string(a.Device), "MIG-"):
		return "mig", string(a.Device), true
	case a.Device != "":
		return "device", string(a.Device), true
	}
	return "host", "", true // by the name that the host has
}

// earliestLeaseNS is the first instant that a lease file can name.
const earliestLeaseNS = int64(time.Second)

// lateNS is how long a lease is told after its end: samples may be that late.
const lateNS = int64(time.Hour)

type selectorLine struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

type leaseLine struct {
	Selector selectorLine `json:"selector"`
	Tenant   string       `json:"tenant"`
	From     string       `json:"from"`
	To       string       `json:"to,omitempty"`
}

// Lines returns the leases of a host that are not long over, one JSON object a line
// as a lease file has them, in the order of their start. whole is false if not all
// found room in most bytes.
func (l *Lessor) Lines(hostID, hostName string, nowNS int64, most int) (lines []byte, whole bool) {
	whole = true
	own := slices.Clone(l.hosts[hostID])
	if hostName != "" && !IsHostID(hostName) {
		own = append(own, l.hosts[hostName]...)
	}
	slices.SortFunc(own, func(a, b Allocation) int { return cmp.Or(cmp.Compare(a.FromNS, b.FromNS), cmp.Compare(a.ID, b.ID)) })
	seen := map[leaseLine]bool{}
	for _, a := range own {
		if a.ToNS != 0 && a.ToNS+lateNS < nowNS {
			continue
		}
		kind, value, _ := a.leased()
		if kind == "host" {
			value = hostName
		}
		if value == "" {
			continue // a host without a name has no lease by name
		}
		line := leaseLine{selectorLine{kind, value}, string(a.Tenant), text(max(a.FromNS, earliestLeaseNS)), ""}
		if a.ToNS != 0 {
			line.To = text(a.ToNS)
		}
		if seen[line] {
			continue
		}
		seen[line] = true
		data, err := json.Marshal(line)
		if err != nil || len(lines)+len(data)+1 > most {
			whole = false
			continue
		}
		lines = append(append(lines, data...), '\n')
	}
	return lines, whole
}

func text(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
