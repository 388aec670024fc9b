package ledger

import (
	"fmt"
	"time"
)

// What is believed of clocks.
const (
	ClockStep   = 2 * time.Second     // a wall clock that moved less against boot time was not set
	ClockOff    = 5 * time.Minute     // a wall clock that differs by less from the collector's is right
	OldestBatch = 30 * 24 * time.Hour // no spool holds batches for longer
)

// Clock is what a batch says of the clocks of its host. Windows of a host that
// says its ClockNS go by the time since boot, which nobody can set; where on the
// collector's time line the boot was is the collector's to say.
type Clock struct {
	BootID     string
	BoottimeNS int64 // since boot, when the batch was sealed
	WallNS     int64 // wall clock then
	ClockNS    int64 // times of the batch minus time since boot; 0: they are of the wall clock
	FirstNS    int64 // start of the earliest window, 0 if there is none
}

// Clocks is where the ledger has put the present boot of a host. The zero value
// is a host whose times are taken as they come.
type Clocks struct {
	BootNS   int64 // when it booted
	ShiftNS  int64 // what is added to the times of its batches
	StepNS   int64 // how far its wall clock was set while the agent ran, as told last
	SealedNS int64 // time since boot of its newest batch
	LagNS    int64 // from the sealing of its newest batch to its receipt
}

// ClockChange is a change of how the times of a host are read, from one batch on.
type ClockChange struct {
	Host     HostID
	Position Position
	BootID   string
	ShiftNS  int64
	StepNS   int64
	Reason   string
}

// Place puts the times of a batch on the collector's time line. It is for a batch
// that is applied next. What it decides becomes part of the host with Apply.
//
// A boot is put where the host's wall clock says, unless that cannot be: in the
// future, longer ago than a spool holds, or before what the host has reported.
// Then the batch is taken for sealed when it was received. From then on the time
// since boot decides and the wall clock is only compared, so that setting it,
// while the agent runs or between two starts, moves and stretches nothing.
func (l *Ledger) Place(b *Batch, c Clock, receivedNS int64) {
	var was Host
	if h := l.hosts[b.Host]; h != nil {
		was = h.Host
	}
	next, reason := was.place(c, receivedNS)
	b.Shift(next.ShiftNS)
	b.clocks, b.clockReason = next, reason
}

// Shift moves the times of a batch.
func (b *Batch) Shift(ns int64) {
	if ns == 0 {
		return
	}
	for i := range b.Windows {
		b.Windows[i].StartNS += ns
		b.Windows[i].EndNS += ns
	}
	for i := range b.Events {
		b.Events[i].TimeNS += ns
	}
	for i := range b.Traffic {
		b.Traffic[i].StartNS += ns
		b.Traffic[i].EndNS += ns
	}
}

// place returns where the boot of a batch is, and what is to be told of that.
func (h *Host) place(c Clock, receivedNS int64) (next Clocks, reason string) {
	if c.ClockNS == 0 {
		return Clocks{}, ""
	}
	next = h.Clocks
	if h.BootID == c.BootID && h.Clocks.BootNS != 0 && c.BoottimeNS >= h.Clocks.SealedNS {
		reason = next.follow(c, receivedNS)
	} else {
		next.BootNS, reason = h.anchor(c, receivedNS)
		next.StepNS = 0
	}
	next.SealedNS, next.LagNS = c.BoottimeNS, receivedNS-next.BootNS-c.BoottimeNS
	if next.ShiftNS = next.BootNS - c.ClockNS; absolute(next.ShiftNS) <= ClockStep {
		next.ShiftNS = 0
	}
	if moved := next.ShiftNS - h.Clocks.ShiftNS; reason == "" && absolute(moved) > ClockStep {
		reason = "its wall clock was set between two starts of the agent"
		if next.ShiftNS == 0 {
			reason = "its wall clock is right again"
		}
	}
	if step := c.WallNS - c.BoottimeNS - c.ClockNS; absolute(step) <= ClockStep {
		next.StepNS = 0
	} else if further := absolute(step - next.StepNS); further > max(ClockStep, absolute(next.StepNS)/10) {
		next.StepNS = step
		if reason == "" {
			reason = fmt.Sprintf("its wall clock was set by %s while the agent ran", time.Duration(step).Round(time.Second))
		}
	}
	return next, reason
}

// anchor puts a boot of which nothing was counted.
func (h *Host) anchor(c Clock, receivedNS int64) (bootNS int64, reason string) {
	bootNS = c.ClockNS
	switch ahead := time.Duration(bootNS + c.BoottimeNS - receivedNS); {
	case ahead > ClockOff:
		bootNS, reason = receivedNS-c.BoottimeNS, fmt.Sprintf("its wall clock was %s ahead when the agent started", ahead.Round(time.Second))
	case ahead < -OldestBatch:
		bootNS, reason = receivedNS-c.BoottimeNS, fmt.Sprintf("its wall clock was %s behind when the agent started", (-ahead).Round(time.Second))
	case h.LastNS != 0 && time.Duration(h.LastNS-bootNS-c.BoottimeNS) > ClockOff:
		bootNS, reason = receivedNS-c.BoottimeNS, fmt.Sprintf("by its wall clock the agent started %s before its newest window ended", time.Duration(h.LastNS-bootNS-c.BoottimeNS).Round(time.Second))
	}
	if h.LastNS != 0 && c.FirstNS != 0 {
		// What a host did under one boot it did after all that it did under the one before.
		bootNS = max(bootNS, h.LastNS-(c.FirstNS-c.ClockNS))
	}
	return bootNS, reason
}

// follow keeps a boot where it is, unless its time since boot cannot be right.
func (n *Clocks) follow(c Clock, receivedNS int64) (reason string) {
	lag := time.Duration(receivedNS - n.BootNS - c.BoottimeNS)
	switch {
	case -lag > ClockOff:
		n.BootNS = receivedNS - c.BoottimeNS
		return fmt.Sprintf("its time since boot is %s ahead", (-lag).Round(time.Second))
	case lag > ClockOff && time.Duration(n.LagNS) <= ClockOff && absolute(receivedNS-c.WallNS) <= ClockOff:
		// What comes late says so by its wall clock too. This one was standing still.
		n.BootNS = c.WallNS - c.BoottimeNS
		return fmt.Sprintf("its time since boot stood still for %s", lag.Round(time.Second))
	}
	return ""
}

func absolute(ns int64) time.Duration { return time.Duration(max(ns, -ns)) }

// clocksOf takes over what Place decided on a batch.
func (l *Ledger) clocksOf(h *host, b *Batch) {
	if b.clockReason != "" || h.Clocks.ShiftNS != b.clocks.ShiftNS {
		h.due = true
		l.clocks = append(l.clocks, ClockChange{Host: h.ID, Position: b.Position, BootID: intern(b.BootID),
			ShiftNS: b.clocks.ShiftNS, StepNS: b.clocks.StepNS, Reason: b.clockReason})
	}
	h.Clocks = b.clocks
}
