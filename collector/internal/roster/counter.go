package roster

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"maps"
	"sync"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/enrol"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// recoveries is how often a host may come with an outdated counter, as after a
// machine was restored from an image, before a person has to decide.
const recoveries = 1

// counters are the counters of all hosts. They live in memory and are written a
// little later: a counter that the collector signed and does not remember, after
// a crash, is taken as the newest.
type counters struct {
	mu    sync.Mutex
	of    map[ledger.HostID]store.HostCounter
	dirty map[ledger.HostID]bool
	let   map[ledger.HostID]bool // the next outdated one is let through
}

func newCounters(known map[ledger.HostID]store.HostCounter) counters {
	return counters{of: known, dirty: map[ledger.HostID]bool{}, let: map[ledger.HostID]bool{}}
}

// begin starts the counter of a host that enrols above all that it ever had.
func (c *counters) begin(host ledger.HostID) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := (c.of[host].Number>>32 + 1) << 32
	c.of[host] = store.HostCounter{Number: n}
	c.dirty[host] = true
	delete(c.let, host)
	return n
}

// forgive lets a host that a person cleared come with whatever counter it has.
func (c *counters) forgive(host ledger.HostID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.of[host]
	now.Recovered = 0
	c.of[host], c.dirty[host], c.let[host] = now, true, true
}

// show takes the counter of a host that connects and says which comes next, or
// that it is outdated.
func (c *counters) show(host ledger.HostID, n uint64, word string) (next uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.of[host]
	switch {
	case n >= now.Number:
	case n+1 == now.Number && word == now.Word:
		return now.Number, true // the answer was lost: the same again
	case c.let[host] && n>>32 == now.Number>>32:
		n = now.Number
	default:
		return 0, false
	}
	delete(c.let, host)
	now.Number, now.Word = n+1, word
	c.of[host], c.dirty[host] = now, true
	return now.Number, true
}

// recover lets the next outdated counter of a host through, if it was not done
// too often.
func (c *counters) recover(host ledger.HostID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.of[host]
	if now.Recovered >= recoveries {
		return false
	}
	now.Recovered++
	c.of[host], c.dirty[host], c.let[host] = now, true, true
	return true
}

// take returns what changed since it was called last.
func (c *counters) take() map[ledger.HostID]store.HostCounter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.dirty) == 0 {
		return nil
	}
	changed := map[ledger.HostID]store.HostCounter{}
	for host := range c.dirty {
		changed[host] = c.of[host]
	}
	clear(c.dirty)
	return changed
}

func (c *counters) again(changed map[ledger.HostID]store.HostCounter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for host := range maps.Keys(changed) {
		c.dirty[host] = true
	}
}

// save writes the counters that changed.
func (r *Roster) save(ctx context.Context) {
	changed := r.counters.take()
	if len(changed) == 0 {
		return
	}
	if err := r.cfg.Keeper.SaveCounters(ctx, changed); err != nil {
		r.counters.again(changed)
		r.cfg.Log.ErrorContext(ctx, "counters of hosts could not be written", slog.Any("error", err))
	}
}

// Show takes what a host shows when it connects. next is what it shows the next
// time; outdated means that a host which came later has a newer one. It is for
// the broker.
func (r *Roster) Show(host, text string) (next []byte, outdated bool) {
	s, err := enrol.ReadShowing(text)
	if err != nil {
		return nil, true
	}
	shown, err := enrol.ReadCounter(r.cfg.Key.Public().(ed25519.PublicKey), s.Signed)
	if err != nil || shown.Host != host {
		return nil, true
	}
	n, ok := r.counters.show(ledger.HostID(host), shown.Number, s.Word)
	if !ok {
		return nil, true
	}
	return enrol.Counter{Host: host, Number: n}.Sign(r.cfg.Key), false
}
