// Package uplink ships the synced batches of a spool to the collector over NATS
// and lets go of them when the collector's signed receipts say that they are
// committed.
//
// The broker may lose, repeat or delay everything. The collector accepts the
// batches of a host only in order without a hole, and answers with the last one
// that it committed, also when it did not accept a batch. So the uplink sends in
// order, and where receipts stop it sends again from the oldest batch without
// one (go-back-N). It does not begin an epoch of a host before the epoch before
// is receipted as a whole: the collector would take the new epoch and never
// again look at the old one.
package uplink

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
)

// Errors that end Run. Each needs a person: carrying on would hide it.
var (
	// ErrForeignReceipt means that the collector confirmed a batch that this spool
	// did not produce: a copied key, a restored machine image or a forgery.
	ErrForeignReceipt = errors.New("receipt for a batch that this spool did not produce")
	// ErrBehindSpool means that the collector lacks batches which are not in the
	// spool any more, as after a restore of an old backup.
	ErrBehindSpool = errors.New("collector asks for batches that the spool no longer has")
	// ErrRefused means that the broker does not let this host publish or listen.
	ErrRefused = errors.New("broker refuses permission")
	// ErrStopped is returned by Drain when Run is over before all is receipted.
	ErrStopped = errors.New("uplink stopped before all batches were receipted")
)

// Options of an uplink. URL is required; zero values of the others take the
// defaults.
type Options struct {
	URL  string
	NATS []nats.Option // credentials, TLS
	// Host limits receipts to one host. Empty means every host of the spool, the
	// case of a replay, which needs the right to subscribe to receipt.*.
	Host string
	// CollectorKey verifies receipts. Without it the key of the first receipt for
	// a batch of this spool is trusted and kept in collector.pub of the spool's
	// folder: as good as the broker's own access control, and no better.
	CollectorKey ed25519.PublicKey
	// WindowBytes and WindowBatches bound what is sent and not receipted: 32 MiB
	// and 4,096.
	WindowBytes   int64
	WindowBatches int
	// PerSecond is how many batches are sent a second once Burst were sent at once, so
	// that a host that empties its spool leaves room for others. 0 is no limit.
	PerSecond float64
	Burst     int // default 600
	// RetryAfter without a receipt sends a host's batches again, default 3 s. The
	// wait doubles up to 20 times as long while nothing comes.
	RetryAfter time.Duration
	// OnLost hears of batches that are given up because the collector lacks what
	// comes before them and the spool no longer has it. It should make the host
	// begin a new epoch, and record the loss. Without it Run ends with
	// ErrBehindSpool instead. It is called by Run and must not wait for it.
	OnLost func(spool.LostRange)
	// Show returns what goes into the token of the next connection: the counter by
	// which an enrolled host is told from a copy. nil shows nothing.
	Show func() string
	// OnCounter hears the signed counter that is to be shown at the connection
	// after this one.
	OnCounter func(signed []byte)
	// OnReceipt hears the signed bytes of each receipt that moved a host on or
	// back. An error ends Run.
	OnReceipt func(envelope []byte) error
	// OnLeases hears the signed bytes of the leases of Host, unverified. An error is
	// logged: leases are sent again.
	OnLeases func(envelope []byte) error
	// OnSettings hears what the collector tells the host of its settings, as it was
	// signed; only with Host. It is called by the connection and must not wait.
	OnSettings func(envelope []byte)
	Log        *slog.Logger // default: nothing is logged
}

// Stats are counts since the uplink was made.
type Stats struct {
	Sent, Resent     uint64 // batches
	SentBytes        uint64
	Receipts         uint64 // verified
	RefusedReceipts  uint64 // damaged, or signed by another key
	Rewinds          uint64 // receipts that went back
	LostBatches      uint64 // given up, see Options.OnLost
	Reconnects       uint64
	Waiting          int   // batches read from the spool and not receipted
	WaitingBytes     int64 // their envelopes
	ConnectedToURL   string
	CollectorPinned  bool
	LastReceiptUnixS int64 // 0 if none came
}

// Store is what an uplink ships from: a spool of this process, or a follower of
// another process's.
type Store interface {
	Dir() string
	Heads() map[string]spool.Head
	Head(host string) (spool.Head, bool)
	Cursor() *spool.Cursor
	// Wake holds a value after more became readable.
	Wake() <-chan struct{}
	// Instance changes when positions that cursors gave lose their meaning.
	Instance() uint64
	// Receipted records how far the collector is, Rewind that it went back.
	Receipted(host string, m spool.Mark)
	Rewind(host string, m spool.Mark)
	// Release says that what starts before p is receipted.
	Release(p spool.Position) error
}

// Uplink ships one spool. Run may be called once.
type Uplink struct {
	spool Store
	opt   Options
	trust *trust

	receipts chan signedReceipt
	events   chan event
	drains   chan drain
	renewals chan []nats.Option
	ended    chan struct{}

	mu    sync.Mutex
	stats Stats
}

// event is what the broker connection tells the loop.
type event struct {
	kind eventKind
	err  error
}

type eventKind int

const (
	connected eventKind = iota
	refused
)

type drain struct{ done chan struct{} }

// New returns an uplink. It reads collector.pub if there is no CollectorKey, and
// starts nothing.
func New(s Store, o Options) (*Uplink, error) {
	if o.URL == "" {
		return nil, errors.New("uplink: no broker URL")
	}
	if o.WindowBytes <= 0 {
		o.WindowBytes = 32 << 20
	}
	if o.WindowBatches <= 0 {
		o.WindowBatches = 4096
	}
	if o.Burst <= 0 {
		o.Burst = 600
	}
	if o.RetryAfter <= 0 {
		o.RetryAfter = 3 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t, err := newTrust(s.Dir(), o.CollectorKey)
	if err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	return &Uplink{
		spool: s, opt: o, trust: t,
		receipts: make(chan signedReceipt, 1024), events: make(chan event, 16),
		drains: make(chan drain), renewals: make(chan []nats.Option, 1), ended: make(chan struct{}),
	}, nil
}

// Stats returns the counts.
func (u *Uplink) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stats
}

func (u *Uplink) count(change func(*Stats)) {
	u.mu.Lock()
	change(&u.stats)
	u.mu.Unlock()
}

// Drain waits until every batch that is synced is receipted. It returns
// ErrStopped if Run ends first, and the context's error.
func (u *Uplink) Drain(ctx context.Context) error {
	d := drain{make(chan struct{})}
	select {
	case u.drains <- d:
	case <-u.ended:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("drain uplink: %w", ctx.Err())
	}
	select {
	case <-d.done:
		return nil
	case <-u.ended:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("drain uplink: %w", ctx.Err())
	}
}

// Renew lets the uplink connect anew with other options in place of Options.NATS,
// as when the host has new keys. It does not wait for it.
func (u *Uplink) Renew(options []nats.Option) {
	for {
		select {
		case u.renewals <- options:
			return
		case <-u.renewals: // an older one that was not taken yet
		}
	}
}

// Run connects and ships until the context ends, which is no error, or until
// something happens that a person must look at. A broker that is away is waited
// for.
func (u *Uplink) Run(ctx context.Context) error {
	defer close(u.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	line, err := u.connect(ctx)
	if err != nil {
		return err
	}
	sh := newShipper(u, line)
	defer func() {
		cancel() // lets callbacks go that wait for the loop
		sh.line.end()
		if err := sh.close(); err != nil {
			u.opt.Log.WarnContext(ctx, "spool segment was not closed", slog.Any("err", err))
		}
	}()
	return sh.loop(ctx)
}
