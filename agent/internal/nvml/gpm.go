package nvml

import (
	"fmt"
	"math"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// metric is one GPM metric and the reading that it becomes.
type metric struct {
	id      uint32
	counter bool
	gauge   measure.Gauge
	count   measure.Counter
	scale   float64 // from the driver's unit to the sample's; gauges only
}

// The scales: percent to ratio, MiB/s to bytes/s.
const (
	percent = 1.0 / 100
	mebi    = 1 << 20
)

// slack is how far above 100 % a percentage may round and still be true.
const slack = 0.02

var metrics = []metric{
	{id: uint32(nv.GPM_METRIC_SM_UTIL), gauge: measure.SMActive, scale: percent},
	{id: uint32(nv.GPM_METRIC_SM_OCCUPANCY), gauge: measure.SMOccupancy, scale: percent},
	{id: uint32(nv.GPM_METRIC_INTEGER_UTIL), gauge: measure.Integer, scale: percent},
	{id: uint32(nv.GPM_METRIC_ANY_TENSOR_UTIL), gauge: measure.AnyTensor, scale: percent},
	{id: uint32(nv.GPM_METRIC_DFMA_TENSOR_UTIL), gauge: measure.DFMA, scale: percent},
	{id: uint32(nv.GPM_METRIC_HMMA_TENSOR_UTIL), gauge: measure.HMMA, scale: percent},
	{id: uint32(nv.GPM_METRIC_DMMA_TENSOR_UTIL), gauge: measure.DMMA, scale: percent},
	{id: uint32(nv.GPM_METRIC_IMMA_TENSOR_UTIL), gauge: measure.IMMA, scale: percent},
	{id: uint32(nv.GPM_METRIC_DRAM_BW_UTIL), gauge: measure.DRAMActive, scale: percent},
	{id: uint32(nv.GPM_METRIC_FP64_UTIL), gauge: measure.FP64, scale: percent},
	{id: uint32(nv.GPM_METRIC_FP32_UTIL), gauge: measure.FP32, scale: percent},
	{id: uint32(nv.GPM_METRIC_FP16_UTIL), gauge: measure.FP16, scale: percent},
	{id: uint32(nv.GPM_METRIC_PCIE_TX_PER_SEC), gauge: measure.PCIeTxBytesS, scale: mebi},
	{id: uint32(nv.GPM_METRIC_PCIE_RX_PER_SEC), gauge: measure.PCIeRxBytesS, scale: mebi},
	{id: uint32(nv.GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC), gauge: measure.NVLinkRxBytesS, scale: mebi},
	{id: uint32(nv.GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC), gauge: measure.NVLinkTxBytesS, scale: mebi},
	{id: uint32(nv.GPM_METRIC_SM_CYCLES_ELAPSED), counter: true, count: measure.CycSMElapsed},
	{id: uint32(nv.GPM_METRIC_SM_CYCLES_ACTIVE), counter: true, count: measure.CycSMActive},
	{id: uint32(nv.GPM_METRIC_MMA_CYCLES_ACTIVE), counter: true, count: measure.CycMMA},
	{id: uint32(nv.GPM_METRIC_DMMA_CYCLES_ACTIVE), counter: true, count: measure.CycDMMA},
	{id: uint32(nv.GPM_METRIC_HMMA_CYCLES_ACTIVE), counter: true, count: measure.CycHMMA},
	{id: uint32(nv.GPM_METRIC_IMMA_CYCLES_ACTIVE), counter: true, count: measure.CycIMMA},
	{id: uint32(nv.GPM_METRIC_DFMA_CYCLES_ACTIVE), counter: true, count: measure.CycDFMA},
	{id: uint32(nv.GPM_METRIC_INTEGER_CYCLES_ACTIVE), counter: true, count: measure.CycInteger},
	{id: uint32(nv.GPM_METRIC_FP64_CYCLES_ACTIVE), counter: true, count: measure.CycFP64},
	{id: uint32(nv.GPM_METRIC_FP32_CYCLES_ACTIVE), counter: true, count: measure.CycFP32},
	{id: uint32(nv.GPM_METRIC_FP16_CYCLES_ACTIVE), counter: true, count: measure.CycFP16},
}

// maxCounter is the largest count taken. The library gives counts as float64,
// whose rounding beyond 2^53 is far below any error bound.
const maxCounter = math.MaxInt64

// gpm reads performance metrics of one unit. The later of two samples becomes
// the base of the next pair, so that the averages cover time without holes.
type gpm struct {
	unit        *unit
	base, fresh nv.GpmSample
	hasBase     bool
	hasFresh    bool
	wanted      []metric // what the driver offers for this unit
	hot         *hot
	reason      string // why there is no GPM, "" if there is
}

// newGPM allocates the two samples. reason is set instead when the unit has no
// GPM.
func newGPM(l *library, u *unit, h *hot) *gpm {
	g := &gpm{unit: u, wanted: metrics, hot: h}
	sampler := callGPMSample
	if u.isPartition() {
		sampler = callGPMMIGSample
	}
	if !l.has(callGPMSupport, callGPMAlloc, callGPMFree, callGPMMetrics, sampler) {
		g.reason = "the driver has no GPM"
		return g
	}
	if !u.ownsInstance {
		g.reason = "several compute instances share the GPU instance"
		return g
	}
	support, ret := u.whole.GpmQueryDeviceSupport()
	if ret != nv.SUCCESS {
		g.reason = "GPM support: " + failure(ret).Error()
		return g
	}
	if support.IsSupportedDevice == 0 {
		g.reason = "the device has no GPM"
		return g
	}
	var err error
	if g.base, err = allocSample(l); err == nil {
		if g.fresh, err = allocSample(l); err != nil {
			_ = g.base.Free() // as in free
		}
	}
	if err != nil {
		g.reason = err.Error()
	}
	return g
}

func allocSample(l *library) (nv.GpmSample, error) {
	s, ret := l.GpmSampleAlloc()
	if ret != nv.SUCCESS {
		return nil, fmt.Errorf("allocate a GPM sample: %w", failure(ret))
	}
	return s, nil
}

// free gives the samples back. An answer other than success means that the
// library is gone, and the samples with it.
func (g *gpm) free() {
	if g.reason == "" {
		_ = g.base.Free()
		_ = g.fresh.Free()
		g.reason = "closed"
	}
}

// take fills the fresh sample.
func (g *gpm) take() nv.Return {
	g.hasFresh = false
	ret := g.hot.sampleInto(g.fresh, g.unit.gpu)
	g.hasFresh = ret == nv.SUCCESS
	return ret
}

// settle makes the fresh sample the base of the next pair. It is called once
// the reading made of it was accepted; a dropped reading leaves the base, so
// that the next pair covers its time too.
func (g *gpm) settle() {
	if g.hasFresh {
		g.base, g.fresh = g.fresh, g.base
		g.hasBase, g.hasFresh = true, false
	}
}

// compute asks for the metrics between base and fresh.
func (g *gpm) compute() nv.Return { return g.hot.metrics(g.base, g.fresh, g.wanted) }

// fill puts the computed metrics into a sample. A metric that failed or is not
// a number stays absent, and so does every average if only counters are wanted.
func (g *gpm) fill(s *measure.Sample, countersOnly bool) {
	for i := range g.wanted {
		v, ret := g.hot.metric(i)
		if ret != nv.SUCCESS || !(v >= 0) {
			continue
		}
		switch m := &g.wanted[i]; {
		case countersOnly && !m.counter:
		case m.counter:
			if v < maxCounter {
				s.SetCounter(m.count, uint64(v))
			}
		case m.scale == percent && v > 100 && v <= 100*(1+slack):
			s.SetGauge(m.gauge, 1)
		default:
			s.SetGauge(m.gauge, v*m.scale)
		}
	}
}

// probe keeps of wanted what the driver offers, after a first compute.
func (g *gpm) probe() {
	var offered []metric
	for i, m := range g.wanted {
		if _, ret := g.hot.metric(i); isUnsupported(ret) || ret == nv.ERROR_INVALID_ARGUMENT {
			continue
		}
		offered = append(offered, m)
	}
	g.wanted = offered
}

func (g *gpm) offers(id uint32) bool {
	for _, m := range g.wanted {
		if m.id == id {
			return g.reason == ""
		}
	}
	return false
}
