package collector

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/flopwatch/flopwatch/collector/internal/demo"
	"github.com/flopwatch/flopwatch/pkg/cli"
)

// demoCommand runs a collector and an agent side by side.
type demoCommand struct {
	Data      string `help:"Data directory." default:"data" type:"path"`
	Agent     string `help:"Path of flopwatch-agent." default:"bin/flopwatch-agent" type:"path"`
	Scenarios string `help:"Folder with scenarios and recordings to replay without a GPU." default:"testdata" type:"path"`
	Trace     string `help:"Job trace or recording to replay instead." placeholder:"PATH" type:"path"`
	Listen    string `help:"Loopback address of API and desk; port 0 takes a free one." default:"127.0.0.1:0"`
}

// Run serves until it is interrupted; the agent's end is no reason to stop.
func (c demoCommand) Run(ctx context.Context, s cli.Streams) error {
	return serve(ctx, s, serveCommand{Data: c.Data, Listen: c.Listen}, true, func(ctx context.Context, r *running) error {
		if c.Trace == "" {
			if err := r.importDemonstration(ctx, filepath.Join(c.Scenarios, "scenarios")); err != nil {
				return err
			}
		}
		fmt.Fprintf(s.Out, "desk: %s\n      (one-time link; Ctrl-C stops, the data stays in %s)\n", r.http.LoginLink(), c.Data)
		agent := demo.Agent{
			Program: c.Agent, Endpoint: filepath.Join(c.Data, "agent.json"), Data: filepath.Join(c.Data, "agent"),
			Scenarios: c.Scenarios, Trace: c.Trace, Output: s.Err,
		}
		if err := agent.Run(ctx); err != nil {
			fmt.Fprintf(s.Err, "flopwatch-collector: %v; the desk stays up\n", err)
		}
		<-ctx.Done()
		return nil
	})
}
