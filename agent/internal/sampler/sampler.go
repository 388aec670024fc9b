// Package sampler accounts for the devices of one host: readings and the shares
// of who held a device go in, windows come out. Real hosts and replays go
// through it alike.
package sampler

import (
	"slices"

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
	cfg     measure.FoldConfig
	devices []measure.Device
	rows    []wire.DeviceRow
	folders map[measure.DeviceID]*measure.Folder
	order   []*measure.Folder
}

// New returns a host with the given devices, each looked up in the catalogue.
func New(devices []measure.Device, cfg measure.FoldConfig) *Host {
	h := &Host{cfg: cfg}
	h.take(devices)
	return h
}

// take makes a folder for each device, or keeps the one that it has.
func (h *Host) take(devices []measure.Device) {
	kept := h.folders
	h.devices = devices
	h.folders = make(map[measure.DeviceID]*measure.Folder, len(devices))
	h.order, h.rows = nil, nil
	for _, d := range devices {
		model, grade, _ := accel.Lookup(accel.Identity{Name: d.Name, PCIID: d.PCIID, CC: d.CC, SMCount: d.SMCount, MaxSMMHz: d.MaxSMMHz})
		f := kept[d.ID]
		if f == nil {
			f = measure.NewFolder(d, model, grade, h.cfg)
		}
		h.folders[d.ID] = f
		h.order = append(h.order, f)
		h.rows = append(h.rows, wire.DeviceRow{Device: d, SKU: model.SKU, Grade: string(grade), Peak: model.TrainingPeak(), Ceiling: model.Ceiling()})
	}
}

// Replace takes other devices. Those that are described as before go on where
// they were; it returns the windows of the others, which end with their newest
// sample.
func (h *Host) Replace(devices []measure.Device) []measure.Window {
	var closed []measure.Window
	for i, d := range h.devices {
		if !slices.Contains(devices, d) {
			closed = append(closed, h.order[i].Flush()...)
			delete(h.folders, d.ID)
		}
	}
	h.take(devices)
	return closed
}

// Configure folds in another way from the next sample on. It returns the windows
// that are being filled, which end with the newest sample. What was offered of
// the devices has to be offered again.
func (h *Host) Configure(cfg measure.FoldConfig) []measure.Window {
	closed := h.Flush()
	h.cfg, h.folders = cfg, nil
	h.take(h.devices)
	return closed
}

// Offer takes the best method that a device's source has, and why no better.
func (h *Host) Offer(id measure.DeviceID, name measure.MethodName, reason string) {
	if f := h.folders[id]; f != nil {
		f.Offer(name, reason)
	}
}

// Events returns what happened to the devices since the last call.
func (h *Host) Events() []measure.Event {
	var events []measure.Event
	for _, f := range h.order {
		events = append(events, f.Events()...)
	}
	return events
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
