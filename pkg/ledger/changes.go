package ledger

import "slices"

// Changes is what changed since the last Take, as values that the ledger no
// longer touches.
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
	CarriedAccounts []Account
	Settled         []int64 // numbers of hosts of which nothing is carried any more

	Addresses []HostAddress
	Traffic   []HostTraffic
	// Differences between claims and allocations, each once since the ledger began.
	Differences []Difference
	Clocks      []ClockChange
	Energy      []HostEnergy // of slots that are full, to be added
	Batches     int64        // counted since the last Take
	Windows     int64
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
	l.reserve(&c, after)
	l.settle(&c, nowNS, after)
	var states []byte
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
			c.CarriedAccounts = append(c.CarriedAccounts, a.Account)
		}
	}
	clear(l.dirtyHosts)
	l.dirtyHosts = l.dirtyHosts[:0]
	return c
}

// reserve makes room for what the hosts that changed will give out: growing it row by
// row was a third of all memory that a checkpoint took.
func (l *Ledger) reserve(c *Changes, after int64) {
	var given, carried [2]int // hosts, accounts
	for _, h := range l.dirtyHosts {
		to := &carried
		if after <= 0 || h.due || !h.taken {
			to = &given
		}
		to[0], to[1] = to[0]+1, to[1]+len(h.dirtyAccounts)
	}
	if given[0] > 0 {
		c.Hosts, c.Accounts = make([]Host, 0, given[0]), make([]Account, 0, given[1])
		c.Grown, c.Open = make([]bool, 0, given[1]), make([]int64, 0, given[1])
	}
	if carried[0] > 0 {
		c.Carried, c.CarriedHosts, c.CarriedAccounts = make([]Carried, 0, carried[0]), make([]Host, 0, carried[0]), make([]Account, 0, carried[1])
	}
}

// settle gives out the rows of hosts whose turn it is, longest behind first.
func (l *Ledger) settle(c *Changes, nowNS, after int64) {
	turns := len(l.carriers)
	if after > 0 {
		l.turns = min(l.turns+float64(turns)*float64(nowNS-l.settledNS)/float64(after), float64(turns))
		turns = int(l.turns)
	}
	l.settledNS = nowNS
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
		c.Accounts, c.Grown, c.Open = append(c.Accounts, a.Account), append(c.Grown, a.taken), append(c.Open, a.openNS())
		a.taken = true
	}
	for _, s := range h.dirtySegments {
		s.encode()
		if s.dirty = false; s.taken {
			c.Extended = append(c.Extended, s.Segment)
		} else {
			s.taken = true
			c.Opened = append(c.Opened, s.Segment)
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
