package flopwatch_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/pgtest"
)

// How long a collector takes to be ready on a year of hours of 400 devices, 3.5 million
// segments, on SQLite and, where its programs are installed, on PostgreSQL: ready is when
// it takes batches and says so to systemd, and the desk must answer then. The limit is
// held, so the machine must be idle or START_WITH start it ahead of others.
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
// the median must be within the limit, and each must answer what the desk asks.
func startsInTime(t *testing.T, dir, data, engine string, serve []string) {
	t.Helper()
	var starts, answers []time.Duration
	for i := range 6 {
		took, cmd := notified(t, dir, nil, serve...)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		out, err := exec.CommandContext(ctx, filepath.Join(programs, "flopwatchctl"), "--data", data, "hosts", "-o", "csv").CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("hosts on %s: %v\n%s", engine, err, out)
		}
		answer := time.Since(began)
		if i == 0 {
			t.Logf("%s: the first start, which takes in what was filled: %v", engine, took.Round(time.Millisecond))
		} else {
			starts, answers = append(starts, took), append(answers, answer)
		}
		stopNicely(t, cmd)
	}
	slices.Sort(starts)
	slices.Sort(answers)
	t.Logf("%s: ready after %v (median of 5: %v); the list of hosts %v later (median)", engine, starts[2].Round(time.Millisecond), starts, answers[2].Round(time.Millisecond))
	if starts[2] > collectorStart {
		t.Errorf("%s: the collector takes %v, more than %v", engine, starts[2], collectorStart)
	}
}
