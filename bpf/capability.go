package bpf

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// capability is a right that a process may hold.
type capability struct {
	name string
	bit  int
	lost string
}

func neededCapabilities() []capability {
	return []capability{
		{"CAP_BPF", unix.CAP_BPF, "all programs"},
		{"CAP_PERFMON", unix.CAP_PERFMON, "all programs"},
		{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE, "NCCL communicators in containers, whose files are reached through /proc"},
		{"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH, "names of cgroups that are older than the agent: what runs there and ends between two samples, and traffic there, is of nobody"},
		{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, "the process connector; device opens where the kernel lets no function be hooked"},
	}
}

// feature says whether the right is held. CAP_SYS_ADMIN includes CAP_BPF and
// CAP_PERFMON.
func (c capability) feature(held uint64, err error) Feature {
	f := Feature{Name: c.name, Answer: Yes, Lost: c.lost}
	if err != nil {
		f.Answer, f.Reason = Unknown, err.Error()
		return f
	}
	admin := held&(1<<unix.CAP_SYS_ADMIN) != 0 && (c.bit == unix.CAP_BPF || c.bit == unix.CAP_PERFMON)
	if held&(1<<c.bit) == 0 && !admin {
		f.Answer, f.Reason = No, "the agent does not hold it; add it to AmbientCapabilities of its unit or to the container's securityContext"
	}
	return f
}

// heldCapabilities reads the effective set of this process.
func heldCapabilities() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read own capabilities: %w", err)
	}
	return parseCapabilities(status)
}

func parseCapabilities(status []byte) (uint64, error) {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("CapEff:")); ok {
			set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			if err != nil {
				return 0, fmt.Errorf("read own capabilities: %w", err)
			}
			return set, nil
		}
	}
	return 0, fmt.Errorf("read own capabilities: no CapEff in /proc/self/status")
}
