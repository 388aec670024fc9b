package probe

import (
	"strings"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// podOf finds the pod and, where it is named, the container, for both cgroup
// drivers; guaranteed pods have no folder for the class. A runtime that is set to
// one driver under a kubelet that is set to the other makes one folder of it all:
// "kubepods-pod….slice:cri-containerd:ID".
func podOf(parts []string) (uid, container string) {
	for i := 1; i < len(parts) && i <= 2; i++ {
		name, rest, mixed := strings.Cut(parts[i], ":")
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
		if mixed {
			_, id, _ := strings.Cut(rest, ":")
			return uid, scopeContainer(id)
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

// isUser accepts a decimal user id.
func isUser(s string) bool { return isDigits(s) && len(s) <= 10 }

// isRuntime tells the units that make cgroups for pods below their own. Any other
// unit may belong to a tenant, who then names what is below it.
func isRuntime(unit string) bool {
	switch unit {
	case "containerd.service", "crio.service", "docker.service", "kubelet.service", "k3s.service", "k3s-agent.service", "rke2-server.service", "rke2-agent.service":
		return true
	}
	return false
}

// sessionOf is the user and "user-UID" or "user-UID/session-N".
func sessionOf(parts []string) (user, session string) {
	if len(parts) < 2 {
		return "", ""
	}
	user, ok := strings.CutPrefix(strings.TrimSuffix(parts[1], ".slice"), "user-")
	if !ok || !isUser(user) {
		return "", ""
	}
	if len(parts) > 2 {
		n, ok := strings.CutPrefix(strings.TrimSuffix(parts[2], ".scope"), "session-")
		if ok && n != "" {
			return user, "user-" + user + "/session-" + n
		}
	}
	return user, "user-" + user
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
			machine = unescapeUnit(machine)
			if vm, ok := libvirtName(machine); ok {
				names.VM, names.Machine = vm, machine
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
