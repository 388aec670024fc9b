package enrolment

import (
	"net/netip"
	"sync"
	"time"
)

// Requests that one address may make: 10 a minute, after a burst of 30 (a
// rotation or an enrolment is two). Addresses of IPv6 count by their /64, which
// one machine may have whole.
const (
	requestsPerMinute = 10
	requestsBurst     = 30
	maxAddresses      = 10_000
)

// limiter is a token bucket for each address.
type limiter struct {
	mu     sync.Mutex
	left   map[netip.Addr]bucket
	forgot time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
}

func (l *limiter) allows(from netip.Addr, now time.Time) bool {
	from = from.Unmap()
	if from.Is6() {
		if p, err := from.Prefix(64); err == nil {
			from = p.Addr()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.left) >= maxAddresses && now.Sub(l.forgot) >= time.Second {
		l.forgot = now // looking through all of them is not for each request
		l.forget(now)
	}
	b, known := l.left[from]
	if !known {
		if len(l.left) >= maxAddresses {
			return false // more addresses at once than any fleet enrols from
		}
		b.tokens = requestsBurst
	} else {
		b.tokens = min(requestsBurst, b.tokens+now.Sub(b.at).Minutes()*requestsPerMinute)
	}
	b.at = now
	ok := b.tokens >= 1
	if ok {
		b.tokens--
	}
	l.left[from] = b
	return ok
}

// forget drops the buckets that are full again.
func (l *limiter) forget(now time.Time) {
	for from, b := range l.left {
		if b.tokens+now.Sub(b.at).Minutes()*requestsPerMinute >= requestsBurst {
			delete(l.left, from)
		}
	}
}
