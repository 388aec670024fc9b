package demo

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func file(t *testing.T, dir, path, text string, mode os.FileMode) string {
	t.Helper()
	path = filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArgs(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "full/scenarios/b.jobs.csv", "", 0o600)
	file(t, dir, "full/scenarios/a.jobs.csv", "", 0o600)
	file(t, dir, "full/scenarios/README.md", "", 0o600)
	file(t, dir, "full/scenarios/leases.ndjson", "", 0o600)
	file(t, dir, "full/recordings/r/host.json", "{}", 0o600)
	file(t, dir, "full/recordings/README.md", "", 0o600)
	file(t, dir, "full/recordings/half/samples.csv", "", 0o600)
	run, replay := []string{"run", "--endpoint", "e", "--data", "d"}, []string{"replay", "--endpoint", "e", "--data", "d"}
	for name, c := range map[string]struct {
		scenarios, trace string
		want             []string
	}{
		"a GPU":    {"", "", run},
		"no files": {"none", "", run},
		"a trace":  {"full", "t.csv", append(replay, "t.csv")},
		"scenarios": {"full", "", append(run, "--leases", "full/scenarios/leases.ndjson", "--without-gpu", "full/scenarios/a.jobs.csv",
			"--without-gpu", "full/scenarios/b.jobs.csv", "--without-gpu", "full/recordings/r")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(dir)
			if d := cmp.Diff(c.want, Agent{Endpoint: "e", Data: "d", Scenarios: c.scenarios, Trace: c.trace}.Args()); d != "" {
				t.Errorf("arguments (-want +got):\n%s", d)
			}
		})
	}
}

func TestRunTellsOfAFailure(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		program string
		fails   bool
	}{
		"ends well":   {file(t, dir, "good", "#!/bin/sh\necho $1\n", 0o700), false},
		"ends badly":  {file(t, dir, "bad", "#!/bin/sh\necho $1\nexit 3\n", 0o700), true},
		"not there":   {filepath.Join(dir, "none"), true},
		"not to run ": {file(t, dir, "text", "", 0o600), true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := Agent{Program: c.program, Trace: "t", Output: &out}.Run(t.Context())
			if (err != nil) != c.fails || err != nil && !strings.Contains(err.Error(), c.program) {
				t.Errorf("error %v", err)
			}
			if !c.fails && out.String() != "replay\n" {
				t.Errorf("output %q", out.String())
			}
		})
	}
}

// ready tells when the agent has written that it runs.
type ready struct {
	text bytes.Buffer
	now  chan struct{}
}

func (r *ready) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "ready") {
		close(r.now)
	}
	return r.text.Write(p)
}

// The agent is interrupted, not killed, so that it can seal what it holds.
func TestEndInterrupts(t *testing.T) {
	program := file(t, t.TempDir(), "agent", "#!/bin/sh\ntrap 'echo sealed; exit 1' INT\necho ready\nwhile :; do sleep 0.05; done\n", 0o700)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out := &ready{now: make(chan struct{})}
	go func() {
		select {
		case <-out.now:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := (Agent{Program: program, Trace: "t", Output: out}).Run(ctx); err != nil {
		t.Error(err)
	}
	if out.text.String() != "ready\nsealed\n" {
		t.Errorf("output %q", out.text.String())
	}
}
