package flopwatch_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// killTrace is a fleet small enough to replay in seconds and slow enough to be
// killed in the middle: 24 hosts, three tenants, one of them on an accelerator
// that nobody knows.
const killTrace = `job_id,tenant,accelerator,hosts,gpus_per_host,start,end,ops_per_gpu_s
a,ten-a,H100-SXM5-80GB,8,8,2026-01-01T00:00:07Z,2026-01-03T05:00:00Z,3.7e14
b,ten-b,A100-SXM4-80GB,8,8,2026-01-01T06:00:00Z,2026-01-03T00:00:03Z,1.4e14
c,ten-c,Abacus 9000,8,4,2026-01-02T00:00:00Z,2026-01-03T00:00:00Z,
`

// A collector and an agent that are killed again and again end with the totals
// of an undisturbed pair, to the last unit (invariant I4).
func TestKillNineKeepsTotals(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(trace, []byte(killTrace), 0o600); err != nil {
		t.Fatal(err)
	}
	kills := 12
	if s := os.Getenv("KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("KILLS=%s: %v", s, err)
		}
		kills = n
	}
	want := replayed(t, trace, 0)
	got := replayed(t, trace, kills)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("totals after %d kills differ from an undisturbed replay (-want +got):\n%s", kills, diff)
	}
	if len(want) != 3 {
		t.Errorf("undisturbed replay gave %d tenants, want 3: %v", len(want), want)
	}
}

// replayed runs a collector and a replay, kills one of them kills times, and
// returns what each tenant's total is.
func replayed(t *testing.T, trace string, kills int) map[string]any {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	random := rand.New(rand.NewPCG(uint64(kills), 17))
	collector := start(t, dir, "flopwatch-collector", "serve", "--data", data)
	waitReady(t, data)
	agentArgs := []string{"replay", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, "agent"), "--window", "30s", "--speed", "40000", trace}
	agent := start(t, dir, "flopwatch-agent", agentArgs...)
	for range kills {
		time.Sleep(time.Duration(50+random.IntN(400)) * time.Millisecond)
		if random.IntN(2) == 0 {
			kill(t, collector)
			collector = start(t, dir, "flopwatch-collector", "serve", "--data", data)
			waitReady(t, data)
		} else {
			kill(t, agent)
			agent = start(t, dir, "flopwatch-agent", agentArgs...)
		}
	}
	if err := agent.Wait(); err != nil {
		t.Fatalf("agent: %v\n%s", err, agent.Stderr)
	}
	totals := totalsOf(t, data)
	if err := collector.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := collector.Wait(); err != nil {
		t.Errorf("collector: %v\n%s", err, collector.Stderr)
	}
	return totals
}

// totalsOf checks that the ledger balances and returns what each tenant's total is.
func totalsOf(t *testing.T, data string) map[string]any {
	t.Helper()
	check := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", data, "ledger", "check")
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("ledger check: %v\n%s", err, out)
	}
	out, err := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", data, "tenants", "-o", "json").Output()
	if err != nil {
		t.Fatalf("flopwatchctl tenants: %v", err)
	}
	totals := map[string]any{}
	var answer any
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("flopwatchctl tenants: %v\n%s", err, out)
	}
	if object, ok := answer.(map[string]any); ok {
		answer = object["items"]
	}
	for _, item := range answer.([]any) {
		tenant := item.(map[string]any)
		totals[tenant["id"].(string)] = tenant["figure"]
	}
	return totals
}

func start(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name) // ip and its like
	if strings.HasPrefix(name, "flopwatch-") || err != nil {
		path = filepath.Join(programs, name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Stderr = &bytes.Buffer{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			kill(t, cmd)
		}
	})
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil && !strings.Contains(err.Error(), "finished") {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the error is the signal
}

func waitReady(t *testing.T, data string, wrap ...string) {
	t.Helper()
	var out []byte
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ask := append(slices.Clone(wrap), filepath.Join(programs, "flopwatchctl"), "--data", data, "status")
		if out, err = exec.Command(ask[0], ask[1:]...).CombinedOutput(); err == nil {
			return
		}
	}
	t.Fatalf("collector was not ready within 20 s: %v\n%s", err, out)
}
