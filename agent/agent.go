// Package agent is the program on a GPU host.
//
// A source reads the devices once a period. Processes that hold a device become
// workloads by their cgroup, and workloads become tenants by leases. Two samples
// bound an interval, which is estimated, split over the workloads and folded
// into windows; windows are batched, signed and fsynced in the spool, and only
// then sent. A replay takes the place of the source and changes nothing else.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/flopwatch/flopwatch/pkg/version"
)

// commands is the command line.
type commands struct {
	Run     runCommand     `cmd:"" help:"Read this host's devices and send what they did."`
	Replay  replayCommand  `cmd:"" help:"Play job traces or recordings as a fleet of hosts."`
	Convert convertCommand `cmd:"" help:"Write the job trace that a table of published results stands for."`
	Doctor  doctorCommand  `cmd:"" help:"Say what works on this host, what does not, and why."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// streams are where a command writes: answers to Out, progress and logs to Err.
type streams struct {
	Out, Err io.Writer
}

// exitError carries an exit code of its own.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Main runs one command and returns the exit code: 0 done, 1 failed, 2 wrong
// usage. An interrupt ends a command cleanly.
func Main(args []string, stdout, stderr io.Writer) int {
	var cli commands
	// kong calls Exit after printing help; code keeps that from ending the process.
	code := -1
	parser, err := kong.New(&cli,
		kong.Name("flopwatch-agent"),
		kong.Description("Counts what the accelerators of a host compute, and for whom."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code = c }),
	)
	if err != nil {
		fmt.Fprintln(stderr, "flopwatch-agent:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code
	}
	if err != nil {
		fmt.Fprintln(stderr, "flopwatch-agent:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(streams{Out: stdout, Err: stderr})
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	default:
		fmt.Fprintln(stderr, "flopwatch-agent:", err)
		return 1
	}
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(s streams) error {
	_, err := fmt.Fprintln(s.Out, version.Version)
	return err
}

func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
}
