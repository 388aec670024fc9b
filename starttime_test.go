package flopwatch_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The limits of a start, on an idle machine.
const (
	agentStart     = 300 * time.Millisecond // to the first sample of 8 devices
	collectorStart = 2 * time.Second        // to taking batches, with a year of data
)

const startScene = "devices=8\nname=NVIDIA H100 80GB HBM3\ncores=16896\nmajor=9\nmax_clock=1980\nclock=1755\npci=0x233010de\nmemory=85520809984\nused=1073741824\npower=650000\ngpu_util=100\ngpm=1\ncycles=1\nhistory=20\naccounting=1\nmetric.2=91\n"

// A year of a small fleet: 365 days, 24 hosts, a job a day and host.
func yearOfJobs() []byte {
	var out bytes.Buffer
	out.WriteString("job_id,tenant,accelerator,hosts,gpus_per_host,start,end,ops_per_gpu_s,kind\n")
	day := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 365 {
		at := day.AddDate(0, 0, i)
		for j := range 3 {
			fmt.Fprintf(&out, "j%d-%d,ten-%d,H100-SXM5-80GB,8,8,%s,%s,4e14,training\n", i, j, j, at.Add(time.Hour).Format(time.RFC3339), at.Add(23*time.Hour).Format(time.RFC3339))
		}
	}
	return out.Bytes()
}

// How long programs take to start, and what they cost when there is little to do.
// Figures of a machine that others use say little, so the limits are held only
// where FLOPWATCH_LONG asks for it (make start-times). START_WITH="chrt -r 1" starts
// them ahead of what others do, as if the cores were theirs.
func TestStartTimes(t *testing.T) {
	if os.Getenv("FLOPWATCH_LONG") == "" {
		t.Skip("some minutes; set FLOPWATCH_LONG=1 or run make start-times")
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	for name, text := range map[string][]byte{"jobs.csv": yearOfJobs(), "scene": []byte(startScene)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port := strconv.Itoa(freePort(t))
	serve := []string{"flopwatch-collector", "serve", "--data", data, "--broker-port", port}
	collector := start(t, dir, serve[0], serve[1:]...)
	waitReady(t, data)
	if out, err := exec.Command(filepath.Join(programs, "flopwatch-agent"), "replay", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, "agent"), "--jobs", filepath.Join(dir, "jobs.csv")).CombinedOutput(); err != nil {
		t.Fatalf("replay: %v\n%s", err, out)
	}
	stopNicely(t, collector)
	info, err := os.Stat(filepath.Join(data, "flopwatch.db"))
	if err != nil {
		t.Fatal(err)
	}

	var collectors, agents []time.Duration
	var idle, sampling []string
	for range 5 {
		took, cmd := notified(t, dir, nil, serve...)
		collectors = append(collectors, took)
		waitReady(t, data)
		took, agent := notified(t, dir, []string{"FAKE_NVML=" + filepath.Join(dir, "scene")}, "flopwatch-agent", "sample", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, "sampler"), "--library", filepath.Join(programs, "libnvml-standin.so"))
		agents = append(agents, took)
		stopNicely(t, agent)
		stopNicely(t, cmd)
	}
	_, cmd := notified(t, dir, nil, serve...)
	waitReady(t, data)
	time.Sleep(30 * time.Second) // what a start has to derive is over
	idle = append(idle, costOf(t, cmd, 20*time.Second))
	_, agent := notified(t, dir, []string{"FAKE_NVML=" + filepath.Join(dir, "scene")}, "flopwatch-agent", "sample", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, "sampler"), "--library", filepath.Join(programs, "libnvml-standin.so"))
	sampling = append(sampling, costOf(t, agent, 20*time.Second))
	stopNicely(t, agent)
	stopNicely(t, cmd)
	slices.Sort(collectors)
	slices.Sort(agents)
	t.Logf("collector to ready on a year of data (%d MB): median %v, of 5: %v", info.Size()>>20, collectors[2].Round(time.Millisecond), collectors)
	t.Logf("agent to the first sample of 8 devices: median %v, of 5: %v", agents[2].Round(time.Millisecond), agents)
	t.Logf("collector without hosts: %s; sampler of 8 devices at 1 Hz: %s", idle[0], sampling[0])
	if agents[2] > agentStart {
		t.Errorf("the agent takes %v, more than %v", agents[2], agentStart)
	}
	if collectors[2] > collectorStart {
		t.Errorf("the collector takes %v, more than %v", collectors[2], collectorStart)
	}
}

// notified starts a program as systemd does and returns how long it took until it
// said that it is ready.
func notified(t *testing.T, dir string, env []string, args ...string) (time.Duration, *exec.Cmd) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	full := append(strings.Fields(os.Getenv("START_WITH")), append([]string{filepath.Join(programs, args[0])}, args[1:]...)...)
	cmd := exec.Command(full[0], full[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(append(os.Environ(), "NOTIFY_SOCKET="+path), env...), &bytes.Buffer{}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			kill(t, cmd)
		}
	})
	if err := socket.SetReadDeadline(began.Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	for buffer := make([]byte, 4096); ; {
		n, err := socket.Read(buffer)
		if err != nil {
			t.Fatalf("%s did not say that it is ready: %v\n%s", args[0], err, cmd.Stderr)
		}
		if strings.Contains(string(buffer[:n]), "READY=1") {
			return time.Since(began), cmd
		}
	}
}

// costOf tells what a process and its children use for a while.
func costOf(t *testing.T, cmd *exec.Cmd, during time.Duration) string {
	t.Helper()
	ids := []int{cmd.Process.Pid}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	if err == nil {
		for _, f := range strings.Fields(string(children)) {
			if id, err := strconv.Atoi(f); err == nil {
				ids = append(ids, id)
			}
		}
	}
	used := func() (ticks int64, kilobytes int64) {
		for _, id := range ids {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
			if err != nil {
				t.Fatal(err)
			}
			fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
			for _, i := range []int{11, 12} { // utime, stime
				n, err := strconv.ParseInt(fields[i], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				ticks += n
			}
			pages, err := strconv.ParseInt(fields[21], 10, 64) // rss
			if err != nil {
				t.Fatal(err)
			}
			kilobytes += pages * int64(os.Getpagesize()) / 1024
		}
		return ticks, kilobytes
	}
	before, _ := used()
	time.Sleep(during)
	after, memory := used()
	const ticksPerSecond = 100 // USER_HZ
	return fmt.Sprintf("%.2f %% of one core, %d MB resident", 100*float64(after-before)/ticksPerSecond/during.Seconds(), memory>>10)
}
