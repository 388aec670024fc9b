package probe

import (
	"strings"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// rank orders the kinds by how exactly they name what runs; where hierarchies
// disagree (Slurm on cgroup v1 beside systemd on v2) the highest is believed.
var rank = map[measure.WorkloadKind]int{
	measure.KindCgroup:    1,
	measure.KindUnit:      2,
	measure.KindSession:   3,
	measure.KindVM:        4,
	measure.KindContainer: 5,
	measure.KindSlurmJob:  6,
	measure.KindPod:       6,
}

// Resolve names the workload of a process from the paths of its cgroups. Only
// the outermost name counts: below it the tenant may own the tree and name its
// cgroups as it likes, so a job that makes itself a "docker-….scope" stays the
// job. A path that no scheduler is known by gives KindCgroup with that path.
func Resolve(paths []string) (Names, measure.Workload) {
	var names Names
	var best measure.Workload
	for _, path := range paths {
		n, w := resolvePath(path)
		if rank[w.Kind] > rank[best.Kind] {
			names, best = n, w
		}
	}
	return names, best
}

func resolvePath(path string) (Names, measure.Workload) {
	names := Names{Cgroup: path}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	named := func(kind measure.WorkloadKind, id string) (Names, measure.Workload) {
		return names, measure.Workload{Kind: kind, ID: escaped(id)}
	}
	switch first := parts[0]; {
	case first == "kubepods" || first == "kubepods.slice":
		if uid, container := podOf(parts); uid != "" {
			names.PodUID, names.Container = uid, container
			return named(measure.KindPod, uid)
		}
	case first == "slurm" || strings.HasPrefix(first, "slurm_"):
		user, ok := strings.CutPrefix(at(1), "uid_")
		if job, isJob := slurmJob(at(2)); isJob && ok && isUser(user) {
			names.SlurmJob, names.User = job, user
			return named(measure.KindSlurmJob, job)
		}
	case first == "system.slice" && isRuntime(at(1)) && strings.HasPrefix(at(2), "kubepods"):
		if uid, container := podOf([]string{"", at(2)}); uid != "" {
			names.PodUID, names.Container = uid, container
			return named(measure.KindPod, uid)
		}
		// What is not a pod after all is a part of the runtime.
		names.Unit = at(1)
		return named(measure.KindUnit, at(1))
	case first == "system.slice" && (at(1) == "slurmstepd.scope" || strings.HasSuffix(at(1), "_slurmstepd.scope")):
		if job, ok := slurmJob(at(2)); ok {
			names.SlurmJob = job
			return named(measure.KindSlurmJob, job)
		}
	case first == "docker" || first == "libpod_parent":
		id := strings.TrimPrefix(at(1), "libpod-")
		if isContainerID(id) {
			names.Container = id
			return named(measure.KindContainer, id)
		}
	case strings.HasPrefix(first, "lxc.payload.") && first != "lxc.payload.":
		names.Container = strings.TrimPrefix(first, "lxc.payload.")
		return named(measure.KindContainer, names.Container)
	case first == "lxc" && at(1) != "":
		names.Container = at(1)
		return named(measure.KindContainer, names.Container)
	case first == "machine" && strings.HasSuffix(at(1), ".libvirt-qemu"):
		machine := strings.TrimSuffix(at(1), ".libvirt-qemu")
		if vm, ok := libvirtName(machine); ok {
			names.VM, names.Machine = vm, machine
			return named(measure.KindVM, vm)
		}
	case first == "user.slice":
		// Everything below belongs to the user, a rootless container too: its
		// scope name is the user's word and must not match another's container.
		if user, session := sessionOf(parts); user != "" {
			names.Session, names.User = session, user
			return named(measure.KindSession, session)
		}
	case strings.HasSuffix(first, ".slice"):
		if kind, id := unitOf(parts, &names); id != "" {
			return named(kind, id)
		}
	case first == "init.scope":
		names.Unit = first
		return named(measure.KindUnit, first)
	}
	return named(measure.KindCgroup, path)
}
