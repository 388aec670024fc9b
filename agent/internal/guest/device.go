package guest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	display     = 0x03 // PCI base class of GPUs
	accelerator = 0x12 // PCI base class of processing accelerators
	classBits   = 16   // below the base class
	noIOMMU     = -1   // group of a device without one
)

// device is a passed-through accelerator as sysfs has it.
type device struct {
	pci            string
	vendor, device uint16
	group          int
	files          []number // of the device files that give it away
}

// number is the major and minor of a device file.
type number struct{ major, minor uint32 }

// readDevices lists the accelerators that are bound to VFIO, by address.
func readDevices(root string) ([]device, error) {
	drivers := filepath.Join(root, "sys/bus/pci/drivers")
	names, err := list(drivers)
	if err != nil {
		return nil, err
	}
	var devices []device
	var faults []error
	for _, driver := range names {
		// Vendors have drivers of their own beside vfio-pci: nvgrace_gpu_vfio_pci.
		if !strings.HasSuffix(strings.ReplaceAll(driver, "_", "-"), "vfio-pci") {
			continue
		}
		bound, err := list(filepath.Join(drivers, driver))
		faults = append(faults, err)
		for _, pci := range bound {
			if !isPCI(pci) {
				continue
			}
			d, ok, err := readDevice(root, pci)
			if err != nil {
				faults = append(faults, err)
			} else if ok {
				devices = append(devices, d)
			}
		}
	}
	slices.SortFunc(devices, func(a, b device) int { return strings.Compare(a.pci, b.pci) })
	return devices, errors.Join(faults...)
}

// readDevice reads one device; ok is false if it is no accelerator.
func readDevice(root, pci string) (d device, ok bool, err error) {
	dir := filepath.Join(root, "sys/bus/pci/devices", pci)
	class, err := hex(filepath.Join(dir, "class"), 32)
	if err != nil {
		return device{}, false, err
	}
	if base := class >> classBits; base != display && base != accelerator {
		return device{}, false, nil
	}
	vendor, err := hex(filepath.Join(dir, "vendor"), 16)
	if err != nil {
		return device{}, false, err
	}
	id, err := hex(filepath.Join(dir, "device"), 16)
	if err != nil {
		return device{}, false, err
	}
	d = device{pci: pci, vendor: uint16(vendor), device: uint16(id), group: noIOMMU}
	if target, err := os.Readlink(filepath.Join(dir, "iommu_group")); err == nil {
		if n, err := strconv.ParseUint(filepath.Base(target), 10, 31); err == nil {
			d.group = int(n)
		}
	}
	// The minor of /dev/vfio/17 is not 17: sysfs tells which it is.
	var files []string
	if d.group != noIOMMU {
		n := strconv.Itoa(d.group)
		files = append(files, "sys/class/vfio/"+n+"/dev", "sys/class/vfio/noiommu-"+n+"/dev")
	}
	// Newer kernels have a file for each device besides, /dev/vfio/devices/vfioM.
	own, err := list(filepath.Join(dir, "vfio-dev"))
	if err != nil {
		return device{}, false, err
	}
	for _, name := range own {
		files = append(files, "sys/class/vfio-dev/"+name+"/dev")
	}
	for _, file := range files {
		n, err := readNumber(filepath.Join(root, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return device{}, false, err
		}
		d.files = append(d.files, n)
	}
	return d, true, nil
}
