package flopwatch_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

// peerSeries are the series of one device, as exporters of GPUs name them.
var peerSeries = []string{
	"DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_SM_CLOCK",
	"DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_OCCUPANCY", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_PIPE_FP16_ACTIVE", "DCGM_FI_PROF_DRAM_ACTIVE",
	"DCGM_FI_PROF_PCIE_TX_BYTES", "DCGM_FI_PROF_PCIE_RX_BYTES", "DCGM_FI_PROF_NVLINK_TX_BYTES", "DCGM_FI_PROF_NVLINK_RX_BYTES",
}

// Instants of a series in one request, and series in one: 5,000 samples. That is kind
// to who receives them: a scraper that sends at once has one instant of each.
const (
	instantsEach = 10
	seriesEach   = 500
)

// readingOf is what a device says at an instant: quantised as drivers do, and moving
// from second to second.
func readingOf(series, device int, second int64) float64 {
	x := uint64(device)*1_000_003 + uint64(second)*7919 + uint64(series)*104_729
	x ^= x >> 13
	x *= 0x9e3779b97f4a7c15
	noise := float64(x>>40&0xff) / 256
	switch series {
	case 0:
		return 550 + math.Round(noise*100*1000)/1000
	case 1:
		return float64(600_000 * second)
	case 2:
		return 90 + math.Round(noise*10)
	case 3:
		return 61_000 + math.Round(noise*16)
	case 4:
		return 1_700 + 15*math.Round(noise*10)
	case 10, 11, 12, 13:
		return math.Round(noise * 1e9)
	}
	return math.Round((0.3+noise*0.2)*1e6) / 1e6
}

// remoteWrite sends the readings of the devices over a span of seconds and returns
// the bytes of the requests.
func remoteWrite(t *testing.T, address string, hosts, gpus int, from, seconds int64) int64 {
	t.Helper()
	type job struct{ first, last int }
	var sentBytes atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	all := hosts * gpus * len(peerSeries)
	// Labels are made once: an exporter keeps them too.
	labels := make([][]byte, all)
	for i := range labels {
		device, series := i/len(peerSeries), i%len(peerSeries)
		var raw []byte
		for _, l := range [][2]string{{"__name__", peerSeries[series]}, {"UUID", fmt.Sprintf("GPU-%08x-0000-4000-8000-%012x", device, device)}, {"gpu", strconv.Itoa(device % gpus)},
			{"host", fmt.Sprintf("node-%06d", device/gpus)}, {"tenant", fmt.Sprintf("ten-%06d", device/gpus/8)}} {
			label := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), l[0])
			label = protowire.AppendString(protowire.AppendTag(label, 2, protowire.BytesType), l[1])
			raw = protowire.AppendBytes(protowire.AppendTag(raw, 1, protowire.BytesType), label)
		}
		labels[i] = raw
	}
	for at := from; at < from+seconds; at += instantsEach {
		jobs := make(chan job, all/seriesEach+1)
		for first := 0; first < all; first += seriesEach {
			jobs <- job{first, min(first+seriesEach, all)}
		}
		close(jobs)
		var workers sync.WaitGroup
		for range 2 {
			workers.Go(func() {
				var request, series, sample, packed []byte
				for j := range jobs {
					request = request[:0]
					for i := j.first; i < j.last; i++ {
						series = append(series[:0], labels[i]...)
						for k := range min(instantsEach, from+seconds-at) {
							sample = protowire.AppendTag(sample[:0], 1, protowire.Fixed64Type)
							sample = binary.LittleEndian.AppendUint64(sample, math.Float64bits(readingOf(i%len(peerSeries), i/len(peerSeries), at+k)))
							sample = protowire.AppendVarint(protowire.AppendTag(sample, 2, protowire.VarintType), uint64((at+k)*1000))
							series = protowire.AppendBytes(protowire.AppendTag(series, 2, protowire.BytesType), sample)
						}
						request = protowire.AppendBytes(protowire.AppendTag(request, 1, protowire.BytesType), series)
					}
					packed = snappy.Encode(packed[:cap(packed)], request)
					sentBytes.Add(int64(len(packed)))
					r, err := http.NewRequest(http.MethodPost, "http://"+address+"/api/v1/write", bytes.NewReader(packed))
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("Content-Encoding", "snappy")
					r.Header.Set("Content-Type", "application/x-protobuf")
					r.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
					answer, err := client.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					text, _ := io.ReadAll(answer.Body) // to use the connection again
					_ = answer.Body.Close()
					if answer.StatusCode/100 != 2 {
						t.Errorf("remote write: %s %s", answer.Status, text)
						return
					}
				}
			})
		}
		workers.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	return sentBytes.Load()
}

// peer is one row of the comparison.
type peer struct {
	name       string
	cpu        time.Duration // from ready to its end
	wire, rest int64         // bytes
	rss        int64         // KiB
	query      time.Duration
	answer     string
	samples    int64
}

// playPeer feeds a database of series, asks it, and ends it.
func playPeer(t *testing.T, name string, hosts, gpus int, seconds int64, command func(dir, address string) []string) peer {
	t.Helper()
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	args := command(dir, address)
	cmd := start(t, dir, args[0], args[1:]...)
	ready := func() bool {
		answer, err := http.Get("http://" + address + "/api/v1/query?query=1")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	for deadline := time.Now().Add(time.Minute); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s was not ready within a minute\n%s", name, cmd.Stderr)
		}
	}
	before := cpuOf(t, cmd.Process.Pid)
	p := peer{name: name, samples: int64(hosts*gpus) * seconds}
	now := time.Now().Unix()
	p.wire = remoteWrite(t, address, hosts, gpus, now-seconds, seconds)
	time.Sleep(2 * time.Second) // what it writes behind
	query := `sum(sum_over_time(DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{tenant="ten-000001"}[90d])) * 989.4e12`
	began := time.Now()
	answer, err := http.Get("http://" + address + "/api/v1/query?time=" + strconv.FormatInt(now, 10) + "&query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	p.query = time.Since(began)
	var result struct {
		Data struct {
			Result []struct{ Value []any }
		}
	}
	if err := json.Unmarshal(text, &result); err != nil || len(result.Data.Result) != 1 {
		t.Fatalf("%s answers %s, %v", name, text, err)
	}
	p.answer = fmt.Sprint(result.Data.Result[0].Value[1])
	p.rss = rssOf(t, cmd.Process.Pid)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // Prometheus ends with an error of the signal in some versions
	p.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() - before
	p.rest = sizeOf(t, filepath.Join(dir, "data"))
	return p
}

// The same readings go into flopwatch, Prometheus and VictoriaMetrics, one after the
// other on this machine and over loopback: make bench-peers.
func TestPeers(t *testing.T) {
	if os.Getenv("FLOPWATCH_LONG") == "" {
		t.Skip("takes minutes: make bench-peers")
	}
	hosts, gpus, seconds := number(t, "PEERS_HOSTS", 2500), 8, int64(number(t, "PEERS_SECONDS", 300))
	var all []peer
	var stages string // of the first
	for _, shape := range []struct {
		name   string
		window time.Duration
		batch  int
	}{{"flopwatch, windows of 60 s", time.Minute, 1}, {"flopwatch, windows of 10 s, 6 in a batch", 10 * time.Second, 6}} {
		f := fleetOf{hosts: hosts, gpus: gpus, batchWindows: shape.batch, window: shape.window, duration: time.Duration(seconds) * time.Second, speed: "fast",
			more: []string{"--run-sizes", "8:1", "--tenants", "100000"}}
		dir := t.TempDir()
		data := filepath.Join(dir, "data")
		profile := filepath.Join(dir, "cpu.profile")
		cmd := start(t, dir, "flopwatch-collector", "serve", "--data", data, "--profile", profile)
		waitReady(t, data)
		before := cpuOf(t, cmd.Process.Pid)
		out, err := exec.Command(filepath.Join(programs, "flopwatch-agent"), append([]string{"replay", "--endpoint", filepath.Join(data, "agent.json"), "--fleet", strconv.Itoa(f.hosts), "--gpus", strconv.Itoa(f.gpus),
			"--window", f.window.String(), "--batch-windows", strconv.Itoa(f.batchWindows), "--duration", f.duration.String(), "--speed", f.speed}, f.more...)...).Output()
		if err != nil {
			t.Fatalf("replay: %v", err)
		}
		var s sent
		if err := json.Unmarshal(out, &s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // runs and findings follow
		began := time.Now()
		text, err := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", data, "tenants", "-o", "csv").Output()
		if err != nil {
			t.Fatal(err)
		}
		p := peer{name: shape.name, query: time.Since(began), samples: s.GPUSamples, wire: int64(s.BytesSample * float64(s.GPUSamples)), rss: rssOf(t, cmd.Process.Pid)}
		for line := range strings.SplitSeq(string(text), "\n") {
			if strings.Contains(line, "ten-000001") {
				p.answer = line
			}
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("collector: %v\n%s", err, cmd.Stderr)
		}
		p.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() - before
		p.rest = sizeOf(t, data)
		all = append(all, p)
		if stages == "" {
			stages = "Of " + shape.name + ", from its start to its end:\n\n" + stageTable(attribute(t, filepath.Join(programs, "flopwatch-collector"), profile), float64(s.GPUSamples))
		}
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {scrape_interval: 1m}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]func(dir, address string) []string{
		"prometheus": func(dir, address string) []string {
			return []string{"prometheus", "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address, "--web.enable-remote-write-receiver", "--storage.tsdb.retention.time", "10y"}
		},
		"victoria-metrics": func(dir, address string) []string {
			return []string{"victoria-metrics", "-storageDataPath", filepath.Join(dir, "data"), "-httpListenAddr", address, "-retentionPeriod", "10y"}
		},
	} {
		if _, err := exec.LookPath(name); err != nil {
			t.Logf("%s is not installed (apt-get install %s): left out", name, name)
			continue
		}
		all = append(all, playPeer(t, name, hosts, gpus, seconds, command))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d devices for %d s at 1 Hz: %d GPU-samples, as %d series a device to the peers\n\n", hosts*gpus, seconds, all[0].samples, len(peerSeries))
	fmt.Fprintf(&b, "| receiver | ns of CPU per GPU-sample | times flopwatch | bytes on the wire | bytes at rest | RSS, MiB | operations of a tenant over 90 days, ms |\n|---|---|---|---|---|---|---|\n")
	per := func(p peer) float64 { return float64(p.cpu) / float64(p.samples) }
	for _, p := range all {
		n := float64(p.samples)
		fmt.Fprintf(&b, "| %s | %.0f | %.1f | %.2f | %.2f | %.0f | %.0f |\n", p.name, per(p), per(p)/per(all[0]), float64(p.wire)/n, float64(p.rest)/n, float64(p.rss)/1024, p.query.Seconds()*1000)
		t.Logf("%s answers %s", p.name, p.answer)
	}
	b.WriteString("\n")
	for _, p := range all[2:] {
		fmt.Fprintf(&b, "%s takes %.1f times the CPU of flopwatch (goal: 20)\n", p.name, per(p)/per(all[0]))
	}
	b.WriteString("\n" + stages + "\n" + playAgents(t))
	t.Log("\n" + b.String())
	if path := os.Getenv("PEERS_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// playAgents runs the agent on eight scripted devices beside the exporter of nodes,
// which is asked once a second as the agent reads once a second.
func playAgents(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("prometheus-node-exporter"); err != nil {
		return "prometheus-node-exporter is not installed (apt-get install prometheus-node-exporter): left out\n"
	}
	const span = 60 * time.Second
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	collector := start(t, dir, "flopwatch-collector", "serve", "--data", data)
	waitReady(t, data)
	scene := filepath.Join(dir, "scene")
	if err := os.WriteFile(scene, []byte("devices=8\nname=NVIDIA H100 80GB HBM3\ncores=16896\nmajor=9\nmax_clock=1980\nclock=1755\npci=0x233010de\nmemory=85520809984\ngpm=1\ncycles=1\nmetric.2=91\nprocess=999999:4096:70\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(filepath.Join(programs, "flopwatch-agent"), "run", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, "agent"), "--library", filepath.Join(programs, "libnvml-standin.so"), "--traffic", "none")
	agent.Env = append(os.Environ(), "FAKE_NVML="+scene)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	exporter := start(t, dir, "prometheus-node-exporter", "--web.listen-address", address)
	time.Sleep(5 * time.Second)
	a, e := familyCPU(t, agent.Process.Pid), cpuOf(t, exporter.Process.Pid)
	began := time.Now()
	for time.Since(began) < span {
		if answer, err := http.Get("http://" + address + "/metrics"); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body) // what it says is not looked at
			_ = answer.Body.Close()
		}
		time.Sleep(time.Second)
	}
	took := time.Since(began).Seconds()
	a, e = familyCPU(t, agent.Process.Pid)-a, cpuOf(t, exporter.Process.Pid)-e
	agentRSS, exporterRSS := rssOf(t, agent.Process.Pid), rssOf(t, exporter.Process.Pid)
	if err := agent.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // the collector is ended too, and nothing hangs on how
	kill(t, collector)
	return fmt.Sprintf("| on the host, 1 Hz, %.0f s | %% of one core | RSS, MiB |\n|---|---|---|\n| flopwatch-agent, 8 scripted GPUs, with its reader of devices | %.2f | %.0f |\n| prometheus-node-exporter, asked once a second | %.2f | %.0f |\n",
		took, a.Seconds()/took*100, float64(agentRSS)/1024, e.Seconds()/took*100, float64(exporterRSS)/1024)
}

// familyCPU is the CPU time of a process and of its children that live.
func familyCPU(t *testing.T, pid int) time.Duration {
	t.Helper()
	sum := cpuOf(t, pid)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return sum // a kernel without the list
	}
	for _, child := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(child); err == nil {
			sum += cpuOf(t, n)
		}
	}
	return sum
}
