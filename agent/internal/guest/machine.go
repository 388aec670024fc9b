package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
)

// maxMachineFile bounds a file of systemd-machined.
const maxMachineFile = 64 << 10

// VM is a running virtual machine.
type VM struct {
	UUID string // lower case, with dashes
	Name string // as libvirt has it; where only machined is readable, what it keeps of that
}

// Machines are the virtual machines that run on a host. It never changes and is
// safe for many goroutines; nil has none.
type Machines struct {
	domains    []domain
	registered map[string]VM // by machine name, "qemu-3-box"
}

// ReadMachines reads what libvirt and systemd-machined write below /run of root.
// Libvirt's files are its own to read; machined's are for everybody. The error
// joins what could not be read, and the machines are those that could.
func ReadMachines(root string) (*Machines, error) {
	m := &Machines{registered: map[string]VM{}}
	var faults []error
	dir := filepath.Join(root, "run/libvirt/qemu")
	names, err := list(dir)
	faults = append(faults, err)
	for _, name := range names {
		if !strings.HasSuffix(name, ".xml") {
			continue
		}
		data, err := readRegular(filepath.Join(dir, name), maxStatus)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was shut down
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("read status of a machine: %w", err))
			continue
		}
		d, err := parseDomain(data)
		if err != nil {
			faults = append(faults, fmt.Errorf("read status of a machine: %s: %w", filepath.Join(dir, name), err))
			continue
		}
		m.domains = append(m.domains, d)
	}
	dir = filepath.Join(root, "run/systemd/machines")
	names, err = list(dir)
	faults = append(faults, err)
	for _, name := range names {
		if !strings.HasPrefix(name, "qemu-") {
			continue // containers, and links by unit
		}
		data, err := readRegular(filepath.Join(dir, name), maxMachineFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("read a registered machine: %w", err))
			continue
		}
		if vm, ok := parseMachine(name, string(data)); ok {
			m.registered[name] = vm
		}
	}
	return m, errors.Join(faults...)
}

// parseMachine reads a file of systemd-machined; ok is false if it is not of a
// VM that the system's libvirt registered.
func parseMachine(machine, text string) (VM, bool) {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			fields[key] = value
		}
	}
	// Newer versions let users register machines of their own.
	if user := fields["UID"]; user != "" && user != "0" {
		return VM{}, false
	}
	uuid, ok := probe.ParseUUID(fields["ID"])
	if !ok || fields["CLASS"] != "vm" || fields["NAME"] != machine {
		return VM{}, false
	}
	_, name, _ := cutMachine(machine)
	return VM{UUID: uuid, Name: name}, true
}

// MayBeVM tells the processes that are worth a look: those in a machine's cgroup,
// and those of libvirt itself, where it makes none.
func MayBeVM(p probe.Process) bool {
	return p.Names.Machine != "" || p.Names.Unit == "libvirtd.service" || p.Names.Unit == "virtqemud.service"
}

// VM returns the machine that a process belongs to. Libvirt's word counts more
// than machined's. It goes by the cgroup that libvirt made, and by process id only
// where libvirt was told to make none.
func (m *Machines) VM(p probe.Process) (VM, bool) {
	if m == nil {
		return VM{}, false
	}
	for i := range m.domains {
		if d := &m.domains[i]; d.is(p) {
			return VM{UUID: d.uuid, Name: d.name}, true
		}
	}
	vm, ok := m.registered[p.Names.Machine]
	return vm, ok
}

// holdersOf returns the processes of running machines to which a device was
// passed, as libvirt says. A file may outlive its machine: the process must still
// be that machine.
func (m *Machines) holdersOf(pci string, prober *probe.Prober) []int {
	var pids []int
	for i := range m.domains {
		d := &m.domains[i]
		if !slices.Contains(d.pci, pci) {
			continue
		}
		if p, err := prober.Lookup(d.pid); err == nil && !p.Ended && d.is(p) {
			pids = append(pids, d.pid)
		}
	}
	return pids
}

// is reports whether a process belongs to a domain.
func (d *domain) is(p probe.Process) bool {
	if p.Names.Machine == "" {
		return p.PID == d.pid && MayBeVM(p)
	}
	id, name, ok := cutMachine(p.Names.Machine)
	return ok && id == d.id && keptName(d.name, name)
}

// cutMachine splits "qemu-3-box" into the number of the run and the name.
func cutMachine(machine string) (id, name string, ok bool) {
	rest, isQEMU := strings.CutPrefix(machine, "qemu-")
	id, name, ok = strings.Cut(rest, "-")
	return id, name, ok && isQEMU
}

// keptName reports whether libvirt makes the name in a machine's name of a
// domain's name: it drops what no host name may have and cuts the rest short.
func keptName(domain, machine string) bool {
	domain, machine = lettersOf(domain), lettersOf(machine)
	const surelyWhole = 40 // of the 64 bytes that a machine's name has at most
	return domain == machine || len(machine) >= surelyWhole && strings.HasPrefix(domain, machine)
}

func lettersOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, name)
}

// readRegular reads a file that is one: opening a pipe would wait.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	return readBounded(path, limit)
}
