package accel

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

//go:embed accelerators.csv
var embedded []byte

// catalogue parses the embedded table on first use. It is part of the program
// and under test, so a fault in it is a defect and not an error to handle.
var catalogue = sync.OnceValue(func() []Model {
	models, err := Parse("accelerators.csv", bytes.NewReader(embedded))
	if err != nil {
		panic(err)
	}
	return models
})

// All returns every model of the catalogue, in the order of the table.
func All() []Model { return slices.Clone(catalogue()) }

var opsColumns = map[string]compute.Precision{
	"fp16_ops_clk_sm": compute.BF16, "fp8_ops_clk_sm": compute.FP8, "int8_ops_clk_sm": compute.INT8, "fp4_ops_clk_sm": compute.FP4,
	"tf32_ops_clk_sm": compute.TF32, "fp64tc_ops_clk_sm": compute.FP64Tensor, "fp32_ops_clk_sm": compute.FP32,
}

var peakColumns = map[string]compute.Precision{
	"fp16_bf16_tflops": compute.BF16, "tf32_tflops": compute.TF32, "fp8_tflops": compute.FP8, "int8_tops": compute.INT8, "fp4_tflops": compute.FP4,
	"fp64_tensor_tflops": compute.FP64Tensor, "fp64_tflops": compute.FP64, "fp32_tflops": compute.FP32,
}

var plainColumns = []string{"sku", "vendor", "arch", "cc", "device_names", "pci_device_ids", "sm_count", "cores_per_sm", "peak_tensor_mhz", "max_sm_mhz",
	"mem_gb", "mem_gb_s", "tdp_w", "nvlink_bidir_gbit_s", "gpm", "confidence", "notes"}

// Parse reads a catalogue. All faults are returned, each with file, line and
// column; an unknown column, a name in two rows and a row without a 16-bit peak
// are faults.
func Parse(name string, r io.Reader) ([]Model, error) {
	reader := csv.NewReader(r)
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("%s:1: header: %w", name, err)
	}
	var faults []error
	for _, column := range header {
		_, ops := opsColumns[column]
		_, peak := peakColumns[column]
		if !ops && !peak && !slices.Contains(plainColumns, column) {
			faults = append(faults, fmt.Errorf("%s:1: %s: unknown column", name, column))
		}
	}
	var models []Model
	owner := map[string]string{}
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(append(faults, fmt.Errorf("%s: %w", name, err))...)
		}
		line, _ := reader.FieldPos(0)
		row := row{place: fmt.Sprintf("%s:%d", name, line), cells: map[string]string{}, faults: &faults}
		for i, column := range header {
			row.cells[column] = cells[i]
		}
		m := row.model()
		for _, key := range append(append([]string{m.SKU}, m.Names...), m.PCIIDs...) {
			if other, taken := owner[key]; taken && other != m.SKU {
				row.fault("device_names", fmt.Errorf("%q is also in row %s", key, other))
			}
			owner[key] = m.SKU
		}
		models = append(models, m)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return models, nil
}

type row struct {
	place  string
	cells  map[string]string
	faults *[]error
}

func (r row) fault(column string, err error) {
	*r.faults = append(*r.faults, fmt.Errorf("%s: %s: %w", r.place, column, err))
}

func (r row) list(column string) []string {
	if r.cells[column] == "" {
		return nil
	}
	return strings.Split(r.cells[column], "|")
}

// number returns 0 for an empty cell: not supported or not known.
func (r row) number(column string) float64 {
	text := r.cells[column]
	if text == "" {
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(v) || v < 0 || v > 1e6) {
		err = errors.New("out of range")
	}
	if err != nil {
		r.fault(column, fmt.Errorf("%q: %w", text, err))
	}
	return v
}

func (r row) model() Model {
	m := Model{
		SKU: r.cells["sku"], Vendor: r.cells["vendor"], Arch: r.cells["arch"], CC: r.cells["cc"],
		Names: r.list("device_names"), PCIIDs: r.list("pci_device_ids"),
		SMCount: int(r.number("sm_count")), CoresPerSM: int(r.number("cores_per_sm")),
		PeakTensorMHz: int(r.number("peak_tensor_mhz")), MaxSMMHz: int(r.number("max_sm_mhz")),
		TDPWatts: int(r.number("tdp_w")), HasGPM: r.cells["gpm"] == "yes" || r.cells["gpm"] == "query",
		Grade: Grade(r.cells["confidence"]), Notes: r.cells["notes"],
		OpsPerClock: map[compute.Precision]int{}, Peaks: map[compute.Precision]compute.Rate{},
	}
	for _, text := range r.list("mem_gb") {
		gb, err := strconv.Atoi(text)
		if err != nil {
			r.fault("mem_gb", err)
		}
		m.MemoryGB = append(m.MemoryGB, gb)
	}
	for column, p := range opsColumns {
		if v := r.number(column); v > 0 {
			m.OpsPerClock[p] = int(v)
		}
	}
	for column, p := range peakColumns {
		if v := r.number(column); v > 0 {
			m.Peaks[p] = compute.RateFromTera(v)
		}
	}
	if m.SKU == "" {
		r.fault("sku", errors.New("is empty"))
	}
	if r.cells["fp16_bf16_tflops"] == "" {
		r.fault("fp16_bf16_tflops", errors.New("is empty"))
	}
	if m.Grade != GradeA && m.Grade != GradeB && m.Grade != GradeC {
		r.fault("confidence", fmt.Errorf("%q: must be A, B or C", m.Grade))
	}
	m.settle()
	return m
}
