package recording

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Pseudonyms gives numbers to what would tell whose a recording is: devices,
// processes, workloads and peers. The same thing gets the same number throughout one
// recording; nothing leads back.
type Pseudonyms struct {
	devices   map[measure.DeviceID]measure.DeviceID
	processes map[process]int
	workloads map[measure.Workload]string
	peers     map[netip.Addr]netip.Addr
}

// process tells a process from a later one with the same id.
type process struct {
	pid   int
	start int64
}

// NewPseudonyms returns an empty set.
func NewPseudonyms() *Pseudonyms {
	return &Pseudonyms{devices: map[measure.DeviceID]measure.DeviceID{}, processes: map[process]int{}, workloads: map[measure.Workload]string{}, peers: map[netip.Addr]netip.Addr{}}
}

// Device returns the stand-in for a device id, which keeps its kind.
func (p *Pseudonyms) Device(id measure.DeviceID) measure.DeviceID {
	if id == "" {
		return ""
	}
	alias, ok := p.devices[id]
	if !ok {
		kind := "GPU"
		if len(id) > 4 && id[:4] == "MIG-" {
			kind = "MIG"
		}
		alias = measure.DeviceID(fmt.Sprintf("%s-00000000-0000-4000-8000-%012d", kind, len(p.devices)))
		p.devices[id] = alias
	}
	return alias
}

// Process returns the stand-in for a process id.
func (p *Pseudonyms) Process(pid int, start int64) int {
	key := process{pid, start}
	alias, ok := p.processes[key]
	if !ok {
		alias = 1000 + len(p.processes)
		p.processes[key] = alias
	}
	return alias
}

// Peer returns the stand-in for an address: of a private network of IPv6, whatever
// the address was.
func (p *Pseudonyms) Peer(a netip.Addr) netip.Addr {
	alias, ok := p.peers[a]
	if !ok {
		raw := [16]byte{0: 0xfd}
		binary.BigEndian.PutUint32(raw[12:], uint32(len(p.peers)+1))
		alias = netip.AddrFrom16(raw)
		p.peers[a] = alias
	}
	return alias
}

// Cgroup returns a cgroup path that stands for a workload: of the same kind, so
// that a replay resolves it alike, and with a number for its name.
func (p *Pseudonyms) Cgroup(w measure.Workload) string {
	w.Hint = ""
	path, ok := p.workloads[w]
	if !ok {
		path = cgroupOf(w.Kind, len(p.workloads)+1)
		p.workloads[w] = path
	}
	return path
}

func cgroupOf(kind measure.WorkloadKind, n int) string {
	switch kind {
	case measure.KindNone:
		return ""
	case measure.KindPod:
		return fmt.Sprintf("/kubepods.slice/kubepods-pod00000000_0000_4000_8000_%012d.slice", n)
	case measure.KindSlurmJob:
		return fmt.Sprintf("/system.slice/slurmstepd.scope/job_%d/step_0/user/task_0", n)
	case measure.KindContainer:
		return fmt.Sprintf("/docker/%064x", n)
	case measure.KindUnit:
		return fmt.Sprintf("/system.slice/unit-%d.service", n)
	case measure.KindVM:
		return fmt.Sprintf(`/machine.slice/machine-qemu\x2d%d\x2dvm%d.scope`, n, n)
	case measure.KindSession:
		return fmt.Sprintf("/user.slice/user-%d.slice/session-%d.scope", 1000+n, n)
	}
	return fmt.Sprintf("/workload-%d", n)
}
