package agent

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
)

// takeLeases takes over leases of the file and of the collector, which stand beside
// each other: where they name different tenants for the same, that is a conflict. A
// bad change of either is told, and the last good set kept.
func (o *owners) takeLeases(ctx context.Context, now time.Time) {
	changed := false
	if o.leases != nil && o.leases.Poll(now) {
		changed = true
		if err := o.leases.Err(); err != nil {
			o.log.ErrorContext(ctx, "tenancy leases not taken over", slog.Any("error", err))
		}
	}
	if o.handed != nil {
		lines, fresh, err := o.handed.Poll()
		if fresh {
			var sent []tenancy.Lease
			if sent, err = tenancy.Decode("leases of the collector", lines); err == nil {
				o.sent, changed = sent, true
				o.log.InfoContext(ctx, "tenancy leases of the collector", slog.Int("leases", len(sent)))
			}
		}
		if err != nil {
			o.log.ErrorContext(ctx, "tenancy leases of the collector not taken over", slog.Any("error", err))
		}
	}
	if !changed {
		return
	}
	var all []tenancy.Lease
	if o.leases != nil {
		all = slices.Clone(o.leases.Leases())
	}
	o.table = tenancy.NewTable(append(all, o.sent...))
}
