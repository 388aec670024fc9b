package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/identity"
	"github.com/flopwatch/flopwatch/agent/internal/swarm"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// swarmFlags say what a made-up fleet is, by which a collector is measured.
type swarmFlags struct {
	Fleet        int           `help:"Play this many made-up hosts instead of a trace, and print what they sent as JSON." placeholder:"HOSTS"`
	GPUs         int           `name:"gpus" help:"Devices of each made-up host." default:"8"`
	BatchWindows int           `help:"Windows of each device in one batch of a made-up host." default:"1"`
	Duration     time.Duration `help:"Time that each made-up host reports." default:"5m"`
	RunSizes     string        `help:"Sizes of workloads in hosts and the shares of hosts that run them; 0 is idle." default:"0:0.1,1:0.2,8:0.3,64:0.4" placeholder:"HOSTS:SHARE,…"`
	Tenants      int           `help:"Tenants that the workloads of made-up hosts belong to." default:"1000"`
	Seed         uint64        `help:"Names the made-up fleet: the same seed gives the same hosts." default:"1"`
	Cross        string        `help:"Tell when each workload of a made-up fleet reached so many operations." placeholder:"OPERATIONS"`
	Aligned      bool          `help:"All made-up hosts close their windows at the same instant, not one after the other."`
}

// swarm plays a made-up fleet and prints what it sent.
func (c replayCommand) swarm(ctx context.Context, s cli.Streams, speed float64) error {
	if len(c.Jobs)+len(c.Recordings)+len(c.Traces) > 0 || speed != 0 && speed != 1 {
		return errors.New("replay: --fleet takes no trace, and goes with --speed real or fast")
	}
	sizes, err := swarm.ParseSizes(c.RunSizes)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	window := c.Window
	if window == 0 {
		window = time.Minute
	}
	period := window * time.Duration(c.BatchWindows)
	if period <= 0 || c.Duration < period {
		return fmt.Errorf("replay: --duration %s is shorter than a batch of %d windows of %s", c.Duration, c.BatchWindows, window)
	}
	var cross compute.Operations
	if c.Cross != "" {
		if cross, err = compute.ParseOperations(c.Cross); err != nil {
			return fmt.Errorf("replay: --cross: %w", err)
		}
	}
	target, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return err
	}
	if target.Identity != nil {
		return errors.New("replay: a made-up fleet speaks for many hosts: it needs the endpoint of a trial, not of an enrolled host")
	}
	options, err := identity.Connection(target)
	if err != nil {
		return err
	}
	fleet, err := swarm.New(swarm.Config{
		URL: target.URL, NATS: options, CollectorKey: target.CollectorKey,
		Hosts: c.Fleet, Devices: c.GPUs, Window: window, Windows: c.BatchWindows, Batches: int(c.Duration / period),
		Real: speed == 1, Aligned: c.Aligned, Sizes: sizes, Tenants: c.Tenants, Seed: c.Seed, Cross: cross, EndNS: time.Now().Truncate(window).UnixNano(),
		AgentName: version.Version, Log: s.Logger(), Progress: s.Err,
	})
	if err != nil {
		return err
	}
	report, err := fleet.Run(ctx)
	if report.Batches > 0 {
		out := json.NewEncoder(s.Out)
		out.SetIndent("", "  ")
		if printErr := out.Encode(report); printErr != nil && err == nil {
			err = printErr
		}
	}
	return err
}
