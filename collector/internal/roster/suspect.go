package roster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// maxTold bounds what is remembered of findings that were written.
const maxTold = 4096

// told remembers the day of each finding, so that an attacker who is refused a
// thousand times costs one write.
type told struct {
	mu  sync.Mutex
	day map[string]string
}

func (t *told) fresh(what string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	day := now.UTC().Format(time.DateOnly)
	if t.day[what] == day {
		return false
	}
	if len(t.day) >= maxTold {
		clear(t.day)
	}
	t.day[what] = day
	return true
}

// raise writes a finding about a host, once a day for each rule.
func (r *Roster) raise(rule, host, reason string) {
	now := r.cfg.Now()
	if !r.told.fresh(rule+" "+host, now) {
		return
	}
	// Who is refused does not wait for an answer, so nothing can be cancelled.
	ctx := context.Background()
	r.cfg.Log.WarnContext(ctx, "finding about a host", slog.String("rule", rule), slog.String("host", host), slog.String("reason", reason))
	if err := r.cfg.Keeper.RaiseHost(ctx, store.HostFinding{Rule: rule, Host: host, Reason: reason, At: now}); err != nil {
		r.cfg.Log.ErrorContext(ctx, "finding about a host could not be written", slog.String("rule", rule), slog.Any("error", err))
	}
}

// Refused hears that the broker refused a connection or a subject.
func (r *Roster) Refused(host, what string) {
	r.raise(store.RuleBrokerRefused, host, "Refused: "+what+".")
}

// Copied hears that the keys of a host are in use in two places. The host may not
// report until a person decides.
func (r *Roster) Copied(host, why string) {
	ctx := context.Background()
	h, known := r.Host(ledger.HostID(host))
	if !known || h.Suspicion != "" {
		return
	}
	_, err := r.change(ctx, inventory.Change{Host: ledger.HostID(host), Act: inventory.Suspect, Reason: why})
	if err != nil {
		r.cfg.Log.ErrorContext(ctx, "host could not be locked", slog.String("host", host), slog.Any("error", err))
		return
	}
	r.raise(store.RuleCopiedKey, host, "Locked until a person decides: "+why+".")
	r.cutAfter(ctx, ledger.HostID(host))
}

// Outdated hears that a host came with an outdated counter. The first time, and
// while nobody else is connected as that host, it is taken for a machine that was
// restored from an image; else for a copy.
func (r *Roster) Outdated(host string, connected bool) {
	switch {
	case connected:
		r.Copied(host, "a machine came with an outdated counter while another was connected as the same host")
	case r.counters.recover(ledger.HostID(host)):
		r.raise(store.RuleRestoredHost, host, "It showed an outdated counter, as after a restore from an image, and is let in once.")
	default:
		r.Copied(host, "a machine came with an outdated counter again")
	}
}
