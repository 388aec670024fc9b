package accel

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Identity is what a device says of itself. Empty and zero fields are unknown.
type Identity struct {
	Name     string
	PCIID    string // PCI device id, four hex digits
	CC       string // compute capability, "9.0"
	SMCount  int
	MaxSMMHz int
}

type index struct {
	byName, byPCI map[string]int
}

var lookupIndex = sync.OnceValue(func() index {
	ix := index{map[string]int{}, map[string]int{}}
	for i, m := range catalogue() {
		for _, name := range append([]string{m.SKU}, m.Names...) {
			ix.byName[bare(name)] = i
		}
		for _, id := range m.PCIIDs {
			ix.byPCI[strings.ToUpper(id)] = i
		}
	}
	return ix
})

// bare removes the vendor prefix that older drivers leave out.
func bare(name string) string { return strings.TrimPrefix(name, "NVIDIA ") }

// Lookup returns the model of a device, its grade, and in words how it was
// found: by exact device name or SKU, then by PCI id, then derived. The SM count
// that the device states replaces the table's, because some parts ship with
// several. It always returns a usable model and never another device's row.
func Lookup(id Identity) (Model, Grade, string) {
	ix := lookupIndex()
	if i, ok := ix.byName[bare(id.Name)]; ok {
		m := fit(catalogue()[i], id)
		return m, m.Grade, "name " + id.Name
	}
	if i, ok := ix.byPCI[strings.ToUpper(id.PCIID)]; ok && id.PCIID != "" {
		m := fit(catalogue()[i], id)
		return m, m.Grade, "PCI id " + id.PCIID
	}
	if m, ok := fromCapability(id); ok {
		return m, Derived, fmt.Sprintf("derived from compute capability %s, %d SMs and %d MHz", id.CC, id.SMCount, id.MaxSMMHz)
	}
	return unknown(id), Derived, "not in the catalogue: the ceiling is the catalogue's largest, the peak its median"
}

// fit scales a row to the SM count of the device: a partition has fewer, and
// GB200 ships with 148 or 152.
func fit(m Model, id Identity) Model {
	if id.SMCount == 0 || m.SMCount == 0 || id.SMCount == m.SMCount {
		return m
	}
	peaks := make(map[compute.Precision]compute.Rate, len(m.Peaks))
	for p, r := range m.Peaks {
		peaks[p] = compute.Rate(int64(r) * int64(id.SMCount) / int64(m.SMCount))
	}
	m.Peaks, m.SMCount, m.ceiling = peaks, id.SMCount, 0
	m.settle()
	return m
}

// fromCapability takes, for each precision, the quickest SM of the device's
// generation, so that the ceiling stays a ceiling for cut-down parts too.
func fromCapability(id Identity) (Model, bool) {
	if id.CC == "" || id.SMCount <= 0 || id.MaxSMMHz <= 0 {
		return Model{}, false
	}
	m := Model{
		SKU: "derived-" + id.CC, Vendor: "unknown", CC: id.CC, SMCount: id.SMCount, PeakTensorMHz: id.MaxSMMHz, MaxSMMHz: id.MaxSMMHz,
		Grade: Derived, OpsPerClock: map[compute.Precision]int{}, Peaks: map[compute.Precision]compute.Rate{},
	}
	for _, row := range catalogue() {
		if row.CC != id.CC {
			continue
		}
		m.Vendor, m.Arch, m.CoresPerSM, m.HasGPM = row.Vendor, row.Arch, row.CoresPerSM, row.HasGPM
		for p, w := range row.OpsPerClock {
			m.OpsPerClock[p] = max(m.OpsPerClock[p], w)
		}
	}
	for p, w := range m.OpsPerClock {
		m.Peaks[p] = compute.Rate(int64(id.SMCount) * int64(w) * int64(id.MaxSMMHz))
	}
	m.settle()
	return m, m.trainingPeak > 0
}

// unknown is the model of a device of which nothing is known but its name.
func unknown(id Identity) Model {
	m := Model{SKU: "unknown", Vendor: "unknown", CC: id.CC, SMCount: id.SMCount, MaxSMMHz: id.MaxSMMHz, Grade: Derived,
		OpsPerClock: map[compute.Precision]int{}, Peaks: map[compute.Precision]compute.Rate{}}
	var peaks []compute.Rate
	for _, row := range catalogue() {
		peaks = append(peaks, row.trainingPeak)
		m.ceiling = max(m.ceiling, row.ceiling)
	}
	slices.Sort(peaks)
	m.trainingPeak = peaks[len(peaks)/2]
	return m
}
