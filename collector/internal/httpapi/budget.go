package httpapi

import (
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
)

// mostBudgets bounds how many people a budget is kept of.
const mostBudgets = 10_000

// budget gives each person so many acts in a time, which come back one by one.
type budget struct {
	rate allowance.Rate
	mu   sync.Mutex
	of   map[string]allowance.Left
}

func newBudget(most int, in time.Duration) *budget {
	return &budget{rate: allowance.Rate{Most: most, Every: in / time.Duration(most)}, of: map[string]allowance.Left{}}
}

// take takes one act of who asks. Where none is left, wait is how long until one is.
func (b *budget) take(who string, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left, known := b.of[who]
	if !known {
		b.forget(now)
	}
	wait, ok = left.Take(b.rate, now)
	b.of[who] = left
	return wait, ok
}

// forget leaves out those who have all again, where there are many.
func (b *budget) forget(now time.Time) {
	if len(b.of) < mostBudgets {
		return
	}
	for who, left := range b.of {
		if left.Full(b.rate, now) {
			delete(b.of, who)
		}
	}
}
