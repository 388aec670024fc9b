package lab

import (
	"context"
	"runtime"
	"sync"

	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

// Curve holds several packs, such as one with its threshold moved in steps,
// against one snapshot, on all cores. Results are in the order of the packs.
// progress is told how many of the packs are done; it is called by one goroutine
// at a time.
func Curve(ctx context.Context, packs []*policy.Pack, snapshot *Snapshot, progress func(done, of int)) ([]*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]*Result, len(packs))
	next := make(chan int)
	var workers sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range min(runtime.GOMAXPROCS(0), len(packs)) {
		workers.Go(func() {
			for i := range next {
				r, err := Simulate(ctx, packs[i], snapshot, nil)
				if err != nil {
					cancel(err)
					continue // the rest is cancelled and ends at once
				}
				mu.Lock()
				results[i] = r
				if done++; progress != nil {
					progress(done, len(packs))
				}
				mu.Unlock()
			}
		})
	}
	for i := range packs {
		next <- i
	}
	close(next)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return results, nil
}
