package flopwatch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/pgtest"
)

// How long a collector takes to be ready on a year of hours of 400 devices, 3.5 million
// segments, on SQLite and, where its programs are installed, on PostgreSQL: when it says
// so to systemd, when the desk has answered, and when a batch that an agent sends then
// has its receipt, start of that agent included. The limit is held for each, so the
// machine must be idle or START_WITH start it ahead of others.
func TestStartOnAYear(t *testing.T) {
	if os.Getenv("START_YEAR") == "" {
		t.Skip("some minutes; run make start-times YEAR=1")
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	serve := []string{"flopwatch-collector", "serve", "--data", data, "--broker-port", strconv.Itoa(freePort(t))}
	collector := start(t, dir, serve[0], serve[1:]...)
	waitReady(t, data)
	stopNicely(t, collector)
	database := filepath.Join(data, "flopwatch.db")
	fill := exec.Command("go", "test", "-count=1", "-v", "-timeout", "30m", "-run", "TestFillYearOf$", "./collector/internal/store")
	fill.Env = append(os.Environ(), "YEAR_OF="+database)
	out, err := fill.CombinedOutput()
	filled := regexp.MustCompile(`\d+ segments filled in \S+`).Find(out)
	if err != nil || filled == nil {
		t.Fatalf("fill: %v\n%s", err, out)
	}
	info, err := os.Stat(database)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %d MB", filled, info.Size()>>20)
	startsInTime(t, dir, data, "SQLite", serve)

	if pgtest.Binaries() == "" {
		t.Log("no PostgreSQL server is installed (apt-get install postgresql): its start is not measured")
		return
	}
	url := pgtest.Database(t, "", nil)
	move := exec.Command(filepath.Join(programs, "flopwatch-collector"), "migrate", "--from", "sqlite:"+database, "--to", url)
	if out, err := move.CombinedOutput(); err != nil {
		t.Fatalf("move: %v\n%s", err, out)
	}
	startsInTime(t, dir, data, "PostgreSQL", append(serve, "--store", url))
}

// startsInTime starts a collector once to take in what is there, and then five times:
// the medians must be within the limit.
func startsInTime(t *testing.T, dir, data, engine string, serve []string) {
	t.Helper()
	var said, answered, counted []time.Duration
	jobs := filepath.Join(dir, "one.csv")
	if err := os.WriteFile(jobs, []byte("job_id,tenant,accelerator,hosts,gpus_per_host,start,end,ops_per_gpu_s,kind\nj1,ten-1,H100-SXM5-80GB,1,8,2026-01-01T00:00:00Z,2026-01-01T00:10:00Z,4e14,training\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		began := time.Now()
		ready, cmd := notified(t, dir, nil, serve...)
		run := func(name string, args ...string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			full := append(strings.Fields(os.Getenv("START_WITH")), append([]string{filepath.Join(programs, name)}, args...)...)
			if out, err := exec.CommandContext(ctx, full[0], full[1:]...).CombinedOutput(); err != nil {
				stopNicely(t, cmd) // what it said can be read when it has ended
				t.Fatalf("%s on %s at start %d: %v\n%s\n%s", name, engine, i, err, out, cmd.Stderr)
			}
		}
		run("flopwatchctl", "--data", data, "hosts", "-o", "csv")
		answer := time.Since(began)
		run("flopwatch-agent", "replay", "--endpoint", filepath.Join(data, "agent.json"), "--data", filepath.Join(dir, fmt.Sprintf("%s-%d", engine, i)), "--jobs", jobs)
		if i == 0 {
			t.Logf("%s: the first start, which takes in what was filled: ready after %v", engine, ready.Round(time.Millisecond))
		} else {
			said, answered, counted = append(said, ready), append(answered, answer), append(counted, time.Since(began))
		}
		stopNicely(t, cmd)
	}
	for what, took := range map[string][]time.Duration{"says that it is ready": said, "has answered with the hosts": answered, "has counted a batch of an agent started then": counted} {
		slices.Sort(took)
		t.Logf("%s: %s after %v, the median of %v", engine, what, took[2].Round(time.Millisecond), took)
		if took[2] > collectorStart {
			t.Errorf("%s: %s after %v, more than %v", engine, what, took[2], collectorStart)
		}
	}
}
