package flopwatch_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fleetOf says how a made-up fleet is played against a collector.
type fleetOf struct {
	hosts, gpus, batchWindows int
	window, duration          time.Duration
	speed                     string
	more                      []string // arguments of replay
}

// sent is what flopwatch-agent replay --fleet prints.
type sent struct {
	Hosts         int     `json:"hosts"`
	GPUSamples    int64   `json:"gpu_samples"`
	DeviceWindows int64   `json:"device_windows"`
	AttributedNS  int64   `json:"attributed_ns"`
	IdleNS        int64   `json:"idle_ns"`
	Batches       int64   `json:"batches"`
	Resent        int64   `json:"resent"`
	Unreceipted   int     `json:"unreceipted"`
	WallSeconds   float64 `json:"wall_seconds"`
	CPUSample     float64 `json:"cpu_ns_per_gpu_sample"`
	BytesSample   float64 `json:"wire_bytes_per_gpu_sample"`
	RSSMiB        float64 `json:"rss_max_mib"`
	P50, P99, Max float64 `json:"-"`
	LagP50        float64 `json:"lag_p50_ms"`
	LagP99        float64 `json:"lag_p99_ms"`
	LagMax        float64 `json:"lag_max_ms"`
	Operations    struct {
		Low, Best, High string
	} `json:"operations"`
}

// fleetRun is what one play came to.
type fleetRun struct {
	sent
	data      string
	cpu       time.Duration // of the collector while the fleet was played
	rss       int64         // KiB, at most
	startup   time.Duration // of a second start on the same data
	atRest    map[string]int64
	stages    []stage
	collector *exec.Cmd
}

// stage is a part of the collector's CPU time.
type stage struct {
	name string
	cpu  time.Duration
}

// stagesOf says which functions on a stack make it one of a stage; the first that
// fits counts.
var stagesOf = []struct {
	name string
	any  []string
}{
	{"collect garbage", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.gcAssistAlloc", "runtime.bgscavenge"}},
	{"verify", []string{"attest.Open", "attest.(*Opener)", "attest.Hash", "ingest.byKey"}},
	{"decode", []string{"wire.(*Decoder).Decode"}},
	{"receipts", []string{"ingest.(*run).receipts"}},
	{"accumulate", []string{"ingest.(*intake)", "ingest.(*run).take"}},
	{"checkpoint", []string{"ingest.(*run).checkpoint", "ingest.(*run).commit", "store.(*Store).Checkpoint"}},
	{"derive runs and findings", []string{"store.(*Deriver)", "collector.(*foreseer)", "collector.(*parties)", "collector.parties"}},
	{"broker", []string{"nats-server", "nats.go", "ingest.(*source)", "ingest.(*run).loop", "broker."}},
	{"load at start", []string{"LoadLedger", "ingest.(*run).load", "store.loadLedger"}},
	{"API", []string{"httpapi", "net/http.(*conn).serve", "httpd"}},
}

// pathOfABatch are the stages that each batch goes through.
var pathOfABatch = []string{"verify", "decode", "accumulate", "checkpoint", "broker", "receipts"}

// attribute reads the stacks of a CPU profile.
func attribute(t *testing.T, program, profile string) []stage {
	t.Helper()
	out, err := exec.Command("go", "tool", "pprof", "-traces", program, profile).Output()
	if err != nil {
		t.Fatalf("read profile %s: %v", profile, err)
	}
	spent := map[string]time.Duration{}
	for _, block := range strings.Split(string(out), "-----------+")[1:] {
		lines := strings.Split(block, "\n")
		if len(lines) < 2 {
			continue
		}
		words := strings.Fields(lines[1])
		if len(words) < 2 {
			continue
		}
		cost, err := time.ParseDuration(words[0])
		if err != nil {
			continue
		}
		name := "other"
	search:
		for _, s := range stagesOf {
			for _, f := range s.any {
				if strings.Contains(block, f) {
					name = s.name
					break search
				}
			}
		}
		spent[name] += cost
	}
	var all []stage
	for _, s := range stagesOf {
		all = append(all, stage{s.name, spent[s.name]})
	}
	return append(all, stage{"other", spent["other"]})
}

// playFleet starts a collector, plays the fleet, and holds the ledger against what
// was sent.
func playFleet(t *testing.T, f fleetOf) fleetRun {
	t.Helper()
	dir := t.TempDir()
	r := fleetRun{data: filepath.Join(dir, "data"), atRest: map[string]int64{}}
	profile := cmp.Or(os.Getenv("FLEET_PROFILE"), filepath.Join(dir, "cpu.profile"))
	r.collector = start(t, dir, "flopwatch-collector", "serve", "--data", r.data, "--profile", profile)
	waitReady(t, r.data)
	before := cpuOf(t, r.collector.Process.Pid)
	args := append([]string{"replay", "--endpoint", filepath.Join(r.data, "agent.json"), "--fleet", strconv.Itoa(f.hosts), "--gpus", strconv.Itoa(f.gpus), "--window", f.window.String(),
		"--batch-windows", strconv.Itoa(f.batchWindows), "--duration", f.duration.String(), "--speed", f.speed}, f.more...)
	agent := exec.Command(filepath.Join(programs, "flopwatch-agent"), args...)
	var out, progress bytes.Buffer
	agent.Stdout, agent.Stderr = &out, &progress
	if os.Getenv("FLEET") != "" {
		agent.Stderr = os.Stderr
	}
	if err := agent.Run(); err != nil {
		t.Fatalf("replay: %v\n%s", err, progress.String())
	}
	r.cpu = cpuOf(t, r.collector.Process.Pid) - before
	if err := json.Unmarshal(out.Bytes(), &r.sent); err != nil {
		t.Fatalf("replay printed no report: %v\n%s", err, out.String())
	}
	r.rss = rssOf(t, r.collector.Process.Pid)
	r.check(t, f)
	if err := r.collector.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.collector.Wait(); err != nil {
		t.Fatalf("collector: %v\n%s", err, r.collector.Stderr)
	}
	if os.Getenv("FLEET") != "" {
		// Only where somebody reads the figures: Go compiles pprof first, for minutes on a
		// machine that never did.
		r.stages = attribute(t, filepath.Join(programs, "flopwatch-collector"), profile)
	}
	for _, name := range []string{"flopwatch.db", "evidence", "broker"} {
		r.atRest[name] = sizeOf(t, filepath.Join(r.data, name))
	}
	return r
}

// check holds the ledger against the sender. What is behind is written within the
// time that rows may be, or when the collector ends: so it is ended, and asked again.
func (r *fleetRun) check(t *testing.T, f fleetOf) {
	t.Helper()
	if f.hosts*f.gpus > 150_000 { // rows may be behind: the end of the collector settles them
		if err := r.collector.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := r.collector.Wait(); err != nil {
			t.Fatalf("collector: %v\n%s", err, r.collector.Stderr)
		}
		began := time.Now()
		r.collector = start(t, filepath.Dir(r.data), "flopwatch-collector", "serve", "--data", r.data)
		for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
			if exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", r.data, "status").Run() == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("collector did not start again within five minutes")
			}
		}
		r.startup = time.Since(began)
	}
	var totals struct {
		Attributed float64 `json:"attributed_seconds"`
		Idle       float64 `json:"idle_seconds"`
		Unobserved float64 `json:"unobserved_seconds"`
		Overlap    float64 `json:"overlap_seconds"`
		Windows    int64   `json:"windows"`
		Figure     struct {
			Empirical struct{ Low, Best, High string } `json:"empirical"`
		} `json:"figure"`
	}
	ctl := func(args ...string) string {
		out, err := exec.Command(filepath.Join(programs, "flopwatchctl"), append([]string{"--data", r.data}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("flopwatchctl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if err := json.Unmarshal([]byte(ctl("ledger", "totals", "-o", "json")), &totals); err != nil {
		t.Fatal(err)
	}
	if r.Unreceipted != 0 {
		t.Errorf("%d batches have no receipt", r.Unreceipted)
	}
	if got, want := totals.Figure.Empirical, r.Operations; got != struct{ Low, Best, High string }(want) {
		t.Errorf("the ledger holds operations %v, sent were %v", got, want)
	}
	if totals.Windows != r.DeviceWindows || totals.Attributed != float64(r.AttributedNS)/1e9 || totals.Idle != float64(r.IdleNS)/1e9 || totals.Unobserved != 0 || totals.Overlap != 0 {
		t.Errorf("the ledger holds %+v, sent were %+v", totals, r.sent)
	}
	if out := ctl("ledger", "check"); !strings.Contains(out, fmt.Sprintf("%d devices", f.hosts*f.gpus)) || !strings.Contains(out, "balanced") {
		t.Errorf("ledger check: %s", out)
	}
}

// cpuOf returns the CPU time of a process, user and system.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, err1 := strconv.ParseInt(words[11], 10, 64)
	system, err2 := strconv.ParseInt(words[12], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("read CPU time of %d: %v %v", pid, err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // in hundredths of a second
}

// rssOf returns the most memory that a process had resident, in KiB.
func rssOf(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("process %d has no VmHWM", pid)
	return 0
}

// sizeOf returns the bytes of a file or of all files under a folder.
func sizeOf(t *testing.T, path string) (n int64) {
	t.Helper()
	err := filepath.Walk(path, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return n
}

// stageTable writes what each stage cost for one of n GPU-samples.
func stageTable(stages []stage, n float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| stage | ns of CPU per GPU-sample |\n|---|---|\n")
	var path time.Duration // of a batch
	for _, s := range stages {
		fmt.Fprintf(&b, "| %s | %.1f |\n", s.name, float64(s.cpu)/n)
		if slices.Contains(pathOfABatch, s.name) {
			path += s.cpu
		}
	}
	if len(stages) > 0 {
		fmt.Fprintf(&b, "| **%s together** | **%.1f** |\n", strings.Join(pathOfABatch, ", "), float64(path)/n)
	}
	return b.String()
}

// report writes the table of a run, as docs/performance.md has it.
func (r *fleetRun) report(f fleetOf) string {
	var b strings.Builder
	n := float64(r.GPUSamples)
	devices := float64(f.hosts * f.gpus)
	fmt.Fprintf(&b, "%d hosts x %d GPUs, %d windows of %s in a batch, %s of fleet time, %s: %d GPU-samples at 1 Hz in %.0f s\n\n", f.hosts, f.gpus, f.batchWindows, f.window, f.duration, f.speed, r.GPUSamples, r.WallSeconds)
	b.WriteString(stageTable(r.stages, n))
	fmt.Fprintf(&b, "| collector, by the kernel | %.1f |\n| sender | %.1f |\n\n", float64(r.cpu)/n, r.CPUSample)
	fmt.Fprintf(&b, "| what | figure |\n|---|---|\n")
	fmt.Fprintf(&b, "| cores of the collector while it was fed | %.2f |\n", r.cpu.Seconds()/r.WallSeconds)
	fmt.Fprintf(&b, "| bytes on the wire per GPU-sample | %.2f |\n", r.BytesSample)
	for _, name := range []string{"flopwatch.db", "evidence", "broker"} {
		fmt.Fprintf(&b, "| bytes at rest per GPU-sample, %s | %.2f |\n", name, float64(r.atRest[name])/n)
	}
	fmt.Fprintf(&b, "| RSS of the collector, MiB | %.0f |\n| KiB of it per 1,000 devices | %.0f |\n| RSS of the sender, MiB | %.0f |\n", float64(r.rss)/1024, float64(r.rss)/devices*1000, r.RSSMiB)
	if r.LagMax > 0 {
		fmt.Fprintf(&b, "| end of window to receipt, p50 / p99 / most, ms | %.0f / %.0f / %.0f |\n", r.LagP50, r.LagP99, r.LagMax)
	}
	if r.startup > 0 {
		fmt.Fprintf(&b, "| start with this ledger to the first answer, s | %.1f |\n", r.startup.Seconds())
	}
	fmt.Fprintf(&b, "| sent again | %d of %d batches |\n", r.Resent, r.Batches)
	return b.String()
}

// A made-up fleet is played over the real wire and the ledger holds what was sent.
// make fleet plays a large one and prints what it cost.
func TestFleet(t *testing.T) {
	f := fleetOf{hosts: 200, gpus: 8, batchWindows: 1, window: time.Minute, duration: 10 * time.Minute, speed: "fast"}
	if os.Getenv("FLEET") != "" {
		f = fleetOf{hosts: number(t, "FLEET", 0), gpus: number(t, "FLEET_GPUS", 8), batchWindows: number(t, "FLEET_BATCH", 1),
			window: time.Duration(number(t, "FLEET_WINDOW", 60)) * time.Second, duration: time.Duration(number(t, "FLEET_SECONDS", 300)) * time.Second, speed: os.Getenv("FLEET_SPEED")}
		if f.speed == "" {
			f.speed = "real"
		}
	}
	r := playFleet(t, f)
	text := r.report(f)
	t.Log("\n" + text)
	if path := os.Getenv("FLEET_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
