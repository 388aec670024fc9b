package exporter

import (
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	// maxSeries bounds the series of sums, and with them the agent's memory.
	maxSeries = 10_000
	// seriesPerSum is three bounds of operations, and seconds.
	seriesPerSum = 4
	maxSums      = maxSeries / seriesPerSum

	// idleAfter is how long a sum that does not grow is safe from being dropped.
	idleAfter = 24 * time.Hour

	// otherTenant takes what new tenants do while there is no room for them.
	otherTenant = "_other"
)

// sums are what closed windows add up to since the start.
type sums struct {
	byKey map[sumKey]*sum
	// order lists the sums as they appeared. It is appended to or replaced, never
	// changed, so that a scrape can walk an older one without the lock.
	order    []*sum
	newestNS int64 // end of the newest window
	overflow int64 // entries that went to otherTenant for want of room
	dropped  int64 // series dropped to make room
}

type sumKey struct {
	device           measure.DeviceID
	tenant           measure.TenantID
	state            measure.State
	method           measure.MethodName
	precision, grade string
}

type sum struct {
	key    sumKey
	ops    compute.Bounds
	time   time.Duration
	lastNS int64 // end of the newest window that added to it
}

func newSums() sums { return sums{byKey: map[sumKey]*sum{}} }

// add takes a window. An entry that cannot be true is left out, because a
// counter must not fall.
func (s *sums) add(w *measure.Window) {
	s.newestNS = max(s.newestNS, w.EndNS)
	for i := range w.Entries {
		n := &w.Entries[i]
		if n.Duration < 0 || !n.Operations.Valid() {
			continue
		}
		into := s.find(sumKey{
			device: measure.DeviceID(plain(string(w.Device))), tenant: measure.TenantID(plain(string(n.Tenant))), state: n.State,
			method: n.Method.Name, precision: plain(n.Method.Precision), grade: plain(n.Method.Grade),
		})
		into.ops = into.ops.Add(n.Operations)
		if into.time += n.Duration; into.time < 0 {
			into.time = math.MaxInt64 // like operations, time saturates
		}
		into.lastNS = max(into.lastNS, w.EndNS)
	}
}

// find returns the sum of a key, a new one if there is room or room can be made.
func (s *sums) find(key sumKey) *sum {
	if found := s.byKey[key]; found != nil {
		return found
	}
	if len(s.order) >= maxSums && !s.drop() {
		s.overflow++
		key.tenant = otherTenant
		if found := s.byKey[key]; found != nil {
			return found
		}
	}
	made := &sum{key: key}
	s.byKey[key] = made
	s.order = append(s.order, made)
	return made
}

// drop forgets the sums that have not grown for idleAfter, and reports whether
// there were any. They are not added to another: there the growth of days would
// show as the growth of a moment.
func (s *sums) drop() bool {
	idle := func(n *sum) bool { return s.newestNS-n.lastNS > int64(idleAfter) }
	if !slices.ContainsFunc(s.order, idle) {
		return false
	}
	kept := make([]*sum, 0, len(s.order))
	for _, n := range s.order {
		if !idle(n) {
			kept = append(kept, n)
			continue
		}
		delete(s.byKey, n.key)
		s.dropped++
		if n.hasOperations() {
			s.dropped += seriesPerSum - 1
		}
	}
	s.order = kept
	return true
}

// hasOperations reports whether there are operations to show: time without a
// method has none, which is not a count of zero.
func (n *sum) hasOperations() bool {
	return n.key.method != measure.NoMethod || n.ops != (compute.Bounds{})
}
