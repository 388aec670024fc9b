package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/reader"
	"github.com/flopwatch/flopwatch/agent/internal/recording"
	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/bpf"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// recordCommand captures what the devices of this host say.
type recordCommand struct {
	Out      string        `help:"Folder for the recording; it must be empty or missing." required:"" type:"path"`
	Duration time.Duration `help:"How long to record; 0 records until it is interrupted." default:"0s"`
	Period   time.Duration `help:"Time between samples." default:"1s"`
	Library  string        `help:"Path of libnvidia-ml; by default the usual places." placeholder:"PATH"`
	Traffic  string        `help:"Networks in which bytes between workloads on devices and other hosts are counted; addresses become numbers." placeholder:"NETWORK,..." default:"none"`
}

// Run records until it is interrupted or the time is over. Names, command lines
// and identifiers of host, devices, processes and workloads stay on the host.
func (c recordCommand) Run(ctx context.Context, s cli.Streams) (err error) {
	if c.Period < 100*time.Millisecond {
		return fmt.Errorf("record: the period (%s) must be at least 100 ms", c.Period)
	}
	networks, err := networksOf(c.Traffic)
	if err != nil {
		return err
	}
	source, err := openReader(ctx, c.Library, c.Period)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	clock, err := newSteady()
	if err != nil {
		return err
	}
	r := recorder{source: source, clock: clock, names: recording.NewPseudonyms(), prober: probe.New("/proc")}
	about := recording.Recording{Host: "host", BootID: randomID(), Source: "recorded", Driver: source.Host().Driver}
	for _, d := range source.Host().Devices {
		known := d.Device
		known.ID, known.Parent = r.names.Device(d.ID), r.names.Device(d.Parent)
		about.Devices = append(about.Devices, known)
	}
	if len(networks) > 0 {
		r.talk = conversation{networks: networks, since: r.clock.now()}
		r.witness = witness.Open(ctx, witness.Config{Method: bpf.Programs, Traffic: true, Log: s.Logger()})
		defer func() { err = errors.Join(err, r.witness.Close()) }()
		if _, _, known, trafficErr := r.witness.Traffic(); !known || trafficErr != nil {
			return errors.Join(errors.New("record: the kernel does not tell traffic here; flopwatch-agent doctor says why"), trafficErr)
		}
	}
	if r.out, err = recording.Create(c.Out, about); err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, r.out.Close()); err == nil {
			_, err = fmt.Fprintf(s.Err, "%d samples of %d devices in %s\n", r.samples, len(about.Devices), c.Out)
		}
	}()
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}
	fmt.Fprintf(s.Err, "recording %d devices every %s; interrupt to end\n", len(about.Devices), c.Period)
	tick := time.NewTicker(c.Period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.step(ctx, r.clock.now()); err != nil {
				return err
			}
		}
	}
}

// randomID returns what looks like a boot id and is none.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// recorder writes down readings.
type recorder struct {
	source  *reader.Reader
	names   *recording.Pseudonyms
	clock   steady // a step of the wall clock would tear the recording
	prober  *probe.Prober
	out     *recording.Writer
	samples int
	witness *witness.Witness // nil unless traffic is counted
	talk    conversation
}

func (r *recorder) step(ctx context.Context, now time.Time) error {
	result := r.source.Readings(ctx, now.UnixNano())
	if result.HostChanged {
		return errors.New("record: the devices changed; a recording is of one set of devices")
	}
	for _, e := range result.Events {
		e.Device = r.names.Device(e.Device)
		if e.Kind != measure.EventXid { // details may hold identifiers
			e.Detail = ""
		}
		if err := r.out.Event(e); err != nil {
			return err
		}
	}
	for i := range result.Readings {
		d := &result.Readings[i]
		if d.Err != nil {
			continue // a gap is what is not there
		}
		sample := d.Sample
		sample.Device = r.names.Device(d.Device)
		if err := r.out.Sample(&sample); err != nil {
			return err
		}
		r.samples++
		for _, use := range d.Processes {
			p, err := r.prober.Lookup(use.PID)
			if err != nil {
				p = probe.Process{} // ended before it could be asked for
			}
			util := use.SMUtil
			if math.IsNaN(util) {
				util = -1
			}
			r.talk.hold([]measure.Share{{Workload: p.Workload}})
			if err := r.out.Process(recording.Process{
				TimeNS: sample.TimeNS, Device: sample.Device, PID: r.names.Process(use.PID, int64(p.StartTicks)),
				SMUtil: util, MemoryBytes: use.MemoryBytes, Cgroup: r.names.Cgroup(p.Workload),
			}); err != nil {
				return err
			}
		}
	}
	if r.witness == nil || !r.talk.due(now) {
		return nil
	}
	return r.traffic(now)
}

// traffic writes down what workloads on devices exchanged since the last time.
func (r *recorder) traffic(now time.Time) error {
	exchanges, _, _, err := r.witness.Traffic()
	if err != nil {
		return err
	}
	for _, t := range r.talk.pick(exchanges, r.talk.since, now, func(path string) measure.Workload {
		_, workload := probe.Resolve([]string{path})
		return workload
	}) {
		f := recording.Flow{TimeNS: now.UnixNano(), Cgroup: r.names.Cgroup(t.Workload), Peer: r.names.Peer(t.Peer)}
		for direction, bytes := range map[string]int64{recording.Sent: t.SentBytes, recording.Received: t.ReceivedBytes} {
			if f.Direction, f.Bytes = direction, bytes; bytes == 0 {
				continue
			}
			if err := r.out.Flow(f); err != nil {
				return err
			}
		}
	}
	r.talk.since = now
	clear(r.talk.held)
	return nil
}
