package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Names are what leases can select a process by, as far as its cgroup tells.
// Empty means that it has no such name. They are raw: compare, do not print.
type Names struct {
	Cgroup    string // path of the cgroup that named the workload
	PodUID    string
	Container string // container id, or the name of a system container
	SlurmJob  string
	Unit      string
	VM        string // libvirt domain name
	Session   string
}

// maxID bounds the identifiers that go on the wire.
const maxID = 256

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
		if job, ok := slurmJob(at(2)); ok && strings.HasPrefix(at(1), "uid_") {
			names.SlurmJob = job
			return named(measure.KindSlurmJob, job)
		}
	case first == "system.slice" && strings.HasSuffix(at(1), "slurmstepd.scope"):
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
	case strings.HasPrefix(first, "lxc.payload."):
		names.Container = strings.TrimPrefix(first, "lxc.payload.")
		return named(measure.KindContainer, names.Container)
	case first == "lxc" && at(1) != "":
		names.Container = at(1)
		return named(measure.KindContainer, names.Container)
	case first == "machine" && strings.HasSuffix(at(1), ".libvirt-qemu"):
		if vm, ok := libvirtName(strings.TrimSuffix(at(1), ".libvirt-qemu")); ok {
			names.VM = vm
			return named(measure.KindVM, vm)
		}
	case first == "user.slice":
		// Everything below belongs to the user, a rootless container too: its
		// scope name is the user's word and must not match another's container.
		if session := sessionOf(parts); session != "" {
			names.Session = session
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

// podOf finds the pod and, where it is named, the container, for both cgroup
// drivers; guaranteed pods have no folder for the class.
func podOf(parts []string) (uid, container string) {
	for i := 1; i < len(parts) && i <= 2; i++ {
		name := parts[i]
		if slice, ok := strings.CutSuffix(name, ".slice"); ok {
			_, id, ok := strings.Cut(slice, "-pod")
			if !ok {
				continue
			}
			uid = strings.ReplaceAll(id, "_", "-")
		} else if id, ok := strings.CutPrefix(name, "pod"); ok {
			uid = id
		} else {
			continue
		}
		if !isPodUID(uid) {
			return "", ""
		}
		if i+1 < len(parts) {
			container = scopeContainer(parts[i+1])
		}
		return uid, container
	}
	return "", ""
}

// isPodUID accepts an RFC 4122 id or the 32 digits of a static pod.
func isPodUID(s string) bool {
	if len(s) != 36 && len(s) != 32 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef-") == ""
}

// scopeContainer strips the runtime from "runtime-id.scope".
func scopeContainer(name string) string {
	name = strings.TrimSuffix(name, ".scope")
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		name = name[i+1:]
	}
	if isContainerID(name) {
		return name
	}
	return ""
}

func isContainerID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func slurmJob(name string) (string, bool) {
	id, ok := strings.CutPrefix(name, "job_")
	return id, ok && isDigits(id) && len(id) <= 20
}

// sessionOf is "user-UID" or "user-UID/session-N".
func sessionOf(parts []string) string {
	if len(parts) < 2 {
		return ""
	}
	uid, ok := strings.CutPrefix(strings.TrimSuffix(parts[1], ".slice"), "user-")
	if !ok || !isDigits(uid) {
		return ""
	}
	if len(parts) > 2 {
		n, ok := strings.CutPrefix(strings.TrimSuffix(parts[2], ".scope"), "session-")
		if ok && n != "" {
			return "user-" + uid + "/session-" + n
		}
	}
	return "user-" + uid
}

// unitOf walks through nested slices to the first name that is not one.
func unitOf(parts []string, names *Names) (measure.WorkloadKind, string) {
	i := 0
	for i < len(parts) && strings.HasSuffix(parts[i], ".slice") {
		i++
	}
	if i == len(parts) {
		return "", ""
	}
	name := parts[i]
	if scope, ok := strings.CutSuffix(name, ".scope"); ok {
		for _, runtime := range []string{"docker-", "libpod-"} {
			if id, ok := strings.CutPrefix(scope, runtime); ok && isContainerID(id) {
				names.Container = id
				return measure.KindContainer, id
			}
		}
		if machine, ok := strings.CutPrefix(scope, "machine-"); ok && parts[0] == "machine.slice" {
			if vm, ok := libvirtName(unescapeUnit(machine)); ok {
				names.VM = vm
				return measure.KindVM, vm
			}
		}
	} else if !strings.HasSuffix(name, ".service") {
		return "", ""
	}
	names.Unit = name
	return measure.KindUnit, name
}

// libvirtName strips "qemu-N-" from the name of a machine.
func libvirtName(machine string) (string, bool) {
	rest, ok := strings.CutPrefix(machine, "qemu-")
	if !ok {
		return "", false
	}
	n, name, ok := strings.Cut(rest, "-")
	return name, ok && isDigits(n) && name != ""
}

// unescapeUnit undoes the \xNN escapes that systemd puts in unit names.
func unescapeUnit(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if c, err := hex.DecodeString(s[i+2 : i+4]); err == nil {
				b.Write(c)
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// shortened keeps an identifier within maxID; a digest keeps long ones apart.
func shortened(s string) string {
	if len(s) <= maxID {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	tail := "~" + hex.EncodeToString(sum[:16])
	return s[:maxID-len(tail)] + tail
}
