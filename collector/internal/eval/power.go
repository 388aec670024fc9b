package eval

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// The folders of labelled series of power.
const (
	trainingPowerSet  = "mlperf-training-v4.0-h100-node-power"
	inferencePowerSet = "mlperf-inference-v2.0-a100-node-power"
)

// tuningBenchmarks are the trainings that tune. The others, among them all
// language models, report: their models were never seen while tuning. All
// trainings ran at one submitter, so no split by system is possible for them.
var tuningBenchmarks = []string{"resnet", "ssd", "bert"}

// tuningSystems are the inference servers that tune; the DGX reports.
var tuningSystems = []string{"NE5260M5_A100-PCIe-80GBx2_TRT_MaxQ", "XE8545_maxQ_A100_SXM_80GBx4_TRT_MaxQ"}

// reading is the power of one node at one time.
type reading struct {
	ns int64
	w  float64
}

// window is the length of the windows that agents send.
const window = 10 * time.Second

// windowed returns the mean power of each window from the first to the last
// reading, -1 where none is. Readings at or below zero are none; their order does
// not matter.
func windowed(readings []reading) []float64 {
	readings = slices.DeleteFunc(slices.Clone(readings), func(r reading) bool { return r.w <= 0 })
	if len(readings) == 0 {
		return nil
	}
	slices.SortStableFunc(readings, func(a, b reading) int { return cmp.Compare(a.ns, b.ns) })
	first, last := readings[0].ns/int64(window), readings[len(readings)-1].ns/int64(window)
	sums, counts := make([]float64, last-first+1), make([]float64, last-first+1)
	for _, r := range readings {
		i := r.ns/int64(window) - first
		sums[i] += r.w
		counts[i]++
	}
	for i := range sums {
		if counts[i] == 0 {
			sums[i] = -1
		} else {
			sums[i] /= counts[i]
		}
	}
	return sums
}

// rhythmOf merges the series of the nodes of one run.
func rhythmOf(nodes map[string][]reading) rhythm.Rhythm {
	var all rhythm.Rhythm
	for _, readings := range nodes {
		var r rhythm.Rhythm
		for _, w := range windowed(readings) {
			r.Add(w)
		}
		all = all.Merge(r)
	}
	return all
}

// span returns the time from the first to the last reading of any node.
func span(nodes map[string][]reading) time.Duration {
	first, last := int64(0), int64(0)
	for _, readings := range nodes {
		for _, r := range readings {
			if first == 0 || r.ns < first {
				first = r.ns
			}
			last = max(last, r.ns)
		}
	}
	return time.Duration(last - first)
}

// nodePower reads the training set: run → node → readings.
func nodePower(traces string) (map[string]map[string][]reading, error) {
	runs := map[string]map[string][]reading{}
	err := rows(filepath.Join(traces, trainingPowerSet, "node_power.csv.gz"), []string{"run_id", "node", "time_ms", "power_w"}, func(r *row) error {
		id := r.text(0)
		if runs[id] == nil {
			runs[strings.Clone(id)] = map[string][]reading{}
		}
		node := strings.Clone(r.text(1))
		runs[id][node] = append(runs[id][node], reading{r.int(2) * int64(time.Millisecond), r.float(3)})
		return nil
	})
	return runs, err
}

func trainingPower(traces string) ([]Example, error) {
	runs, err := nodePower(traces)
	if err != nil {
		return nil, err
	}
	var all []Example
	for id, nodes := range runs {
		parts := strings.Split(id, "/") // submitter, system, benchmark, log
		if len(parts) != 4 {
			return nil, fmt.Errorf("run %q of %s is not submitter/system/benchmark/log", id, trainingPowerSet)
		}
		e := Example{Set: trainingPowerSet, System: parts[1], Name: strings.Join(parts[1:], "/"), Split: Reporting, Training: true}
		if slices.Contains(tuningBenchmarks, parts[2]) {
			e.Split = Tuning
		}
		e.Rhythm, e.Hosts, e.Devices, e.Duration, e.Empirical, e.TensorShare, e.Utilization = rhythmOf(nodes), len(nodes), len(nodes), span(nodes), true, -1, -1
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Example) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func inferencePower(traces string) ([]Example, error) {
	series := map[string][]reading{}
	err := rows(filepath.Join(traces, inferencePowerSet, "power.csv.gz"), []string{"run_id", "time", "power_w"}, func(r *row) error {
		at, err := time.Parse("2006-01-02T15:04:05.999999999", r.text(1))
		if err != nil {
			return fmt.Errorf("%s row %d, column time: %w", r.path, r.number, err)
		}
		id := strings.Clone(r.text(0))
		series[id] = append(series[id], reading{at.UnixNano(), r.float(2)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []Example
	for id, readings := range series {
		parts := strings.Split(id, "/") // submitter, system, benchmark, scenario, phase
		if len(parts) != 5 {
			return nil, fmt.Errorf("recording %q of %s is not submitter/system/benchmark/scenario/phase", id, inferencePowerSet)
		}
		e := Example{Set: inferencePowerSet, System: parts[1], Name: strings.Join(parts[1:], "/"), Split: Reporting}
		if slices.Contains(tuningSystems, parts[1]) {
			e.Split = Tuning
		}
		nodes := map[string][]reading{"": readings}
		e.Rhythm, e.Hosts, e.Devices, e.Duration, e.Empirical, e.TensorShare, e.Utilization = rhythmOf(nodes), 1, 1, span(nodes), true, -1, -1
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Example) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}
