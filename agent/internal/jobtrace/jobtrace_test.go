package jobtrace

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const header = "job_id,tenant,accelerator,hosts,gpus_per_host,start,end,mfu,ops_per_gpu_s,kind,network_gbit_s,run_hint\n"

func TestReadNamesEveryFault(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"end before start": {header + "a,t,L4,1,8,2026-01-02T00:00:00Z,2026-01-01T00:00:00Z,,,,,\n", []string{"t.csv:2: end: is not after start"}},
		"numbers": {header + "a,t,L4,-1,65,0,60,NaN,-3,,Inf,\n", []string{"t.csv:2: hosts: \"-1\"", "t.csv:2: gpus_per_host: \"65\"", "t.csv:2: mfu: \"NaN\"",
			"t.csv:2: ops_per_gpu_s: \"-3\"", "t.csv:2: network_gbit_s: \"Inf\""}},
		"several lines":     {header + "a,t,L4,0,8,0,60,,,,,\nb,t,L4,1,8,x,60,,,,,\n", []string{"t.csv:2: hosts", "t.csv:3: start"}},
		"duplicate":         {header + "a,t,L4,1,8,0,60,,,,,\na,t,L4,1,8,0,60,,,,,\n", []string{"t.csv:3: job_id: \"a\" is also in line 2"}},
		"both rates":        {header + "a,t,L4,1,8,0,60,0.4,1e12,,,\n", []string{"t.csv:2: ops_per_gpu_s: mfu is given too"}},
		"faster than it is": {header + "a,t,L4,1,8,0,60,,1e17,,,\n", []string{"t.csv:2: ops_per_gpu_s: 1e+17 is more than L4 can do"}},
		"kind":              {header + "a,t,L4,1,8,0,60,,,mining,,\n", []string{"t.csv:2: kind: \"mining\""}},
		"empty cells":       {header + ",,,1,8,0,60,,,,,\n", []string{"t.csv:2: job_id: is empty", "t.csv:2: tenant: is empty", "t.csv:2: accelerator: is empty"}},
		"direction marks":   {header + "a\u202e,t,L4,1,8,0,60,,,,,\n", []string{"t.csv:2: job_id: is longer"}},
		"unknown column":    {"job_id,tenant,accelerator,hosts,gpus_per_host,start,end,colour\n", []string{"t.csv:1: colour: unknown column"}},
		"missing column":    {"job_id,tenant,accelerator,hosts,gpus_per_host,start\n", []string{"t.csv:1: end: column is missing"}},
		"column twice":      {"job_id,job_id,tenant,accelerator,hosts,gpus_per_host,start,end\n", []string{"t.csv:1: job_id: column is there twice"}},
		"short row":         {header + "a,t\n", []string{"t.csv:2: 2 cells, the header has 12"}},
		"quotes":            {header + "\"a,t\n", []string{"t.csv:2: not CSV"}},
		"not UTF-8":         {header + "a\xff,t,L4,1,8,0,60,,,,,\n", []string{"t.csv:2: not UTF-8"}},
		"long line":         {header + strings.Repeat("x", MaxLine+1) + "\n", []string{"t.csv:2: line is longer than"}},
		"empty":             {"", []string{"t.csv:1: the file is empty"}},
		"no jobs":           {header, []string{"no jobs after the header"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			trace, err := Read("t.csv", strings.NewReader(tt.text))
			if err == nil || trace != nil {
				t.Fatalf("trace %v, error %v", trace, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

// endless is a line without an end.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.left -= int64(len(p))
	if e.left < 0 {
		panic("the reader reads on after an endless line")
	}
	return len(p), nil
}

func TestLineOfTwoGigabytesCostsNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read("t.csv", &endless{left: 2 << 30})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "t.csv:1: line is longer than") {
		t.Errorf("error %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
}

func TestUnknownAcceleratorIsKeptWithAWarning(t *testing.T) {
	trace, err := Read("t.csv", strings.NewReader(header+"a,t,Abacus 9000,1,8,0,60,,,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Jobs) != 1 || trace.Jobs[0].Grade != "derived" || len(trace.Warnings) != 1 || !strings.Contains(trace.Warnings[0], "Abacus 9000") {
		t.Errorf("jobs %v, warnings %v", trace.Jobs, trace.Warnings)
	}
}

func TestWriteReadsBack(t *testing.T) {
	want, err := Read("t.csv", strings.NewReader(header+
		"a,t,L4,1,8,1700000000.5,1700000060,0.4,,training,400,long run\n"+
		"\"b,2\",t2,H100-SXM5-80GB,2,4,2026-01-01T00:00:00.123456789Z,2026-02-01T00:00:00Z,,4e14,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := Write(&file, want.Jobs); err != nil {
		t.Fatal(err)
	}
	got, err := Read("t.csv", &file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Jobs, got.Jobs, cmpopts.IgnoreFields(Job{}, "Model")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(header + "a,t,L4,1,8,0,60,0.4,,training,400,long run\n"))
	f.Add([]byte("run_id,submitter,nodes,accelerators_per_node,accelerator,run_start_ms,run_stop_ms\nr,s,1,8,NVIDIA L40S,1,2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		trace, err := Read("t.csv", bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, j := range trace.Jobs {
			if j.EndNS <= j.StartNS || j.Hosts < 1 || j.GPUsPerHost < 1 || math.IsNaN(j.MFU) || j.ID == "" {
				t.Errorf("accepted %+v", j)
			}
		}
	})
}

// shared returns a file of the public recordings, which are not part of the
// project.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(dir, "..", "shared", "traces", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the public recording %s is not on this machine", name)
	}
	return path
}

// The converted table has every published run, and the accelerator-hours of
// each submitter that its README states.
func TestPublishedRuns(t *testing.T) {
	trace, err := Open(shared(t, "mlperf-training-v4.0-runs"))
	if err != nil {
		t.Fatal(err)
	}
	if len(trace.Jobs) != 2181 {
		t.Errorf("%d jobs, want 2181", len(trace.Jobs))
	}
	hours := map[string]float64{}
	for _, j := range trace.Jobs {
		hours[string(j.Tenant)] += j.DeviceHours()
		hours["all"] += j.DeviceHours()
	}
	for who, want := range map[string]float64{"Google": 12638.0, "NVIDIA": 8656.2, "Intel-HabanaLabs": 3496.3, "JuniperNetworks": 1239.5, "smc-ac-power": 919.9, "all": 30900.9} {
		if got := hours[who]; math.Abs(got/want-1) > 0.005 {
			t.Errorf("%s: %.1f accelerator-hours, want %.1f", who, got, want)
		}
	}
	// What a run is known to have computed lies within what its allocation allows.
	truth := map[string]float64{
		"NVIDIA/eos-dfw_n1452_ngc24.04_nemo/gpt3/result_0":                           1.2927e21,
		"smc-ac-power/64xSMC-H100-SXM-80GB/gpt3/result_5848-240517221859825376616_2": 1.268e21,
	}
	for _, j := range trace.Jobs {
		if flop, ok := truth[j.ID]; ok {
			delete(truth, j.ID)
			if ceiling := j.Model.Ceiling().OpsPerSecond() * j.DeviceHours() * 3600; flop > ceiling {
				t.Errorf("%s: %.3g operations done, ceiling %.3g", j.ID, flop, ceiling)
			}
		}
	}
	if len(truth) > 0 {
		t.Errorf("runs not found: %v", truth)
	}
}
