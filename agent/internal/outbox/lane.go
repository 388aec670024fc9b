package outbox

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// maxBatchEntries keeps a batch within what the collector reads, even if every
// entry names a workload, a tenant and a method of its own.
const maxBatchEntries = wire.MaxWords

// spacePoll bounds how long a lane waits for a signal that another lane may have
// taken, or that never comes because something else filled the disk.
const spacePoll = 200 * time.Millisecond

// Lane takes the windows of one host. It belongs to one goroutine.
type Lane struct {
	box    *Outbox
	key    atomic.Pointer[ed25519.PrivateKey] // set by any goroutine
	host   string
	facts  wire.HostFacts
	bootID string
	rows   []wire.DeviceRow
	clock  int64 // added to the time since boot to give the times of windows, 0 if they do not go by that

	epoch     atomic.Uint64 // read by any goroutine
	seq       uint64
	prev      [32]byte
	resumeNS  int64 // end of the last durable window when the lane was opened
	durableNS int64 // end of the last sealed window

	span    time.Duration // of a batch
	waiting []measure.Window
	events  []measure.Event // of devices in rows
	parcel  exchanged       // for the next batch
	closed  bool
	renew   atomic.Bool // begin a new epoch with the next batch; set by any goroutine
}

// Host returns the id of the host.
func (l *Lane) Host() string { return l.host }

// Epoch returns the epoch that the lane numbers its batches in.
func (l *Lane) Epoch() uint64 { return l.epoch.Load() }

// ResumeNS returns the end of the host's last durable window when the lane was
// opened, in Unix nanoseconds, 0 if there is none. Windows that end later have
// to be put again.
func (l *Lane) ResumeNS() int64 { return l.resumeNS }

// Steady makes batches say that times of windows are the time since boot with
// offsetNS added, so that whoever counts them can tell a clock that is wrong.
func (l *Lane) Steady(offsetNS int64) { l.clock = offsetNS }

// Configure makes batches say which settings the host runs, and how much time
// they span, 0 for the outbox's.
func (l *Lane) Configure(version uint32, span time.Duration) {
	l.facts.Settings = version
	if l.span = span; span <= 0 {
		l.span = l.box.opt.BatchSpan
	}
}

// Put takes windows in the order of their time and seals a batch when one is
// due. The windows of one Put become durable together. Put waits while the spool
// is full, after making what it holds ready to be sent; it returns ErrClosed if
// the outbox is closed meanwhile.
func (l *Lane) Put(windows []measure.Window) error {
	if l.closed {
		return ErrClosed
	}
	l.waiting = append(l.waiting, windows...)
	if len(l.waiting) == 0 {
		return nil
	}
	first, last := span(l.waiting)
	if len(l.waiting) < l.box.opt.BatchWindows && last-first < int64(l.span) {
		return nil
	}
	return l.seal()
}

// Tell takes events, which travel with the next batch. Of more than a batch may
// carry the newest are left out. An event of a device that the batch does not
// list, as of one that is partitioned, becomes one of the host that names it.
func (l *Lane) Tell(events []measure.Event) {
	room := max(0, wire.MaxEvents-len(l.events))
	for _, e := range events[:min(len(events), room)] {
		if e.Device != "" && !slices.ContainsFunc(l.rows, func(r wire.DeviceRow) bool { return r.ID == e.Device }) {
			e.Detail = strings.TrimSpace(string(e.Device) + " " + e.Detail)
			e.Device = ""
		}
		e.Detail = strings.ToValidUTF8(e.Detail[:min(len(e.Detail), wire.MaxString)], "")
		l.events = append(l.events, e)
	}
}

// exchanged is what a batch says of who the host talks with.
type exchanged struct {
	addresses []netip.Addr
	traffic   []measure.Traffic
}

func (e *exchanged) empty() bool { return len(e.addresses) == 0 && len(e.traffic) == 0 }

// Exchanged takes traffic of workloads, which travels with the next batch, and the
// host's addresses if they are to be told. Of more than a batch may carry the rest
// is left out.
func (l *Lane) Exchanged(addresses []netip.Addr, traffic []measure.Traffic) {
	if len(addresses) > 0 {
		l.parcel.addresses = addresses[:min(len(addresses), wire.MaxAddress)]
	}
	room := max(0, wire.MaxTraffic-len(l.parcel.traffic))
	l.parcel.traffic = append(l.parcel.traffic, traffic[:min(len(traffic), room)]...)
}

// Describe seals what waits and lets the next batch carry other devices. Events
// of devices that the host had before are told first.
func (l *Lane) Describe(rows []wire.DeviceRow) error {
	if l.closed {
		return ErrClosed
	}
	if err := l.seal(); err != nil {
		return err
	}
	l.rows = rows
	return nil
}

// Close seals what waits and lets another lane of the host be opened. The caller
// syncs the outbox to make it durable.
func (l *Lane) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.seal()
	l.box.mu.Lock()
	delete(l.box.lanes, l.host)
	l.box.mu.Unlock()
	return err
}

// seal signs the waiting windows and appends them to the spool as one unit.
func (l *Lane) seal() error {
	if len(l.waiting) == 0 && len(l.events) == 0 && l.parcel.empty() {
		return nil
	}
	if l.renew.Swap(false) {
		epoch, err := l.box.spool.NextEpoch(l.host)
		if err != nil {
			return fmt.Errorf("begin epoch of host %s: %w", l.host, err)
		}
		l.epoch.Store(epoch)
		l.seq = 0
	}
	c := &chain{lane: l, seq: l.seq, prev: l.prev, resumeNS: l.durableNS, events: l.events, parcel: l.parcel}
	if len(l.waiting) > 0 {
		_, last := span(l.waiting)
		c.resumeNS = max(l.durableNS, last)
	}
	if err := c.add(l.waiting); err != nil {
		return fmt.Errorf("seal batch of host %s: %w", l.host, err)
	}
	if err := l.append(c.frames); err != nil {
		return fmt.Errorf("spool batch of host %s: %w", l.host, err)
	}
	l.seq, l.prev, l.durableNS = c.seq, c.prev, c.resumeNS
	l.waiting, l.events, l.parcel = nil, nil, exchanged{}
	return nil
}

// append puts the frames into the spool, waiting for room.
func (l *Lane) append(frames []spool.Frame) error {
	s := l.box.spool
	for {
		err := s.Append(frames...)
		if errors.Is(err, spool.ErrClosed) {
			return ErrClosed
		}
		if !errors.Is(err, spool.ErrFull) {
			return err
		}
		// Only what is synced is sent, and only what is sent makes room.
		if err := s.Sync(); err != nil {
			return err
		}
		if l.box.opt.Thin {
			freed, err := l.box.makeRoom()
			if err != nil && !errors.Is(err, spool.ErrFull) {
				return err
			}
			if freed > 0 {
				continue
			}
		}
		poll := time.NewTimer(spacePoll)
		select {
		case <-s.Space():
		case <-poll.C:
		case <-l.box.done:
			poll.Stop()
			return ErrClosed
		}
		poll.Stop()
	}
}

// chain is a run of batches that is being sealed.
type chain struct {
	lane     *Lane
	seq      uint64
	prev     [32]byte
	resumeNS int64
	frames   []spool.Frame
	events   []measure.Event // for the first batch
	parcel   exchanged       // likewise
}

// add seals the windows as one batch, or in halves where one is too large.
func (c *chain) add(windows []measure.Window) error {
	l := c.lane
	if len(windows) > 1 && entries(windows) > maxBatchEntries {
		return c.halve(windows)
	}
	var first, last int64
	if len(windows) > 0 {
		first, last = span(windows)
	}
	wall, boot := l.box.opt.Now()
	body, err := wire.Encode(&wire.Batch{
		Header: wire.Header{
			Version: wire.Version, Host: l.host, Epoch: l.epoch.Load(), Seq: c.seq + 1, PrevHash: c.prev,
			BootID: l.bootID, BoottimeNS: boot, WallNS: wall, FirstNS: first, LastNS: last, ClockNS: l.clock, Receipts: wire.ReceiptsTogether,
		},
		Facts: l.facts, Devices: l.rows, Windows: windows, Events: c.events,
		Addresses: c.parcel.addresses, Traffic: c.parcel.traffic,
	})
	if err != nil {
		return err
	}
	envelope := attest.Seal(*l.key.Load(), attest.DomainBatch, body)
	if len(envelope) > l.box.opt.MaxBatchBytes {
		if len(windows) <= 1 {
			return fmt.Errorf("envelope of %d bytes, at most %d: %w", len(envelope), l.box.opt.MaxBatchBytes, ErrTooLarge)
		}
		return c.halve(windows)
	}
	c.seq++
	c.events, c.parcel = nil, exchanged{}
	c.prev = attest.Hash(envelope)
	c.frames = append(c.frames, spool.Frame{
		Host: l.host, Epoch: l.epoch.Load(), Seq: c.seq, FirstNS: first, LastNS: last,
		ResumeNS: c.resumeNS, Hash: c.prev, Envelope: envelope,
	})
	return nil
}

func (c *chain) halve(windows []measure.Window) error {
	half := len(windows) / 2
	if err := c.add(windows[:half]); err != nil {
		return err
	}
	return c.add(windows[half:])
}

func entries(windows []measure.Window) (n int) {
	for i := range windows {
		n += len(windows[i].Entries)
	}
	return n
}

// span returns the start of the earliest window and the end of the latest.
func span(windows []measure.Window) (first, last int64) {
	first, last = windows[0].StartNS, windows[0].EndNS
	for _, w := range windows[1:] {
		first, last = min(first, w.StartNS), max(last, w.EndNS)
	}
	return first, last
}
