package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/canary"
	"github.com/flopwatch/flopwatch/agent/internal/control"
	"github.com/flopwatch/flopwatch/agent/internal/exporter"
	"github.com/flopwatch/flopwatch/agent/internal/hostfacts"
	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/reader"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tuning"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/systemd"
)

// live is the sample loop's state.
type live struct {
	host    *sampler.Host
	lane    *outbox.Lane
	outbox  *outbox.Outbox
	source  source
	owners  *owners
	metrics *exporter.Exporter
	clock   steady
	waiting func() int // batches without a receipt
	tune    *tuning.Keeper
	log     *slog.Logger
	failing map[measure.DeviceID]string
	canary  *canary.Canary              // nil where nothing watches processes
	ecc     map[measure.DeviceID]uint64 // uncorrected errors at the newest reading
	resume  time.Time                   // when released devices are read again by themselves, zero for never

	readings  []sampler.Reading
	undecided undecided
}

// source reads the devices that have a driver on this host.
type source interface {
	Host() *reader.Host
	Readings(ctx context.Context, nowNS int64) *reader.Result
	Release(nowNS int64, ids ...measure.DeviceID) error
	Resume(nowNS int64)
	Released() []measure.DeviceID
	Close() error
}

// noDriver is the source of a host whose devices are all passed through to
// virtual machines.
type noDriver struct{}

func (noDriver) Host() *reader.Host                             { return &reader.Host{} }
func (noDriver) Readings(context.Context, int64) *reader.Result { return &reader.Result{} }
func (noDriver) Resume(int64)                                   {}
func (noDriver) Released() []measure.DeviceID                   { return nil }
func (noDriver) Close() error                                   { return nil }

func (noDriver) Release(int64, ...measure.DeviceID) error {
	return errors.New("this host has no driver for its devices: there is nothing to let go of")
}

// start prepares the loop: who the host is, what its devices are.
func (c sampling) start(ctx context.Context, from source, out way, metrics *exporter.Exporter, who *owners, log *slog.Logger) (*live, error) {
	facts, boot, err := hostfacts.Read(ctx, "/proc")
	if err != nil {
		return nil, err
	}
	clock, err := newSteady()
	if err != nil {
		return nil, err
	}
	facts.Attribution = who.witness.By()
	who.name = facts.Name
	l := &live{
		outbox: out.outgoing(), source: from, owners: who, metrics: metrics, clock: clock, waiting: out.Waiting,
		log: log, failing: map[measure.DeviceID]string{}, ecc: map[measure.DeviceID]uint64{},
	}
	who.talk.since = clock.now()
	who.refresh(ctx, clock.now())
	l.host = sampler.New(l.devices(), measure.FoldConfig{Window: c.Window, Period: c.Period})
	if l.lane, err = l.outbox.Open(facts.Name, facts, boot.ID, l.host.Rows()); err != nil {
		return nil, err
	}
	l.lane.Steady(clock.offsetNS)
	if l.canary, err = newCanary(who.witness); err != nil {
		return nil, err
	}
	l.offer(ctx)
	if from.Host().Confidential == nvml.Yes {
		l.lane.Tell([]measure.Event{{TimeNS: clock.now().UnixNano(), Kind: measure.EventConfidential, Code: 1}})
	}
	return l, nil
}

// devices are those with a driver, and those passed through to virtual machines.
func (l *live) devices() []measure.Device {
	return append(devicesOf(l.source.Host()), l.owners.guestDevices...)
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
	manager := systemd.NewService(l.log)
	if changed, err := l.retune(ctx, true); err != nil {
		return errors.Join(err, l.lane.Close())
	} else if changed {
		period = l.period()
	}
	// The first sample is taken at once: what is before it is unobserved. It also
	// shows that devices can be read, before the manager counts this as started.
	if err := l.step(ctx, l.clock.now()); err != nil {
		return errors.Join(err, l.lane.Close())
	}
	manager.Ready(ctx)
	l.log.InfoContext(ctx, "sampling", slog.Duration("period", period))
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			manager.Stopping(ctx)
			l.lane.Tell(l.host.Events())
			return errors.Join(l.lane.Put(l.host.Flush()), l.lane.Close())
		case <-tick.C:
			now := l.clock.now()
			if changed, err := l.retune(ctx, false); err != nil {
				return errors.Join(err, l.lane.Close())
			} else if changed {
				tick.Reset(l.period())
			}
			desk.Answer(func(r control.Request) control.Reply { return l.command(r, now) })
			if !l.resume.IsZero() && now.After(l.resume) {
				l.resume = time.Time{}
				l.source.Resume(now.UnixNano())
			}
			if err := l.step(ctx, now); err != nil {
				return errors.Join(err, l.lane.Close())
			}
			manager.Alive(ctx)
		}
	}
}

func (l *live) step(ctx context.Context, now time.Time) error {
	l.owners.skew = l.clock.skew()
	missed, guestsChanged := l.owners.begin(ctx, now)
	if missed > 0 {
		l.lane.Tell([]measure.Event{{TimeNS: now.UnixNano(), Kind: measure.EventMissed, Code: int64(missed)}})
	}
	result := l.source.Readings(ctx, now.UnixNano())
	if err := l.heed(ctx, result, guestsChanged); err != nil {
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
		shares := l.owners.of(r, &devices[i])
		l.metrics.Holder(r.Device, sole(shares))
		l.readings = append(l.readings, sampler.Reading{Sample: r.Sample, Shares: shares})
	}
	l.readings = l.owners.guestReadings(now, l.readings)
	l.metrics.Read(result.Readings)
	l.metrics.Waiting(l.waiting())
	closed := l.host.Step(l.readings)
	l.metrics.Windows(closed)
	l.lane.Tell(l.host.Events())
	l.lane.Tell(l.owners.communicators(ctx, now))
	if l.canary != nil {
		events, err := l.canary.Step(now)
		if err != nil {
			l.log.WarnContext(ctx, "no canary", slog.Any("error", err))
		}
		l.lane.Tell(events)
	}
	l.lane.Tell(l.owners.images(now, l.readings))
	l.undecided.add(l.readings)
	l.lane.Tell(l.undecided.events(now))
	for i := range l.readings {
		l.owners.talk.hold(l.readings[i].Shares)
	}
	if l.owners.talk.due(now) {
		l.lane.Exchanged(l.owners.traffic(ctx, now))
	}
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
func (l *live) heed(ctx context.Context, result *reader.Result, guestsChanged bool) error {
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
	case result.HostChanged || guestsChanged:
		if err := l.lane.Put(l.host.Replace(l.devices())); err != nil {
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
