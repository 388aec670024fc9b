// Package collector keeps the operations ledger of a fleet and serves the desk.
//
// One binary and one data directory: the broker that agents publish to, the
// SQLite ledger, the evidence files, the API and the pages. Start-up order is
// store, broker, ingest, server; the end comes in reverse, and what was taken
// from the broker by then is committed.
package collector

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
	Serve   serveCommand   `cmd:"" help:"Run the collector."`
	Demo    demoCommand    `cmd:"" help:"Run the collector and an agent for a trial on this machine."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// streams are where a command writes: answers to Out, progress and logs to Err.
type streams struct {
	Out, Err io.Writer
}

// Main runs one command and returns the exit code: 0 done, 1 failed, 2 wrong
// usage. An interrupt stops the collector cleanly.
func Main(args []string, stdout, stderr io.Writer) int {
	var cli commands
	// kong calls Exit after printing help; code keeps that from ending the process.
	code := -1
	parser, err := kong.New(&cli,
		kong.Name("flopwatch-collector"),
		kong.Description("Keeps the operations ledger of a fleet of accelerators and serves the compliance desk."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code = c }),
	)
	if err != nil {
		fmt.Fprintln(stderr, "flopwatch-collector:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code
	}
	if err != nil {
		fmt.Fprintln(stderr, "flopwatch-collector:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(streams{Out: stdout, Err: stderr}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "flopwatch-collector:", err)
		return 1
	}
	return 0
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
