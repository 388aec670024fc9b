package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flopwatch/flopwatch/agent/internal/control"
	"github.com/flopwatch/flopwatch/agent/internal/exporter"
	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/agent/internal/hostfacts"
	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/reader"
	"github.com/flopwatch/flopwatch/agent/internal/tuning"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// runCommand reads this host's devices and sends what they did, in one process.
type runCommand struct {
	sampling
	WithoutGPU []string `name:"without-gpu" help:"Trace to replay when this host has no driver, for a trial." placeholder:"PATH"`
}

// sampling says what is read, whose it is and where it is kept.
type sampling struct {
	Endpoint string        `help:"File that says where the collector is." default:"data/agent.json" type:"path"`
	Data     string        `help:"Folder for the spool and the host's key." default:"data/agent" type:"path"`
	Library  string        `help:"Path of libnvidia-ml; by default the usual places." placeholder:"PATH"`
	Period   time.Duration `help:"Time between samples." default:"1s"`
	Window   time.Duration `help:"Window length." default:"10s"`
	Metrics  string        `help:"Loopback address for Prometheus metrics, such as 127.0.0.1:9400; none by default." placeholder:"ADDRESS"`

	ownerFlags
}

// openTimeout bounds how long the driver's library may take to load.
const openTimeout = 30 * time.Second

// stopDrain bounds how long a stopping agent waits for receipts; the rest stays
// in the spool.
const stopDrain = 5 * time.Second

// Run samples until it is interrupted, then seals and syncs what it holds.
func (c runCommand) Run(ctx context.Context, s cli.Streams) error {
	beQuiet()
	from, err := c.open(ctx, s)
	if errors.Is(err, nvml.ErrNoDriver) && len(c.WithoutGPU) > 0 {
		fmt.Fprintf(s.Err, "%v\nno GPU to read: replaying what published runs and recordings say instead\n", err)
		return replayCommand{Endpoint: c.Endpoint, Data: c.Data + "-replay", Traces: c.WithoutGPU, Leases: c.Leases, Speed: "max"}.Run(ctx, s)
	}
	if err != nil {
		return err
	}
	target, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	way, err := openCourier(courierConfig{Data: c.Data, Endpoint: target, EndpointFile: c.Endpoint, BatchSpan: c.Window, Settings: c.settingsFile(), Log: s.Logger()})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	tune, err := tuning.Open(c.Data, c.settingsFile(), way.host, target.CollectorKey)
	if err != nil {
		return errors.Join(err, way.Outbox.Close(), from.Close())
	}
	return c.sample(ctx, s, from, way, tune)
}

// open opens the devices of this host. Its error wraps nvml.ErrNoDriver on a
// host that has nothing to account for.
func (c sampling) open(ctx context.Context, s cli.Streams) (source, error) {
	if c.Period < 100*time.Millisecond || c.Window < c.Period {
		return nil, fmt.Errorf("the period (%s) must be at least 100 ms, and the window (%s) no shorter than it", c.Period, c.Window)
	}
	from, err := openReader(ctx, c.Library, c.Period)
	if errors.Is(err, nvml.ErrNoDriver) && passedThrough() {
		fmt.Fprintf(s.Err, "%v\nthis host's devices are passed through to virtual machines: their time is counted by allocation\n", err)
		return noDriver{}, nil
	}
	if err != nil {
		return nil, err // a typed nil inside the interface would look like a source
	}
	return from, nil
}

// way is where samples go: a spool, and what empties it.
type way interface {
	outgoing() *outbox.Outbox
	// Run does the work beside what empties the spool, and closes the spool.
	Run(ctx context.Context, drain time.Duration, work func(context.Context) error) error
	// Waiting is how many batches have no receipt, -1 where that is not known.
	Waiting() int
	// Leases takes the tenancy leases that the collector sends.
	Leases() *handover.Leases
}

// sample reads the devices until ctx ends. It closes from and out.
func (c sampling) sample(ctx context.Context, s cli.Streams, from source, out way, tune *tuning.Keeper) error {
	log := s.Logger()
	desk, err := control.Listen(c.Data)
	if err != nil {
		return errors.Join(err, out.outgoing().Close(), from.Close())
	}
	who, err := openOwners(ctx, c.ownerFlags, out.Leases(), log)
	if err != nil {
		return errors.Join(err, desk.Close(), out.outgoing().Close(), from.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return who.Run(ctx) })
	group.Go(func() error { stayLight(ctx, log); return nil })
	metrics := exporter.New(hostfacts.Name(), version.Version)
	if c.Metrics != "" {
		group.Go(func() error {
			return metrics.Serve(ctx, c.Metrics, func(at net.Addr) { log.InfoContext(ctx, "metrics", slog.String("address", at.String())) })
		})
	}
	group.Go(func() error {
		return out.Run(ctx, stopDrain, func(ctx context.Context) error {
			live, err := c.start(ctx, from, out, metrics, who, log)
			if err != nil {
				return err
			}
			live.tune = tune
			return live.loop(ctx, c.Period, desk)
		})
	})
	return errors.Join(group.Wait(), who.Close(), desk.Close(), from.Close())
}

// passedThrough says whether this host gives devices to virtual machines.
func passedThrough() bool {
	found, _ := guest.Read("/", guest.Holders{}) // what could not be read hides none of the rest
	return len(found.Guests) > 0
}

// openReader starts the process that reads the devices, which is this program
// again.
func openReader(ctx context.Context, library string, period time.Duration) (*reader.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return reader.Open(ctx, reader.Options{
		Command: []string{self, readDevicesName}, Library: library, Deadline: period / 2, Grace: period / 4, OpenWait: openTimeout,
	})
}

// readDevicesName is the command that readDevicesCommand is.
const readDevicesName = "read-devices"

// readDevicesCommand is the process that holds the driver's library.
type readDevicesCommand struct {
	Library  string        `help:"As of run." placeholder:"PATH"`
	Deadline time.Duration `help:"How long one device may take to answer." default:"500ms"`
	OpenWait time.Duration `help:"How long the devices may take to open." default:"30s"`
	Without  []int         `help:"Indices of devices to leave alone."`
}

// Run answers questions until there are none.
func (c readDevicesCommand) Run(ctx context.Context) error {
	// An interrupt is the agent's to take; it then ends the questions.
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	light := make(chan struct{})
	go func() {
		defer close(light)
		stayLight(ctx, slog.New(slog.DiscardHandler)) // what it says on standard error is for faults
	}()
	err := reader.Serve(ctx, os.Stdin, os.Stdout, nvml.Options{LibraryPath: c.Library, Deadline: c.Deadline, Without: c.Without}, c.OpenWait)
	end()
	<-light
	return err
}
