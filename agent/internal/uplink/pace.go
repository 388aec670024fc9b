package uplink

import "time"

// pace bounds how fast batches are sent. The zero value does not.
type pace struct {
	perSecond, burst float64
	tokens           float64
	at               time.Time
	waits            bool // something was not sent for want of a token
}

// take reports whether one more batch may be sent now.
func (p *pace) take(now time.Time) bool {
	if p.perSecond <= 0 {
		return true
	}
	if !p.at.IsZero() {
		p.tokens = min(p.burst, p.tokens+p.perSecond*max(0, now.Sub(p.at).Seconds()))
	}
	p.at = now
	if p.tokens < 1 {
		p.waits = true
		return false
	}
	p.tokens--
	return true
}

// next is how long to wait for some tokens: not for each one, since that would wake
// the processor for every batch.
func (p *pace) next() time.Duration {
	return time.Duration(max(1, p.perSecond/10) / p.perSecond * float64(time.Second))
}
