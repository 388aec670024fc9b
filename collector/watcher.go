package collector

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/gap"
	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/ledger"
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

	shared bool // with other collectors, to which some hosts report

	mu      sync.Mutex
	watch   *gap.Watch
	told    map[string]bool // ids of findings that are written
	covered time.Time       // end of the last day whose coverage was looked at
	found   []gap.Finding   // from reports, to be written
	twinned time.Time       // when twins are to be looked for next; read by the goroutine that looks alone
}

func newWatcher(s *store.Store, log *slog.Logger, now time.Time) *watcher {
	return &watcher{store: s, log: log, watch: gap.New(now.UnixNano()), told: map[string]bool{}}
}

// Follow notes who reported. It writes nothing in the transaction.
func (w *watcher) Follow(_ context.Context, _ *sql.Tx, c store.Commit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	idle, events := idleOf(c), eventsOf(c)
	written, reported := c.Accounts, c.Reported // in the order of the hosts
	var devices []gap.Seen
	for i := range c.Hosts {
		h := &c.Hosts[i]
		devices = devices[:0]
		for ; len(written) > 0 && written[0].Host == h.ID; written = written[1:] {
			devices = append(devices, gap.Seen{Device: written[0].ID, LastNS: written[0].LastNS})
		}
		for ; len(reported) > 0 && reported[0].Host == h.ID; reported = reported[1:] {
			devices = append(devices, gap.Seen{Device: reported[0].Device, LastNS: reported[0].LastNS})
		}
		w.found = append(w.found, w.watch.Report(gap.Report{Host: h.ID, ReceivedNS: c.At.UnixNano(), LastNS: h.LastNS, BootID: h.BootID, Epoch: h.Position.Epoch,
			Devices: devices, Idle: idle[h.ID], Events: events[h.ID]})...)
	}
	return nil
}

// powerLimits are the power limits of the catalogue's boards in watts, by SKU.
var powerLimits = sync.OnceValue(func() map[string]int64 {
	limits := map[string]int64{}
	for _, m := range accel.All() {
		limits[m.SKU] = int64(m.TDPWatts)
	}
	return limits
})

// idleOf returns the stretches in which devices are said to do nothing.
func idleOf(c store.Commit) map[ledger.HostID][]gap.Idle {
	out := map[ledger.HostID][]gap.Idle{}
	var limits map[int64]int64 // by number of the device
	for i := range c.Segments {
		s := &c.Segments[i]
		if s.Key.State != measure.Idle {
			continue
		}
		if limits == nil {
			limits = make(map[int64]int64, len(c.Accounts))
			for i := range c.Accounts {
				limits[c.Accounts[i].No] = powerLimits()[c.Accounts[i].SKU]
			}
		}
		out[s.Key.Host] = append(out[s.Key.Host], gap.Idle{Device: s.Key.Device, StartNS: s.StartNS, Duration: time.Duration(s.DurationNS), EnergyMJ: s.EnergyMJ, LimitW: limits[s.DeviceNo]})
	}
	return out
}

func eventsOf(c store.Commit) map[ledger.HostID][]measure.Event {
	if len(c.Events) == 0 {
		return nil
	}
	ids := map[int64]ledger.HostID{}
	for i := range c.Hosts {
		ids[c.Hosts[i].No] = c.Hosts[i].ID
	}
	out := map[ledger.HostID][]measure.Event{}
	for _, e := range c.Events {
		out[ids[e.HostNo]] = append(out[ids[e.HostNo]], e.Event)
	}
	return out
}

// coverage finds hosts of which too little was observed on the day that ended
// last. It is looked at an hour later, so that what is late is there.
func (w *watcher) coverage(ctx context.Context, hosts *inventory.Inventory, now time.Time) ([]gap.Finding, error) {
	to := now.Add(-time.Hour).UTC().Truncate(24 * time.Hour)
	if !to.After(w.covered) {
		return nil, nil
	}
	from := to.Add(-24 * time.Hour)
	observed, err := w.store.ObservedTime(ctx, from.UnixNano(), to.UnixNano())
	if err != nil {
		return nil, err
	}
	expected := map[ledger.HostID]time.Duration{}
	for _, e := range hosts.Expected(from.UnixNano(), to.UnixNano()) {
		for _, d := range e.Devices {
			expected[e.Host] += time.Duration(d.Count) * time.Duration(e.ToNS-e.FromNS)
		}
	}
	var found []gap.Finding
	for _, id := range slices.Sorted(maps.Keys(expected)) {
		if f := gap.Coverage(id, from.UnixNano(), expected[id], observed[id]); f != nil {
			found = append(found, *f)
		}
	}
	w.covered = to
	return found, nil
}

// shares makes the watcher one of several: each writes what the reports that it
// counted show, and the one that leads looks for silence.
func (w *watcher) shares(share bool) *watcher {
	w.shared = share
	return w
}

// tell writes what reports showed, where others look for silence, until ctx ends.
func (w *watcher) tell(ctx context.Context) error {
	if !w.shared {
		return nil
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := w.write(ctx, time.Now()); err != nil && ctx.Err() == nil {
				w.log.LogAttrs(ctx, slog.LevelError, "what hosts reported could not be written", slog.String("error", err.Error()))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// write writes what reports showed.
func (w *watcher) write(ctx context.Context, now time.Time) error {
	w.mu.Lock()
	reported := w.found
	w.found = nil
	w.mu.Unlock()
	if len(reported) == 0 {
		return nil
	}
	hosts, err := w.store.LoadInventory(ctx)
	if err == nil {
		known := map[ledger.HostID]bool{}
		for _, e := range hosts.Expected(now.UnixNano(), now.UnixNano()+1) {
			known[e.Host] = true
		}
		err = w.store.FindGaps(ctx, slices.DeleteFunc(slices.Clone(reported), func(f gap.Finding) bool { return !known[f.Host] }), now)
	}
	if err != nil {
		w.mu.Lock()
		w.found = append(reported, w.found...)
		w.mu.Unlock()
	}
	return err
}

// hear learns from the database who reported to other collectors.
func (w *watcher) hear(ctx context.Context, now time.Time) error {
	newest, err := w.store.NewestOfHosts(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for host, devices := range newest {
		w.watch.Hear(host, now.UnixNano(), devices.LastNS, devices.Devices)
	}
	return nil
}

// run looks until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	if w.shared { // who looked before knows more of the past
		w.mu.Lock()
		w.watch.Begin(time.Now().UnixNano())
		w.mu.Unlock()
	}
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
	if w.shared {
		if err := w.hear(ctx, now); err != nil {
			return err
		}
	}
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
	if err := errors.Join(w.twins(ctx, known, now), w.meters(ctx, now)); err != nil {
		return err
	}
	w.mu.Lock()
	reported := w.found
	w.found = nil
	found := append(slices.Clip(reported), w.watch.Tick(now.UnixNano(), expected)...)
	w.mu.Unlock()
	low, err := w.coverage(ctx, hosts, now)
	if err != nil {
		return err
	}
	found = append(found, low...)
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

// meters holds meters against what hosts reported.
func (w *watcher) meters(ctx context.Context, now time.Time) error {
	_, err := w.store.JudgePower(ctx, now)
	return err
}

// twinSpan is how long ago a device may have been reported to count as reported now.
const twinSpan = 10 * time.Minute

// twinRest is how many times as long as a look for twins took the next one waits: it
// goes through all devices, which takes a second of a core for a million.
const (
	twinRest  = 200
	twinQuick = 250 * time.Millisecond // looks that are not waited for
)

// twins writes which devices two hosts report, if one of them is known, once a day.
func (w *watcher) twins(ctx context.Context, known map[ledger.HostID]bool, now time.Time) error {
	if now.Before(w.twinned) {
		return nil
	}
	began := time.Now()
	all, err := w.store.TwinDevices(ctx, now.Add(-twinSpan).UnixNano())
	if err != nil {
		return err
	}
	if took := time.Since(began); took > twinQuick {
		w.twinned = now.Add(min(twinRest*took, twinSpan/2))
	}
	for _, twin := range all {
		hosts := strings.Join(twin.Hosts, ", ")
		id := "twin " + twin.Device + " " + hosts + now.UTC().Format(time.DateOnly)
		if w.told[id] || !slices.ContainsFunc(twin.Hosts, func(h string) bool { return known[ledger.HostID(h)] }) {
			continue
		}
		var found []store.HostFinding
		for _, host := range twin.Hosts {
			found = append(found, store.HostFinding{Rule: store.RuleTwinDevice, Host: host, At: now,
				Reason: "Device " + twin.Device + " is reported by hosts " + hosts + " at the same time. One of them copies the other's reports, or a device moved without a word."})
		}
		if err := w.store.RaiseHost(ctx, found...); err != nil {
			return err
		}
		w.told[id] = true
	}
	return nil
}
