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

	"golang.org/x/sync/errgroup"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/agent/internal/identity"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/agent/internal/uplink"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// courier is the way out of an agent: the outbox that seals and spools, and the
// uplink that ships what is spooled.
type courier struct {
	Outbox *outbox.Outbox
	uplink *uplink.Uplink
	leases *handover.Leases
	cfg    courierConfig
	host   string // "" for a fleet
}

// courierConfig says where batches go and how large they get.
type courierConfig struct {
	Data         string
	Endpoint     endpoint.Agents
	EndpointFile string // watched for new keys of an enrolled host
	Fleet        bool   // one process speaks for many hosts
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
	if cfg.Fleet && cfg.Endpoint.Identity != nil {
		return nil, errors.New("a replay speaks for many hosts: it needs the endpoint of a trial, not of an enrolled host")
	}
	key, err := identity.SigningKey(cfg.Endpoint, cfg.Data)
	if err != nil {
		return nil, err
	}
	keyFor := func(string) (ed25519.PrivateKey, error) { return key, nil }
	host := identity.HostID(cfg.Endpoint, key)
	chosen := host
	if cfg.Fleet {
		host, chosen = "", ""
		keyFor = func(name string) (ed25519.PrivateKey, error) {
			seed := sha256.Sum256(append(append([]byte("flopwatch/replay-host/v1\x00"), key.Seed()...), name...))
			return ed25519.NewKeyFromSeed(seed[:]), nil
		}
	}
	keep := spool.Options{} // a fleet that is replayed can be replayed again
	if !cfg.Fleet {
		keep = spool.Options{MaxBytes: spoolBytes, RetainBytes: spoolBytes / retainShare}
	}
	if cfg.Endpoint.Identity != nil {
		keep.FirstEpoch = cfg.Endpoint.Identity.Epoch
	}
	box, err := outbox.Open(filepath.Join(cfg.Data, "spool"), outbox.Options{
		KeyFor: keyFor, Host: chosen, AgentVersion: version.Version, BatchWindows: cfg.BatchWindows, BatchSpan: cfg.BatchSpan, Thin: !cfg.Fleet,
		Spool: keep,
	})
	if err != nil {
		return nil, err
	}
	leases := filepath.Join(cfg.Data, leasesName)
	var heed func([]byte)
	if cfg.Settings != "" {
		heed = takeSettings(cfg.Settings, cfg.Log)
	}
	options := uplink.Options{
		PerSecond:  perSecond(cfg.Fleet),
		OnLeases:   func(envelope []byte) error { return handover.Write(leases, envelope) },
		OnSettings: heed,
		URL:        cfg.Endpoint.URL, Host: host, CollectorKey: cfg.Endpoint.CollectorKey, Log: cfg.Log,
		// A collector that lost its data cannot take the rest of an epoch; the host
		// begins a new one, and what was given up is a gap that both sides show.
		OnLost: func(l spool.LostRange) {
			cfg.Log.Error("batches given up", slog.String("host", l.Host), slog.String("why", "the collector lost its data"))
			box.Renew(l.Host, l.To.Epoch)
		},
	}
	if err := connecting(&options, cfg.Endpoint, filepath.Join(cfg.Data, "counter"), cfg.Log); err != nil {
		return nil, errors.Join(err, box.Close())
	}
	up, err := uplink.New(box.Spool(), options)
	if err != nil {
		return nil, errors.Join(err, box.Close())
	}
	return &courier{Outbox: box, uplink: up, cfg: cfg, host: host, leases: handover.NewLeases(host, leases, leases, cfg.Endpoint.CollectorKey)}, nil
}

// connecting says with which key an uplink connects and, for an enrolled host,
// whom it trusts and which counter it shows.
func connecting(o *uplink.Options, e endpoint.Agents, counter string, log *slog.Logger) (err error) {
	if o.NATS, err = identity.Connection(e); err != nil || e.Identity == nil {
		return err
	}
	c, err := identity.OpenCounter(counter, e, log)
	if err != nil {
		return err
	}
	o.Show, o.OnCounter = c.Show, c.Take
	return nil
}

// rekey takes the keys that a rotation left in the endpoint.
func (c *courier) rekey(e endpoint.Agents) error {
	key, err := identity.SigningKey(e, c.cfg.Data)
	if err != nil {
		return err
	}
	options, err := identity.Connection(e)
	if err != nil {
		return err
	}
	c.Outbox.Rekey(c.host, key)
	c.uplink.Renew(options)
	return nil
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
	group.Go(func() error { return identity.Follow(shipping, c.cfg.EndpointFile, c.cfg.Endpoint, c.cfg.Log, c.rekey) })
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

// sendPerSecond is how fast a host empties its spool. The collector takes twice as
// much of one host.
const sendPerSecond = 50

// perSecond is without a limit for a fleet that is replayed.
func perSecond(fleet bool) float64 {
	if fleet {
		return 0
	}
	return sendPerSecond
}
