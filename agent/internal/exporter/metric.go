package exporter

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// gauge is a metric that shows one reading of each device.
type gauge struct {
	name, help string
	counter    bool
	value      func(*device) (float64, bool)
}

func reading(g measure.Gauge, scale float64) func(*device) (float64, bool) {
	return func(d *device) (float64, bool) {
		v, ok := d.sample.Gauge(g)
		return v * scale, ok
	}
}

const perMiB = 1.0 / (1 << 20)

// gauges are the device metrics. The names that begin with DCGM_FI are those of
// NVIDIA's exporter, with its units; docs/metrics.md says where they differ.
var gauges = []gauge{
	{"DCGM_FI_DEV_SM_CLOCK", "SM clock in MHz, mean since the reading before where the driver keeps a history", false, func(d *device) (float64, bool) {
		if v, ok := d.sample.Gauge(measure.SMClockMeanMHz); ok {
			return v, true
		}
		return d.sample.Gauge(measure.SMClockMHz)
	}},
	{"DCGM_FI_DEV_POWER_USAGE", "Power in W", false, reading(measure.PowerMW, 1e-3)},
	{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy in mJ since the driver was loaded", true, func(d *device) (float64, bool) {
		v, ok := d.sample.Counter(measure.EnergyMJ)
		return float64(v), ok
	}},
	{"DCGM_FI_DEV_GPU_UTIL", "Share of time in which a kernel ran, in percent", false, reading(measure.GPUUtilPct, 1)},
	{"DCGM_FI_DEV_FB_USED", "Device memory in use, in MiB", false, reading(measure.MemUsedBytes, perMiB)},
	{"DCGM_FI_DEV_FB_FREE", "Device memory that is free, in MiB", false, func(d *device) (float64, bool) {
		v, ok := d.sample.Gauge(measure.MemUsedBytes)
		return float64(d.memory) - v*perMiB, ok && d.memory > 0
	}},
	{"DCGM_FI_DEV_XID_ERRORS", "Number of the newest error that the driver reported", false, func(d *device) (float64, bool) { return float64(d.xid), d.xid >= 0 }},
	{"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "Uncorrected memory errors since the driver was loaded", true, func(d *device) (float64, bool) {
		return float64(d.condition.ECC), d.condition.ECCKnown
	}},
	{"DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "Why clocks are lowered, as the driver's bits", false, func(d *device) (float64, bool) {
		return float64(d.condition.Reasons), d.condition.ReasonsKnown
	}},
	{"DCGM_FI_PROF_SM_ACTIVE", "Share of time in which an SM had work, mean over SMs, 0 to 1", false, reading(measure.SMActive, 1)},
	{"DCGM_FI_PROF_SM_OCCUPANCY", "Resident warps over the most there can be, 0 to 1", false, reading(measure.SMOccupancy, 1)},
	{"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Share of cycles in which a tensor pipe worked, 0 to 1", false, reading(measure.AnyTensor, 1)},
	{"DCGM_FI_PROF_PIPE_TENSOR_HMMA_ACTIVE", "Share of cycles in which the floating tensor pipe worked, 0 to 1", false, reading(measure.HMMA, 1)},
	{"DCGM_FI_PROF_PIPE_TENSOR_IMMA_ACTIVE", "Share of cycles in which the integer tensor pipe worked, 0 to 1", false, reading(measure.IMMA, 1)},
	{"DCGM_FI_PROF_PIPE_FP64_ACTIVE", "Share of cycles in which the FP64 pipe worked, 0 to 1", false, reading(measure.FP64, 1)},
	{"DCGM_FI_PROF_PIPE_FP32_ACTIVE", "Share of cycles in which the FP32 pipe worked, 0 to 1", false, reading(measure.FP32, 1)},
	{"DCGM_FI_PROF_PIPE_FP16_ACTIVE", "Share of cycles in which the FP16 pipe worked, 0 to 1", false, reading(measure.FP16, 1)},
	{"DCGM_FI_PROF_DRAM_ACTIVE", "Share of cycles in which device memory moved data, 0 to 1", false, reading(measure.DRAMActive, 1)},
	{"DCGM_FI_PROF_PCIE_TX_BYTES", "PCIe bytes sent per second", false, reading(measure.PCIeTxBytesS, 1)},
	{"DCGM_FI_PROF_PCIE_RX_BYTES", "PCIe bytes received per second", false, reading(measure.PCIeRxBytesS, 1)},
	{"DCGM_FI_PROF_NVLINK_TX_BYTES", "NVLink bytes sent per second", false, reading(measure.NVLinkTxBytesS, 1)},
	{"DCGM_FI_PROF_NVLINK_RX_BYTES", "NVLink bytes received per second", false, reading(measure.NVLinkRxBytesS, 1)},
}

// deviceLabels renders the labels that every metric of a device has.
func deviceLabels(d *nvml.Device, hostname string) string {
	var b strings.Builder
	b.WriteString(`gpu="` + strconv.Itoa(d.Index) + `",UUID="` + label(string(d.ID)) + `"`)
	if d.Minor >= 0 {
		b.WriteString(`,device="nvidia` + strconv.Itoa(d.Minor) + `"`)
	}
	if d.Parent != "" {
		b.WriteString(`,parent="` + label(string(d.Parent)) + `"`)
	}
	b.WriteString(`,modelName="` + label(d.Name) + `",Hostname="` + label(hostname) + `"`)
	return b.String()
}

// maxLabel bounds a label value, in bytes.
const maxLabel = 256

// label escapes a label value.
func label(s string) string {
	if len(s) > maxLabel {
		s = s[:maxLabel]
		for len(s) > 0 && !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return escaper.Replace(s)
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
