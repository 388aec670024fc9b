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

// run reads records until ctx ends. The programs wake the reader only when much
// waits, so that it looks by itself once an interval.
func (p *programs) run(ctx context.Context, interval time.Duration, handle func(Event)) error {
	if !p.running.TryLock() {
		return errRunning
	}
	defer p.running.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = p.events.Flush() }) // ends the wait below
	defer stop()
	var record ringbuf.Record
	var event Event
	for ctx.Err() == nil {
		p.events.SetDeadline(time.Now().Add(interval))
		for {
			err := p.events.ReadInto(&record)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ringbuf.ErrFlushed) {
				break
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
