package collector

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/rollout"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

// How often the teller looks whom to tell, how often it looks at coverage while a
// version rolls out, and how long it waits for a host before it tells it again.
const (
	tellEvery     = time.Second
	coverageEvery = 10 * time.Second
	tellAgain     = 5 * time.Second
)

// teller tells hosts their settings until they report them. It follows
// checkpoints to know who reports what.
type teller struct {
	store *store.Store
	tell  func(host string, envelope []byte) error
	key   ed25519.PrivateKey
	log   *slog.Logger
	now   func() time.Time

	shared bool // with other collectors, to which some hosts report

	mu      sync.Mutex
	reports map[string]int // version by host, of hosts whose batch came since the last look

	// Used by look alone.
	fresh    bool          // a host came in that fleet does not have
	cost     time.Duration // of the last time that fleet was read
	fleet    store.FleetSettings
	revision int64 // of the policies that fleet is of
	covered  time.Time
	told     map[string]telling
	serial   int64
}

// telling is what a host was told last.
type telling struct {
	version int
	values  settings.Values
	at      time.Time
}

func newTeller(s *store.Store, key ed25519.PrivateKey, tell func(string, []byte) error, log *slog.Logger) *teller {
	return &teller{store: s, tell: tell, key: key, log: log, now: time.Now, reports: map[string]int{}, told: map[string]telling{}, revision: -1}
}

// Follow notes what hosts report.
func (t *teller) Follow(_ context.Context, _ *sql.Tx, c store.Commit) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range c.Hosts {
		t.reports[string(c.Hosts[i].ID)] = c.Hosts[i].Settings
	}
	return nil
}

// run looks until ctx ends.
func (t *teller) run(ctx context.Context) error {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := t.look(ctx); err != nil && ctx.Err() == nil {
				t.log.LogAttrs(ctx, slog.LevelError, "settings could not be told", slog.String("error", err.Error()))
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// look tells every host that does not report what it should run, and moves the
// roll-out on.
func (t *teller) look(ctx context.Context) error {
	now := t.now()
	if err := t.learn(ctx, now); err != nil {
		return err
	}
	if t.fleet.Text == nil {
		return nil
	}
	first := rollout.First(t.fleet.Hosts, t.fleet.Rollout.Version)
	for i := range t.fleet.Hosts {
		h := &t.fleet.Hosts[i]
		version, values := t.fleet.Wants(*h, first)
		last, told := t.told[h.ID]
		if h.Reports == version && (version == 0 || told && last.values == values) || told && last.version == version && last.values == values && now.Sub(last.at) < tellAgain {
			continue
		}
		// What a host runs under the version may have changed with its site or
		// devices, and after a restart nobody knows what it was told: once more.
		t.serial = max(t.serial+1, now.UnixNano())
		envelope, err := settings.Seal(t.key, settings.Told{Host: h.ID, Serial: t.serial, Version: version, Values: values})
		if err != nil {
			return err
		}
		if err := t.tell(h.ID, envelope); err != nil {
			return err
		}
		t.told[h.ID] = telling{version, values, now}
	}
	return t.advance(ctx, now)
}

// learn brings what is known of the fleet up to date: from the store when the
// policies changed, a host is new or coverage is due, else from what was followed.
// While nothing is in force nobody is told anything, so hosts are not looked at;
// while a fleet comes in, it is read no more often than is cheap.
func (t *teller) learn(ctx context.Context, now time.Time) error {
	revision, err := t.store.PolicyRevision(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	reports := t.reports
	t.reports = map[string]int{}
	t.mu.Unlock()
	begins := !t.fleet.Next.IsZero() && !now.Before(t.fleet.Next)
	if revision == t.revision && t.fleet.Text == nil && !begins {
		return nil
	}
	rolling := t.fleet.Text != nil && t.fleet.Rollout.State == rollout.Rolling
	due := revision != t.revision || rolling && now.Sub(t.covered) >= coverageEvery || begins
	known := map[string]bool{}
	for i := range t.fleet.Hosts {
		h := &t.fleet.Hosts[i]
		known[h.ID] = true
		if version, heard := reports[h.ID]; heard {
			h.Reports = version
		}
	}
	for host := range reports {
		t.fresh = t.fresh || !known[host]
	}
	// What hosts report to other collectors is in the database alone.
	due = due || t.shared && now.Sub(t.covered) >= 5*time.Second && now.Sub(t.covered) >= lookRest*t.cost
	due = due || t.fresh && now.Sub(t.covered) >= lookRest*t.cost
	if !due && now.Sub(t.covered) < time.Minute {
		return nil
	}
	began := time.Now()
	fleet, err := t.store.FleetSettings(ctx, now, rolling || revision != t.revision)
	if err != nil {
		return err
	}
	t.fleet, t.revision, t.covered, t.fresh, t.cost = fleet, revision, now, false, time.Since(began)
	return nil
}

// advance begins the roll-out of what came into force, and moves it on.
func (t *teller) advance(ctx context.Context, now time.Time) error {
	r := t.fleet.Rollout
	if r.State == "" {
		r = rollout.Begin(t.fleet.Policy.ID, t.fleet.Text.Version, r.Before, t.fleet.Hosts, now)
	} else {
		var changed bool
		if r, changed = r.Advance(t.fleet.Text, t.fleet.Hosts, now); !changed {
			return nil
		}
	}
	if err := t.store.SaveRollout(ctx, r); err != nil {
		return err
	}
	t.fleet.Rollout = r
	t.log.LogAttrs(ctx, slog.LevelInfo, "settings roll out", slog.Int("version", r.Version), slog.String("state", string(r.State)), slog.Int("step", r.Step), slog.String("reason", r.Reason))
	return nil
}
