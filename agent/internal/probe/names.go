package probe

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Names are what leases can select a process by. Empty means that it has no such
// name or that it is not known. They are raw: compare, do not print.
type Names struct {
	Cgroup    string // path of the cgroup that named the workload
	PodUID    string
	Container string // container id, or the name of a system container
	SlurmJob  string
	Unit      string
	VM        string // libvirt domain name, as far as the machine name keeps it
	Machine   string // what libvirt registers a running VM as, "qemu-N-name"
	Session   string
	User      string // decimal id of the user whose session or job it is

	// A cgroup path does not tell these; the schedulers do, when they are asked.
	Namespace    string
	SlurmAccount string
	VMUUID       string // lower case, with dashes
}

// NewWorkload makes a workload of what a scheduler calls it: an identifier that
// is printable, bounded, and different for different ids.
func NewWorkload(kind measure.WorkloadKind, id string) measure.Workload {
	return measure.Workload{Kind: kind, ID: escaped(id)}
}

// parseOwner reads the real user id of a process, which is who started it, from
// /proc/PID/status. The command is in the first line, where the kernel escapes
// newlines, so that no other line is the process's word.
func parseOwner(status []byte) (int, error) {
	_, rest, ok := bytes.Cut(status, []byte("\nUid:\t"))
	if !ok {
		return 0, errors.New("status: no user id")
	}
	field, _, _ := bytes.Cut(rest, []byte("\t"))
	user, err := strconv.ParseUint(string(field), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("status: user id %.24q", field)
	}
	return int(user), nil
}
