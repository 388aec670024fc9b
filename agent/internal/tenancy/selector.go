// Package tenancy says which tenant a workload belonged to at an instant.
//
// Leases come as lines of a file that the provider's scheduler writes: a
// selector, an opaque tenant id and from when to when. The most specific lease
// that is in force wins; two that are equally specific and name different
// tenants are a conflict, which is reported and leaves the time unattributed.
// The rules are pure; only Watcher and JobWatcher touch a file.
package tenancy

import (
	"strings"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Kind says what a selector selects by.
type Kind string

// The kinds of selector.
const (
	Host         Kind = "host"
	Device       Kind = "device"
	MIG          Kind = "mig"
	UID          Kind = "uid"
	Namespace    Kind = "k8s_namespace"
	SlurmAccount Kind = "slurm_account"
	CgroupPrefix Kind = "cgroup_prefix"
	Unit         Kind = "systemd_unit"
	VM           Kind = "vm"
	SlurmJob     Kind = "slurm_job"
	PodUID       Kind = "pod_uid"
	Container    Kind = "container"
)

// specificity orders the kinds. Kinds with the same figure are equally
// specific, so that different tenants by them are a conflict.
var specificity = map[Kind]int{
	Host: 1, Device: 2, MIG: 3, UID: 4, Namespace: 5, SlurmAccount: 5,
	CgroupPrefix: 6, Unit: 7, VM: 7, SlurmJob: 8, PodUID: 8, Container: 9,
}

// Selector selects what a lease is about.
type Selector struct {
	Kind  Kind
	Value string
}

// Lease gives what a selector selects to a tenant for a half-open time.
type Lease struct {
	Selector Selector
	Tenant   measure.TenantID
	FromNS   int64 // Unix nanoseconds, included
	ToNS     int64 // excluded; 0 is without end
	Line     int   // line of the file, from 1
}

// InForce reports whether the lease holds at an instant.
func (l Lease) InForce(atNS int64) bool {
	return atNS >= l.FromNS && (l.ToNS == 0 || atNS < l.ToNS)
}

// Subject is everything that a process on a device can be selected by. An empty
// field is not known and matches nothing.
type Subject struct {
	Host         string
	Device       measure.DeviceID // the whole device, for a partition its parent
	MIG          measure.DeviceID // the partition, "" for a whole device
	UID          string           // decimal
	Namespace    string
	SlurmAccount string
	Cgroup       string // raw path
	Unit         string
	VM           string // name
	VMUUID       string // lower case, with dashes
	SlurmJob     string
	PodUID       string
	Container    string
}

// SubjectOf describes a device of a host that nobody in particular holds.
func SubjectOf(host string, device measure.Device) Subject {
	if device.Parent != "" {
		return Subject{Host: host, Device: device.Parent, MIG: device.ID}
	}
	return Subject{Host: host, Device: device.ID}
}

// With adds what is known of a process. The user of a session or job counts more
// than the process's own: within them it may become another user.
func (s Subject) With(p probe.Process) Subject {
	if p.UID >= 0 && p.PID > 0 {
		s.UID = decimal(p.UID)
	}
	n := &p.Names
	if n.User != "" {
		s.UID = n.User
	}
	s.Cgroup, s.Unit, s.VM, s.VMUUID = n.Cgroup, n.Unit, n.VM, n.VMUUID
	s.SlurmJob, s.PodUID, s.Container = n.SlurmJob, n.PodUID, n.Container
	s.Namespace, s.SlurmAccount = n.Namespace, n.SlurmAccount
	return s
}

// parentPath is the cgroup above, "" above the root.
func parentPath(path string) string {
	if path == "/" || path == "" {
		return ""
	}
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
