package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/agent/internal/identity"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/agent/internal/uplink"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/systemd"
)

// shipCommand sends the spool that sample writes.
type shipCommand struct {
	Endpoint string `help:"File that says where the collector is." default:"data/agent.json" type:"path"`
	Spool    string `help:"Folder of the spool that sample writes." default:"data/agent/spool" type:"path"`
	State    string `help:"Folder for the newest receipt; sample reads it there." default:"data/ship" type:"path"`
}

// leasesName is the file in which the newest signed leases wait for the sampler.
const leasesName = "leases"

// samplerWait is how often a shipper looks for a sampler that was never there.
const samplerWait = time.Second

// Run ships until it is interrupted. It needs no sampler: what is in the spool is
// sent while the sampler is away.
func (c shipCommand) Run(ctx context.Context, s cli.Streams) (err error) {
	beQuiet()
	target, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.State, 0o750); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	lock, err := spool.TakeLock(filepath.Join(c.State, "lock"))
	if err != nil {
		return fmt.Errorf("ship: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	log := s.Logger()
	manager := systemd.NewService(log)
	manager.Ready(ctx)
	defer manager.Stopping(context.WithoutCancel(ctx))
	from, err := c.follow(ctx, log, manager)
	if from == nil {
		return err
	}
	from.Looked = func() { manager.Alive(ctx) }
	receipt := filepath.Join(c.State, "receipt")
	options := uplink.Options{
		PerSecond: sendPerSecond,
		URL:       target.URL, Host: from.Host(), CollectorKey: target.CollectorKey, Log: log,
		OnReceipt:  func(envelope []byte) error { return handover.Write(receipt, envelope) },
		OnLeases:   func(envelope []byte) error { return handover.Write(filepath.Join(c.State, leasesName), envelope) },
		OnSettings: takeSettings(filepath.Join(c.State, settingsName), log),
		// The sampler sees the same receipt and begins a new epoch.
		OnLost: func(l spool.LostRange) {
			log.ErrorContext(ctx, "batches given up", slog.String("host", l.Host), slog.String("why", "the collector lacks what comes before them"))
		},
	}
	if err := connecting(&options, target, filepath.Join(c.State, "counter"), log); err != nil {
		return err
	}
	up, err := uplink.New(from, options)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return identity.Follow(ctx, c.Endpoint, target, log, func(e endpoint.Agents) error {
			next, err := identity.Connection(e)
			if err == nil {
				up.Renew(next)
			}
			return err
		})
	})
	group.Go(func() error { stayLight(ctx, log); return nil })
	group.Go(func() error { return from.Run(ctx) })
	group.Go(func() error { return up.Run(ctx) })
	return group.Wait()
}

// follow waits for the first sampler. It returns nil without an error when it is
// interrupted before.
func (c shipCommand) follow(ctx context.Context, log *slog.Logger, manager *systemd.Service) (*spool.Follower, error) {
	told := false
	for {
		from, err := spool.Follow(c.Spool, nil)
		if !errors.Is(err, spool.ErrNotShared) {
			return from, err
		}
		if !told {
			log.WarnContext(ctx, "waiting for the sampler", slog.Any("error", err))
			told = true
		}
		manager.Alive(ctx)
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(samplerWait):
		}
	}
}
