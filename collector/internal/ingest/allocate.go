package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
)

// request asks the goroutine that counts to record allocations.
type request struct {
	ctx    context.Context
	next   []allocation.Allocation
	dryRun bool
	answer chan<- answer // with room for one
}

type answer struct {
	done store.Amendment
	err  error
}

var errEnded = errors.New("ingest has ended")

// PutAllocations records allocations between two checkpoints, so that each window
// is counted before, and corrected, or after, by the new table. It waits while
// Run has not begun. When ctx ends first they may be recorded all the same; to
// record them again is safe.
func (in *Ingest) PutAllocations(ctx context.Context, next []allocation.Allocation, dryRun bool) (store.Amendment, error) {
	if in.cfg.shared() {
		// Whoever counts a partition hears of it at the next checkpoint, and counts again.
		return in.cfg.Store.PutAllocations(ctx, next, in.cfg.Now(), dryRun)
	}
	reply := make(chan answer, 1)
	select {
	case in.requests <- request{ctx, next, dryRun, reply}:
	case <-in.ended:
		return store.Amendment{}, fmt.Errorf("record allocations: %w", errEnded)
	case <-ctx.Done():
		return store.Amendment{}, fmt.Errorf("record allocations: %w", ctx.Err())
	}
	select {
	case a := <-reply:
		return a.done, a.err
	case <-ctx.Done():
		return store.Amendment{}, fmt.Errorf("record allocations: %w", ctx.Err())
	}
}

// allocate makes durable what was counted by the old table, and then goes on with
// the new one. Allocations that cannot be recorded stop nothing.
func (r *run) allocate(q request) error {
	if err := r.checkpoint(true); err != nil {
		q.answer <- answer{err: err}
		return err
	}
	done, err := r.cfg.Store.PutAllocations(q.ctx, q.next, r.cfg.Now(), q.dryRun)
	if err == nil && done.Table != nil {
		r.intake.book.SetAllocations(done.Table)
		r.intake.book.Close(done.Closed)
		r.lease = r.lease.Knows(done)
		r.lessor.amend(allocation.NewLessor(done.Standing))
	}
	q.answer <- answer{done, err}
	return nil
}
