package recording

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

const goodHost = `{"host":"h1","boot_id":"b","devices":[{"uuid":"GPU-1","name":"NVIDIA L4"}]}`

func TestParseNamesTheFault(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"no host":                {map[string]string{"samples.csv": "time_ns,device\n"}, "host.json is missing"},
		"no samples":             {map[string]string{"host.json": goodHost}, "samples.csv is missing"},
		"unknown key":            {map[string]string{"host.json": `{"host":"h","colour":1}`, "samples.csv": "time_ns,device\n"}, "colour"},
		"device twice":           {map[string]string{"host.json": `{"host":"h","devices":[{"uuid":"a"},{"uuid":"a"}]}`}, "devices[1].uuid"},
		"unknown column":         {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device,colour\n"}, "samples.csv:1: colour: unknown column"},
		"missing column":         {map[string]string{"host.json": goodHost, "samples.csv": "time_ns\n"}, "samples.csv:1: device: column is missing"},
		"unknown device":         {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device\n1,GPU-2\n"}, "samples.csv:2: device: \"GPU-2\""},
		"bad number":             {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device,power_mw\n1,GPU-1,many\n"}, "samples.csv:2: power_mw: \"many\""},
		"bad counter":            {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device,energy_mj\n1,GPU-1,-4\n"}, "samples.csv:2: energy_mj: \"-4\""},
		"bad direction":          {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device\n", "network.csv": "time_ns,cgroup,direction,bytes,peer\n1,/a,up,7,\n"}, "network.csv:2: direction"},
		"bad peer":               {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device\n", "network.csv": "time_ns,cgroup,direction,bytes,peer\n1,/a,sent,7,gpu7\n"}, "network.csv:2: peer"},
		"unknown network column": {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device\n", "network.csv": "time_ns,cgroup,direction,bytes,port\n"}, "network.csv:1: port"},
		"bad process share":      {map[string]string{"host.json": goodHost, "samples.csv": "time_ns,device\n", "processes.csv": "time_ns,device,pid,sm_util_pct\n1,GPU-1,7,101\n"}, "processes.csv:2: sm_util_pct"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := map[string][]byte{}
			for file, text := range tt.files {
				files[file] = []byte(text)
			}
			r, err := parse(files)
			if err == nil || r != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("recording %v, error %v, want %q", r, err, tt.want)
			}
		})
	}
}

// An empty cell and a value that cannot be true are absent; neither is a zero.
func TestAbsentIsNotZero(t *testing.T) {
	r, err := parse(map[string][]byte{"host.json": []byte(goodHost), "samples.csv": []byte("time_ns,device,power_mw,hmma,energy_mj\n1,GPU-1,,,\n2,GPU-1,-5,NaN,0\n3,GPU-1,0,0.5,7\n")})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range r.Samples {
		_, power := s.Gauge(measure.PowerMW)
		_, hmma := s.Gauge(measure.HMMA)
		_, energy := s.Counter(measure.EnergyMJ)
		if want := i == 2; power != want || hmma != want || energy != (i > 0) {
			t.Errorf("sample %d: power %t, hmma %t, energy %t", i, power, hmma, energy)
		}
	}
}

func TestArchiveRefusesWhatDoesNotBelong(t *testing.T) {
	for _, name := range []string{"../host.json", "/host.json", "a/b/host.json", "rec/run.sh"} {
		path := filepath.Join(t.TempDir(), "r.tar.gz")
		archive(t, path, map[string]string{name: goodHost})
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "does not belong") {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "r.tar.gz")
	archive(t, path, map[string]string{"rec/host.json": goodHost, "rec/samples.csv": "time_ns,device\n5,GPU-1\n"})
	if r, err := Open(path); err != nil || len(r.Samples) != 1 {
		t.Errorf("good archive: %v %v", r, err)
	}
}

func archive(t *testing.T, path string, files map[string]string) {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	for name, text := range files {
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(goodHost), []byte("time_ns,device,power_mw,energy_mj\n1,GPU-1,5,7\n"), []byte("time_ns,device,pid,cgroup\n1,GPU-1,7,/a\n"))
	f.Fuzz(func(t *testing.T, host, samples, processes []byte) {
		r, err := parse(map[string][]byte{"host.json": host, "samples.csv": samples, "processes.csv": processes})
		if (err == nil) == (r == nil) {
			t.Errorf("recording %v with error %v", r, err)
		}
	})
}

func FuzzNetwork(f *testing.F) {
	f.Add([]byte("time_ns,cgroup,direction,bytes,peer\n1,/a,sent,7,fd00::1\n2,/a,received,7,\n"))
	f.Add([]byte("time_ns,cgroup,direction,bytes\n1,/a,sent,-7\n"))
	f.Add([]byte("time_ns,cgroup,direction,bytes,peer\n1,/a,sent,7,::ffff:1.2.3.4\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &Recording{}
		if err := r.network(data); err != nil {
			return
		}
		for _, flow := range r.Network {
			if flow.Direction != Sent && flow.Direction != Received || flow.Bytes > 1<<53 || flow.Peer.Is4In6() {
				t.Fatalf("%+v", flow)
			}
		}
	})
}

// synthetic are the recordings of testdata/recordings. They are made up, here,
// and say so: no hardware was read for them.
var synthetic = map[string]func() map[string]string{
	"h100-train-synthetic": func() map[string]string {
		return made("h100-train-synthetic", "NVIDIA H100 80GB HBM3", 132, 8, training, nil)
	},
	"l40s-serve-synthetic": func() map[string]string { return made("l40s-serve-synthetic", "NVIDIA L40S", 142, 4, serving, nil) },
	"h100-faults-synthetic": func() map[string]string {
		return made("h100-faults-synthetic", "NVIDIA H100 80GB HBM3", 132, 2, training, faulty)
	},
}

const (
	epochNS = 1_782_864_000_000_000_000 // 2026-07-01 00:00 UTC
	stepNS  = 10_000_000_000
	steps   = 181
)

// training keeps the tensor pipe busy but for a checkpoint every ten minutes.
func training(step int) (hmma, util, watts float64) {
	if step%60 >= 57 {
		return 0.01, 20, 190
	}
	return 0.40 + 0.03*math.Sin(float64(step)*2.1), 99, 650 + 20*math.Sin(float64(step)*2.1)
}

// serving has no pipe counters on this part; requests come and go.
func serving(step int) (hmma, util, watts float64) {
	return math.NaN(), 35 + 30*math.Sin(float64(step)/9)*math.Cos(float64(step)/4), 160 + 60*math.Sin(float64(step)/9)
}

// faulty damages a line as real recordings are damaged; it may drop it.
func faulty(step int, timeNS *int64, watts *float64, blank *bool) (keep bool) {
	switch {
	case step >= 40 && step < 43: // a hole of 40 s
		return false
	case step == 70:
		*watts = -3000
	case step == 90:
		*timeNS -= 3 * stepNS // back before the last two
	case step >= 100 && step < 110:
		*blank = true
	}
	return true
}

func made(name, accelerator string, sms, devices int, load func(int) (float64, float64, float64), fault func(int, *int64, *float64, *bool) bool) map[string]string {
	host := hostFile{Host: name, BootID: "00000000-0000-4000-8000-000000000001", Source: "synthetic"}
	var samples, processes strings.Builder
	samples.WriteString("time_ns,device,power_mw,energy_mj,gpu_util_pct,mem_used_bytes,sm_clock_mhz,hmma\n")
	processes.WriteString("time_ns,device,pid,start_ns,sm_util_pct,mem_used_bytes,cgroup\n")
	for d := range devices {
		host.Devices = append(host.Devices, deviceFile{UUID: fmt.Sprintf("GPU-%s-%d", name, d), Name: accelerator, SMCount: sms, MemoryMiB: 81559})
	}
	for step := range steps {
		for d := range devices {
			hmma, util, watts := load(step + d%2)
			timeNS, blank := epochNS+int64(step)*stepNS, false
			if fault != nil && !fault(step, &timeNS, &watts, &blank) {
				continue
			}
			cells := fmt.Sprintf("%.0f,%d,%.0f,64000000000,1755", watts*1000, int64(step)*5_000_000, util)
			if blank {
				cells = ",,,,"
			}
			activity := ""
			if hmma == hmma && !blank {
				activity = fmt.Sprintf("%.3f", hmma)
			}
			fmt.Fprintf(&samples, "%d,GPU-%s-%d,%s,%s\n", timeNS, name, d, cells, activity)
			fmt.Fprintf(&processes, "%d,GPU-%s-%d,%d,%d,,,/slurm/uid_1000/job_4711/step_0/task_%d\n", timeNS, name, d, 3000+d, epochNS-stepNS, d)
		}
	}
	document, err := json.MarshalIndent(host, "", "  ")
	if err != nil {
		panic(err)
	}
	return map[string]string{"host.json": string(document) + "\n", "samples.csv": samples.String(), "processes.csv": processes.String()}
}

// The committed recordings are what the code above makes; UPDATE=1 writes them.
func TestSyntheticRecordings(t *testing.T) {
	for name, makeFiles := range synthetic {
		dir := filepath.Join("..", "..", "..", "testdata", "recordings", name)
		files := makeFiles()
		if os.Getenv("UPDATE") != "" {
			write(t, dir, files)
		}
		want := map[string][]byte{}
		for file, text := range files {
			want[file] = []byte(text)
		}
		got, err := load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for file := range want {
			if diff := cmp.Diff(string(want[file]), string(got[file])); diff != "" {
				t.Errorf("%s/%s is not what the code makes (UPDATE=1 writes it)", name, file)
			}
		}
		r, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.Source != "synthetic" || len(r.Samples) < 300 || len(r.Processes) != len(r.Samples) {
			t.Errorf("%s: source %q, %d samples, %d processes", name, r.Source, len(r.Samples), len(r.Processes))
		}
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		data := []byte(text)
		if name != "host.json" {
			var out bytes.Buffer
			zw := gzip.NewWriter(&out)
			if _, err := zw.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := zw.Close(); err != nil {
				t.Fatal(err)
			}
			name, data = name+".gz", out.Bytes()
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
