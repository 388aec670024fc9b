package flopwatch_test

import (
	"bytes"
	"database/sql"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/mattn/go-sqlite3"
)

// A pair that is upgraded and rolled back again and again while a fleet sends, at
// times that nobody chose, ends with the totals of a pair that was left alone.
// UPGRADE_FROM is a folder with the programs of the version before (make
// upgrade-cycles builds it); without it both versions are the same program.
func TestUpgradeCyclesKeepTotals(t *testing.T) {
	before := os.Getenv("UPGRADE_FROM")
	if before == "" {
		before = programs
	}
	cycles := 3
	if s := os.Getenv("CYCLES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CYCLES=%s: %v", s, err)
		}
		cycles = n
	}
	trace := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(trace, []byte(killTrace), 0o600); err != nil {
		t.Fatal(err)
	}
	want := replayed(t, trace, 0)

	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	random := rand.New(rand.NewPCG(uint64(cycles), 23))
	versions := [2]string{before, programs}
	collectorAt, agentAt := 0, 0
	// As slow as the cycles need, so that there is load from the first to the last.
	speed := strconv.Itoa(min(40_000, 190_000/(1+cycles/2)))
	agentArgs := []string{"replay", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, "agent"), "--window", "30s", "--speed", speed, trace}
	serve := []string{"serve", "--data", data, "--broker-port", strconv.Itoa(freePort(t))} // as an installed one, it comes back where agents look
	collector := startAt(t, versions[0], dir, "flopwatch-collector", serve...)
	waitReady(t, data)
	agent := startAt(t, versions[0], dir, "flopwatch-agent", agentArgs...)
	changes, loaded := 0, 0
	for range cycles {
		// Collector and agent come and go in any order; each cycle takes both up and back.
		steps := []string{"collector", "agent", "collector", "agent"}
		random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			time.Sleep(time.Duration(50+random.IntN(200)) * time.Millisecond)
			if agent.ProcessState == nil && syscall.Kill(agent.Process.Pid, 0) == nil {
				loaded++
			}
			if step == "collector" {
				stopNicely(t, collector)
				collectorAt = 1 - collectorAt
				collector = startAt(t, versions[collectorAt], dir, "flopwatch-collector", serve...)
				waitReady(t, data)
			} else {
				stopNicely(t, agent)
				agentAt = 1 - agentAt
				agent = startAt(t, versions[agentAt], dir, "flopwatch-agent", agentArgs...)
			}
			changes++
		}
	}
	if collectorAt != 0 || agentAt != 0 {
		t.Fatal("the last cycle did not come back to the version before")
	}
	ended := make(chan error, 1)
	go func() { ended <- agent.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("agent: %v\n%s", err, agent.Stderr)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("the replay did not end") // the cleanup kills it
	}
	got := totalsOf(t, data)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("totals after %d cycles differ from a pair that was left alone (-want +got):\n%s", cycles, d)
	}
	stopNicely(t, collector)
	t.Logf("%d upgrades and rollbacks in %d cycles, %d of them while the fleet sent: 0 lost, 0 counted twice", changes, cycles, loaded)
	if loaded == 0 {
		t.Error("no load was left to upgrade under")
	}
}

func startAt(t *testing.T, folder, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(folder, name), args...)
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

// stopNicely stops a program as its unit does, and waits for it. One that had
// ended by itself is none the worse.
func stopNicely(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !strings.Contains(err.Error(), "finished") {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "exit status 1") && !strings.Contains(err.Error(), "terminated") {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, cmd.Stderr)
	}
}

// A database that a newer program has written is not touched, and the way back
// is named.
func TestDowngradeIsRefused(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	collector := start(t, dir, "flopwatch-collector", "serve", "--data", data)
	waitReady(t, data)
	stopNicely(t, collector)
	path := filepath.Join(data, "flopwatch.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(programs, "flopwatch-collector"), "serve", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "newer schema") || !strings.Contains(string(out), "flopwatch-collector restore") {
		t.Errorf("%v\n%s", err, out)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database was written to, %v", err)
	}
}
