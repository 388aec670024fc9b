package enrolment

import (
	"net/netip"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
)

// Requests that one address may make: 10 a minute, after a burst of 30 (a
// rotation or an enrolment is two). Addresses of IPv6 count by their /64, which
// one machine may have whole.
const (
	requestsPerMinute = 10
	requestsBurst     = 30
	maxAddresses      = 10_000
)

var requests = allowance.Rate{Most: requestsBurst, Every: time.Minute / requestsPerMinute}

// limiter knows what each address has left.
type limiter struct {
	mu     sync.Mutex
	left   map[netip.Addr]allowance.Left
	forgot time.Time
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
	left, known := l.left[from]
	if !known && len(l.left) >= maxAddresses {
		return false // more addresses at once than any fleet enrols from
	}
	_, ok := left.Take(requests, now)
	l.left[from] = left
	return ok
}

// forget drops the addresses that have all again.
func (l *limiter) forget(now time.Time) {
	for from, left := range l.left {
		if left.Full(requests, now) {
			delete(l.left, from)
		}
	}
}
