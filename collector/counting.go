package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/ingest"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// bus is the broker that batches come over: the collector's own, or one outside.
type bus interface {
	Conn() *nats.Conn
	Recheck() error
	Probe(ctx context.Context) error
	Restart(ctx context.Context) error
	Close() error
}

// counting runs ingest, one for each partition of the hosts, tries the broker out,
// and starts all of it anew when the broker does not store any more.
type counting struct {
	bus   bus
	setup ingest.Config // Conn and Partition are filled in
	of    int           // partitions
	name  string        // of this collector, for people
	log   *slog.Logger

	beaten func() // if set, called after each beat

	mu    sync.Mutex
	now   []*ingest.Ingest // by partition
	wants []bool           // the partitions that this collector stands by for
}

// stuckAfter is how many times in turn the broker must fail before it is started
// anew.
const stuckAfter = 2

func newCounting(b bus, setup ingest.Config, of int, name string) (*counting, error) {
	c := &counting{bus: b, setup: setup, of: of, name: name, log: setup.Log, now: make([]*ingest.Ingest, of), wants: make([]bool, of)}
	return c, c.renew()
}

func (c *counting) renew() error {
	for no := range c.of {
		if _, err := c.begin(no); err != nil {
			return err
		}
	}
	return nil
}

// begin makes a new ingest of a partition.
func (c *counting) begin(no int) (*ingest.Ingest, error) {
	setup := c.setup
	setup.Conn, setup.Partition = c.bus.Conn(), ledger.Partition{No: no, Of: c.of}
	next, err := ingest.New(setup)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now[no] = next
	if c.of > 1 {
		next.Want(c.wants[no])
	}
	return next, nil
}

func (c *counting) current(no int) *ingest.Ingest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now[no]
}

// want says whether this collector stands by for a partition.
func (c *counting) want(no int, want bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wants[no] != want {
		c.wants[no] = want
		c.now[no].Want(want)
	}
}

// PutAllocations records allocations in the ingest that runs.
func (c *counting) PutAllocations(ctx context.Context, next []allocation.Allocation, dryRun bool) (store.Amendment, error) {
	return c.current(0).PutAllocations(ctx, next, dryRun)
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

// again is how long a shared partition waits that could not be counted.
const again = time.Second

// count counts what this collector counts of all partitions.
func (c *counting) count(ctx context.Context) error {
	if c.of == 1 {
		return c.current(0).Run(ctx)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.share(ctx) })
	for no := range c.of {
		group.Go(func() error {
			for in := c.current(no); ; {
				err := in.Run(ctx)
				// What is wrong may be over soon: the broker elects, the database comes back.
				if ctx.Err() != nil || err == nil || errors.Is(err, store.ErrReopen) || errors.Is(err, store.ErrDivided) {
					return err
				}
				c.log.LogAttrs(ctx, slog.LevelError, "a partition could not be counted", slog.Int("partition", no), slog.Any("error", err))
				select {
				case <-time.After(again):
				case <-ctx.Done():
					return nil
				}
				if in, err = c.begin(no); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// once counts until ctx ends or the broker is stuck.
func (c *counting) once(ctx context.Context) error {
	counted, stop := context.WithCancelCause(ctx)
	var probing sync.WaitGroup
	probing.Go(func() { stop(c.probe(counted)) })
	err := c.count(counted)
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
