package jobtrace

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// publishedColumns are the columns of the MLPerf Training result table that the
// conversion needs; it has more.
var publishedColumns = []string{"run_id", "submitter", "nodes", "accelerators_per_node", "accelerator", "run_start_ms", "run_stop_ms"}

func isPublished(header []string) bool {
	for _, column := range publishedColumns {
		if !slices.Contains(header, column) {
			return false
		}
	}
	return true
}

// publishedNames maps the accelerator names of MLPerf system descriptions to the
// catalogue. What is not here keeps its name and gets a derived model.
var publishedNames = map[string]string{
	"NVIDIA H100-SXM5-80GB":   "H100-SXM5-80GB",
	"NVIDIA H100-SXM-80GB":    "H100-SXM5-80GB",
	"NVIDIA H100-PCIe-80GB":   "H100-PCIe",
	"NVIDIA H200-SXM5-141GB":  "H200-SXM",
	"NVIDIA A100-SXM4-80GB":   "A100-SXM4-80GB",
	"NVIDIA L40S":             "L40S",
	"NVIDIA GeForce RTX 4090": "RTX-4090",
}

// publishedRow reads one published result: the timed part of one run, its
// submitter as the tenant. No rate is taken over, so that the figures can be
// held against what the table says was trained. A run whose log breaks off
// before its end is kept with one second, because it ran and nobody knows how
// long.
func (p *parser) publishedRow(cells []string) {
	before := len(p.faults)
	name := p.text(cells, "accelerator", true)
	if sku, ok := publishedNames[name]; ok {
		name = sku
	}
	j := Job{
		ID:          p.text(cells, "run_id", true),
		Tenant:      measure.TenantID(p.text(cells, "submitter", true)),
		Accelerator: name,
		Hosts:       p.count(cells, "nodes", maxHosts),
		GPUsPerHost: p.count(cells, "accelerators_per_node", wire.MaxDevices),
		StartNS:     p.milliseconds(cells, "run_start_ms"),
		Kind:        "training",
	}
	if p.cell(cells, "run_stop_ms") == "" {
		j.EndNS = j.StartNS + 1e9
		p.warn(fmt.Sprintf("%s:%d: run_stop_ms is empty: the run is kept with one second", p.name, p.line))
	} else {
		j.EndNS = p.milliseconds(cells, "run_stop_ms")
	}
	if len(p.faults) > before {
		return
	}
	if j.EndNS <= j.StartNS {
		p.fault("run_stop_ms", errors.New("is not after run_start_ms"))
		return
	}
	p.add(j)
}

func (p *parser) milliseconds(cells []string, column string) int64 {
	s := p.cell(cells, column)
	ms, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || ms < 0 || ms > 7e12 {
		p.fault(column, fmt.Errorf("%q: must be Unix milliseconds between 1970 and 2200", s))
		return 0
	}
	return ms * 1e6
}
