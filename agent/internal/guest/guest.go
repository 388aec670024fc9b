// Package guest tells which virtual machines run on a host, and which accelerators
// were passed through to them.
//
// A device that is bound to VFIO has no counters that the host could read: who
// held it is all that is known. That comes from who has its device file open, and
// from what libvirt and systemd-machined write about running machines below /run.
// Of libvirt's files the process, id, name, UUID and PCI addresses are kept.
// Command lines of QEMU are not read: they hold what the machine's owner set.
package guest

import (
	"errors"
	"path/filepath"
	"slices"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// State says what is known about the holder of a passed-through device.
type State uint8

// The states.
const (
	Unseen State = iota // not every process could be looked at, and none seen holds it
	Free                // nobody holds it
	Held
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Unseen:
		return "unseen"
	case Free:
		return "free"
	case Held:
		return "held"
	}
	return "invalid"
}

// Guest is an accelerator that is bound to VFIO.
type Guest struct {
	PCI      string // address, "0000:3b:00.0"
	Vendor   uint16 // PCI vendor
	DeviceID uint16 // PCI device
	Group    int    // IOMMU group, -1 without one
	State    State
	PIDs     []int  // that hold it, rising; a machine is one process
	VMUUID   string // "" unless all of them are one machine that is known
	VMName   string
}

// Inventory is what Read found.
type Inventory struct {
	Guests   []Guest // by PCI address
	Machines *Machines
}

// Read looks at the host whose file system is at root, "/" on a live host, and
// which device files are held. The error joins what could not be read, most often
// for want of rights; the inventory holds what could.
func Read(root string, seen Holders) (Inventory, error) {
	devices, err := readDevices(root)
	machines, machinesErr := ReadMachines(root)
	inventory := Inventory{Machines: machines}
	prober := probe.New(filepath.Join(root, "proc"))
	for _, d := range devices {
		g := Guest{PCI: d.pci, Vendor: d.vendor, DeviceID: d.device, Group: d.group}
		g.PIDs = append(seen.of(d.files), machines.holdersOf(d.pci, prober)...)
		slices.Sort(g.PIDs)
		g.PIDs = slices.Compact(g.PIDs)
		switch {
		case len(g.PIDs) > 0:
			g.State = Held
			g.VMUUID, g.VMName = machines.common(g.PIDs, prober)
		case seen.Complete:
			g.State = Free
		}
		inventory.Guests = append(inventory.Guests, g)
	}
	return inventory, errors.Join(err, machinesErr)
}

// common is the machine that all processes are, if there is one.
func (m *Machines) common(pids []int, prober *probe.Prober) (uuid, name string) {
	var one VM
	for i, pid := range pids {
		p, err := prober.Lookup(pid)
		if err != nil {
			return "", ""
		}
		vm, ok := m.VM(p)
		if !ok || i > 0 && vm.UUID != one.UUID {
			return "", ""
		}
		one = vm
	}
	return one.UUID, one.Name
}

// Complete names the VM that a process is, by UUID, where it is known. Other
// processes stay as they are.
func (m *Machines) Complete(p probe.Process) probe.Process {
	vm, ok := m.VM(p)
	if !ok {
		return p
	}
	p.Names.VM, p.Names.VMUUID = vm.Name, vm.UUID
	p.Workload = probe.NewWorkload(measure.KindVM, vm.UUID)
	return p
}
