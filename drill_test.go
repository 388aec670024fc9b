package flopwatch_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a collector, and a sampler and a shipper that share a spool.
type pair struct {
	dir, data string
	collector *exec.Cmd
	sampler   *exec.Cmd
	shipper   *exec.Cmd
	port      int
	seen      map[string]bool // batches that the spool held durably
	wrap      []string        // what the three are started with, as a network namespace
}

// newPair starts the three on a stand-in for two devices, sampled ten times a
// second.
func newPair(t *testing.T) *pair {
	t.Helper()
	p := preparePair(t)
	p.startCollector(t)
	p.startSampler(t)
	p.startShipper(t)
	return p
}

// preparePair starts nothing.
func preparePair(t *testing.T) *pair {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("FAKE_NVML", filepath.Join(dir, "scene"))
	if err := os.WriteFile(filepath.Join(dir, "scene"), []byte(pairScene), 0o600); err != nil {
		t.Fatal(err)
	}
	return &pair{dir: dir, data: filepath.Join(dir, "data"), port: freePort(t), seen: map[string]bool{}}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

func (p *pair) startCollector(t *testing.T) {
	t.Helper()
	p.collector = p.start(t, "flopwatch-collector", "serve", "--data", p.data, "--broker-port", fmt.Sprint(p.port))
	waitReady(t, p.data, p.wrap...)
}

// start starts a program by itself or in what the pair lives in.
func (p *pair) start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if len(p.wrap) == 0 {
		return start(t, p.dir, name, args...)
	}
	return start(t, p.dir, p.wrap[0], append(append(slices.Clone(p.wrap[1:]), filepath.Join(programs, name)), args...)...)
}

func (p *pair) startSampler(t *testing.T) {
	t.Helper()
	p.sampler = p.start(t, "flopwatch-agent", "sample", "--endpoint", filepath.Join(p.data, "agent.json"), "--data", "agent", "--receipt", "ship/receipt",
		"--library", filepath.Join(programs, "libnvml-standin.so"), "--period", "100ms", "--window", "100ms")
}

func (p *pair) startShipper(t *testing.T) {
	t.Helper()
	p.shipper = p.start(t, "flopwatch-agent", "ship", "--endpoint", filepath.Join(p.data, "agent.json"), "--spool", "agent/spool", "--state", "ship")
}

// remember notes what the spool holds; the sampler must not be writing.
func (p *pair) remember(t *testing.T) {
	t.Helper()
	remember(t, filepath.Join(p.dir, "agent", "spool"), p.seen)
}

// settle ends the sampler, waits until all that was durable is counted, ends the
// rest and returns how many batches are lost and how many are counted twice. The
// data directory must then be sound.
func (p *pair) settle(t *testing.T) (lost, twice int) {
	t.Helper()
	interrupt(t, p.sampler)
	p.remember(t)
	var counts map[string]int
	lost = len(p.seen)
	for deadline := time.Now().Add(120 * time.Second); lost > 0 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		counts, lost = evidence(t, p.data), 0
		for e := range p.seen {
			if counts[e] == 0 {
				lost++
			}
		}
	}
	for _, n := range counts {
		if n > 1 {
			twice++
		}
	}
	if lost > 0 {
		t.Logf("shipper: %s", p.shipper.Stderr)
		t.Logf("collector: %s", p.collector.Stderr)
	}
	interrupt(t, p.shipper)
	interrupt(t, p.collector)
	p.check(t)
	return lost, twice
}

// check runs the independent checker over the data directory.
func (p *pair) check(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(filepath.Join(programs, "flopwatch-collector"), "check", "--data", p.data).CombinedOutput(); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
}

// backUp makes a backup and returns its folder.
func (p *pair) backUp(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(programs, "flopwatch-collector"), "backup", "--data", p.data, "--to", filepath.Join(p.dir, "backups")).Output()
	if err != nil {
		t.Fatalf("backup: %v\n%s", err, out)
	}
	path, _, _ := strings.Cut(string(out), "\n")
	return path
}

// restore kills the collector and puts a backup in the place of its data.
func (p *pair) restore(t *testing.T, from string) {
	t.Helper()
	kill(t, p.collector)
	if err := os.RemoveAll(p.data); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(programs, "flopwatch-collector"), "restore", from, "--data", p.data, "--reason", "drill").CombinedOutput()
	if err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	p.startCollector(t)
}

// The disk of the collector is lost with everything on it, between two backups.
// What came after the backup comes again from the host, and is counted once.
func TestRestoreDrill(t *testing.T) {
	p := newPair(t)
	time.Sleep(2 * time.Second)
	from := p.backUp(t)
	held := len(evidence(t, p.data))
	time.Sleep(2 * time.Second)
	p.restore(t, from)
	time.Sleep(time.Second)
	lost, twice := p.settle(t)
	t.Logf("%d durable batches, about %d of them in the backup: %d lost, %d counted twice", len(p.seen), held, lost, twice)
	if lost > 0 || twice > 0 || len(p.seen) <= held+5 {
		t.Errorf("%d of %d batches lost, %d counted twice", lost, len(p.seen), twice)
	}
}
