package ingest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
)

// RenewEvery is how often a lease is renewed under which nothing is counted.
const RenewEvery = time.Second

// pinHeader is where the broker says under which pin it sends a message.
const pinHeader = "Nats-Pin-Id"

var errUnwanted = errors.New("another collector is to count the partition")

// Want says whether the ingest stands by for its shared partition. It does not at
// first. When it is not wanted any more it commits what it has and lets go.
func (in *Ingest) Want(want bool) {
	for {
		select {
		case in.wanted <- want:
			return
		case <-in.wanted: // an older answer
		}
	}
}

// share stands by for the partition while that is wanted, and counts it while the
// broker sends of it.
func (in *Ingest) share(ctx context.Context, r *run) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case want := <-in.wanted:
			if !want {
				continue
			}
		}
		source, err := in.subscribe(ctx)
		if ctx.Err() != nil && source == nil {
			return nil
		}
		if err != nil {
			return err
		}
		err = r.loop(ctx, source, nil, in.wanted)
		source.close()
		letGo := r.release(source)
		if err = errors.Join(err, letGo); err != nil && !errors.Is(err, errUnwanted) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// begin takes the partition and loads it: what anyone counted before is there, and
// nobody else's checkpoint comes after.
func (r *run) begin() error {
	began := time.Now()
	lease, err := r.cfg.Store.Take(r.ctx, r.cfg.Partition, r.cfg.Owner)
	if err != nil {
		return err
	}
	r.lease, r.lostPin = lease, ""
	if err := r.load(); err != nil {
		return err
	}
	if r.cfg.shared() {
		r.cfg.Log.LogAttrs(r.ctx, slog.LevelInfo, "partition taken", slog.Int("partition", r.cfg.Partition.No), slog.Int64("fence", lease.Fence),
			slog.Duration("loaded in", time.Since(began)))
	}
	return nil
}

// load begins anew with what is stored.
func (r *run) load() error {
	p, lease, err := r.cfg.Store.LoadPartition(r.ctx, r.lease)
	if err != nil {
		return err
	}
	next := newIntake(r.cfg, p.Ledger)
	if r.intake != nil {
		next.buckets = r.intake.buckets
	}
	r.lease, r.intake, r.lessor, r.renewed = lease, next, newLessor(r.cfg, allocation.NewLessor(p.Standing)), time.Now()
	return nil
}

// commit makes durable what was taken and returns whom to tell. What was counted by
// allocations that are not those of the database any more is counted again. With
// whole the rows of all hosts are written.
func (r *run) commit(whole bool) ([]addressee, error) {
	for {
		// Who takes a partition over looks whether hosts stand where their rows say.
		c, hosts := r.intake.drain(whole || r.cfg.shared())
		if c.Changes.Empty() && len(c.Quarantine) == 0 {
			return hosts, nil
		}
		c.At, c.Lease = r.cfg.Now(), r.lease
		_, err := r.cfg.Store.Checkpoint(r.ctx, c, r.cfg.Followers...)
		if !errors.Is(err, store.ErrStale) {
			if err == nil {
				r.intake.book.Reuse(c.Changes)
			}
			r.renewed = time.Now()
			return hosts, err
		}
		if err := r.load(); err != nil {
			return nil, err
		}
		again := r.acks
		r.acks, r.size = nil, 0
		r.take(again)
	}
}

// renew keeps a shared lease that nothing is counted under.
func (r *run) renew() error {
	if !r.cfg.shared() || r.intake == nil || time.Since(r.renewed) < RenewEvery {
		return nil
	}
	err := r.cfg.Store.Renew(r.ctx, r.lease)
	if errors.Is(err, store.ErrLost) {
		r.drop(err)
		return nil
	}
	r.renewed = time.Now()
	return err
}

// drop forgets what another collector counts now, and gives back to the broker what
// is for that one.
func (r *run) drop(why error) {
	r.cfg.Log.LogAttrs(r.ctx, slog.LevelWarn, "partition lost", slog.Int("partition", r.cfg.Partition.No), slog.Int64("fence", r.lease.Fence), slog.String("reason", why.Error()))
	for _, m := range r.acks {
		if pin := m.Headers().Get(pinHeader); pin != "" {
			r.lostPin, r.lostAt = pin, time.Now()
		}
	}
	r.giveBack(r.acks)
	r.forget()
}

func (r *run) forget() {
	clear(r.acks)
	r.acks, r.size, r.intake, r.lessor, r.lease = r.acks[:0], 0, nil, nil, store.Lease{}
}

// late reports whether a message was sent to this collector before it lost the
// partition: it says nothing of who is to count now. One that comes under the same pin
// when the broker would have given that up is no late one: it sends to us still, and
// whoever took the partition did so with a message of a pin that was over.
func (r *run) late(m jetstream.Msg) bool {
	return r.lostPin != "" && m.Headers().Get(pinHeader) == r.lostPin && time.Since(r.lostAt) < pinnedFor
}

// giveBack lets the broker send messages again. What it does not hear comes again
// when its wait for an answer is over, and from the host.
func (r *run) giveBack(messages []jetstream.Msg) {
	for _, m := range messages {
		_ = m.Nak()
	}
}

// release lets go of a partition that another collector is to count.
func (r *run) release(s *source) error {
	if r.intake == nil {
		return nil
	}
	lease := r.lease
	r.giveBack(r.acks) // after a checkpoint that failed
	r.forget()
	if err := r.cfg.Store.Release(r.ctx, lease); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(r.ctx, pinnedFor)
	defer cancel()
	if err := s.unpin(bounded); err != nil {
		r.cfg.Log.LogAttrs(r.ctx, slog.LevelInfo, "the broker will find out by itself that the partition is free", slog.Int("partition", r.cfg.Partition.No), slog.Any("error", err))
	}
	return nil
}
