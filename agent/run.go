package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/fleet"
	"github.com/flopwatch/flopwatch/agent/internal/hostfacts"
	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// runCommand reads this host's devices.
type runCommand struct {
	Endpoint   string        `help:"File that says where the collector is." default:"data/agent.json" type:"path"`
	Data       string        `help:"Folder for the spool and the host's key." default:"data/agent" type:"path"`
	Leases     string        `help:"Tenancy leases (NDJSON), watched." placeholder:"FILE" type:"path"`
	Library    string        `help:"Path of libnvidia-ml; by default the usual places." placeholder:"PATH"`
	Period     time.Duration `help:"Time between samples." default:"1s"`
	Window     time.Duration `help:"Window length." default:"10s"`
	WithoutGPU []string      `name:"without-gpu" help:"Trace to replay when this host has no driver, for a trial." placeholder:"PATH"`
}

// openTimeout bounds how long the driver's library may take to load.
const openTimeout = 30 * time.Second

// stopDrain bounds how long a stopping agent waits for receipts; the rest stays
// in the spool.
const stopDrain = 5 * time.Second

// Run samples until it is interrupted, then seals and syncs what it holds.
func (c runCommand) Run(ctx context.Context, s cli.Streams) error {
	if c.Period < 100*time.Millisecond || c.Window < c.Period {
		return fmt.Errorf("run: the period (%s) must be at least 100 ms, and the window (%s) no shorter than it", c.Period, c.Window)
	}
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	source, err := nvml.Open(opening, nvml.Options{LibraryPath: c.Library, Deadline: c.Period / 2})
	if errors.Is(err, nvml.ErrNoDriver) && len(c.WithoutGPU) > 0 {
		fmt.Fprintf(s.Err, "%v\nno GPU to read: replaying what published runs and recordings say instead\n", err)
		return replayCommand{Endpoint: c.Endpoint, Data: c.Data + "-replay", Traces: c.WithoutGPU, Leases: c.Leases, Speed: "max"}.Run(ctx, s)
	}
	if err != nil {
		return err
	}
	target, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	log := s.Logger()
	way, err := openCourier(courierConfig{Data: c.Data, Endpoint: target, BatchSpan: c.Window, Log: log})
	if err != nil {
		return errors.Join(err, source.Close())
	}
	err = way.Run(ctx, stopDrain, func(ctx context.Context) error { return c.sample(ctx, source, way, log) })
	return errors.Join(err, source.Close())
}

// sample reads, accounts and spools once a period.
func (c runCommand) sample(ctx context.Context, source *nvml.Source, way *courier, log *slog.Logger) error {
	facts, boot, err := hostfacts.Read(ctx, "/proc")
	if err != nil {
		return err
	}
	var devices []measure.Device
	for _, d := range source.Devices() {
		devices = append(devices, d.Device)
		log.InfoContext(ctx, "device", slog.String("uuid", string(d.ID)), slog.String("name", d.Name), slog.String("method", string(d.Method)), slog.String("reason", d.Reason))
	}
	host := sampler.New(devices, measure.FoldConfig{Window: c.Window, Period: c.Period})
	lane, err := way.Outbox.Open(facts.Name, facts, boot.ID, host.Rows())
	if err != nil {
		return err
	}
	live := &live{host: host, lane: lane, outbox: way.Outbox, source: source, prober: probe.New("/proc"), name: facts.Name, devices: devices, log: log, failing: map[measure.DeviceID]string{}}
	if c.Leases != "" {
		live.leases = tenancy.NewWatcher(c.Leases)
	}
	tick := time.NewTicker(c.Period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(lane.Put(host.Flush()), lane.Close())
		case <-tick.C:
			if err := live.step(ctx, time.Now()); err != nil {
				return errors.Join(err, lane.Close())
			}
		}
	}
}

// live is the sample loop's state.
type live struct {
	host    *sampler.Host
	lane    fleet.Lane
	outbox  *outbox.Outbox
	source  *nvml.Source
	prober  *probe.Prober
	leases  *tenancy.Watcher // nil without a file
	name    string
	devices []measure.Device
	log     *slog.Logger
	failing map[measure.DeviceID]string

	readings  []sampler.Reading
	processes []tenancy.Process
}

func (l *live) step(ctx context.Context, now time.Time) error {
	table := l.table(now)
	l.readings = l.readings[:0]
	for i, r := range l.source.Readings(ctx, now.UnixNano()) {
		if r.Err != nil {
			// The time of a device that does not answer shows as a gap by itself.
			l.tell(r.Device, r.Err.Error())
			continue
		}
		l.tell(r.Device, "")
		l.readings = append(l.readings, sampler.Reading{Sample: r.Sample, Shares: l.shares(&r, l.devices[i], table)})
	}
	closed := l.host.Step(l.readings)
	if len(closed) == 0 {
		return nil
	}
	if err := l.lane.Put(closed); err != nil {
		return err
	}
	return l.outbox.Sync(ctx)
}

// table returns the leases in force; a bad change of the file is told and the
// last good one kept.
func (l *live) table(now time.Time) *tenancy.Table {
	if l.leases == nil {
		return tenancy.NewTable(nil)
	}
	if l.leases.Poll(now) {
		if err := l.leases.Err(); err != nil {
			l.log.Error("tenancy leases not taken over", slog.Any("error", err))
		}
	}
	return l.leases.Table()
}

// shares says who held a device since the sample before.
func (l *live) shares(r *nvml.DeviceReading, device measure.Device, table *tenancy.Table) []measure.Share {
	subject := tenancy.SubjectOf(l.name, device)
	if !r.HoldersKnown {
		return tenancy.UnknownHolders(subject, table, r.Sample.TimeNS)
	}
	l.processes = l.processes[:0]
	for _, use := range r.Processes {
		p, err := l.prober.Lookup(use.PID)
		if err != nil {
			p = probe.Process{} // who it was is not known any more; that it was there is
		}
		l.processes = append(l.processes, tenancy.Held(subject, p, use.SMUtil))
	}
	return tenancy.Shares(l.processes, table, r.Sample.TimeNS)
}

// tell logs a change of a device's fault once.
func (l *live) tell(id measure.DeviceID, fault string) {
	if l.failing[id] == fault {
		return
	}
	l.failing[id] = fault
	if fault == "" {
		l.log.Info("device answers again", slog.String("uuid", string(id)))
		return
	}
	l.log.Error("device does not answer; its time is not observed", slog.String("uuid", string(id)), slog.String("error", fault))
}
