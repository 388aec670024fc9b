package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// leasesEvery is how often a host hears its leases when nothing changed: a message
// may be lost.
const leasesEvery = 10 * time.Minute

// lessor sends hosts their leases. A host never asks: it hears them with the first
// receipt after it or the collector started, when allocations change, and again
// after a while.
type lessor struct {
	cfg      Config
	table    *allocation.Lessor
	revision int // of table
	sent     map[ledger.HostID]issue
	newestNS int64 // of all issues
}

// issue is what a host heard last.
type issue struct {
	epoch    uint64
	revision int
	at       time.Time
}

func newLessor(cfg Config, table *allocation.Lessor) *lessor {
	return &lessor{cfg: cfg, table: table, sent: map[ledger.HostID]issue{}}
}

// amend takes over other allocations. Hosts hear of them with their next receipt.
func (l *lessor) amend(table *allocation.Lessor) {
	l.table, l.revision = table, l.revision+1
}

// tell sends a host its leases if it is time to.
func (l *lessor) tell(ctx context.Context, host ledger.HostID, name string, epoch uint64, now time.Time) error {
	if l.table.Silent() {
		return nil
	}
	if last, ok := l.sent[host]; ok && last.epoch == epoch && last.revision == l.revision && now.Sub(last.at) < leasesEvery {
		return nil
	}
	lines, whole := l.table.Lines(string(host), name, now.UnixNano(), wire.MaxLeases)
	if !whole {
		l.cfg.Log.WarnContext(ctx, "not all leases of a host can be sent; the collector attributes the rest by itself", slog.String("host", string(host)))
	}
	l.newestNS = max(l.newestNS+1, now.UnixNano())
	body, err := wire.EncodeLeases(wire.Leases{Host: string(host), IssuedNS: l.newestNS, Lines: lines})
	if err != nil {
		return fmt.Errorf("leases of %s: %w", host, err)
	}
	if err := l.cfg.Conn.Publish(wire.LeasesSubject(string(host)), attest.Seal(l.cfg.Key, attest.DomainLeases, body)); err != nil {
		return fmt.Errorf("send leases to %s: %w", host, err)
	}
	l.sent[host] = issue{epoch, l.revision, now}
	return nil
}
