package fleet

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// syncEvery is how long sealed batches may wait for an fsync: it bounds what a
// crash makes the replay produce again, and how often all lanes wait for a disk.
const syncEvery = 100 * time.Millisecond

// playing is one host in the queue.
type playing struct {
	*host
	dueNS int64

	sampler  *sampler.Host
	source   source
	lane     Lane
	resumeNS int64
	readings []sampler.Reading

	held  []measure.Window           // closed, but other devices may still close windows as old
	until map[measure.DeviceID]int64 // newest sample of each device, where they are not taken together
}

// byTime orders hosts by the time of their next readings, then by name, so that
// a replay does the same each time.
type byTime []*playing

func (q byTime) Len() int { return len(q) }
func (q byTime) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].dueNS, q[j].dueNS), cmp.Compare(q[i].name, q[j].name)) < 0
}
func (q byTime) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *byTime) Push(x any)   { *q = append(*q, x.(*playing)) }
func (q *byTime) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	return p
}

// player plays the queue.
type player struct {
	cfg      Config
	sink     Sink
	queue    byTime
	progress Progress
	synced   time.Time
	told     time.Time

	paced     bool // the clock below has been set, by the first host that has work left
	wallStart time.Time
	playStart int64
}

func (p *player) play(ctx context.Context) error {
	p.synced = time.Now()
	for len(p.queue) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := p.queue[0]
		if err := p.wait(ctx, h); err != nil {
			return err
		}
		done, err := p.step(h)
		if err != nil {
			return fmt.Errorf("host %s: %w", h.name, err)
		}
		if done {
			heap.Pop(&p.queue)
			p.progress.HostsDone++
			if err := h.close(); err != nil {
				return fmt.Errorf("host %s: %w", h.name, err)
			}
		} else {
			heap.Fix(&p.queue, 0)
		}
		if time.Since(p.synced) >= syncEvery {
			if err := p.sink.Sync(ctx); err != nil {
				return err
			}
			p.synced = time.Now()
		}
		if time.Since(p.told) >= time.Second {
			p.tell()
		}
	}
	return nil
}

func (p *player) tell() {
	p.told = time.Now()
	if p.cfg.Progress != nil {
		p.cfg.Progress(p.progress)
	}
}

// wait keeps to the speed that was asked for.
func (p *player) wait(ctx context.Context, h *playing) error {
	p.progress.At = time.Unix(0, h.dueNS).UTC()
	if p.cfg.Speed <= 0 || !p.paced {
		return nil
	}
	due := p.wallStart.Add(time.Duration(float64(h.dueNS-p.playStart) / p.cfg.Speed))
	ahead := time.Until(due)
	if ahead <= 0 {
		return nil
	}
	if ahead > syncEvery {
		if err := p.sink.Sync(ctx); err != nil {
			return err
		}
		p.synced = time.Now()
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// step opens a host, or plays its next readings. It reports whether the host is
// done.
func (p *player) step(h *playing) (done bool, err error) {
	if h.lane == nil {
		return p.open(h)
	}
	if !p.paced {
		p.paced, p.wallStart, p.playStart = true, time.Now(), h.dueNS
	}
	closed := h.sampler.Step(h.readings)
	settled := h.settled()
	if done = !p.advance(h); done {
		closed = append(closed, h.sampler.Flush()...)
		settled = math.MaxInt64
	}
	fresh := h.release(closed, settled)
	p.progress.Windows += int64(len(fresh))
	if len(fresh) == 0 {
		return done, nil
	}
	// What was told up to the last durable window is not told again.
	until := h.resumeNS
	for i := range fresh {
		until = max(until, fresh[i].EndNS)
	}
	if traffic := h.source.exchanged(until); len(traffic) > 0 {
		h.lane.Exchanged(nil, traffic)
	}
	if events := h.source.told(until); len(events) > 0 {
		h.lane.Tell(events)
	}
	return done, h.lane.Put(fresh)
}

// settled returns the time up to which no device will close another window. The
// windows up to it must become durable together, because a replay goes on from
// one time for the whole host.
func (h *playing) settled() int64 {
	if h.source.together() {
		return math.MaxInt64
	}
	for i := range h.readings {
		s := &h.readings[i].Sample
		h.until[s.Device] = max(h.until[s.Device], s.TimeNS)
	}
	if len(h.until) < h.devices {
		return 0
	}
	return slices.Min(slices.Collect(maps.Values(h.until)))
}

// release returns the windows up to a time, and holds the others. What was
// durable before is made again where a source cannot seek, and left out here.
func (h *playing) release(closed []measure.Window, settled int64) []measure.Window {
	h.held = append(h.held, closed...)
	var out, held []measure.Window
	for _, w := range h.held {
		switch {
		case w.EndNS <= h.resumeNS:
		case w.EndNS <= settled:
			out = append(out, w)
		default:
			held = append(held, w)
		}
	}
	h.held = held
	return out
}

func (p *player) open(h *playing) (done bool, err error) {
	devices, source := h.host.open(p.cfg.Window)
	h.source, h.until = source, map[measure.DeviceID]int64{}
	h.sampler = sampler.New(devices, source.fold(p.cfg.Window))
	h.lane, err = p.sink.Open(h.name, wire.HostFacts{Name: h.name, OS: "replay"}, h.bootID, h.sampler.Rows())
	if err != nil {
		return false, err
	}
	if h.resumeNS = h.lane.ResumeNS(); h.resumeNS >= h.endNS {
		return true, nil
	}
	source.seek(h.resumeNS)
	source.exchanged(h.resumeNS)
	source.told(h.resumeNS)
	return !p.advance(h), nil
}

func (p *player) advance(h *playing) bool {
	at, readings, ok := h.source.next()
	if ok {
		h.dueNS, h.readings = max(h.dueNS, at), readings
	}
	return ok
}

func (h *playing) close() error {
	if h.lane == nil {
		return nil
	}
	lane := h.lane
	h.lane, h.sampler, h.source, h.readings = nil, nil, nil, nil
	h.held, h.until = nil, nil
	return lane.Close()
}
