package collector

import (
	"context"
	"database/sql"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/gap"
	"github.com/flopwatch/flopwatch/collector/internal/ledger"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// watchEvery is how often hosts are looked for that do not report.
const watchEvery = 30 * time.Second

// watcher finds silence. It follows checkpoints to know who reports, and looks
// at the inventory for who should. Hosts that are not in it are not missed: the
// hosts of a trial and of replays come and go.
type watcher struct {
	store *store.Store
	log   *slog.Logger

	mu    sync.Mutex
	watch *gap.Watch
	told  map[string]bool // ids of findings that are written
	found []gap.Finding   // from reports, to be written
}

func newWatcher(s *store.Store, log *slog.Logger, now time.Time) *watcher {
	return &watcher{store: s, log: log, watch: gap.New(now.UnixNano()), told: map[string]bool{}}
}

// Follow notes who reported. It writes nothing in the transaction.
func (w *watcher) Follow(_ context.Context, _ *sql.Tx, c store.Commit) error {
	devices := map[ledger.HostID]map[measure.DeviceID]int64{}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		if devices[a.Host] == nil {
			devices[a.Host] = map[measure.DeviceID]int64{}
		}
		devices[a.Host][a.ID] = a.LastNS
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range c.Hosts {
		h := &c.Hosts[i]
		w.found = append(w.found, w.watch.Report(gap.Report{Host: h.ID, ReceivedNS: c.At.UnixNano(), LastNS: h.LastNS, BootID: h.BootID, Epoch: h.Position.Epoch, Devices: devices[h.ID]})...)
	}
	return nil
}

// run looks until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := w.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
				w.log.LogAttrs(ctx, slog.LevelError, "silent hosts could not be looked for", slog.String("error", err.Error()))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// look writes what is silent at an instant and was not written before.
func (w *watcher) look(ctx context.Context, now time.Time) error {
	hosts, err := w.store.LoadInventory(ctx)
	if err != nil {
		return err
	}
	known := map[ledger.HostID]bool{}
	var expected []gap.Expected
	for _, e := range hosts.Expected(now.UnixNano(), now.UnixNano()+1) {
		known[e.Host] = true
		x := gap.Expected{Host: e.Host, Site: e.Site, FromNS: now.UnixNano()}
		if h, ok := hosts.Host(e.Host); ok {
			for _, s := range h.Spans {
				if s.ToNS == 0 || s.ToNS > now.UnixNano() {
					x.FromNS = min(x.FromNS, s.FromNS)
				}
			}
		}
		for _, d := range e.Devices {
			x.Devices = append(x.Devices, d.IDs...)
		}
		expected = append(expected, x)
	}
	w.mu.Lock()
	reported := w.found
	w.found = nil
	found := append(slices.Clip(reported), w.watch.Tick(now.UnixNano(), expected)...)
	w.mu.Unlock()
	var fresh []gap.Finding
	for _, f := range found {
		if known[f.Host] && !w.told[f.ID] {
			fresh = append(fresh, f)
		}
	}
	if err := w.store.FindGaps(ctx, fresh, now); err != nil {
		// What reports showed is told once: it waits for the next look.
		w.mu.Lock()
		w.found = append(reported, w.found...)
		w.mu.Unlock()
		return err
	}
	for _, f := range fresh {
		w.told[f.ID] = true // read by this goroutine alone
	}
	return nil
}
