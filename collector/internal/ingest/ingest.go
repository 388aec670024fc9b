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
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Config of an Ingest. Store, Conn, Key and Collector must be set.
type Config struct {
	Store     *store.Store
	Conn      *nats.Conn         // may use the stream and publish receipts; stays open
	Key       ed25519.PrivateKey // signs receipts
	Collector string             // names this collector in receipts
	Followers []store.Follower   // derive facts in the transaction of each checkpoint
	Log       *slog.Logger       // nil drops
	Now       func() time.Time   // time.Now if nil

	// Partition is which hosts are counted; the zero value is all of them, by one
	// collector. Of more than one, several collectors stand by for each, and the
	// broker says which of them counts (see shared).
	Partition ledger.Partition
	Owner     string // names this process in leases, Collector and a random word if ""

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
	Flooded func(host string)
	// Carry says how long the rows of a host may stay behind what was counted, by the
	// number of devices in the ledger; Carry of this package if nil.
	Carry       func(devices int64) time.Duration
	OrphanGrace time.Duration // wait for the batches before a new epoch, 10 s if 0
}

// Ingest counts batches. It runs once.
type Ingest struct {
	cfg      Config
	requests chan request
	wanted   chan bool     // newest answer to whether it stands by for a shared partition
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
	if cfg.shared() { // what waits of all partitions is to be bounded too
		cfg.MaxBatches, cfg.MaxBytes = max(64, cfg.MaxBatches/cfg.Partition.Of), max(4*maxEnvelope, cfg.MaxBytes/cfg.Partition.Of)
	}
	if cfg.Carry == nil {
		cfg.Carry = Carry
	}
	if cfg.OrphanGrace <= 0 {
		cfg.OrphanGrace = 10 * time.Second
	}
	if cfg.Partition.Of == 0 {
		cfg.Partition.Of = 1
	}
	if cfg.Owner == "" {
		cfg.Owner = cfg.Collector + "-" + rand.Text()
	}
	return &Ingest{cfg: cfg, requests: make(chan request), wanted: make(chan bool, 1), ended: make(chan struct{})}, nil
}

// shared reports whether other collectors may count the partition.
func (c *Config) shared() bool { return c.Partition.Of > 1 }

// Devices up to which the rows of each checkpoint are written at once, and how many
// devices' rows are written a second in a larger fleet.
const (
	carryAbove     = 150_000
	rowsEachSecond = 5_000
	carryLeast     = time.Minute
	carryMost      = 200 * time.Second // a host counts as reporting when its row is of the last five minutes
)

// Carry is how long the rows of a host may stay behind what was counted of it: not at
// all in a fleet of up to 150,000 devices, so that runs and findings follow within
// moments, and in a larger one as long as it takes to write the rows of all devices
// at a steady pace, within bounds.
func Carry(devices int64) time.Duration {
	if devices <= carryAbove {
		return 0
	}
	return min(carryMost, max(carryLeast, time.Duration(devices)*time.Second/rowsEachSecond))
}

// byKey knows a host by the key that it first came with.
func byKey(key ed25519.PublicKey) (ledger.HostID, string) {
	return ledger.HostID(attest.HostID(key)), ""
}

// Run counts batches until ctx ends; what was taken by then is committed. It
// returns nil at the end of ctx, and an error when a checkpoint fails or the
// broker goes away: the caller may make a new Ingest and run that, and nothing is
// lost or counted twice. Of a shared partition that another collector took it drops
// what it holds and stands by again.
func (in *Ingest) Run(ctx context.Context) error {
	defer close(in.ended)
	// A consumer that is gone while it waits must not end the last checkpoint.
	r := &run{cfg: in.cfg, ctx: context.WithoutCancel(ctx)}
	var err error
	if in.cfg.shared() {
		err = in.share(ctx, r)
	} else {
		err = in.keep(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	return nil
}

// keep counts what no other collector counts.
func (in *Ingest) keep(ctx context.Context, r *run) error {
	// Whoever had it before, in a process that is gone or in this one, may not go on.
	if _, err := in.cfg.Store.Divide(ctx, 1, 1); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	source, err := in.subscribe(ctx)
	if err != nil {
		return err
	}
	err = r.loop(ctx, source, in.requests, nil)
	source.close()
	return err
}

// run is the state of one Run.
type run struct {
	cfg    Config
	ctx    context.Context // without cancellation: a checkpoint is finished
	lease  store.Lease
	intake *intake // nil while another collector counts the partition
	lessor *lessor
	acks   []jetstream.Msg
	size   int
	pace   int // batches in the last checkpoint

	lostPin string    // under which the broker sent what came before the partition was lost
	lostAt  time.Time // when that was
	renewed time.Time // the lease, or a checkpoint under it
}

var errConsumerEnded = errors.New("the consumer ended (was the broker stopped?)")

// loop counts until ctx ends or it is not wanted any more.
func (r *run) loop(ctx context.Context, s *source, requests <-chan request, wanted <-chan bool) error {
	renew := time.NewTicker(RenewEvery)
	defer renew.Stop()
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	settle := time.NewTicker(carryLeast / 4)
	defer settle.Stop()
	var group []jetstream.Msg
	for {
		select {
		case <-ctx.Done():
			return r.checkpoint(true)
		case want := <-wanted:
			if !want {
				timer.Stop()
				if err := r.checkpoint(true); err != nil {
					return err
				}
				return errUnwanted
			}
		case <-renew.C:
			if err := r.renew(); err != nil {
				return err
			}
		case <-s.consume.Closed():
			return errors.Join(errConsumerEnded, r.checkpoint(true))
		case <-timer.C:
			if err := r.checkpoint(false); err != nil {
				return err
			}
		case <-settle.C:
			// Hosts that fell silent settle too.
			if r.behind() {
				if err := r.checkpoint(false); err != nil {
					return err
				}
			}
		case q := <-requests:
			timer.Stop()
			if err := r.allocate(q); err != nil {
				return err
			}
		case m := <-s.messages:
			group = r.gather(append(group[:0], m), s.messages)
			if r.intake == nil {
				if r.late(m) {
					r.giveBack(group)
					clear(group)
					continue
				}
				if err := r.begin(); err != nil {
					return err
				}
			}
			if len(r.acks) == 0 {
				timer.Reset(r.cfg.Interval)
			}
			r.take(group)
			clear(group)
			if len(r.acks) >= r.cfg.MaxBatches || r.size >= r.cfg.MaxBytes {
				timer.Stop()
				if err := r.checkpoint(false); err != nil {
					return err
				}
			}
		}
	}
}

// Bounds of what is opened together. Where batches come fast, which they do when so
// many came since the last checkpoint or for that one, the rest of a group is waited
// for: checkpoints wait longer, and the more signatures verify together, the less time
// each takes, a quarter of it alone.
const (
	groupMost   = 1024
	groupBytes  = 4 << 20
	groupBusy   = 64
	groupLinger = 100 * time.Millisecond
	groupMany   = 4 * groupBusy
	groupLong   = 250 * time.Millisecond // instead, where there are so many
)

// gather adds the messages that wait already, so that they are opened together, and
// those that come soon.
func (r *run) gather(group []jetstream.Msg, messages <-chan jetstream.Msg) []jetstream.Msg {
	size := len(group[0].Data())
	var over <-chan time.Time
	most := min(groupMost, r.cfg.MaxBatches-len(r.acks)) // a checkpoint waits for no more
	for len(group) < most && size < groupBytes {
		select {
		case m := <-messages:
			group, size = append(group, m), size+len(m.Data())
			continue
		default:
		}
		if over == nil {
			switch pace := max(len(r.acks), r.pace); {
			case pace < groupBusy:
				return group
			case pace < groupMany:
				over = time.After(groupLinger)
			default:
				over = time.After(groupLong)
			}
		}
		select {
		case m := <-messages:
			group, size = append(group, m), size+len(m.Data())
		case <-over:
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

// behind reports whether rows of some host are behind what was counted.
func (r *run) behind() bool { return r.intake != nil && r.intake.book.Behind() }

// checkpoint makes durable what was taken, and only then tells anyone. With whole the
// rows of all hosts are written.
func (r *run) checkpoint(whole bool) error {
	if len(r.acks) == 0 && !r.behind() {
		return nil
	}
	hosts, err := r.commit(whole)
	if r.cfg.shared() && errors.Is(err, store.ErrLost) {
		r.drop(err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, m := range r.acks {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledge batch on %s: %w", m.Subject(), err)
		}
	}
	r.pace = len(r.acks)
	clear(r.acks)
	r.acks, r.size = r.acks[:0], 0
	return r.receipts(hosts)
}
