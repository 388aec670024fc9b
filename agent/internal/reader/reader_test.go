package reader_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/reader"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const childMark = "serve-devices"

// TestMain lets the test binary be the child, as the agent's program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childMark {
		os.Exit(beChild(os.Args[2:]))
	}
	code := m.Run()
	if standInDir != "" {
		_ = os.RemoveAll(standInDir) // a leftover in the temporary folder harms nobody
	}
	os.Exit(code)
}

func beChild(args []string) int {
	flags := flag.NewFlagSet(childMark, flag.ContinueOnError)
	deadline, openWait := flags.Duration("deadline", 0, ""), flags.Duration("open-wait", 0, "")
	library, without := flags.String("library", "", ""), flags.String("without", "", "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	o := nvml.Options{LibraryPath: *library, Deadline: *deadline}
	for _, s := range strings.FieldsFunc(*without, func(r rune) bool { return r == ',' }) {
		i, err := strconv.Atoi(s)
		if err != nil {
			return 2
		}
		o.Without = append(o.Without, i)
	}
	if err := reader.Serve(context.Background(), os.Stdin, os.Stdout, o, *openWait); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

var (
	standInOnce sync.Once
	standInDir  string
	standInErr  error
)

// standIn builds the scripted library and lets children play the scenario.
func standIn(t testing.TB, scenario string) string {
	t.Helper()
	standInOnce.Do(func() {
		header, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml").Output()
		if err != nil {
			standInErr = err
			return
		}
		if standInDir, standInErr = os.MkdirTemp("", "flopwatch-nvml"); standInErr != nil {
			return
		}
		out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-I", filepath.Join(strings.TrimSpace(string(header)), "pkg/nvml"),
			"-o", filepath.Join(standInDir, "nvml.so"), "../../../testdata/nvml/fake_nvml.c", "-lm", "-lpthread").CombinedOutput()
		if err != nil {
			standInErr = fmt.Errorf("build the stand-in: %w\n%s", err, out)
		}
	})
	if standInErr != nil {
		t.Fatal(standInErr)
	}
	file := filepath.Join(t.TempDir(), "scenario")
	if err := os.WriteFile(file, []byte(h100+scenario), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAKE_NVML", file)
	return filepath.Join(standInDir, "nvml.so")
}

const h100 = "name=NVIDIA H100 80GB HBM3\ncores=16896\nmajor=9\nmax_clock=1980\nclock=1755\npci=0x233010de\nmemory=85520809984\nused=1073741824\npower=650000\ngpu_util=100\ngpm=1\nmetric.2=91\nmetric.7=40\n"

func open(t testing.TB, scenario string, change func(*reader.Options)) *reader.Reader {
	t.Helper()
	o := reader.Options{Command: []string{os.Args[0], childMark}, Library: standIn(t, scenario), Deadline: 100 * time.Millisecond, Grace: 200 * time.Millisecond, OpenWait: 5 * time.Second}
	if change != nil {
		change(&o)
	}
	r, err := reader.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// history is what a number of readings gave.
type history struct {
	events  []measure.Event
	errs    map[measure.DeviceID][]error // nil where a device was read
	changes int
}

func (h *history) count(kind measure.EventKind) (n int) {
	for _, e := range h.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// read takes n readings, period apart.
func read(r *reader.Reader, n int, period time.Duration) *history {
	h := &history{errs: map[measure.DeviceID][]error{}}
	for i := range n {
		result := r.Readings(context.Background(), int64(i+1)*1e9)
		for _, d := range result.Readings {
			h.errs[d.Device] = append(h.errs[d.Device], d.Err)
		}
		h.events = append(h.events, result.Events...)
		if result.HostChanged {
			h.changes++
		}
		time.Sleep(period)
	}
	return h
}

const gpu0, gpu1 = measure.DeviceID("GPU-00000000-0000-0000-0000-000000000000"), measure.DeviceID("GPU-00000000-0000-0000-0000-000000000001")

func TestReadingsCrossThePipe(t *testing.T) {
	r := open(t, "devices=2\ncycles=1\nreasons=4\nclique=3\nprocess=42:4096:70\nprocess=43:1:0\n", nil)
	host := r.Host()
	if host.Driver != "590.10" || len(host.Devices) != 2 || host.Devices[1].Method != measure.Cycles || host.Devices[1].Index != 1 || host.Devices[0].Fabric != "abababab-abab-abab-abab-abababababab/3" {
		t.Errorf("host %+v", host)
	}
	r.Readings(t.Context(), 1e9)
	got := r.Readings(t.Context(), 2e9)
	for _, d := range got.Readings {
		hmma, _ := d.Sample.Gauge(measure.HMMA)
		cycles, ok := d.Sample.Counter(measure.CycHMMA)
		if d.Err != nil || hmma != 0.4 || !ok || cycles == 0 || d.Sample.TimeNS < 2e9 || !d.HoldersKnown || !d.Condition.ReasonsKnown || d.Condition.Reasons != 4 {
			t.Errorf("reading %+v", d)
		}
		if len(d.Processes) != 2 || d.Processes[0] != (nvml.ProcessUse{PID: 42, MemoryBytes: 4096, SMUtil: 70}) || d.Processes[1].SMUtil == d.Processes[1].SMUtil {
			t.Errorf("processes %+v", d.Processes)
		}
		if _, ok := d.Sample.Gauge(measure.FP64); ok {
			t.Error("a reading that the device lacks is there")
		}
	}
}

func TestNoDriverAndNoProgram(t *testing.T) {
	_, err := reader.Open(t.Context(), reader.Options{Command: []string{os.Args[0], childMark}, Library: "/nowhere/libnvidia-ml.so.1", OpenWait: time.Second})
	if !errors.Is(err, nvml.ErrNoDriver) || !strings.Contains(err.Error(), "/nowhere/libnvidia-ml.so.1") {
		t.Errorf("no library: %v", err)
	}
	if _, err := reader.Open(t.Context(), reader.Options{Command: []string{"/nowhere/agent"}}); err == nil {
		t.Error("a program that is not there is started")
	}
	_, err = reader.Open(t.Context(), reader.Options{Command: []string{"/bin/sh", "-c", "echo broken >&2; exit 3"}})
	if !errors.Is(err, reader.ErrReader) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a child that fails: %v", err)
	}
}

// A call that hangs in the library costs that device; the child is replaced when
// it does not answer at all, and the readings come back.
func TestChildThatEndsIsReplaced(t *testing.T) {
	r := open(t, "devices=2\nexit_tick=4\n", nil)
	h := read(r, 40, 25*time.Millisecond)
	var failed, back bool
	for _, err := range h.errs[gpu1] {
		if errors.Is(err, reader.ErrReader) {
			failed = true
		} else if failed && err == nil {
			back = true
		}
	}
	if !failed || !back || h.count(measure.EventReader) == 0 {
		t.Errorf("failed %t, back %t, events %+v", failed, back, h.events)
	}
	if h.changes != 0 {
		t.Errorf("the same devices are %d changes of the host", h.changes)
	}
}

func TestHangOfTheWholeChild(t *testing.T) {
	// A child that stops answering, as when its process is stuck in the kernel.
	script := filepath.Join(t.TempDir(), "child.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nif [ -e \"$0.once\" ]; then exec \"$@\"; fi\ntouch \"$0.once\"\nkill -STOP $$\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := reader.Options{Command: []string{script, os.Args[0], childMark}, Library: standIn(t, ""), Deadline: 50 * time.Millisecond, Grace: 50 * time.Millisecond, OpenWait: 200 * time.Millisecond}
	begin := time.Now()
	if _, err := reader.Open(t.Context(), o); !errors.Is(err, reader.ErrReader) {
		t.Errorf("a stopped child: %v", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("opening took %s", took)
	}
	o.OpenWait = 0 // the child that answers has the time a busy machine needs
	r, err := reader.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// One device hangs: the other is read on at every call, and no call takes longer
// than its deadline.
func TestHungDeviceLeavesTheOthers(t *testing.T) {
	r := open(t, "devices=2\nhang_device=1\nhang_tick=3\nhang_ms=400\n", nil)
	begin := time.Now()
	h := read(r, 12, 10*time.Millisecond)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("12 readings took %s", took)
	}
	for i, err := range h.errs[gpu0] {
		if err != nil {
			t.Errorf("reading %d of the other device: %v", i, err)
		}
	}
	if !slices.ContainsFunc(h.errs[gpu1], func(err error) bool { return errors.Is(err, nvml.ErrDeadline) }) {
		t.Errorf("the hung device: %v", h.errs[gpu1])
	}
}

func TestDriverReloadAndPartitions(t *testing.T) {
	r := open(t, "devices=1\n@3 unloaded=1\n", nil)
	h := read(r, 30, 30*time.Millisecond)
	if h.count(measure.EventReader) == 0 {
		t.Errorf("a driver that was unloaded: events %+v", h.events)
	}
	if last := h.errs[gpu0]; !slices.Contains(last[10:], nil) {
		t.Errorf("the device does not come back: %v", last)
	}
	r = open(t, "devices=1\n@3 mig=2\n", nil)
	h = read(r, 12, 5*time.Millisecond)
	if h.count(measure.EventReader) != 1 {
		t.Fatalf("a device partitioned anew: events %+v", h.events)
	}
}

func TestXidIsAnEvent(t *testing.T) {
	r := open(t, "devices=1\n@2 xid=79\n", nil)
	h := read(r, 6, 60*time.Millisecond)
	if len(h.events) != 1 || h.events[0].Kind != measure.EventXid || h.events[0].Code != 79 || h.events[0].Device != gpu0 {
		t.Errorf("events %+v", h.events)
	}
}

func TestRelease(t *testing.T) {
	r := open(t, "devices=2\n", nil)
	if err := r.Release(5e9, "GPU-unknown"); err == nil {
		t.Error("a device that is not there is released")
	}
	if err := r.Release(5e9, gpu1); err != nil {
		t.Fatal(err)
	}
	h := read(r, 30, 20*time.Millisecond)
	if len(r.Host().Devices) != 1 || r.Host().Devices[0].ID != gpu0 || h.changes != 1 || h.count(measure.EventReleased) != 1 || h.count(measure.EventDevices) != 1 {
		t.Errorf("released one: %d changes, events %+v, devices %+v", h.changes, h.events, r.Host().Devices)
	}
	if h.events[0].Kind == measure.EventReleased && h.events[0].Device != gpu1 {
		t.Errorf("event %+v", h.events[0])
	}
	r.Resume(6e9)
	h = read(r, 30, 20*time.Millisecond)
	if len(r.Host().Devices) != 2 || h.count(measure.EventResumed) != 1 || !slices.Contains(h.errs[gpu1], nil) {
		t.Errorf("resumed: events %+v, errors %v", h.events, h.errs)
	}
	if err := r.Release(7e9, reader.All); err != nil {
		t.Fatal(err)
	}
	h = read(r, 5, 20*time.Millisecond)
	for _, err := range h.errs[gpu0] {
		if !errors.Is(err, reader.ErrReleased) {
			t.Errorf("everything is released: %v", err)
		}
	}
	if got := r.Released(); !slices.Equal(got, []measure.DeviceID{reader.All}) {
		t.Errorf("released %v", got)
	}
}

func TestReadingsAllocateNothing(t *testing.T) {
	r := open(t, "devices=8\nprocess=42:4096:70\nprocess=43:1:0\n", nil)
	for range 20 {
		r.Readings(t.Context(), 1e9)
	}
	if n := testing.AllocsPerRun(50, func() { r.Readings(t.Context(), 1e9) }); n > 0 {
		t.Errorf("%v allocations for readings of 8 devices", n)
	}
}

func BenchmarkReadings(b *testing.B) {
	var processes strings.Builder
	for i := range 125 {
		fmt.Fprintf(&processes, "process=%d:4096:1\n", 1000+i)
	}
	r := open(b, "devices=8\ncycles=1\nhistory=20\n"+processes.String(), nil)
	b.ReportAllocs()
	for b.Loop() {
		r.Readings(b.Context(), 1e9)
	}
}
