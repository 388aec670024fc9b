// Package fleet plays traces as hosts.
//
// A simulated host says what a real one would have said: its readings are a
// function of time, and they go through the sampler like those of any host. So a
// window is a function of host and time too, and a replay that was killed goes
// on from the last durable window and ends with the same windows.
package fleet

import (
	"container/heap"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Lane takes the windows of one host in order.
type Lane interface {
	// ResumeNS is the end of the host's last durable window, 0 if there is none.
	ResumeNS() int64
	// Put takes windows; it waits when there is no room.
	Put([]measure.Window) error
	// Exchanged takes traffic of workloads, which travels with what Put takes next,
	// and the host's addresses if it has some.
	Exchanged(addresses []netip.Addr, traffic []measure.Traffic)
	// Tell takes events, which travel with what Put takes next.
	Tell([]measure.Event)
	// Close takes what Put held back and ends the lane.
	Close() error
}

// Sink opens lanes and makes durable what they took.
type Sink interface {
	Open(name string, facts wire.HostFacts, bootID string, rows []wire.DeviceRow) (Lane, error)
	Sync(ctx context.Context) error
}

// Config of a replay.
type Config struct {
	Window   time.Duration // 0 chooses by the size of the fleet
	Speed    float64       // times faster than real time, 0 for as fast as possible
	Progress func(Progress)
}

// Progress is how far a replay is.
type Progress struct {
	Hosts, HostsDone int
	Windows          int64 // device-windows put
	At               time.Time
}

// Fleet is a set of hosts to play.
type Fleet struct {
	hosts []*host
}

// host is one simulated host.
type host struct {
	name    string
	bootID  string
	startNS int64
	endNS   int64
	devices int
	// open makes the devices and the source of readings, so that a host costs
	// little memory until it starts.
	open func(window time.Duration) ([]measure.Device, source)
}

// source says what a host's devices say.
type source interface {
	// seek goes to the last instant at or before ns at which the devices can be
	// read so that windows after ns come out whole.
	seek(ns int64)
	// next returns the next instant's readings; they are used until the call after.
	next() (timeNS int64, readings []sampler.Reading, ok bool)
	// together reports whether every reading of a host is taken at the same instant.
	together() bool
	// exchanged returns traffic up to ns that it did not return before.
	exchanged(ns int64) []measure.Traffic
	// told returns events up to ns that it did not return before.
	told(ns int64) []measure.Event
	// fold is how the sampler must fold the readings.
	fold(window time.Duration) measure.FoldConfig
}

// Hosts returns the number of hosts.
func (f *Fleet) Hosts() int { return len(f.hosts) }

// Add adds the hosts of another fleet.
func (f *Fleet) Add(other *Fleet) { f.hosts = append(f.hosts, other.hosts...) }

// windows are the lengths that AutoWindow chooses from.
var windows = []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// maxAutoWindows is how many device-windows a replay makes at most, if a longest
// window of a day lets it.
const maxAutoWindows = 4_000_000

// AutoWindow returns the shortest usual window with which the fleet stays small
// enough to be played in seconds. It depends on the fleet alone.
func (f *Fleet) AutoWindow() time.Duration {
	for _, w := range windows {
		var n float64
		for _, h := range f.hosts {
			n += float64(h.devices) * (float64(h.endNS-h.startNS)/float64(w) + 1)
		}
		if n <= maxAutoWindows {
			return w
		}
	}
	return windows[len(windows)-1]
}

// Run plays the fleet into the sink, hosts side by side in the order of their
// time, and syncs the sink before it returns. When ctx ends it closes what is
// open, syncs, and returns the context's error.
func (f *Fleet) Run(ctx context.Context, cfg Config, sink Sink) error {
	if cfg.Window <= 0 {
		cfg.Window = f.AutoWindow()
	}
	p := &player{cfg: cfg, sink: sink, progress: Progress{Hosts: len(f.hosts)}}
	for _, h := range f.hosts {
		p.queue = append(p.queue, &playing{host: h, dueNS: h.startNS})
	}
	heap.Init(&p.queue)
	err := p.play(ctx)
	for _, each := range p.queue {
		if closeErr := each.close(); closeErr != nil && err == nil {
			err = closeErr
		}
	}
	if syncErr := sink.Sync(context.WithoutCancel(ctx)); syncErr != nil && err == nil {
		err = syncErr
	}
	p.tell()
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}
