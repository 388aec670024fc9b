package flopwatch_test

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// All runs of the published MLPerf Training v4.0 table pass the whole system:
// each arrives as one run, device-hours by submitter are those of the table, and
// what is known to have been computed lies within the bounds.
func TestPublishedTrace(t *testing.T) {
	trace, err := filepath.Abs(filepath.Join("..", "shared", "traces", "mlperf-training-v4.0-runs", "runs.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trace); err != nil {
		t.Skip("the public recording mlperf-training-v4.0-runs is not on this machine")
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	collector := start(t, dir, "flopwatch-collector", "serve", "--data", data)
	waitReady(t, data)
	agent := start(t, dir, "flopwatch-agent", "replay", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, "agent"), trace)
	if err := agent.Wait(); err != nil {
		t.Fatalf("agent: %v\n%s", err, agent.Stderr)
	}
	type bounds struct{ Low, Best, High string }
	type figure struct {
		DeviceSeconds float64 `json:"device_seconds"`
		Theoretical   bounds
	}
	type run struct {
		Label  string
		Tenant string
		Figure figure
	}
	var runs []run
	// Runs follow the ledger within a second or two, much later where other tests
	// have the processors.
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		out, err := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", data, "runs", "-o", "json").Output()
		if err != nil {
			t.Fatalf("flopwatchctl runs: %v", err)
		}
		if err := json.Unmarshal(out, &runs); err != nil {
			t.Fatalf("flopwatchctl runs: %v\n%.300s", err, out)
		}
		if seconds := sum(runs, func(r run) float64 { return r.Figure.DeviceSeconds }); len(runs) == 2181 && seconds > 30900*3600 {
			break
		}
	}
	if len(runs) != 2181 {
		t.Errorf("%d runs, want 2181", len(runs))
	}
	hours := map[string]float64{}
	for _, r := range runs {
		hours[r.Tenant] += r.Figure.DeviceSeconds / 3600
		hours["all"] += r.Figure.DeviceSeconds / 3600
	}
	for who, want := range map[string]float64{"Google": 12638.0, "NVIDIA": 8656.2, "Intel-HabanaLabs": 3496.3, "JuniperNetworks": 1239.5, "smc-ac-power": 919.9, "all": 30900.9} {
		if got := hours[who]; math.Abs(got/want-1) > 0.005 {
			t.Errorf("%s: %.1f device-hours, want %.1f", who, got, want)
		}
	}
	// Single runs, and the sums over the gpt3 runs of at least 1e21 operations.
	for prefix, flop := range map[string]float64{
		"NVIDIA/eos-dfw_n1452_ngc24.04_nemo/gpt3/result_0":                           1.2927e21,
		"smc-ac-power/64xSMC-H100-SXM-80GB/gpt3/result_5848-240517221859825376616_2": 1.268e21,
		"Google/": 1.585e22, "NVIDIA/": 1.151e22, "Intel-HabanaLabs/": 3.911e21,
	} {
		low := sum(runs, func(r run) float64 { return matching(r.Label, prefix, r.Figure.Theoretical.Low) })
		high := sum(runs, func(r run) float64 { return matching(r.Label, prefix, r.Figure.Theoretical.High) })
		if flop < low || flop > high {
			t.Errorf("%s: %.4g operations are known, the bounds are %.4g to %.4g", prefix, flop, low, high)
		}
	}
	if out, err := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", data, "ledger", "check").CombinedOutput(); err != nil {
		t.Errorf("ledger check: %v\n%s", err, out)
	}
	if err := collector.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := collector.Wait(); err != nil {
		t.Errorf("collector: %v\n%s", err, collector.Stderr)
	}
}

func sum[T any](list []T, of func(T) float64) (total float64) {
	for _, each := range list {
		total += of(each)
	}
	return total
}

// matching returns a decimal figure of the gpt3 run whose label has the prefix.
func matching(label, prefix, figure string) float64 {
	if !strings.HasPrefix(label, prefix) || !strings.Contains(label, "/gpt3/") {
		return 0
	}
	v, err := strconv.ParseFloat(figure, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}
