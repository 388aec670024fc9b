package nvml

import (
	"encoding/binary"
	"time"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Condition is the state of a device that changes slowly and moves no figure.
// It is read every conditionEvery readings.
type Condition struct {
	Reasons      uint64 // why clocks are lowered, NVML's bits
	ReasonsKnown bool
	ECC          uint64 // uncorrected memory errors since the driver was loaded
	ECCKnown     bool
	MPSProcesses int // clients of the multi-process service, -1 if not known
}

// conditionEvery is how many readings pass between two looks at what changes
// slowly.
const conditionEvery = 10

// condition reads what changes slowly.
func (w *worker) condition() {
	c := &w.reading.Condition
	*c = Condition{MPSProcesses: -1}
	h := w.unit.whole
	if !w.disabled[callReasons] {
		v, ret := h.GetCurrentClocksEventReasons()
		ok, _ := w.try(callReasons, ret)
		c.Reasons, c.ReasonsKnown = v, ok
	} else if !w.disabled[callThrottleReasons] {
		v, ret := h.GetCurrentClocksThrottleReasons()
		ok, _ := w.try(callThrottleReasons, ret)
		c.Reasons, c.ReasonsKnown = v, ok
	}
	if !w.disabled[callECC] {
		v, ret := h.GetTotalEccErrors(nv.MEMORY_ERROR_TYPE_UNCORRECTED, nv.VOLATILE_ECC)
		ok, _ := w.try(callECC, ret)
		c.ECC, c.ECCKnown = v, ok && v != unlimited
	}
	if !w.disabled[callMPSProcesses] {
		list, ret := w.unit.handle.GetMPSComputeRunningProcesses()
		if ok, _ := w.try(callMPSProcesses, ret); ok {
			c.MPSProcesses = len(list)
		}
	}
}

// links turns byte counters into rates, for devices whose metrics have none.
type links struct {
	fields [4]nv.FieldValue
	wanted [4]linkField
	last   [4]uint64
	known  [4]bool
	at     time.Time
}

type linkField struct {
	id    uint32
	scope uint32
	gauge measure.Gauge
	unit  float64
}

// allLinks is the scope of a field that sums over the links of a device.
const allLinks = 1<<32 - 1

func newLinks() links {
	return links{wanted: [4]linkField{
		{nv.FI_DEV_PCIE_COUNT_TX_BYTES, 0, measure.PCIeTxBytesS, 1},
		{nv.FI_DEV_PCIE_COUNT_RX_BYTES, 0, measure.PCIeRxBytesS, 1},
		{nv.FI_DEV_NVLINK_THROUGHPUT_DATA_TX, allLinks, measure.NVLinkTxBytesS, 1 << 10},
		{nv.FI_DEV_NVLINK_THROUGHPUT_DATA_RX, allLinks, measure.NVLinkRxBytesS, 1 << 10},
	}}
}

// links adds the rates since the reading before to a sample.
func (w *worker) linkRates(s *measure.Sample, now time.Time) {
	if w.disabled[callFields] {
		return
	}
	l := &w.links
	for i, f := range l.wanted {
		l.fields[i] = nv.FieldValue{FieldId: f.id, ScopeId: f.scope}
	}
	ret := w.hot.fields(&l.fields)
	if ok, _ := w.try(callFields, ret); !ok {
		clear(l.known[:])
		return
	}
	passed := now.Sub(l.at).Seconds()
	offered := false
	for i, f := range l.wanted {
		answer := &l.fields[i]
		if nv.Return(answer.NvmlReturn) != nv.SUCCESS {
			l.known[i] = false
			continue
		}
		offered = true
		v := binary.NativeEndian.Uint64(answer.Value[:])
		// A counter that fell has wrapped or was reset: no rate until the next.
		if _, have := s.Gauge(f.gauge); !have && l.known[i] && v >= l.last[i] && passed > 0 {
			s.SetGauge(f.gauge, float64(v-l.last[i])*f.unit/passed)
		}
		l.last[i], l.known[i] = v, true
	}
	l.at = now
	w.disabled[callFields] = !offered
}
