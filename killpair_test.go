package flopwatch_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

const pairScene = `devices=2
name=NVIDIA H100 80GB HBM3
cores=16896
major=9
max_clock=1980
clock=1755
pci=0x233010de
memory=85520809984
used=1073741824
power=650000
gpu_util=100
gpm=1
cycles=1
history=20
metric.2=91
`

// A sampler and a shipper that share a spool are killed again and again, one or
// both. Every batch that the spool ever held durably is counted by the collector
// exactly once. PAIR_KILLS sets how many kills.
func TestKillNineSampleAndShip(t *testing.T) {
	kills := 10
	if s := os.Getenv("PAIR_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("PAIR_KILLS=%s: %v", s, err)
		}
		kills = n
	}
	dir := t.TempDir()
	t.Setenv("FAKE_NVML", filepath.Join(dir, "scene"))
	if err := os.WriteFile(filepath.Join(dir, "scene"), []byte(pairScene), 0o600); err != nil {
		t.Fatal(err)
	}
	data, seen := filepath.Join(dir, "data"), map[string]bool{}
	collector := start(t, dir, "flopwatch-collector", "serve", "--data", data)
	waitReady(t, data)
	sampleArgs := []string{"sample", "--endpoint", filepath.Join(data, "agent.json"), "--data", "agent", "--receipt", "ship/receipt",
		"--library", filepath.Join(programs, "libnvml-standin.so"), "--period", "100ms", "--window", "100ms"}
	shipArgs := []string{"ship", "--endpoint", filepath.Join(data, "agent.json"), "--spool", "agent/spool", "--state", "ship"}
	sampler, shipper := start(t, dir, "flopwatch-agent", sampleArgs...), start(t, dir, "flopwatch-agent", shipArgs...)
	folder := filepath.Join(dir, "agent", "spool")
	random := rand.New(rand.NewPCG(uint64(kills), 5))
	for range kills {
		time.Sleep(time.Duration(300+random.IntN(900)) * time.Millisecond)
		what := random.IntN(3)
		if what != 0 {
			// A life in which nothing was made durable shows nothing; on a busy machine
			// a sampler needs longer to begin.
			before := len(seen)
			for deadline := time.Now().Add(20 * time.Second); len(seen) < before+3 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
				remember(t, folder, seen)
			}
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
			kill(t, sampler)
			remember(t, folder, seen)
			sampler = start(t, dir, "flopwatch-agent", sampleArgs...)
		}
		if what != 1 {
			kill(t, shipper)
			shipper = start(t, dir, "flopwatch-agent", shipArgs...)
		}
	}
	time.Sleep(time.Second)
	interrupt(t, sampler)
	remember(t, folder, seen)
	if len(seen) < 3*kills {
		t.Fatalf("only %d batches in %d lives of the sampler", len(seen), kills)
	}
	// The shipper needs no sampler to send what is left.
	var counts map[string]int
	missing := len(seen)
	for deadline := time.Now().Add(60 * time.Second); missing > 0 && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		counts, missing = evidence(t, data), 0
		for e := range seen {
			if counts[e] == 0 {
				missing++
			}
		}
	}
	interrupt(t, shipper)
	twice := 0
	for _, n := range counts {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d kills, %d durable batches: %d lost, %d counted twice", kills, len(seen), missing, twice)
	if missing > 0 || twice > 0 {
		t.Errorf("%d of %d durable batches lost, %d counted twice\nshipper: %s", missing, len(seen), twice, shipper.Stderr)
	}
	if out, err := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", data, "ledger", "check").CombinedOutput(); err != nil {
		t.Errorf("ledger check: %v\n%s", err, out)
	}
	interrupt(t, collector)
}

func interrupt(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", cmd.Path, err, cmd.Stderr)
	}
}

// remember adds the envelopes that a spool says can be read. It reads the folder
// by the description of its format.
func remember(t *testing.T, folder string, seen map[string]bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for data = data[min(8, len(data)):]; len(data) >= 8; {
			n := int(binary.LittleEndian.Uint32(data))
			if n <= 0 || 8+n > len(data) {
				break // torn by the kill, never synced
			}
			if p := data[8 : 8+n]; p[0] == 1 {
				seen[string(p[3+int(p[2])+40+32:])] = true
			}
			data = data[8+n:]
		}
	}
}

// evidence counts the envelopes that the collector keeps as evidence of what it
// counted.
func evidence(t *testing.T, data string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	err := filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".fwe" {
			return err
		}
		all, err := os.ReadFile(path)
		for len(all) >= 8 {
			n := int(binary.LittleEndian.Uint32(all))
			if 8+n > len(all) {
				break
			}
			counts[string(bytes.Clone(all[8:8+n]))]++
			all = all[8+n:]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}
