// Package ingest counts what agents send.
//
// One goroutine takes batches from the broker, checks who signed them and where
// they stand in their host's chain, and applies them to the ledger in memory.
// A few times a second it makes a checkpoint: one transaction with everything
// that changed, then acknowledgements to the broker, then signed receipts to
// the hosts. A batch that was killed on its way comes again, from the broker or
// from the host, and its position says whether it was counted.
package ingest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// ConsumerName is the durable consumer of the stream of batches.
const ConsumerName = "ledger"

// Config of an Ingest. Store, Conn, Key and Collector must be set.
type Config struct {
	Store     *store.Store
	Conn      *nats.Conn         // may use the stream and publish receipts; stays open
	Key       ed25519.PrivateKey // signs receipts
	Collector string             // names this collector in receipts
	Followers []store.Follower   // derive facts in the transaction of each checkpoint
	Log       *slog.Logger       // nil drops
	Now       func() time.Time   // time.Now if nil

	// Identify says which host signs with a key, and why not if none may. It is all
	// that says who sent a batch: what subject and batch say must agree with it.
	// nil takes the host id that follows from the key.
	Identify func(key ed25519.PublicKey) (host ledger.HostID, refused string)

	Interval   time.Duration // longest time from a batch to its checkpoint, 200 ms if 0
	MaxBatches int           // batches in one checkpoint, 2,048 if 0
	MaxBytes   int           // bytes of batches in one checkpoint, 32 MiB if 0
	MaxAhead   time.Duration // how far a window may end in the future, 5 min if 0, no limit if negative
	MaxAge     time.Duration // how long ago a window may end, no limit if 0
	Limit      bool          // how many batches a host may send, see rate.go
	// Flooded is told of a host that goes on sending more than it may; nil tells nobody.
	Flooded     func(host string)
	OrphanGrace time.Duration // wait for the batches before a new epoch, 10 s if 0
}

// Ingest counts batches. It runs once.
type Ingest struct {
	cfg      Config
	requests chan request
	ended    chan struct{} // closed when Run returns
}

// New returns an Ingest that Run starts. It fails when the config lacks a part.
func New(cfg Config) (*Ingest, error) {
	if cfg.Store == nil || cfg.Conn == nil || len(cfg.Key) != ed25519.PrivateKeySize || cfg.Collector == "" {
		return nil, errors.New("ingest: needs a store, a connection, a signing key and a collector name")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 200 * time.Millisecond
	}
	if cfg.MaxBatches <= 0 {
		cfg.MaxBatches = 2048
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 32 << 20
	}
	if cfg.MaxAhead == 0 {
		cfg.MaxAhead = 5 * time.Minute
	}
	if cfg.OrphanGrace <= 0 {
		cfg.OrphanGrace = 10 * time.Second
	}
	return &Ingest{cfg: cfg, requests: make(chan request), ended: make(chan struct{})}, nil
}

// byKey knows a host by the key that it first came with.
func byKey(key ed25519.PublicKey) (ledger.HostID, string) {
	return ledger.HostID(attest.HostID(key)), ""
}

// Run loads the ledger and counts batches until ctx ends; what was taken by
// then is committed. It returns nil at the end of ctx, and an error when a
// checkpoint fails or the broker goes away: the caller may make a new Ingest
// and run that, and nothing is lost or counted twice.
func (in *Ingest) Run(ctx context.Context) error {
	defer close(in.ended)
	book, err := in.cfg.Store.LoadLedger(ctx)
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	table, err := in.cfg.Store.LoadAllocations(ctx)
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	book.SetAllocations(table)
	all, err := in.cfg.Store.StandingAllocations(ctx)
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	// A consumer that is gone while it waits must not end the last checkpoint.
	r := &run{cfg: in.cfg, ctx: context.WithoutCancel(ctx), intake: newIntake(in.cfg, book), lessor: newLessor(in.cfg, allocation.NewLessor(all))}
	source, err := in.subscribe(ctx)
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	err = r.loop(ctx, source, in.requests)
	source.close()
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	return nil
}

// source hands over messages one by one; the bound on what waits is the
// consumer's, since the handler blocks.
type source struct {
	messages chan jetstream.Msg
	stop     chan struct{}
	consume  jetstream.ConsumeContext
}

func (in *Ingest) subscribe(ctx context.Context) (*source, error) {
	js, err := jetstream.New(in.cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, wire.StreamName, jetstream.ConsumerConfig{
		Durable:       ConsumerName,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second,
		MaxAckPending: 2 * in.cfg.MaxBatches,
	})
	if err != nil {
		return nil, fmt.Errorf("make consumer %s of %s: %w", ConsumerName, wire.StreamName, err)
	}
	s := &source{messages: make(chan jetstream.Msg, 64), stop: make(chan struct{})}
	s.consume, err = consumer.Consume(func(m jetstream.Msg) {
		select {
		case s.messages <- m:
		case <-s.stop:
		}
	}, jetstream.PullMaxMessagesWithBytesLimit(in.cfg.MaxBatches, in.cfg.MaxBytes),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			in.cfg.Log.WarnContext(ctx, "consume", slog.Any("error", err))
		}))
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", wire.StreamName, err)
	}
	return s, nil
}

func (s *source) close() {
	close(s.stop)
	s.consume.Stop()
	<-s.consume.Closed()
}

// run is the state of one Run.
type run struct {
	cfg    Config
	ctx    context.Context // without cancellation: a checkpoint is finished
	intake *intake
	lessor *lessor
	acks   []jetstream.Msg
	size   int
}

var errConsumerEnded = errors.New("the consumer ended (was the broker stopped?)")

func (r *run) loop(ctx context.Context, s *source, requests <-chan request) error {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var group []jetstream.Msg
	for {
		select {
		case <-ctx.Done():
			return r.checkpoint()
		case <-s.consume.Closed():
			return errors.Join(errConsumerEnded, r.checkpoint())
		case <-timer.C:
			if err := r.checkpoint(); err != nil {
				return err
			}
		case q := <-requests:
			timer.Stop()
			if err := r.allocate(q); err != nil {
				return err
			}
		case m := <-s.messages:
			if len(r.acks) == 0 {
				timer.Reset(r.cfg.Interval)
			}
			group = gather(append(group[:0], m), s.messages)
			r.take(group)
			clear(group)
			if len(r.acks) >= r.cfg.MaxBatches || r.size >= r.cfg.MaxBytes {
				timer.Stop()
				if err := r.checkpoint(); err != nil {
					return err
				}
			}
		}
	}
}

// gather adds the messages that wait already, so that they are verified side by
// side.
func gather(group []jetstream.Msg, messages <-chan jetstream.Msg) []jetstream.Msg {
	for len(group) < 64 {
		select {
		case m := <-messages:
			group = append(group, m)
		default:
			return group
		}
	}
	return group
}

func (r *run) take(group []jetstream.Msg) {
	letters := make([]letter, 0, len(group))
	now := r.cfg.Now()
	for _, m := range group {
		if subjectHost(m.Subject()) == wire.ProbeHost {
			continue // no host may send there: the collector tries its broker out
		}
		letters = append(letters, letter{subject: m.Subject(), envelope: m.Data()})
		r.size += len(m.Data())
	}
	r.intake.takeAll(letters, now)
	r.acks = append(r.acks, group...)
}

// checkpoint makes durable what was taken, and only then tells anyone.
func (r *run) checkpoint() error {
	if len(r.acks) == 0 {
		return nil
	}
	c, hosts := r.intake.drain()
	if !c.Changes.Empty() || len(c.Quarantine) > 0 {
		c.At = r.cfg.Now()
		if _, err := r.cfg.Store.Checkpoint(r.ctx, c, r.cfg.Followers...); err != nil {
			return err
		}
	}
	for _, m := range r.acks {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledge batch on %s: %w", m.Subject(), err)
		}
	}
	clear(r.acks)
	r.acks, r.size = r.acks[:0], 0
	return r.receipts(hosts)
}

// receipts tells each host how far its chain is counted and durable.
func (r *run) receipts(hosts []ledger.HostID) error {
	for _, host := range hosts {
		envelope, err := sealReceipt(r.cfg, host, r.intake.book.Position(host))
		if err != nil {
			return err
		}
		if err := r.cfg.Conn.Publish(wire.ReceiptSubject(string(host)), envelope); err != nil {
			return fmt.Errorf("send receipt to %s: %w", host, err)
		}
		if err := r.lessor.tell(r.ctx, host, r.intake.book.Name(host), r.intake.book.Position(host).Epoch, r.cfg.Now()); err != nil {
			return err
		}
	}
	return nil
}
