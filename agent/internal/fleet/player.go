package fleet

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/sampler"
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
	done = !p.advance(h)
	if done {
		closed = append(closed, h.sampler.Flush()...)
	}
	// What was durable before is made again where a source cannot seek exactly.
	fresh := closed[:0]
	for _, w := range closed {
		if w.EndNS > h.resumeNS {
			fresh = append(fresh, w)
		}
	}
	p.progress.Windows += int64(len(fresh))
	if len(fresh) == 0 {
		return done, nil
	}
	return done, h.lane.Put(fresh)
}

func (p *player) open(h *playing) (done bool, err error) {
	devices, source := h.host.open(p.cfg.Window)
	h.source = source
	h.sampler = sampler.New(devices, source.fold(p.cfg.Window))
	h.lane, err = p.sink.Open(h.name, wire.HostFacts{Name: h.name, OS: "replay"}, h.bootID, h.sampler.Rows())
	if err != nil {
		return false, err
	}
	if h.resumeNS = h.lane.ResumeNS(); h.resumeNS >= h.endNS {
		return true, nil
	}
	source.seek(h.resumeNS)
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
	return lane.Close()
}
