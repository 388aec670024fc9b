package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/agent/internal/identity"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/agent/internal/tuning"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// retainShare is the part of the spool's bound that receipted batches may keep,
// so that a collector that was restored from a backup can be served again.
const retainShare = 2

// spoolBytes is the bound of a host's spool: at 138 MB a day for 8 GPUs before
// compression, three days and more.
const spoolBytes = 512 << 20

// sampleCommand reads this host's devices and writes the spool.
type sampleCommand struct {
	sampling
	Receipt string `help:"File in which ship keeps the newest receipt." default:"data/ship/receipt" type:"path"`
	Check   bool   `help:"Try what a start needs, beside a sampler that runs, say so and end. Upgrades ask this before they end the version before."`
}

// Run samples until it is interrupted, then seals and syncs what it holds.
func (c sampleCommand) Run(ctx context.Context, s cli.Streams) error {
	beQuiet()
	if c.Check {
		return c.check(ctx, s)
	}
	from, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	target, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	out, err := openShelf(shelfConfig{Data: c.Data, Receipt: c.Receipt, Endpoint: target, EndpointFile: c.Endpoint, Span: c.Window, Log: s.Logger()})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	// The shipper writes both files into one folder.
	tune, err := tuning.Open(c.Data, filepath.Join(filepath.Dir(c.Receipt), settingsName), out.host, target.CollectorKey)
	if err != nil {
		return errors.Join(err, out.keeper.Close(), out.box.Close(), from.Close())
	}
	return c.sample(ctx, s, from, out, tune)
}

// shelf is the way out of a sampler: the outbox that seals and spools, and the
// keeper that makes room by receipts.
type shelf struct {
	box    *outbox.Outbox
	keeper *handover.Keeper
	leases *handover.Leases
	host   string
	cfg    shelfConfig
}

// shelfConfig says where a sampler keeps batches and who it is.
type shelfConfig struct {
	Data, Receipt string
	Endpoint      endpoint.Agents
	EndpointFile  string // watched for new keys of an enrolled host
	Span          time.Duration
	Log           *slog.Logger
}

func openShelf(cfg shelfConfig) (*shelf, error) {
	// The group is the shipper, which reads the spool; the key is for the owner.
	if err := os.MkdirAll(cfg.Data, 0o750); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	key, err := identity.SigningKey(cfg.Endpoint, cfg.Data)
	if err != nil {
		return nil, err
	}
	host := identity.HostID(cfg.Endpoint, key)
	keep := spool.Options{MaxBytes: spoolBytes, RetainBytes: spoolBytes / retainShare, Shared: host}
	if cfg.Endpoint.Identity != nil {
		keep.FirstEpoch = cfg.Endpoint.Identity.Epoch
	}
	box, err := outbox.Open(filepath.Join(cfg.Data, "spool"), outbox.Options{
		KeyFor: func(string) (ed25519.PrivateKey, error) { return key, nil }, Host: host,
		AgentVersion: version.Version, BatchSpan: cfg.Span, Thin: true, Spool: keep,
	})
	if err != nil {
		return nil, err
	}
	keeper, err := handover.NewKeeper(box.Spool(), host, cfg.Receipt, cfg.Endpoint.CollectorKey)
	if err != nil {
		return nil, errors.Join(err, box.Close())
	}
	leases := handover.NewLeases(host, filepath.Join(filepath.Dir(cfg.Receipt), leasesName), filepath.Join(cfg.Data, leasesName), cfg.Endpoint.CollectorKey)
	return &shelf{box: box, keeper: keeper, leases: leases, host: host, cfg: cfg}, nil
}

func (s *shelf) outgoing() *outbox.Outbox { return s.box }

// Leases takes what the shipper hands over.
func (s *shelf) Leases() *handover.Leases { return s.leases }

// Waiting is not known here: the shipper does not say what it has sent.
func (s *shelf) Waiting() int { return -1 }

// receiptEvery is how often the sampler looks for a receipt. Nothing waits for
// it but room in the spool, and each look wakes the processor.
const receiptEvery = 5 * time.Second

// Run takes receipts while work fills the outbox. Nothing is waited for at the
// end: the shipper goes on by itself.
func (s *shelf) Run(ctx context.Context, _ time.Duration, work func(context.Context) error) error {
	group, working := errgroup.WithContext(ctx)
	following, unfollow := context.WithCancel(working)
	defer unfollow()
	ended := make(chan struct{})
	group.Go(func() error {
		defer unfollow()
		defer close(ended)
		return work(working)
	})
	group.Go(func() error { return s.receipts(working, ended) })
	group.Go(func() error {
		return identity.Follow(following, s.cfg.EndpointFile, s.cfg.Endpoint, s.cfg.Log, s.rekey)
	})
	return errors.Join(group.Wait(), s.keeper.Close(), s.box.Close())
}

// rekey takes the signing key that a rotation left in the endpoint.
func (s *shelf) rekey(e endpoint.Agents) error {
	key, err := identity.SigningKey(e, s.cfg.Data)
	if err != nil {
		return err
	}
	s.box.Rekey(s.host, key)
	return nil
}

func (s *shelf) receipts(ctx context.Context, ended <-chan struct{}) error {
	tick := time.NewTicker(receiptEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-tick.C:
		}
		loss, err := s.keeper.Poll()
		if errors.Is(err, handover.ErrRefused) {
			s.cfg.Log.ErrorContext(ctx, "what the shipper handed over releases nothing", slog.Any("error", err))
		} else if err != nil {
			return err
		}
		if loss == nil {
			continue
		}
		// The collector can not take the rest of an epoch whose beginning is gone;
		// the host begins a new one, and the gap shows on both sides.
		s.cfg.Log.ErrorContext(ctx, "the collector asks for batches that the spool no longer has",
			slog.Uint64("after_epoch", loss.From.Epoch), slog.Uint64("after_seq", loss.From.Seq),
			slog.Uint64("oldest_epoch", loss.To.Epoch), slog.Uint64("oldest_seq", loss.To.Seq))
		head, _ := s.box.Spool().Head(s.host)
		s.box.Renew(s.host, head.Last.Epoch)
	}
}
