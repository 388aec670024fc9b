package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestRead(t *testing.T) {
	h100 := Guest{PCI: gpu, Vendor: 0x10de, DeviceID: 0x2330, Group: 17}
	with := func(change func(*Guest)) []Guest {
		g := h100
		change(&g)
		return []Guest{g}
	}
	held := with(func(g *Guest) { g.State, g.PIDs, g.VMUUID, g.VMName = Held, []int{42}, uuidA, "gpu-box" })
	tests := []struct {
		name  string
		build func(h host)
		seen  Holders
		want  []Guest
	}{
		{"held, by the group's file", func(h host) { h.write("sys/class/vfio/17/dev", "511:3\n") }, Holders{All: []Holding{{42, 511, 3}, {43, 195, 3}, {0, 511, 3}}}, held},
		{"held, by the device's own file", func(h host) {
			h.write("sys/bus/pci/devices/"+gpu+"/vfio-dev/vfio2/dev", "510:2\n")
			h.write("sys/class/vfio-dev/vfio2/dev", "510:2\n")
		}, Holders{All: []Holding{{42, 510, 2}}}, held},
		{"held, without an IOMMU", func(h host) { h.write("sys/class/vfio/noiommu-17/dev", "511:0\n") }, Holders{All: []Holding{{42, 511, 0}}}, held},
		{"a minor is not a group", func(h host) { h.write("sys/class/vfio/17/dev", "511:3\n") }, Holders{All: []Holding{{42, 511, 17}}}, with(func(*Guest) {})},
		{"held, as libvirt says", func(h host) { h.vm(3, 42, "gpu-box", uuidA, "0000:af:00.0", gpu) }, Holders{}, held},
		{"libvirt speaks of a machine that has ended", func(h host) { h.vm(4, 42, "gpu-box", uuidA, gpu) }, Holders{}, with(func(*Guest) {})},
		{"libvirt speaks of a process that has ended", func(h host) { h.vm(3, 44, "gpu-box", uuidA, gpu) }, Holders{Complete: true}, with(func(g *Guest) { g.State = Free })},
		{"free", func(host) {}, Holders{Complete: true}, with(func(g *Guest) { g.State = Free })},
		{"unseen", func(host) {}, Holders{}, with(func(*Guest) {})},
		{"held by what is no machine", func(h host) { h.write("sys/class/vfio/17/dev", "511:3\n") }, Holders{All: []Holding{{50, 511, 3}}}, with(func(g *Guest) { g.State, g.PIDs = Held, []int{50} })},
		{"held by two machines", func(h host) {
			h.write("sys/class/vfio/17/dev", "511:3\n")
			h.vm(3, 42, "gpu-box", uuidA)
			h.vm(5, 43, "other", uuidB)
		}, Holders{All: []Holding{{43, 511, 3}, {42, 511, 3}, {42, 511, 3}}}, with(func(g *Guest) { g.State, g.PIDs = Held, []int{42, 43} })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			h.device(gpu, "vfio-pci", "0x030200", "0x10de", "0x2330", 17)
			h.process(42, scope("qemu-3-gpu-box"))
			h.process(43, scope("qemu-5-other"))
			h.process(50, "/system.slice/dpdk.service")
			h.write("run/systemd/machines/qemu-3-gpu-box", "NAME=qemu-3-gpu-box\nID="+strings.ReplaceAll(uuidA, "-", "")+"\nCLASS=vm\n")
			tt.build(h)
			got, err := Read(h.root, tt.seen)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Guests); diff != "" {
				t.Errorf("guests (-want +got):\n%s", diff)
			}
			if text := fmt.Sprintf("%+v", *got.Machines); strings.Contains(text, "SECRET") {
				t.Errorf("kept %s", text)
			}
		})
	}
}

func TestWhichDevices(t *testing.T) {
	h := newHost(t)
	h.device("0000:01:00.0", "vfio-pci", "0x030000", "0x1002", "0x74a1", 1)
	h.device("0000:01:00.1", "vfio-pci", "0x040300", "0x10de", "0x22ba", 1) // its sound
	h.device("0009:01:00.0", "nvgrace_gpu_vfio_pci", "0x030200", "0x10de", "0x2342", 2)
	h.device("0000:02:00.0", "vfio-pci", "0x120000", "0x1da3", "0x1020", 3)
	h.device("0000:03:00.0", "mlx5_vfio_pci", "0x020000", "0x15b3", "0x101e", 4)
	h.device("0000:04:00.0", "nvidia", "0x030200", "0x10de", "0x2330", 5)
	h.device("0000:05:00.0", "vfio-pci", "what", "0x10de", "0x2330", 6)
	h.device("0000:06:00.0", "vfio-pci", "0x030200", "0x10de0000", "0x2330", 7)
	h.device("0000:07:00.0", "vfio-pci", "0x030200", "0x10de", strings.Repeat("0", 300), 8)
	h.device("0000:08:00.0", "vfio-pci", "0x030200", "0x10de", "0x2330", 9)
	h.write("sys/class/vfio/9/dev", "x:y\n")
	h.link("sys/bus/pci/drivers/vfio-pci/module", "../../../../module/vfio_pci")
	h.write("sys/bus/pci/drivers/vfio-pci/new_id", "")
	got, err := Read(h.root, Holders{})
	want := []Guest{
		{PCI: "0000:01:00.0", Vendor: 0x1002, DeviceID: 0x74a1, Group: 1},
		{PCI: "0000:02:00.0", Vendor: 0x1da3, DeviceID: 0x1020, Group: 3},
		{PCI: "0009:01:00.0", Vendor: 0x10de, DeviceID: 0x2342, Group: 2},
	}
	if diff := cmp.Diff(want, got.Guests); diff != "" {
		t.Errorf("guests (-want +got):\n%s", diff)
	}
	for _, part := range []string{`"what" is not a number`, `"0x10de0000" is not a number of 16 bits`, "longer than 256 bytes", `"x:y" is not major:minor`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
	if got, err := Read(t.TempDir(), Holders{}); err != nil || len(got.Guests) != 0 {
		t.Errorf("a host without anything: %+v, %v", got, err)
	}
}

func TestIsPCI(t *testing.T) {
	for text, want := range map[string]bool{
		gpu: true, "10000:e1:00.0": true, "": false, "module": false, "0000:3b:00": false, "0000.3b.00.0": false,
		"0000:3b:00:0": false, "0000:3B:00.0": false, "../../..": false, "0000:3b:00.0/": false, ":0000:3b:00.0": false,
	} {
		if got := isPCI(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// The numbers of the open file count and not its name, which any process chooses.
func TestScanHolders(t *testing.T) {
	h := newHost(t)
	h.device(gpu, "vfio-pci", "0x030200", "0x10de", "0x2330", 17)
	h.write("dev/vfio/17", "")
	posing, err := os.Open(filepath.Join(h.root, "dev/vfio/17"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = posing.Close() }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	self := strconv.Itoa(os.Getpid())
	h.link("proc/"+self+"/fd", "/proc/self/fd")
	h.write("proc/99999999/stat", "")
	h.write("proc/meminfo", "")
	h.write("sys/class/vfio/17/dev", "511:3\n")
	got, err := ScanHolders(h.root)
	if err != nil || !got.Complete || len(got.All) != 0 {
		t.Errorf("only the name: %+v, %v", got, err)
	}
	h.write("sys/class/vfio/17/dev", "0:0\n") // what files that are no devices have
	if got, err := ScanHolders(h.root); err != nil || len(got.All) != 0 {
		t.Errorf("no device: %+v, %v", got, err)
	}
	h.write("sys/class/vfio/17/dev", "1:3\n") // what /dev/null is
	got, err = ScanHolders(h.root)
	if diff := cmp.Diff(Holders{All: []Holding{{os.Getpid(), 1, 3}}, Complete: true}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	h.link("proc/1/fd", "/proc/self/cmdline") // a process that may not be looked into
	if got, err := ScanHolders(h.root); err != nil || got.Complete {
		t.Errorf("not all can be seen: %+v, %v", got, err)
	}
	if got, err := ScanHolders(t.TempDir()); err != nil || !got.Complete {
		t.Errorf("nothing to hold: %+v, %v", got, err)
	}
}

func TestMachines(t *testing.T) {
	h := newHost(t)
	h.vm(3, 42, "gpu-box", uuidA)
	h.vm(7, 70, "Größe_7.x", uuidB)
	h.write("run/libvirt/qemu/bad.xml", "<domstatus pid='1'><domain id='1'><name>x</name><uuid>no</uuid></domain></domstatus>")
	h.write("run/libvirt/qemu/huge.xml", strings.Repeat(" ", maxStatus+1))
	h.write("run/libvirt/qemu/gpu-box.pid", "42")
	machined := func(name, text string) { h.write("run/systemd/machines/"+name, text) }
	id := strings.ReplaceAll(uuidB, "-", "")
	machined("qemu-3-gpu-box", "NAME=qemu-3-gpu-box\nID="+id+"\nCLASS=vm\n") // libvirt knows better
	machined("qemu-8-seen", "# This is private data. Do not parse.\nNAME=qemu-8-seen\nSCOPE=machine-qemu\\x2d8\\x2dseen.scope\nID="+id+"\nLEADER=80\nCLASS=vm\n")
	machined("qemu-9-ct", "NAME=qemu-9-ct\nID="+id+"\nCLASS=container\n")
	machined("qemu-10-name", "NAME=qemu-11-other\nID="+id+"\nCLASS=vm\n")
	machined("qemu-12-users", "NAME=qemu-12-users\nID="+id+"\nCLASS=vm\nUID=1000\n")
	h.link("run/systemd/machines/unit:machine-qemu\\x2d8\\x2dseen.scope", "qemu-8-seen")
	m, err := ReadMachines(h.root)
	if err == nil || !strings.Contains(err.Error(), `bad.xml: UUID "no"`) || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v", err)
	}
	tests := []struct {
		name    string
		process probe.Process
		want    VM
	}{
		{"libvirt's", probe.Process{PID: 42, Names: probe.Names{Machine: "qemu-3-gpu-box"}}, VM{uuidA, "gpu-box"}},
		{"another process of it", probe.Process{PID: 45, Names: probe.Names{Machine: "qemu-3-gpu-box"}}, VM{uuidA, "gpu-box"}},
		{"name that libvirt changed", probe.Process{PID: 70, Names: probe.Names{Machine: "qemu-7-Gre7.x"}}, VM{uuidB, "Größe_7.x"}},
		{"number of another run", probe.Process{PID: 42, Names: probe.Names{Machine: "qemu-4-gpu-box"}}, VM{}},
		{"name of another machine", probe.Process{PID: 42, Names: probe.Names{Machine: "qemu-3-box"}}, VM{}},
		{"machined's", probe.Process{PID: 80, Names: probe.Names{Machine: "qemu-8-seen"}}, VM{uuidB, "seen"}},
		{"a container", probe.Process{Names: probe.Names{Machine: "qemu-9-ct"}}, VM{}},
		{"file of another name", probe.Process{Names: probe.Names{Machine: "qemu-10-name"}}, VM{}},
		{"a user's", probe.Process{Names: probe.Names{Machine: "qemu-12-users"}}, VM{}},
		{"without a cgroup of its own", probe.Process{PID: 42, Names: probe.Names{Unit: "virtqemud.service"}}, VM{uuidA, "gpu-box"}},
		{"id of a process that has ended", probe.Process{PID: 42, Names: probe.Names{Unit: "x.service"}}, VM{}},
		{"no machine", probe.Process{PID: 43}, VM{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := m.VM(tt.process)
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != (tt.want != VM{}) {
				t.Errorf("%t (-want +got):\n%s", ok, diff)
			}
			p := m.Complete(tt.process)
			if ok && (p.Names.VMUUID != tt.want.UUID || p.Workload != measure.Workload{Kind: measure.KindVM, ID: tt.want.UUID}) || !ok && p != tt.process {
				t.Errorf("completed: %+v", p)
			}
		})
	}
	var none *Machines
	if _, ok := none.VM(probe.Process{}); ok {
		t.Error("nil knows a machine")
	}
}

func TestFilesThatMayNotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	h := newHost(t)
	h.vm(3, 42, "gpu-box", uuidA)
	if err := os.Chmod(filepath.Join(h.root, "run/libvirt/qemu/gpu-box.xml"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMachines(h.root); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v", err)
	}
}

func FuzzParseDomain(f *testing.F) {
	f.Add([]byte(`<domstatus state='running' pid='42'><domain type='kvm' id='3'><name>x</name><uuid>` + uuidA + `</uuid></domain></domstatus>`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><domstatus pid='&b;'/>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDomain(data)
		if err != nil {
			return
		}
		if id, ok := probe.ParseUUID(d.uuid); !ok || id != d.uuid || d.pid <= 0 || d.name == "" || len(d.pci) > maxHostdev {
			t.Errorf("took %+v", d)
		}
		for _, pci := range d.pci {
			if !isPCI(pci) {
				t.Errorf("address %q", pci)
			}
		}
	})
}

func FuzzParseMachine(f *testing.F) {
	f.Add("qemu-8-seen", "NAME=qemu-8-seen\nID="+uuidA+"\nCLASS=vm\n")
	f.Fuzz(func(t *testing.T, machine, text string) {
		if vm, ok := parseMachine(machine, text); ok {
			if id, ok := probe.ParseUUID(vm.UUID); !ok || id != vm.UUID {
				t.Errorf("took %+v", vm)
			}
		}
	})
}
