package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	uuidA = "78177d07-ac0e-4057-b1de-9ccd66cbc3d7"
	uuidB = "0c9b2f6e-1111-4057-b1de-9ccd66cbc3d7"
	gpu   = "0000:3b:00.0"
)

// host is the file system of a host.
type host struct {
	t    *testing.T
	root string
}

func newHost(t *testing.T) host { return host{t, t.TempDir()} }

func (h host) write(path, content string) {
	h.t.Helper()
	path = filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h host) link(path, target string) {
	h.t.Helper()
	path = filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		h.t.Fatal(err)
	}
}

// process makes one that only has what a prober reads.
func (h host) process(pid int, cgroup string) {
	dir := "proc/" + strconv.Itoa(pid) + "/"
	h.write(dir+"stat", fmt.Sprintf("%d (qemu-system-x86) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 4711 123 456 789\n", pid))
	h.write(dir+"cgroup", "0::"+cgroup+"\n")
}

// device binds a device to a driver, in an IOMMU group.
func (h host) device(pci, driver, class, vendor, id string, group int) {
	dir := "sys/bus/pci/devices/" + pci + "/"
	h.write(dir+"class", class+"\n")
	h.write(dir+"vendor", vendor+"\n")
	h.write(dir+"device", id+"\n")
	h.link(dir+"iommu_group", "../../../../kernel/iommu_groups/"+strconv.Itoa(group))
	h.link("sys/bus/pci/drivers/"+driver+"/"+pci, "../../../../devices/pci0000:3a/"+pci)
}

func (h host) vm(id, pid int, name, uuid string, pci ...string) {
	var devices strings.Builder
	for _, address := range pci {
		f := strings.FieldsFunc(address, func(r rune) bool { return r == ':' || r == '.' })
		fmt.Fprintf(&devices, `<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio'/><source><address domain='0x%s' bus='0x%s' slot='0x%s' function='0x%s'/></source>
<address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></hostdev>`, f[0], f[1], f[2], f[3])
	}
	h.write("run/libvirt/qemu/"+name+".xml", fmt.Sprintf(`<!-- generated -->
<domstatus state='running' reason='booted' pid='%d'>
  <monitor path='/var/lib/libvirt/qemu/domain-%d/monitor.sock' type='unix'/>
  <devices><device alias='hostdev0'/></devices>
  <domain type='kvm' id='%d' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
    <name>%s</name>
    <uuid>%s</uuid>
    <description>SECRET</description>
    <devices>%s</devices>
    <qemu:commandline><qemu:arg value='SECRET'/></qemu:commandline>
  </domain>
</domstatus>
`, pid, id, id, name, uuid, devices.String()))
}

func scope(machine string) string {
	return "/machine.slice/machine-" + strings.ReplaceAll(machine, "-", `\x2d`) + ".scope/libvirt/emulator"
}
