// Package sampler accounts for the devices of one host: readings and the shares
// of who held a device go in, windows come out. Real hosts and replays go
// through it alike.
package sampler

import (
	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Reading is a sample of one device and who held the device since the sample
// before.
type Reading struct {
	Sample measure.Sample
	Shares []measure.Share
}

// Host folds the samples of one host's devices. It is not safe for concurrent use.
type Host struct {
	rows    []wire.DeviceRow
	folders map[measure.DeviceID]*measure.Folder
	order   []*measure.Folder
}

// New returns a host with the given devices, each looked up in the catalogue.
func New(devices []measure.Device, cfg measure.FoldConfig) *Host {
	h := &Host{folders: make(map[measure.DeviceID]*measure.Folder, len(devices))}
	for _, d := range devices {
		model, grade, _ := accel.Lookup(accel.Identity{Name: d.Name, PCIID: d.PCIID, CC: d.CC, SMCount: d.SMCount, MaxSMMHz: d.MaxSMMHz})
		f := measure.NewFolder(d, model, grade, cfg)
		h.folders[d.ID] = f
		h.order = append(h.order, f)
		h.rows = append(h.rows, wire.DeviceRow{Device: d, SKU: model.SKU, Grade: string(grade), Peak: model.TrainingPeak(), Ceiling: model.Ceiling()})
	}
	return h
}

// Rows describes the devices as batches carry them.
func (h *Host) Rows() []wire.DeviceRow { return h.rows }

// Step takes one reading of each device that answered and returns the windows
// that they close. A device that did not answer is left out; its next sample
// shows how long it was away. Readings of unknown devices are ignored.
func (h *Host) Step(readings []Reading) []measure.Window {
	var closed []measure.Window
	for i := range readings {
		if f := h.folders[readings[i].Sample.Device]; f != nil {
			closed = append(closed, f.Observe(readings[i].Sample, readings[i].Shares)...)
		}
	}
	return closed
}

// Flush closes the windows that are being filled.
func (h *Host) Flush() []measure.Window {
	var closed []measure.Window
	for _, f := range h.order {
		closed = append(closed, f.Flush()...)
	}
	return closed
}

// Method returns the estimate method of a device's newest interval.
func (h *Host) Method(id measure.DeviceID) measure.Method {
	if f := h.folders[id]; f != nil {
		return f.Method()
	}
	return measure.Method{Name: measure.NoMethod}
}
