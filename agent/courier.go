package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/agent/internal/uplink"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// courier is the way out of an agent: the outbox that seals and spools, and the
// uplink that ships what is spooled.
type courier struct {
	Outbox *outbox.Outbox
	host   string // "" for a fleet
	uplink *uplink.Uplink
	leases *handover.Leases
}

// courierConfig says where batches go and how large they get.
type courierConfig struct {
	Data         string
	Endpoint     endpoint.Agents
	Fleet        bool // one process speaks for many hosts
	BatchWindows int
	BatchSpan    time.Duration
	Settings     string // file for what the collector tells of settings; none if empty
	Log          *slog.Logger
}

// openCourier opens the spool and makes the uplink. Every host has a key of its
// own: a single host its file, the hosts of a fleet keys derived from that file's
// key and their names, so that a replay that starts again is the same hosts.
func openCourier(cfg courierConfig) (*courier, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	key, err := attest.LoadOrCreateKey(filepath.Join(cfg.Data, "host.key"))
	if err != nil {
		return nil, err
	}
	keyFor := func(string) (ed25519.PrivateKey, error) { return key, nil }
	host := attest.HostID(key.Public().(ed25519.PublicKey))
	if cfg.Fleet {
		host = ""
		keyFor = func(name string) (ed25519.PrivateKey, error) {
			seed := sha256.Sum256(append(append([]byte("flopwatch/replay-host/v1\x00"), key.Seed()...), name...))
			return ed25519.NewKeyFromSeed(seed[:]), nil
		}
	}
	keep := spool.Options{} // a fleet that is replayed can be replayed again
	if !cfg.Fleet {
		keep = spool.Options{MaxBytes: spoolBytes, RetainBytes: spoolBytes / retainShare}
	}
	box, err := outbox.Open(filepath.Join(cfg.Data, "spool"), outbox.Options{
		KeyFor: keyFor, AgentVersion: version.Version, BatchWindows: cfg.BatchWindows, BatchSpan: cfg.BatchSpan,
		Spool: keep,
	})
	if err != nil {
		return nil, err
	}
	seed, err := nats.NkeyOptionFromSeed(cfg.Endpoint.SeedFile)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read broker key %s: %w", cfg.Endpoint.SeedFile, err), box.Close())
	}
	leases := filepath.Join(cfg.Data, leasesName)
	var heed func([]byte)
	if cfg.Settings != "" {
		heed = takeSettings(cfg.Settings, cfg.Log)
	}
	up, err := uplink.New(box.Spool(), uplink.Options{
		OnLeases:   func(envelope []byte) error { return handover.Write(leases, envelope) },
		OnSettings: heed,
		URL:        cfg.Endpoint.URL, NATS: []nats.Option{seed}, Host: host, CollectorKey: cfg.Endpoint.CollectorKey, Log: cfg.Log,
		// A collector that lost its data cannot take the rest of an epoch; the host
		// begins a new one, and what was given up is a gap that both sides show.
		OnLost: func(l spool.LostRange) {
			cfg.Log.Error("batches given up", slog.String("host", l.Host), slog.String("why", "the collector lost its data"))
			box.Renew(l.Host, l.To.Epoch)
		},
	})
	if err != nil {
		return nil, errors.Join(err, box.Close())
	}
	return &courier{Outbox: box, host: host, uplink: up, leases: handover.NewLeases(host, leases, leases, cfg.Endpoint.CollectorKey)}, nil
}

// Run ships while work fills the outbox, then waits up to drain until all is
// receipted, and closes the outbox. What is not receipted stays in the spool for
// the next start. A drain of 0 waits until ctx ends.
func (c *courier) Run(ctx context.Context, drain time.Duration, work func(context.Context) error) error {
	shipping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group errgroup.Group
	working, cancelWork := context.WithCancel(ctx)
	defer cancelWork()
	group.Go(func() error {
		// An uplink that gives up ends the work: nobody would make room in the spool.
		defer cancelWork()
		return c.uplink.Run(shipping)
	})
	group.Go(func() error {
		defer stop()
		err := work(working)
		if syncErr := c.Outbox.Sync(shipping); syncErr != nil {
			return errors.Join(err, syncErr)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		draining, cancel := ctx, context.CancelFunc(func() {})
		if drain > 0 {
			draining, cancel = context.WithTimeout(context.WithoutCancel(ctx), drain)
		}
		defer cancel()
		if drainErr := c.uplink.Drain(draining); drainErr != nil && draining.Err() == nil {
			return errors.Join(err, drainErr)
		}
		return err
	})
	err := group.Wait()
	return errors.Join(err, c.Outbox.Close())
}

// Leases takes what the uplink hears.
func (c *courier) Leases() *handover.Leases { return c.leases }

func (c *courier) outgoing() *outbox.Outbox { return c.Outbox }

// Waiting returns the number of batches that are spooled and not receipted.
func (c *courier) Waiting() int { return c.uplink.Stats().Waiting }
