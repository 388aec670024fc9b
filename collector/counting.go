package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/ingest"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
)

// bus is the broker that batches come over: the collector's own, or one outside.
type bus interface {
	Conn() *nats.Conn
	Recheck() error
	Probe(ctx context.Context) error
	Restart(ctx context.Context) error
	Close() error
}

// counting runs ingest, tries the broker out, and starts both anew when the
// broker does not store any more.
type counting struct {
	bus   bus
	setup ingest.Config // Conn is filled in
	log   *slog.Logger

	mu  sync.Mutex
	now *ingest.Ingest
}

// stuckAfter is how many times in turn the broker must fail before it is started
// anew.
const stuckAfter = 2

func newCounting(b bus, setup ingest.Config) (*counting, error) {
	c := &counting{bus: b, setup: setup, log: setup.Log}
	return c, c.renew()
}

func (c *counting) renew() error {
	setup := c.setup
	setup.Conn = c.bus.Conn()
	next, err := ingest.New(setup)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.now = next
	c.mu.Unlock()
	return nil
}

func (c *counting) current() *ingest.Ingest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// PutAllocations records allocations in the ingest that runs.
func (c *counting) PutAllocations(ctx context.Context, next []allocation.Allocation, dryRun bool) (store.Amendment, error) {
	return c.current().PutAllocations(ctx, next, dryRun)
}

// run counts until ctx ends.
func (c *counting) run(ctx context.Context) error {
	for {
		err := c.once(ctx)
		if !errors.Is(err, broker.ErrStuck) || ctx.Err() != nil {
			return err
		}
		c.log.ErrorContext(ctx, "the broker is started anew", slog.Any("error", err))
		if err := c.bus.Restart(ctx); err != nil {
			return err
		}
		if err := c.renew(); err != nil {
			return err
		}
	}
}

// once counts until ctx ends or the broker is stuck.
func (c *counting) once(ctx context.Context) error {
	counted, stop := context.WithCancelCause(ctx)
	var probing sync.WaitGroup
	probing.Go(func() { stop(c.probe(counted)) })
	err := c.current().Run(counted)
	stop(nil)
	probing.Wait()
	if cause := context.Cause(counted); err == nil && errors.Is(cause, broker.ErrStuck) {
		return cause
	}
	return err
}

// probe returns why the broker has to be started anew, nil when ctx ended.
func (c *counting) probe(ctx context.Context) error {
	tick := time.NewTicker(broker.ProbeEvery)
	defer tick.Stop()
	failed := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := c.bus.Probe(ctx)
		if err == nil || ctx.Err() != nil {
			failed = 0
			continue
		}
		failed++
		c.log.WarnContext(ctx, "broker", slog.Int("failed", failed), slog.Any("error", err))
		if _, outside := c.bus.(*broker.External); (!outside || broker.Lost(err)) && failed >= stuckAfter {
			return fmt.Errorf("%d probes in turn: %w", failed, err)
		}
	}
}
