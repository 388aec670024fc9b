package nvml

import (
	"errors"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"
)

// ErrChanged says that devices, partitions or the driver are not those that the
// source was opened with; it has to be opened again.
var ErrChanged = errors.New("devices or partitions changed")

// shape is what a device looked like when the source was opened.
type shape struct {
	mig        bool
	partitions int
}

// shapeOf counts the partitions of a device; known is false where it could not
// be asked.
func shapeOf(l *library, whole nv.Device) (s shape, known bool) {
	if !l.has(callMIGMode) {
		return shape{}, true
	}
	current, _, ret := whole.GetMigMode()
	if isUnsupported(ret) {
		return shape{}, true
	}
	if ret != nv.SUCCESS {
		return shape{}, false
	}
	if s.mig = current == nv.DEVICE_MIG_ENABLE; !s.mig || !l.has(callMIGCount, callMIGHandle) {
		return s, true
	}
	n, ret := whole.GetMaxMigDeviceCount()
	if ret != nv.SUCCESS {
		return shape{}, false
	}
	for i := range n {
		switch _, ret := whole.GetMigDeviceHandleByIndex(i); ret {
		case nv.SUCCESS:
			s.partitions++
		case nv.ERROR_NOT_FOUND, nv.ERROR_INVALID_ARGUMENT:
		default:
			return shape{}, false
		}
	}
	return s, true
}

// changed reports whether the device was partitioned anew since the start.
func (w *worker) changed() bool {
	now, known := shapeOf(w.lib, w.unit.whole)
	return known && now != w.shape
}
