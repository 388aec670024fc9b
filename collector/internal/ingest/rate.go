package ingest

import (
	"fmt"
	"time"
)

// Limits of what one host may send. An agent sends a batch every ten seconds, and 50
// a second while it empties its spool; a sender of a fleet's replay has no limit.
const (
	batchesPerSecond = 100
	batchBurst       = 6_000 // above what an agent may have on the way
	floodDrops       = 50_000
	floodSpan        = time.Minute
	noteEvery        = 10 * time.Minute
)

// bucket is what a host may still send now.
type bucket struct {
	tokens  float64
	at      time.Time
	dropped int // since dropping began
	since   time.Time
	noted   time.Time
}

// admit takes a token. Without one the letter is not looked at: it gets no receipt,
// so that its sender keeps it and sends it again, more and more slowly.
func (b *bucket) admit(now time.Time) bool {
	if b.at.IsZero() {
		b.tokens = batchBurst
	} else {
		b.tokens = min(batchBurst, b.tokens+batchesPerSecond*max(0, now.Sub(b.at).Seconds()))
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// limit drops the letters of hosts that send more than they may, says so once in a
// while, and has who does not stop cut off.
func (d *intake) limit(letters []letter, now time.Time) []letter {
	if !d.cfg.Limit {
		return letters
	}
	kept := letters[:0]
	for _, l := range letters {
		host := subjectHost(l.subject)
		b := d.buckets[host]
		if b == nil {
			b = &bucket{}
			d.buckets[host] = b
		}
		if b.admit(now) {
			kept = append(kept, l)
			continue
		}
		if now.Sub(b.since) > floodSpan {
			b.since, b.dropped = now, 0
		}
		b.dropped++
		if now.Sub(b.noted) >= noteEvery {
			b.noted = now
			d.quarantine(host, reasonRate, fmt.Sprintf("more than %d batches and then %d a second; the rest has to be sent again", batchBurst, batchesPerSecond), [32]byte{}, nil, now)
		}
		if b.dropped == floodDrops && d.cfg.Flooded != nil {
			d.cfg.Flooded(host)
		}
	}
	// Full buckets say nothing that a new one would not.
	if len(d.buckets) > 2*maxSeen {
		for host, b := range d.buckets {
			if now.Sub(b.at) > floodSpan {
				delete(d.buckets, host)
			}
		}
	}
	return kept
}
