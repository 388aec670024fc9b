// Package demo runs the agent beside a collector for a trial on one machine.
//
// The agent is its own process, as on a real host, so that a trial shows what an
// installation does; it is the only place that starts a program.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Agent says which agent to run and on what.
type Agent struct {
	Program   string // path of flopwatch-agent
	Endpoint  string // the file that tells agents where the broker is
	Data      string // the agent's data directory
	Scenarios string // folder with scenarios/ and recordings/, replayed without a GPU
	Trace     string // a job trace or recording to replay instead, "" for none
	Output    io.Writer
}

// Args are the agent's arguments.
func (a Agent) Args() []string {
	if a.Trace != "" {
		return []string{"replay", "--endpoint", a.Endpoint, "--data", a.Data, a.Trace}
	}
	args := []string{"run", "--endpoint", a.Endpoint, "--data", a.Data}
	if leases := filepath.Join(a.Scenarios, "scenarios", "leases.ndjson"); exists(leases) {
		args = append(args, "--leases", leases)
	}
	// The patterns are constant, so Glob has no error to give.
	jobs, _ := filepath.Glob(filepath.Join(a.Scenarios, "scenarios", "*.jobs.csv"))
	recordings, _ := filepath.Glob(filepath.Join(a.Scenarios, "recordings", "*", "host.json"))
	for _, path := range jobs {
		args = append(args, "--without-gpu", path)
	}
	for _, path := range recordings {
		args = append(args, "--without-gpu", filepath.Dir(path))
	}
	return args
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Run starts the agent and waits until it ends. When ctx ends the agent gets an
// interrupt and ten seconds to seal what it holds.
func (a Agent) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, a.Program, a.Args()...)
	cmd.Stdout, cmd.Stderr = a.Output, a.Output
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	// An interrupt at the terminal reaches the whole process group; the agent
	// must hear of the end once and from its parent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("agent %s: %w", a.Program, err)
	} else if errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("agent %s: did not stop within %s", a.Program, cmd.WaitDelay)
	}
	return nil
}
