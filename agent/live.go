package agent

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/control"
	"github.com/flopwatch/flopwatch/agent/internal/exporter"
	"github.com/flopwatch/flopwatch/agent/internal/hostfacts"
	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/reader"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// live is the sample loop's state.
type live struct {
	host      *sampler.Host
	lane      *outbox.Lane
	outbox    *outbox.Outbox
	source    *reader.Reader
	prober    *probe.Prober
	leases    *tenancy.Watcher // nil without a file
	metrics   *exporter.Exporter
	waiting   func() int // batches without a receipt
	witness   *witness.Witness
	name      string
	log       *slog.Logger
	failing   map[measure.DeviceID]string
	ecc       map[measure.DeviceID]uint64 // uncorrected errors at the newest reading
	refreshed time.Time                   // when holders were last taken from the kernel
	caughtUp  bool                        // events of processes were taken in this step
	resume    time.Time                   // when released devices are read again by themselves, zero for never

	readings  []sampler.Reading
	processes []tenancy.Process
}

// start prepares the loop: who the host is, what its devices are.
func (c runCommand) start(ctx context.Context, source *reader.Reader, way *courier, metrics *exporter.Exporter, seen *witness.Witness, log *slog.Logger) (*live, error) {
	facts, boot, err := hostfacts.Read(ctx, "/proc")
	if err != nil {
		return nil, err
	}
	facts.Attribution = seen.By()
	l := &live{
		host:   sampler.New(devicesOf(source.Host()), measure.FoldConfig{Window: c.Window, Period: c.Period}),
		outbox: way.Outbox, source: source, metrics: metrics, waiting: way.Waiting, witness: seen, prober: probe.New("/proc"), name: facts.Name, log: log, failing: map[measure.DeviceID]string{}, ecc: map[measure.DeviceID]uint64{},
	}
	if err := l.prober.Watch(); err != nil {
		log.WarnContext(ctx, "processes are read anew every period", slog.Any("error", err))
	}
	if l.lane, err = way.Outbox.Open(facts.Name, facts, boot.ID, l.host.Rows()); err != nil {
		return nil, err
	}
	l.offer(ctx)
	if source.Host().Confidential == nvml.Yes {
		l.lane.Tell([]measure.Event{{TimeNS: time.Now().UnixNano(), Kind: measure.EventConfidential, Code: 1}})
	}
	if c.Leases != "" {
		l.leases = tenancy.NewWatcher(c.Leases)
	}
	return l, nil
}

func devicesOf(h *reader.Host) []measure.Device {
	devices := make([]measure.Device, len(h.Devices))
	for i := range h.Devices {
		devices[i] = h.Devices[i].Device
	}
	return devices
}

// offer tells the sampler, and the log, what each device's best method is.
func (l *live) offer(ctx context.Context) {
	l.metrics.Devices(l.source.Host().Devices)
	for _, d := range l.source.Host().Devices {
		l.host.Offer(d.ID, d.Method, d.Reason)
		l.log.InfoContext(ctx, "device", slog.String("uuid", string(d.ID)), slog.String("name", d.Name), slog.String("method", string(d.Method)), slog.String("reason", d.Reason))
	}
}

// loop samples once a period until ctx ends, then seals what it holds.
func (l *live) loop(ctx context.Context, period time.Duration, desk *control.Server) error {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.lane.Tell(l.host.Events())
			return errors.Join(l.lane.Put(l.host.Flush()), l.lane.Close())
		case <-tick.C:
			now := time.Now()
			desk.Answer(func(r control.Request) control.Reply { return l.command(r, now) })
			if !l.resume.IsZero() && now.After(l.resume) {
				l.resume = time.Time{}
				l.source.Resume(now.UnixNano())
			}
			if err := l.step(ctx, now); err != nil {
				return errors.Join(err, l.lane.Close())
			}
		}
	}
}

func (l *live) step(ctx context.Context, now time.Time) error {
	l.caughtUp = false
	l.prober.Tick()
	l.refresh(ctx, now)
	table := l.table(now)
	result := l.source.Readings(ctx, now.UnixNano())
	if err := l.heed(ctx, result); err != nil {
		return err
	}
	l.readings = l.readings[:0]
	devices := l.source.Host().Devices
	for i := range result.Readings {
		r := &result.Readings[i]
		if r.Err != nil {
			// The time of a device that does not answer shows as a gap by itself.
			l.tell(r.Device, r.Err)
			continue
		}
		l.tell(r.Device, nil)
		l.memory(r, now)
		shares := l.shares(ctx, r, devices[i].Device, devices[i].Minor, table)
		l.metrics.Holder(r.Device, sole(shares))
		l.readings = append(l.readings, sampler.Reading{Sample: r.Sample, Shares: shares})
	}
	l.metrics.Read(result.Readings)
	l.metrics.Waiting(l.waiting())
	closed := l.host.Step(l.readings)
	l.metrics.Windows(closed)
	l.lane.Tell(l.host.Events())
	return l.put(ctx, closed)
}

// memory tells when a device has more uncorrected memory errors than before.
func (l *live) memory(r *nvml.DeviceReading, now time.Time) {
	if !r.Condition.ECCKnown {
		return
	}
	before, known := l.ecc[r.Device]
	l.ecc[r.Device] = r.Condition.ECC
	if known && r.Condition.ECC > before {
		l.lane.Tell([]measure.Event{{TimeNS: now.UnixNano(), Device: r.Device, Kind: measure.EventECC, Code: int64(r.Condition.ECC - before)}})
	}
}

// sole returns the tenant that held a device alone.
func sole(shares []measure.Share) measure.TenantID {
	if len(shares) == 1 {
		return shares[0].Tenant
	}
	return ""
}

// refreshEvery is how often holders are taken anew from the kernel, which sees
// what events do not tell.
const refreshEvery = 30 * time.Second

// refresh takes the holders anew and tells of events that were lost.
func (l *live) refresh(ctx context.Context, now time.Time) {
	if now.Sub(l.refreshed) < refreshEvery {
		return
	}
	l.refreshed = now
	if lost := l.witness.Refresh(ctx); lost > 0 {
		l.lane.Tell([]measure.Event{{TimeNS: now.UnixNano(), Kind: measure.EventMissed, Code: int64(lost)}})
	}
}

// put spools windows and makes them durable.
func (l *live) put(ctx context.Context, closed []measure.Window) error {
	if len(closed) == 0 {
		return nil
	}
	if err := l.lane.Put(closed); err != nil {
		return err
	}
	return l.outbox.Sync(ctx)
}

// heed takes over events, and devices that are not those of before. What was
// known of the old ones is sealed first, because a batch lists its devices.
func (l *live) heed(ctx context.Context, result *reader.Result) error {
	for _, e := range result.Events {
		l.metrics.Event(e)
		l.log.WarnContext(ctx, "event", slog.String("kind", string(e.Kind)), slog.String("uuid", string(e.Device)), slog.Int64("code", e.Code), slog.String("detail", e.Detail))
	}
	l.lane.Tell(result.Events)
	urgent := false
	for i := range result.Events {
		urgent = urgent || result.Events[i].Kind == measure.EventReleased
	}
	switch {
	case result.HostChanged:
		if err := l.lane.Put(l.host.Replace(devicesOf(l.source.Host()))); err != nil {
			return err
		}
		l.offer(ctx)
	case urgent:
		// Perhaps nothing is read for long now: what is known goes out.
		if err := l.lane.Put(l.host.Flush()); err != nil {
			return err
		}
	default:
		return nil
	}
	if err := l.lane.Describe(l.host.Rows()); err != nil {
		return err
	}
	return l.outbox.Sync(ctx)
}

// command does what an operator asks for.
func (l *live) command(r control.Request, now time.Time) control.Reply {
	var reply control.Reply
	switch {
	case r.Resume:
		l.resume = time.Time{}
		l.source.Resume(now.UnixNano())
	case len(r.Release) > 0:
		ids := make([]measure.DeviceID, len(r.Release))
		for i, id := range r.Release {
			ids[i] = measure.DeviceID(id)
		}
		if err := l.source.Release(now.UnixNano(), ids...); err != nil {
			reply.Error = err.Error()
			break
		}
		if l.resume = (time.Time{}); r.For > 0 {
			l.resume = now.Add(r.For)
		}
	case !r.Status:
		reply.Error = "the agent does not know this request"
	}
	for _, id := range l.source.Released() {
		reply.Released = append(reply.Released, string(id))
	}
	if !l.resume.IsZero() {
		reply.Until = l.resume.UTC().Format(time.RFC3339)
	}
	return reply
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
func (l *live) shares(ctx context.Context, r *nvml.DeviceReading, device measure.Device, minor int, table *tenancy.Table) []measure.Share {
	subject := tenancy.SubjectOf(l.name, device)
	l.processes = l.processes[:0]
	if !r.HoldersKnown {
		// The kernel knows who has the device file open, of a whole device.
		if device.Parent != "" || minor < 0 || !l.witness.KnowsHolders() {
			return tenancy.UnknownHolders(subject, table, r.Sample.TimeNS)
		}
		l.catchUp(ctx)
		for _, pid := range l.witness.Holders(nvidiaMajor, uint32(minor)) {
			l.processes = append(l.processes, tenancy.Held(subject, l.process(ctx, pid), math.NaN()))
		}
		return tenancy.Shares(l.processes, table, r.Sample.TimeNS)
	}
	for _, use := range r.Processes {
		l.processes = append(l.processes, tenancy.Held(subject, l.process(ctx, use.PID), use.SMUtil))
	}
	shares := tenancy.Shares(l.processes, table, r.Sample.TimeNS)
	if r.Condition.MPSProcesses > 0 && len(shares) > 1 {
		// Under the multi-process service kernels of several processes run at once.
		for i := range shares {
			shares[i].Guessed = true
		}
	}
	return shares
}

// nvidiaMajor is the major number of the device files of NVIDIA's devices.
const nvidiaMajor = 195

// catchUp takes the events of processes that wait, once a step.
func (l *live) catchUp(ctx context.Context) {
	if !l.caughtUp {
		l.caughtUp = true
		l.witness.CatchUp(ctx)
	}
}

// process returns who a process is, or was if it ended since the sample before.
func (l *live) process(ctx context.Context, pid int) probe.Process {
	p, err := l.prober.Lookup(pid)
	if err == nil {
		return p
	}
	l.catchUp(ctx)
	if ended, ok := l.witness.Ended(pid); ok {
		return ended
	}
	return probe.Process{} // who it was is not known any more; that it was there is
}

// tell logs a change of a device's fault once.
func (l *live) tell(id measure.DeviceID, fault error) {
	text := ""
	if fault != nil {
		if l.failing[id] != "" && errors.Is(fault, reader.ErrReader) {
			return // the same fault in other words
		}
		text = fault.Error()
	}
	if l.failing[id] == text {
		return
	}
	l.failing[id] = text
	if fault == nil {
		l.log.Info("device answers again", slog.String("uuid", string(id)))
		return
	}
	l.log.Error("device does not answer; its time is not observed", slog.String("uuid", string(id)), slog.String("error", text))
}
