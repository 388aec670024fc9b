package nvml

import (
	"fmt"
	"strings"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Device is a device or partition with the best estimate method that its
// readings allow.
type Device struct {
	measure.Device
	Method     measure.MethodName
	Reason     string // why no better method, "" for cycles
	Index      int    // of the whole device, as the driver counts
	Minor      int    // of its device file, -1 if not known
	Accounting Answer // whether the driver keeps accounts of ended processes
}

// Answer is yes, no or could not tell.
type Answer int8

// The answers.
const (
	CouldNotTell Answer = iota
	No
	Yes
)

// String returns the lower-case answer.
func (a Answer) String() string { return [...]string{"could not tell", "no", "yes"}[a] }

// unit is what one worker reads: a device, or one partition of a device.
type unit struct {
	device measure.Device
	handle nv.Device
	whole  nv.Device // the device itself, for a partition its parent
	index  int       // of the whole device
	gpu    int       // GPU instance of a partition, -1 for a whole device
	// ownsInstance is false where several compute instances share the GPU
	// instance, whose counters then belong to none of them alone.
	ownsInstance bool
}

func (u *unit) isPartition() bool { return u.gpu >= 0 }

// discover lists the units of all devices, partitions in place of a device in
// MIG mode. A device that cannot be identified is an error: leaving it out
// would hide its work.
// The devices at the indices in without are left alone: not even a handle of
// them is taken.
func discover(l *library, without map[int]bool) ([]unit, error) {
	n, ret := l.DeviceGetCount()
	if ret != nv.SUCCESS {
		return nil, fmt.Errorf("count devices: %w", failure(ret))
	}
	var units []unit
	for i := range n {
		if without[i] {
			continue
		}
		handle, ret := l.DeviceGetHandleByIndex(i)
		if ret != nv.SUCCESS {
			return nil, fmt.Errorf("open device %d: %w", i, failure(ret))
		}
		device, err := describe(l, handle)
		if err != nil {
			return nil, fmt.Errorf("identify device %d: %w", i, err)
		}
		if !migEnabled(l, handle) {
			units = append(units, unit{device: device, handle: handle, whole: handle, index: i, gpu: -1, ownsInstance: true})
			continue
		}
		parts, err := partitions(l, device, handle, i)
		if err != nil {
			return nil, fmt.Errorf("list partitions of device %d: %w", i, err)
		}
		units = append(units, parts...)
	}
	return units, nil
}

func describe(l *library, h nv.Device) (measure.Device, error) {
	var d measure.Device
	uuid, ret := h.GetUUID()
	if ret != nv.SUCCESS {
		return d, fmt.Errorf("read UUID: %w", failure(ret))
	}
	d.ID = measure.DeviceID(strings.Clone(uuid))
	name, ret := h.GetName()
	if ret != nv.SUCCESS {
		return d, fmt.Errorf("read name: %w", failure(ret))
	}
	d.Name = name
	if l.has(callPCI) {
		if pci, ret := h.GetPciInfo(); ret == nv.SUCCESS {
			d.PCIID = fmt.Sprintf("%04X", pci.PciDeviceId>>16) // low half is the vendor
		}
	}
	major, minor := 0, 0
	if l.has(callCapability) {
		if ma, mi, ret := h.GetCudaComputeCapability(); ret == nv.SUCCESS {
			major, minor = ma, mi
			d.CC = fmt.Sprintf("%d.%d", major, minor)
		}
	}
	if l.has(callCores) {
		if cores, ret := h.GetNumGpuCores(); ret == nv.SUCCESS {
			if per := coresPerSM(major, minor); per > 0 && cores%per == 0 {
				d.SMCount = cores / per
			}
		}
	}
	if l.has(callMaxClock) {
		if mhz, ret := h.GetMaxClockInfo(nv.CLOCK_SM); ret == nv.SUCCESS {
			d.MaxSMMHz = int(mhz)
		}
	}
	if l.has(callMemory) {
		if m, ret := h.GetMemoryInfo(); ret == nv.SUCCESS {
			d.MemoryMiB = int64(m.Total >> 20)
		}
	}
	return d, nil
}

// coresPerSM is the number of FP32 lanes of a streaming multiprocessor by
// compute capability, 0 if not known.
func coresPerSM(major, minor int) int {
	switch {
	case major == 3:
		return 192
	case major == 5, major == 6 && minor > 0:
		return 128
	case major == 6, major == 7, major == 8 && minor == 0:
		return 64
	case major >= 8 && major <= 12:
		return 128
	}
	return 0
}

// fabricOf returns the NVLink domain, the cluster's UUID and the clique in it. An all-zero cluster is a host's own switch
// and joins no hosts.
func fabricOf(l *library, h nv.Device) string {
	if !l.has(callFabric) {
		return ""
	}
	info, ret := h.GetGpuFabricInfoV().V2()
	if ret != nv.SUCCESS || info.State != nv.GPU_FABRIC_STATE_COMPLETED || info.ClusterUuid == [16]uint8{} {
		return ""
	}
	u := info.ClusterUuid
	return fmt.Sprintf("%x-%x-%x-%x-%x/%d", u[:4], u[4:6], u[6:8], u[8:10], u[10:], info.CliqueId)
}

func accountingOf(l *library, h nv.Device) Answer {
	if !l.has(callAccounting) {
		return CouldNotTell
	}
	switch mode, ret := h.GetAccountingMode(); {
	case ret != nv.SUCCESS:
		return CouldNotTell
	case mode == nv.FEATURE_ENABLED:
		return Yes
	}
	return No
}

func minorOf(l *library, h nv.Device) int {
	if !l.has(callMinor) {
		return -1
	}
	minor, ret := h.GetMinorNumber()
	if ret != nv.SUCCESS {
		return -1
	}
	return minor
}

func migEnabled(l *library, h nv.Device) bool {
	if !l.has(callMIGMode) {
		return false
	}
	current, _, ret := h.GetMigMode()
	return ret == nv.SUCCESS && current == nv.DEVICE_MIG_ENABLE
}

func partitions(l *library, parent measure.Device, whole nv.Device, index int) ([]unit, error) {
	if !l.has(callMIGCount, callMIGHandle, callGPUInstance) {
		return nil, fmt.Errorf("the driver has MIG mode on and lacks the calls to list partitions")
	}
	n, ret := whole.GetMaxMigDeviceCount()
	if ret != nv.SUCCESS {
		return nil, failure(ret)
	}
	var units []unit
	held := map[int]int{} // compute instances by GPU instance
	for i := range n {
		h, ret := whole.GetMigDeviceHandleByIndex(i)
		if ret == nv.ERROR_NOT_FOUND {
			continue
		}
		if ret != nv.SUCCESS {
			return nil, fmt.Errorf("open partition %d: %w", i, failure(ret))
		}
		d := parent
		d.Parent, d.SMCount, d.MemoryMiB = parent.ID, 0, 0
		uuid, ret := h.GetUUID()
		if ret != nv.SUCCESS {
			return nil, fmt.Errorf("read UUID of partition %d: %w", i, failure(ret))
		}
		d.ID = measure.DeviceID(strings.Clone(uuid))
		gpu, ret := h.GetGpuInstanceId()
		if ret != nv.SUCCESS {
			return nil, fmt.Errorf("read GPU instance of partition %d: %w", i, failure(ret))
		}
		if l.has(callAttributes) {
			if a, ret := h.GetAttributes(); ret == nv.SUCCESS {
				d.SMCount, d.MemoryMiB = int(a.MultiprocessorCount), int64(a.MemorySizeMB)
			}
		}
		held[gpu]++
		units = append(units, unit{device: d, handle: h, whole: whole, index: index, gpu: gpu})
	}
	for i := range units {
		units[i].ownsInstance = held[units[i].gpu] == 1
	}
	return units, nil
}
