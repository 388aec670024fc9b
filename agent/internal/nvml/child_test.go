package nvml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// A process has one management library, so that each scenario is played by the
// test binary run again, which prints a played.

// played is what a scenario gave.
type played struct {
	OpenError string
	NoDriver  bool
	Driver    string
	Devices   []Device
	Ticks     [][]playedReading
	WallMS    []int64 // of each call of Readings
	CloseErr  string
	Windows   []measure.Window // what the sampler made of the readings
	Xids      []Xid
	Secret    Answer // Confidential
}

type playedReading struct {
	Device    measure.DeviceID
	Error     string
	Lost      bool
	Late      bool
	TimeNS    int64
	Values    map[string]float64 // of the recording's columns
	Processes []playedProcess
	Holders   bool
	Changed   bool
	NoDriver  bool
	Condition Condition
}

type playedProcess struct {
	PID    int
	Memory int64
	SMUtil float64 // -1 for not known
}

// play settings travel in the environment.
const (
	envChild    = "NVML_TEST_CHILD"
	envLibrary  = "NVML_TEST_LIBRARY"
	envTicks    = "NVML_TEST_TICKS"
	envPeriod   = "NVML_TEST_PERIOD"
	envDeadline = "NVML_TEST_DEADLINE"
)

func TestMain(m *testing.M) {
	if os.Getenv(envChild) != "" {
		if err := json.NewEncoder(os.Stdout).Encode(playHere()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	code := m.Run()
	if builtDir != "" {
		_ = os.RemoveAll(builtDir) // a leftover in the temporary folder harms nobody
	}
	os.Exit(code)
}

func playHere() played {
	ticks, _ := strconv.Atoi(os.Getenv(envTicks))
	period, _ := time.ParseDuration(os.Getenv(envPeriod))
	deadline, _ := time.ParseDuration(os.Getenv(envDeadline))
	s, err := Open(context.Background(), Options{LibraryPath: os.Getenv(envLibrary), Deadline: deadline})
	if err != nil {
		return played{OpenError: err.Error(), NoDriver: errors.Is(err, ErrNoDriver)}
	}
	p := played{Devices: s.Devices()}
	var devices []measure.Device
	for _, d := range p.Devices {
		devices = append(devices, d.Device)
	}
	host := sampler.New(devices, measure.FoldConfig{Window: 10 * time.Second, Period: time.Second})
	leases := tenancy.NewTable([]tenancy.Lease{{Selector: tenancy.Selector{Kind: tenancy.Host, Value: "h"}, Tenant: "ten-a"}})
	_, p.Driver = s.Library()
	for i := range ticks {
		start := time.Now()
		readings := s.Readings(context.Background(), int64(i+1)*1e9)
		p.WallMS = append(p.WallMS, time.Since(start).Milliseconds())
		var tick []playedReading
		var steps []sampler.Reading
		for i := range readings {
			tick = append(tick, flatten(&readings[i]))
			if readings[i].Err == nil {
				steps = append(steps, sampler.Reading{Sample: readings[i].Sample, Shares: shares(leases, devices[i], &readings[i])})
			}
		}
		p.Windows = append(p.Windows, host.Step(steps)...)
		p.Ticks = append(p.Ticks, tick)
		time.Sleep(period)
	}
	p.Windows = append(p.Windows, host.Flush()...)
	p.Xids, _ = s.Xids()
	p.Secret = s.Confidential()
	if err := s.Close(); err != nil {
		p.CloseErr = err.Error()
	}
	return p
}

// shares joins a reading with who held the device, as the agent does. Processes
// of the stand-in are nobody's on this machine.
func shares(leases *tenancy.Table, d measure.Device, r *DeviceReading) []measure.Share {
	subject := tenancy.SubjectOf("h", d)
	if !r.HoldersKnown {
		return tenancy.UnknownHolders(subject, leases, r.Sample.TimeNS)
	}
	var held []tenancy.Process
	for _, p := range r.Processes {
		held = append(held, tenancy.Held(subject, probe.Process{}, p.SMUtil))
	}
	return tenancy.Shares(held, leases, r.Sample.TimeNS)
}

func flatten(r *DeviceReading) playedReading {
	out := playedReading{Device: r.Device, Values: map[string]float64{}, Holders: r.HoldersKnown, Condition: r.Condition}
	if r.Err != nil {
		out.Error, out.Lost, out.Late = r.Err.Error(), errors.Is(r.Err, ErrDeviceLost), errors.Is(r.Err, ErrDeadline)
		out.Changed, out.NoDriver = errors.Is(r.Err, ErrChanged), errors.Is(r.Err, ErrNoDriver)
		return out
	}
	out.TimeNS = r.Sample.TimeNS
	for _, c := range measure.Columns {
		if c.IsCounter {
			if v, ok := r.Sample.Counter(c.Counter); ok {
				out.Values[c.Name] = float64(v)
			}
		} else if v, ok := r.Sample.Gauge(c.Gauge); ok {
			out.Values[c.Name] = v
		}
	}
	for _, p := range r.Processes {
		util := p.SMUtil
		if math.IsNaN(util) {
			util = -1
		}
		out.Processes = append(out.Processes, playedProcess{p.PID, p.MemoryBytes, util})
	}
	return out
}

var (
	buildMu  sync.Mutex
	builtDir string
	built    = map[string]string{}
)

// standIn builds the stand-in library with these macros and returns its path.
func standIn(t testing.TB, macros ...string) string {
	t.Helper()
	buildMu.Lock()
	defer buildMu.Unlock()
	key := strings.Join(macros, "-")
	if path, ok := built[key]; ok {
		return path
	}
	if builtDir == "" {
		dir, err := os.MkdirTemp("", "nvml")
		if err != nil {
			t.Fatal(err)
		}
		builtDir = dir
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml").Output()
	if err != nil {
		t.Fatalf("find the header of go-nvml: %v", err)
	}
	header := filepath.Join(strings.TrimSpace(string(out)), "pkg/nvml")
	dir := filepath.Join(builtDir, "lib"+key)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, libraryName)
	args := []string{"-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-variable", "-O1", "-shared", "-fPIC", "-I", header, "-o", path}
	for _, m := range macros {
		args = append(args, "-D"+m)
	}
	args = append(args, "../../../testdata/nvml/fake_nvml.c", "-lpthread", "-lm")
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in library: %v\n%s", err, out)
	}
	built[key] = path
	return path
}

// scene is one scenario and how it is played.
type scene struct {
	library  string // default: the stand-in with every symbol
	script   string
	ticks    int
	period   time.Duration
	deadline time.Duration
}

// h100 is a device as the real library describes it.
const h100 = `name=NVIDIA H100 80GB HBM3
cores=16896
major=9
minor=0
max_clock=1980
clock=1755
pci=0x233010de
memory=85520809984
used=1073741824
power=650000
gpu_util=100
gpm=1
metric.2=91
metric.3=20
metric.5=40
metric.7=40
metric.9=5
metric.10=33
metric.12=6
metric.20=100
`

// play runs a scenario in a process of its own.
func play(t *testing.T, s scene) played {
	t.Helper()
	if s.library == "" {
		s.library = standIn(t)
	}
	script := filepath.Join(t.TempDir(), "scenario")
	if err := os.WriteFile(script, []byte(s.script), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	// The race detector otherwise waits a second at each exit.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", envChild+"=1", "FAKE_NVML="+script, envLibrary+"="+s.library,
		envTicks+"="+strconv.Itoa(s.ticks), envPeriod+"="+s.period.String(), envDeadline+"="+s.deadline.String())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the program ended: %v\n%s", err, stderr.String())
	}
	var p played
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("read what was played: %v\n%s", err, out)
	}
	return p
}
