package exporter

import "github.com/flopwatch/flopwatch/pkg/measure"

// metric shows one reading of each device under two names: that of NVIDIA's
// exporter, in its unit, and ours, in the unit that the name says.
type metric struct {
	dcgm, own           string // dcgm is "" where NVIDIA's exporter has no such metric
	help                string
	dcgmUnit, ownUnit   string  // end of the help
	dcgmScale, ownScale float64 // from the unit of value
	counter             bool
	value               func(*device) (float64, bool)
}

// metrics are the device metrics, in the order in which they are written.
var metrics = []metric{
	{"DCGM_FI_DEV_SM_CLOCK", "flopwatch_sm_clock_hertz", "SM clock, mean since the reading before where the driver keeps a history", ", in MHz", ", in Hz", 1, 1e6, false, smClock},
	{"DCGM_FI_DEV_POWER_USAGE", "flopwatch_power_watts", "Power", ", in W", ", in W", 1e-3, 1e-3, false, gauge(measure.PowerMW)},
	{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "flopwatch_energy_joules_total", "Energy since the driver was loaded", ", in mJ", ", in J", 1, 1e-3, true, energy},
	{"DCGM_FI_DEV_GPU_UTIL", "flopwatch_gpu_utilization_ratio", "Share of time in which a kernel ran", ", in percent", unitRatio, 1, 1e-2, false, gauge(measure.GPUUtilPct)},
	{"DCGM_FI_DEV_FB_USED", "flopwatch_memory_used_bytes", "Device memory in use", ", in MiB", ", in bytes", perMiB, 1, false, gauge(measure.MemUsedBytes)},
	{"DCGM_FI_DEV_FB_FREE", "flopwatch_memory_free_bytes", "Device memory that is not in use", ", in MiB", ", in bytes", perMiB, 1, false, memoryFree},
	{"DCGM_FI_DEV_XID_ERRORS", "flopwatch_xid_last", "Number of the newest error that the driver reported", "", "", 1, 1, false, xid},
	{"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "flopwatch_ecc_uncorrected_total", "Uncorrected memory errors since the driver was loaded", "", "", 1, 1, true, ecc},
	{"DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "flopwatch_clocks_event_reasons", "Why clocks are lowered", ", in the driver's bits", ", in the driver's bits", 1, 1, false, reasons},
	ratio("DCGM_FI_PROF_SM_ACTIVE", "flopwatch_sm_active_ratio", "Share of time in which an SM had work, mean over SMs", measure.SMActive),
	ratio("DCGM_FI_PROF_SM_OCCUPANCY", "flopwatch_sm_occupancy_ratio", "Resident warps over the most there can be", measure.SMOccupancy),
	ratio("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "flopwatch_pipe_tensor_active_ratio", "Share of cycles in which a tensor pipe worked", measure.AnyTensor),
	ratio("DCGM_FI_PROF_PIPE_TENSOR_HMMA_ACTIVE", "flopwatch_pipe_tensor_hmma_active_ratio", "Share of cycles in which the floating tensor pipe worked", measure.HMMA),
	ratio("DCGM_FI_PROF_PIPE_TENSOR_IMMA_ACTIVE", "flopwatch_pipe_tensor_imma_active_ratio", "Share of cycles in which the integer tensor pipe worked", measure.IMMA),
	ratio("DCGM_FI_PROF_PIPE_TENSOR_DFMA_ACTIVE", "flopwatch_pipe_tensor_dfma_active_ratio", "Share of cycles in which the FP64 tensor pipe worked", measure.DFMA),
	ratio("DCGM_FI_PROF_PIPE_FP64_ACTIVE", "flopwatch_pipe_fp64_active_ratio", "Share of cycles in which the FP64 pipe worked", measure.FP64),
	ratio("DCGM_FI_PROF_PIPE_FP32_ACTIVE", "flopwatch_pipe_fp32_active_ratio", "Share of cycles in which the FP32 pipe worked", measure.FP32),
	ratio("DCGM_FI_PROF_PIPE_FP16_ACTIVE", "flopwatch_pipe_fp16_active_ratio", "Share of cycles in which the FP16 pipe worked", measure.FP16),
	ratio("DCGM_FI_PROF_PIPE_INT_ACTIVE", "flopwatch_pipe_integer_active_ratio", "Share of cycles in which the integer pipe worked", measure.Integer),
	ratio("DCGM_FI_PROF_DRAM_ACTIVE", "flopwatch_dram_active_ratio", "Share of cycles in which device memory moved data", measure.DRAMActive),
	traffic("DCGM_FI_PROF_PCIE_TX_BYTES", "flopwatch_pcie_sent_bytes_per_second", "Sent over PCIe", measure.PCIeTxBytesS),
	traffic("DCGM_FI_PROF_PCIE_RX_BYTES", "flopwatch_pcie_received_bytes_per_second", "Received over PCIe", measure.PCIeRxBytesS),
	traffic("DCGM_FI_PROF_NVLINK_TX_BYTES", "flopwatch_nvlink_sent_bytes_per_second", "Sent over NVLink", measure.NVLinkTxBytesS),
	traffic("DCGM_FI_PROF_NVLINK_RX_BYTES", "flopwatch_nvlink_received_bytes_per_second", "Received over NVLink", measure.NVLinkRxBytesS),
}

const (
	perMiB    = 1.0 / (1 << 20)
	unitRatio = ", 0 to 1"
)

func ratio(dcgm, own, help string, g measure.Gauge) metric {
	return metric{dcgm, own, help, unitRatio, unitRatio, 1, 1, false, gauge(g)}
}

func traffic(dcgm, own, help string, g measure.Gauge) metric {
	return metric{dcgm, own, help, ", in bytes per second", ", in bytes per second", 1, 1, false, gauge(g)}
}

func gauge(g measure.Gauge) func(*device) (float64, bool) {
	return func(d *device) (float64, bool) { return d.sample.Gauge(g) }
}

func smClock(d *device) (float64, bool) {
	if v, ok := d.sample.Gauge(measure.SMClockMeanMHz); ok {
		return v, true
	}
	return d.sample.Gauge(measure.SMClockMHz)
}

func energy(d *device) (float64, bool) {
	v, ok := d.sample.Counter(measure.EnergyMJ)
	return float64(v), ok
}

// memoryFree is not known where more is used than there is: then one of the two
// is that of something else.
func memoryFree(d *device) (float64, bool) {
	used, ok := d.sample.Gauge(measure.MemUsedBytes)
	free := float64(d.memory)/perMiB - used
	return free, ok && d.memory > 0 && free >= 0
}

func xid(d *device) (float64, bool) { return float64(d.xid), d.xid >= 0 }

func ecc(d *device) (float64, bool) { return float64(d.condition.ECC), d.condition.ECCKnown }

func reasons(d *device) (float64, bool) {
	return float64(d.condition.Reasons), d.condition.ReasonsKnown
}
