package measure

import "math"

// Gauge is a reading that holds for an instant, or for the time since the sample
// before where the driver averages it.
type Gauge int

// The gauges, named as in recordings. Ratios are 0..1.
const (
	PowerMW Gauge = iota
	GPUUtilPct
	MemUsedBytes
	SMClockMHz
	SMClockMeanMHz // mean since the sample before, integrated by the driver's history
	SMActive
	SMOccupancy
	AnyTensor
	HMMA
	IMMA
	DFMA
	DMMA
	FP64
	FP32
	FP16
	Integer
	DRAMActive
	PCIeTxBytesS
	PCIeRxBytesS
	NVLinkTxBytesS
	NVLinkRxBytesS
	NumGauges
)

// Counter is a reading that only grows while the driver stays loaded.
type Counter int

// The counters. Cycles are sums or means over the SMs, by driver; the `cycles`
// method finds out which.
const (
	EnergyMJ Counter = iota
	CycSMElapsed
	CycSMActive
	CycMMA
	CycDMMA
	CycHMMA
	CycIMMA
	CycDFMA
	CycInteger
	CycFP64
	CycFP32
	CycFP16
	NumCounters
)

// Column names a reading in the recording format.
type Column struct {
	Name      string
	IsCounter bool
	Gauge     Gauge
	Counter   Counter
	Max       float64 // largest plausible value; a reading beyond it is absent
}

// Columns lists every reading in the order of the recording format.
var Columns = []Column{
	{Name: "power_mw", Gauge: PowerMW, Max: 3e6},
	{Name: "energy_mj", IsCounter: true, Counter: EnergyMJ},
	{Name: "gpu_util_pct", Gauge: GPUUtilPct, Max: 100},
	{Name: "mem_used_bytes", Gauge: MemUsedBytes, Max: 1 << 50},
	{Name: "sm_clock_mhz", Gauge: SMClockMHz, Max: 10_000},
	{Name: "sm_clock_mean_mhz", Gauge: SMClockMeanMHz, Max: 10_000},
	{Name: "sm_active", Gauge: SMActive, Max: 1},
	{Name: "sm_occupancy", Gauge: SMOccupancy, Max: 1},
	{Name: "any_tensor", Gauge: AnyTensor, Max: 1},
	{Name: "hmma", Gauge: HMMA, Max: 1},
	{Name: "imma", Gauge: IMMA, Max: 1},
	{Name: "dfma", Gauge: DFMA, Max: 1},
	{Name: "dmma", Gauge: DMMA, Max: 1},
	{Name: "fp64", Gauge: FP64, Max: 1},
	{Name: "fp32", Gauge: FP32, Max: 1},
	{Name: "fp16", Gauge: FP16, Max: 1},
	{Name: "integer", Gauge: Integer, Max: 1},
	{Name: "dram_active", Gauge: DRAMActive, Max: 1},
	{Name: "pcie_tx_bytes_s", Gauge: PCIeTxBytesS, Max: 1e15},
	{Name: "pcie_rx_bytes_s", Gauge: PCIeRxBytesS, Max: 1e15},
	{Name: "nvlink_tx_bytes_s", Gauge: NVLinkTxBytesS, Max: 1e15},
	{Name: "nvlink_rx_bytes_s", Gauge: NVLinkRxBytesS, Max: 1e15},
	{Name: "cyc_sm_elapsed", IsCounter: true, Counter: CycSMElapsed},
	{Name: "cyc_sm_active", IsCounter: true, Counter: CycSMActive},
	{Name: "cyc_mma", IsCounter: true, Counter: CycMMA},
	{Name: "cyc_dmma", IsCounter: true, Counter: CycDMMA},
	{Name: "cyc_hmma", IsCounter: true, Counter: CycHMMA},
	{Name: "cyc_imma", IsCounter: true, Counter: CycIMMA},
	{Name: "cyc_dfma", IsCounter: true, Counter: CycDFMA},
	{Name: "cyc_integer", IsCounter: true, Counter: CycInteger},
	{Name: "cyc_fp64", IsCounter: true, Counter: CycFP64},
	{Name: "cyc_fp32", IsCounter: true, Counter: CycFP32},
	{Name: "cyc_fp16", IsCounter: true, Counter: CycFP16},
}

// maxGauge is Columns by gauge, for the hot path.
var maxGauge = func() (limits [NumGauges]float64) {
	for _, c := range Columns {
		if !c.IsCounter {
			limits[c.Gauge] = c.Max
		}
	}
	return limits
}()

// Sample is what one device said at one instant.
type Sample struct {
	Device DeviceID
	TimeNS int64 // Unix nanoseconds, UTC

	gauges   [NumGauges]float64 // NaN where absent
	counters [NumCounters]uint64
	present  uint32 // bit per counter
}

var absent = func() (g [NumGauges]float64) {
	for i := range g {
		g[i] = math.NaN()
	}
	return g
}()

// NewSample returns a sample in which every reading is absent.
func NewSample(dev DeviceID, timeNS int64) Sample {
	return Sample{Device: dev, TimeNS: timeNS, gauges: absent}
}

// SetGauge stores a reading. A value that cannot be true (NaN, negative, beyond
// the column's maximum) is not stored: the reading stays absent.
func (s *Sample) SetGauge(g Gauge, v float64) {
	if v >= 0 && v <= maxGauge[g] {
		s.gauges[g] = v
	}
}

// Gauge returns a reading and whether there is one.
func (s *Sample) Gauge(g Gauge) (float64, bool) {
	v := s.gauges[g]
	return v, v == v
}

// SetCounter stores a counter's reading.
func (s *Sample) SetCounter(c Counter, v uint64) {
	s.counters[c] = v
	s.present |= 1 << c
}

// Counter returns a counter's reading and whether there is one.
func (s *Sample) Counter(c Counter) (uint64, bool) {
	return s.counters[c], s.present&(1<<c) != 0
}

// silent reports whether the device said nothing.
func (s *Sample) silent() bool {
	if s.present != 0 {
		return false
	}
	for _, v := range s.gauges {
		if v == v {
			return false
		}
	}
	return true
}

// growth returns how much a counter grew from a to b, and whether both have it
// and it did not fall. A counter falls when the driver was loaded anew.
func growth(a, b *Sample, c Counter) (uint64, bool) {
	from, okA := a.Counter(c)
	to, okB := b.Counter(c)
	if !okA || !okB || to < from {
		return 0, false
	}
	return to - from, true
}
