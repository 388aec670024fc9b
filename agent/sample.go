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
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/agent/internal/tuning"
	"github.com/flopwatch/flopwatch/pkg/attest"
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
}

// Run samples until it is interrupted, then seals and syncs what it holds.
func (c sampleCommand) Run(ctx context.Context, s cli.Streams) error {
	from, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	target, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	out, err := openShelf(c.Data, c.Receipt, target.CollectorKey, c.Window, s.Logger())
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
	log    *slog.Logger
}

func openShelf(data, receipt string, collector ed25519.PublicKey, span time.Duration, log *slog.Logger) (*shelf, error) {
	// The group is the shipper, which reads the spool; the key is for the owner.
	if err := os.MkdirAll(data, 0o750); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	key, err := attest.LoadOrCreateKey(filepath.Join(data, "host.key"))
	if err != nil {
		return nil, err
	}
	host := attest.HostID(key.Public().(ed25519.PublicKey))
	box, err := outbox.Open(filepath.Join(data, "spool"), outbox.Options{
		KeyFor:       func(string) (ed25519.PrivateKey, error) { return key, nil },
		AgentVersion: version.Version, BatchSpan: span,
		Spool: spool.Options{MaxBytes: spoolBytes, RetainBytes: spoolBytes / retainShare, Shared: host},
	})
	if err != nil {
		return nil, err
	}
	keeper, err := handover.NewKeeper(box.Spool(), host, receipt, collector)
	if err != nil {
		return nil, errors.Join(err, box.Close())
	}
	leases := handover.NewLeases(host, filepath.Join(filepath.Dir(receipt), leasesName), filepath.Join(data, leasesName), collector)
	return &shelf{box: box, keeper: keeper, leases: leases, host: host, log: log}, nil
}

func (s *shelf) outgoing() *outbox.Outbox { return s.box }

// Leases takes what the shipper hands over.
func (s *shelf) Leases() *handover.Leases { return s.leases }

// Waiting is not known here: the shipper does not say what it has sent.
func (s *shelf) Waiting() int { return -1 }

// receiptEvery is how often the sampler looks for a receipt.
const receiptEvery = time.Second

// Run takes receipts while work fills the outbox. Nothing is waited for at the
// end: the shipper goes on by itself.
func (s *shelf) Run(ctx context.Context, _ time.Duration, work func(context.Context) error) error {
	group, working := errgroup.WithContext(ctx)
	ended := make(chan struct{})
	group.Go(func() error {
		defer close(ended)
		return work(working)
	})
	group.Go(func() error { return s.receipts(working, ended) })
	return errors.Join(group.Wait(), s.keeper.Close(), s.box.Close())
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
			s.log.ErrorContext(ctx, "what the shipper handed over releases nothing", slog.Any("error", err))
		} else if err != nil {
			return err
		}
		if loss == nil {
			continue
		}
		// The collector can not take the rest of an epoch whose beginning is gone;
		// the host begins a new one, and the gap shows on both sides.
		s.log.ErrorContext(ctx, "the collector asks for batches that the spool no longer has",
			slog.Uint64("after_epoch", loss.From.Epoch), slog.Uint64("after_seq", loss.From.Seq),
			slog.Uint64("oldest_epoch", loss.To.Epoch), slog.Uint64("oldest_seq", loss.To.Seq))
		head, _ := s.box.Spool().Head(s.host)
		s.box.Renew(s.host, head.Last.Epoch)
	}
}
