// Package cli runs the commands of a program.
package cli

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

// Streams are where a command writes: answers to Out, progress and logs to Err.
type Streams struct {
	Out, Err io.Writer
}

// Logger returns a logger on Err.
func (s Streams) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// Exit is an error that carries an exit code and says no more than the command
// has said already.
type Exit struct{ Code int }

func (e Exit) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// Version is the command that prints the version.
type Version struct{}

// Run prints the version.
func (Version) Run(s Streams) error {
	_, err := fmt.Fprintln(s.Out, version.Version)
	return err
}

// Main runs one command of the struct that commands points to, whose Run methods
// take a context and Streams, and returns the exit code: 0 done, 1 failed,
// 2 wrong usage. An interrupt ends the context; a command that then returns its
// error was stopped cleanly.
func Main(name, description string, commands any, args []string, stdout, stderr io.Writer) int {
	// kong calls Exit after printing help; code keeps that from ending the process.
	code := -1
	parser, err := kong.New(commands, kong.Name(name), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Embed(&globals{}), kong.Configuration(loadSettings(stderr)), kong.Exit(func(c int) { code = c }))
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(Streams{Out: stdout, Err: stderr})
	var exit Exit
	switch {
	case err == nil || (ctx.Err() != nil && errors.Is(err, context.Canceled)):
		return 0
	case errors.As(err, &exit):
		return exit.Code
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return 1
}
