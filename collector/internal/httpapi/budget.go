package httpapi

import (
	"sync"
	"time"
)

// mostBudgets bounds how many people a budget is kept of.
const mostBudgets = 10_000

// budget gives each person so many acts in a time, which come back one by one.
type budget struct {
	most  float64
	every time.Duration // in which one comes back

	mu sync.Mutex
	of map[string]left
}

// left is what somebody has left, as of a moment.
type left struct {
	acts float64
	at   time.Time
}

func newBudget(most int, in time.Duration) *budget {
	return &budget{most: float64(most), every: in / time.Duration(most), of: map[string]left{}}
}

// take takes one act of who asks. Where none is left, wait is how long until one is.
func (b *budget) take(who string, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, known := b.of[who]
	if !known {
		b.forget(now)
		have = left{b.most, now}
	}
	// A clock that is set back gives nothing back.
	have.acts = min(b.most, have.acts+max(0, float64(now.Sub(have.at))/float64(b.every)))
	have.at = now
	if ok = have.acts >= 1; ok {
		have.acts--
	} else {
		wait = time.Duration((1 - have.acts) * float64(b.every))
	}
	b.of[who] = have
	return wait, ok
}

// forget leaves out those who have all again, where there are many.
func (b *budget) forget(now time.Time) {
	if len(b.of) < mostBudgets {
		return
	}
	for who, have := range b.of {
		if have.acts+float64(now.Sub(have.at))/float64(b.every) >= b.most {
			delete(b.of, who)
		}
	}
}
