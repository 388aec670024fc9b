package ledger

import (
	"slices"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Changes is what changed since the last Take, as values that the ledger no
// longer touches. Accounts and CarriedAccounts come in the order of Hosts and
// CarriedHosts.
type Changes struct {
	Hosts    []Host
	Accounts []Account
	Grown    []bool    // of Accounts: its row was given out before, and only figures of it differ
	Open     []int64   // of Accounts: when the first of the segments began that may still grow
	Opened   []Segment // new since the last Take
	Extended []Segment // known before; their figures grew
	Events   []HostEvent

	// Of hosts whose rows stay as they are for now: what they counted since, to be kept
	// beside the rows, and how far they are.
	Carried         []Carried
	CarriedHosts    []Host
	CarriedAccounts []Reported
	Settled         []int64 // numbers of hosts of which nothing is carried any more

	Addresses []HostAddress
	Traffic   []HostTraffic
	// Differences between claims and allocations, each once since the ledger began.
	Differences []Difference
	Clocks      []ClockChange
	Energy      []HostEnergy // of slots that are full, to be added
	Batches     int64        // counted since the last Take
	Windows     int64

	states []byte // that Carried shares
}

// Reported is how far a device of a host is, whose row stays as it is for now.
type Reported struct {
	Host   HostID
	Device measure.DeviceID
	LastNS int64
}

// Empty reports whether nothing changed.
func (c *Changes) Empty() bool {
	return len(c.Hosts) == 0 && len(c.Accounts) == 0 && len(c.Opened) == 0 && len(c.Extended) == 0 && len(c.Events) == 0 && len(c.Differences) == 0 && len(c.Addresses) == 0 && len(c.Traffic) == 0 && len(c.Clocks) == 0 && len(c.Energy) == 0 &&
		len(c.Carried) == 0
}

// Take returns the changes since the last Take, with the rows of all hosts of which
// something is carried. A caller that cannot store them must drop the ledger and
// restore one from what is stored.
func (l *Ledger) Take() Changes { return l.TakeDue(0, 0) }

// TakeDue is Take, but leaves the rows of a host as they are, and gives out what it
// counted since as Carried, as long as only figures of rows grew. So a fleet of a
// million devices costs rows per stretch of work and not per batch; what is carried
// is as durable as the rows, and they agree among themselves.
//
// Rows follow one host after the other, at a pace at which each has its turn within
// after nanoseconds, and at the latest then. nowNS is any clock that only goes
// forward.
func (l *Ledger) TakeDue(nowNS, after int64) Changes {
	c := Changes{Events: l.events, Addresses: l.addresses, Traffic: l.traffic, Differences: l.differences, Clocks: l.clocks, Energy: l.energy, Batches: l.batches, Windows: l.windows}
	l.events, l.differences, l.addresses, l.traffic, l.clocks, l.energy = nil, nil, nil, nil, nil, nil
	l.batches, l.windows = 0, 0
	turns := l.turn(nowNS, after)
	l.reserve(&c, turns, after)
	l.settle(&c, turns, nowNS, after)
	states := l.states[:0]
	l.states = nil // what is given out is the caller's
	for _, h := range l.dirtyHosts {
		if !h.dirty {
			continue // it had its turn
		}
		h.dirty = false
		if after <= 0 || h.due || !h.taken {
			h.give(&c)
			continue
		}
		if h.carriedNS == 0 {
			h.carriedNS = max(nowNS, 1)
			l.carriers = append(l.carriers, carrier{h, h.carriedNS})
		}
		if states == nil {
			states = make([]byte, 0, len(l.dirtyHosts)*(64+64*len(h.dirtySegments)))
		}
		at := len(states)
		states = h.appendState(states)
		c.Carried = append(c.Carried, Carried{h.No, states[at:len(states):len(states)]})
		c.CarriedHosts = append(c.CarriedHosts, h.Host)
		for _, a := range h.dirtyAccounts {
			c.CarriedAccounts = append(c.CarriedAccounts, Reported{h.ID, a.id, a.lastNS})
		}
	}
	clear(l.dirtyHosts)
	l.dirtyHosts, c.states = l.dirtyHosts[:0], states
	return c
}

// reserve makes room for what will be given out: growing it row by row was a third of
// all memory that a checkpoint took, and to move it as much as to write it.
func (l *Ledger) reserve(c *Changes, turns int, after int64) {
	var hosts, accounts, opened, extended, carried, reported int
	given := func(h *host) {
		hosts, accounts = hosts+1, accounts+len(h.dirtyAccounts)
		for _, s := range h.dirtySegments {
			if s.taken {
				extended++
			} else {
				opened++
			}
		}
	}
	for _, w := range l.carriers[:min(turns, len(l.carriers))] {
		given(w.host)
	}
	for _, h := range l.dirtyHosts {
		switch {
		case after > 0 && !h.due && h.taken:
			carried, reported = carried+1, reported+len(h.dirtyAccounts)
		case after > 0 || h.carriedNS == 0: // else it is among the carriers
			given(h)
		}
	}
	s := &l.spare
	c.Hosts, c.Accounts, c.Grown, c.Opened, c.Extended = room(s.Hosts, hosts), room(s.Accounts, accounts), room(s.Grown, accounts), room(s.Opened, opened), room(s.Extended, extended)
	c.Open = room(s.Open, accounts)
	c.Carried, c.CarriedHosts, c.CarriedAccounts = room(s.Carried, carried), room(s.CarriedHosts, carried), room(s.CarriedAccounts, reported)
	l.spare = Changes{}
}

// room returns an empty slice for n, the spare one if it has as much.
func room[T any](spare []T, n int) []T {
	if n == 0 {
		return nil
	}
	if cap(spare) >= n {
		return spare[:0]
	}
	return make([]T, 0, n)
}

// spareMost is how many rows are kept room for between checkpoints.
const spareMost = 1 << 15

// Reuse takes back the memory of changes that nobody looks at any more, for those that
// are given out next.
func (l *Ledger) Reuse(c Changes) {
	l.spare = Changes{Hosts: spared(c.Hosts), Accounts: spared(c.Accounts), Grown: spared(c.Grown), Open: spared(c.Open), Opened: spared(c.Opened), Extended: spared(c.Extended),
		Carried: spared(c.Carried), CarriedHosts: spared(c.CarriedHosts), CarriedAccounts: spared(c.CarriedAccounts)}
	if n := len(c.Carried); n > 0 && n <= spareMost {
		l.states = c.states[:0]
	}
}

// spared empties a slice, so that nothing stays in memory for it.
func spared[T any](s []T) []T {
	if cap(s) > spareMost {
		return nil
	}
	clear(s)
	return s[:0]
}

// turn returns how many hosts have their turn now.
func (l *Ledger) turn(nowNS, after int64) int {
	turns := len(l.carriers)
	if after > 0 {
		l.turns = min(l.turns+float64(turns)*float64(nowNS-l.settledNS)/float64(after), float64(turns))
		turns = int(l.turns)
	}
	l.settledNS = nowNS
	return turns
}

// settle gives out the rows of hosts whose turn it is, longest behind first.
func (l *Ledger) settle(c *Changes, turns int, nowNS, after int64) {
	done := 0
	for _, w := range l.carriers {
		if w.sinceNS == w.host.carriedNS { // it did not settle meanwhile
			if turns <= 0 && nowNS-w.sinceNS < after {
				break
			}
			turns, l.turns = turns-1, max(0, l.turns-1)
			w.host.dirty = false
			w.host.give(c)
		}
		done++
	}
	if done > 0 {
		clear(l.carriers[:done])
		l.carriers = slices.Delete(l.carriers, 0, done)
	}
}

// carrier is a host whose rows are behind since an instant.
type carrier struct {
	host    *host
	sinceNS int64
}

// give gives out the rows of a host.
func (h *host) give(c *Changes) {
	if h.carriedNS != 0 {
		c.Settled = append(c.Settled, h.No)
	}
	h.taken, h.due, h.carriedNS = true, false, 0
	c.Hosts = append(c.Hosts, h.Host)
	h.Before = h.Position
	for _, a := range h.dirtyAccounts {
		a.dirty = false
		c.Accounts, c.Grown, c.Open = append(c.Accounts, a.row(h)), append(c.Grown, a.taken), append(c.Open, a.openNS())
		a.taken = true
	}
	for _, s := range h.dirtySegments {
		if s.dirty = false; s.taken {
			c.Extended = append(c.Extended, s.row(h))
		} else {
			s.taken = true
			c.Opened = append(c.Opened, s.row(h))
		}
	}
	clear(h.dirtyAccounts)
	clear(h.dirtySegments) // closed segments must not stay in memory
	h.dirtyAccounts, h.dirtySegments = h.dirtyAccounts[:0], h.dirtySegments[:0]
	if cap(h.dirtySegments) > 256 {
		h.dirtySegments = nil // there are as many hosts as a fleet has
	}
}

// Pending returns the number of changes that Take would return.
func (l *Ledger) Pending() int {
	return len(l.dirtyHosts) + len(l.carriers) + len(l.events) + len(l.differences) + len(l.addresses) + len(l.traffic) + len(l.clocks) + len(l.energy)
}

// Behind reports whether rows of some host are behind what was counted.
func (l *Ledger) Behind() bool { return len(l.carriers) > 0 }

// Devices returns how many accounts there are.
func (l *Ledger) Devices() int64 { return int64(l.accounts) }
