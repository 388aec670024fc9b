package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"
)

// errRunning is the answer to a second Run beside a first.
var errRunning = errors.New("the monitor is being run already")

// catchUp lets run hand over what waits now, and returns once it has.
func (p *programs) catchUp(ctx context.Context) error {
	select {
	case <-p.caught: // of a caller that went away
	default:
	}
	if err := p.events.Flush(); err != nil {
		return fmt.Errorf("take the events that wait: %w", err)
	}
	select {
	case <-p.caught:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("take the events that wait: %w", ctx.Err())
	}
}

// run reads records until ctx ends. The programs wake the reader only when much
// waits, so that it looks by itself once an interval.
func (p *programs) run(ctx context.Context, interval time.Duration, handle func(Event)) error {
	if !p.running.TryLock() {
		return errRunning
	}
	defer p.running.Unlock()
	var record ringbuf.Record
	var event Event
	for ctx.Err() == nil {
		p.events.SetDeadline(time.Now().Add(interval))
		for {
			err := p.events.ReadInto(&record)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if errors.Is(err, ringbuf.ErrFlushed) {
				select {
				case p.caught <- struct{}{}:
				default: // nobody waits any more
				}
				continue
			}
			if err != nil {
				return fmt.Errorf("read the ring of events: %w", err)
			}
			if err := decodeEvent(&event, record.RawSample, p.joins.hasher()); err != nil {
				return err
			}
			handle(event)
			if ctx.Err() != nil {
				return nil
			}
		}
	}
	return nil
}
