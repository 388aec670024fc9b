package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
)

// DeviceMajors reads /proc/devices and returns the majors of the character
// devices that stand for accelerators: NVIDIA's, AMD's and those passed to
// virtual machines. Most are dynamic and appear when their driver is loaded.
// Lines that are not "number name" are passed over.
func DeviceMajors(procDevices io.Reader) ([]uint32, error) {
	var found []uint32
	lines := bufio.NewScanner(procDevices)
	for character := false; lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasSuffix(line, "devices:") {
			character = strings.HasPrefix(line, "Character")
		}
		number, name, ok := strings.Cut(line, " ")
		if !ok || !character || !isAccelerator(name) {
			continue
		}
		if major, err := strconv.ParseUint(number, 10, 12); err == nil && !slices.Contains(found, uint32(major)) {
			found = append(found, uint32(major))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read majors of devices: %w", err)
	}
	return found, nil
}

func isAccelerator(driver string) bool {
	switch driver {
	case "drm", "kfd", "vfio", "vfio-dev":
		return true
	}
	// nvidia (nvidia-frontend before 2024), nvidia-uvm, nvidia-caps and others.
	return driver == "nvidia" || strings.HasPrefix(driver, "nvidia-")
}

// SetMajors makes these the watched majors, at most 64. Files of a major that
// was watched before are still told when they close. [ErrNotWatched] without
// Config.Devices.
func (m *Monitor) SetMajors(majors []uint32) error {
	if m.programs == nil || m.programs.devices == nil {
		return fmt.Errorf("watch devices: %w", ErrNotWatched)
	}
	if len(majors) > maxMajors {
		return fmt.Errorf("watch devices: %d majors, at most %d", len(majors), maxMajors)
	}
	return m.programs.devices.set(majors)
}

// deviceTable is the table of watched majors in the kernel.
type deviceTable struct {
	majors *ebpf.Map

	mu      sync.Mutex
	present []uint32
}

func (t *deviceTable) set(majors []uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, major := range t.present {
		if slices.Contains(majors, major) {
			continue
		}
		if err := t.majors.Delete(major); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("stop watching devices of major %d: %w", major, err)
		}
	}
	for _, major := range majors {
		if err := t.majors.Put(major, uint32(1)); err != nil {
			return fmt.Errorf("watch devices of major %d: %w", major, err)
		}
	}
	t.present = slices.Clone(majors)
	return nil
}
