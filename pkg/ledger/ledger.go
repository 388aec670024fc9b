package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// Batch is what one host reports at one position of its chain. The caller has
// checked who sent it and that the position is next.
type Batch struct {
	Host         HostID
	PublicKey    []byte
	Name         string
	OS           string
	Kernel       string
	AgentVersion string
	Attribution  string
	Settings     int // version that the host says it runs
	BootID       string
	Position     Position
	Devices      []Device
	Windows      []measure.Window
	Events       []measure.Event
	Addresses    []netip.Addr // at which other hosts know it; none: as told before
	Traffic      []measure.Traffic

	clocks      Clocks // what Place decided
	clockReason string
}

// Ledger holds the accounts of all devices and the segments that may still
// grow. It is not safe for concurrent use.
type Ledger struct {
	hosts map[HostID]*host
	part  Partition // whose hosts these are, and which numbers they get
	// The highest numbers that were given.
	lastHost    int64
	lastDevice  int64
	lastSegment int64
	accounts    int // how many there are

	models map[Device]*Device // of devices, without what is of one alone
	kept   map[words]*words

	dirtyHosts  []*host
	carriers    []carrier // hosts whose rows are behind, longest first
	turns       float64   // how many of them may have their turn now
	settledNS   int64     // when that was worked out
	events      []HostEvent
	addresses   []HostAddress
	traffic     []HostTraffic
	differences []Difference
	clocks      []ClockChange
	energy      []HostEnergy
	batches     int64
	windows     int64

	spare  Changes // memory for the next ones
	states []byte  // likewise

	table *allocation.Table
	parts []part // of the window that is being counted
}

type host struct {
	Host
	accounts []*account
	index    map[measure.DeviceID]*account // of accounts where there are many, else nil
	at       int                           // place in accounts that is likely asked for next
	dirty    bool
	told     map[string]bool // differences that were given out

	dirtyAccounts []*account
	dirtySegments []*segment
	taken         bool  // its row was given out before
	due           bool  // more than figures of known rows changed
	carriedNS     int64 // since when its rows are behind, 0 if they are not
}

// State is what a ledger needs to go on where another one stopped: the hosts of
// its partition, their accounts, the segments that end where their account ends,
// and the highest numbers ever given, in any partition.
type State struct {
	Partition   Partition
	Hosts       []Host
	Accounts    []Account
	Open        []Segment
	LastHost    int64
	LastDevice  int64
	LastSegment int64
	Carried     []Carried // what hosts counted since their rows were given out
}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{hosts: map[HostID]*host{}, models: map[Device]*Device{}, kept: map[words]*words{}}
}

// Restore returns the ledger that was in the given state. It fails when the
// state refers to a host or account that it does not hold.
func Restore(s State) (*Ledger, error) {
	l := New()
	l.part, l.lastHost, l.lastDevice, l.lastSegment = s.Partition, s.LastHost, s.LastDevice, s.LastSegment
	for _, h := range s.Hosts {
		h.Before = h.Position
		l.hosts[h.ID] = &host{Host: h, taken: true}
		l.lastHost = max(l.lastHost, h.No)
	}
	byNo := make(map[int64]*account, len(s.Accounts))
	for _, a := range s.Accounts {
		h := l.hosts[a.Host]
		if h == nil {
			return nil, fmt.Errorf("restore ledger: device %s belongs to unknown host %s", a.ID, a.Host)
		}
		acc := &account{no: a.No, firstNS: a.FirstNS, lastNS: a.LastNS, overlapNS: a.OverlapNS, windows: a.Windows, recentOperations: a.RecentOperations, recentNS: a.RecentNS, taken: true}
		l.describeDevice(acc, a.Device)
		h.open(acc)
		byNo[a.No] = acc
		l.accounts++
		l.lastDevice = max(l.lastDevice, a.No)
	}
	for _, seg := range s.Open {
		acc := byNo[seg.DeviceNo]
		if acc == nil {
			return nil, fmt.Errorf("restore ledger: segment %d belongs to unknown device %d", seg.ID, seg.DeviceNo)
		}
		if seg.EndNS != acc.lastNS || seg.ID > s.LastSegment {
			return nil, fmt.Errorf("restore ledger: segment %d is not open", seg.ID)
		}
		k := &seg.Key
		open := &segment{id: seg.ID, of: acc, words: l.keep(words{k.State, k.Workload, k.Tenant, k.Method, k.Claim}), startNS: seg.StartNS, endNS: seg.EndNS, durationNS: seg.DurationNS,
			operations: seg.Operations, ceiling: seg.Ceiling, energyMJ: seg.EnergyMJ, float: seg.FloatTensor, taken: true}
		if seg.Rhythm != "" {
			beat, err := rhythm.Decode([]byte(seg.Rhythm))
			if err != nil {
				return nil, fmt.Errorf("restore ledger: segment %d: %w", seg.ID, err)
			}
			open.beat = &beat
		}
		acc.open = append(acc.open, open)
	}
	if len(s.Carried) > 0 {
		hosts := make(map[int64]*host, len(l.hosts))
		for _, h := range l.hosts {
			hosts[h.No] = h
		}
		for _, c := range s.Carried {
			h := hosts[c.HostNo]
			if h == nil {
				return nil, fmt.Errorf("restore ledger: something is carried of unknown host %d", c.HostNo)
			}
			if err := l.carry(h, byNo, c.State); err != nil {
				return nil, fmt.Errorf("restore ledger: %w", err)
			}
		}
	}
	return l, nil
}

// Position returns how far the host's chain has been counted.
func (l *Ledger) Position(id HostID) Position {
	if h := l.hosts[id]; h != nil {
		return h.Position
	}
	return Position{}
}

// Name returns the name that the host reports, "" for a host that is not known.
func (l *Ledger) Name(id HostID) string {
	if h := l.hosts[id]; h != nil {
		return h.Name
	}
	return ""
}

// Apply counts a batch. On an error, which wraps ErrRefused, nothing of the
// batch has been counted.
func (l *Ledger) Apply(b *Batch) error {
	h := l.hosts[b.Host]
	if err := l.check(h, b); err != nil {
		return fmt.Errorf("batch %d/%d of host %s: %w", b.Position.Epoch, b.Position.Seq, b.Host, err)
	}
	if h == nil {
		l.lastHost = l.part.next(l.lastHost)
		h = &host{Host: Host{No: l.lastHost, ID: HostID(strings.Clone(string(b.Host)))}}
		l.hosts[h.ID] = h
	}
	l.describe(h, b)
	for i := range b.Devices {
		if acc := h.account(b.Devices[i].ID); acc != nil && !acc.is(&b.Devices[i]) {
			l.describeDevice(acc, b.Devices[i])
			acc.taken, h.due = false, true
			h.touch(acc)
		}
	}
	allocated := l.table.Concerns(string(h.ID), h.Name)
	var acc *account
	for i := range b.Windows {
		w := &b.Windows[i]
		if acc == nil || acc.id != w.Device {
			if acc = h.account(w.Device); acc == nil {
				acc = l.openAccount(h, b, w)
			}
		}
		l.window(h, acc, w, allocated)
		if h.FirstNS == 0 || w.StartNS < h.FirstNS {
			h.FirstNS, h.due = w.StartNS, true
		}
		h.LastNS = max(h.LastNS, w.EndNS)
	}
	for i := range b.Events {
		h.due = true
		e := b.Events[i]
		e.Device, e.Kind, e.Detail = measure.DeviceID(intern(string(e.Device))), measure.EventKind(intern(string(e.Kind))), strings.Clone(e.Detail)
		l.events = append(l.events, HostEvent{HostNo: h.No, Event: e})
	}
	for _, a := range b.Addresses {
		l.addresses = append(l.addresses, HostAddress{HostNo: h.No, Address: a, AtNS: h.LastNS})
	}
	for _, t := range b.Traffic {
		t.Workload.Kind = measure.WorkloadKind(intern(string(t.Workload.Kind)))
		t.Workload.ID, t.Workload.Hint = intern(t.Workload.ID), intern(t.Workload.Hint)
		l.traffic = append(l.traffic, HostTraffic{HostNo: h.No, Traffic: t})
	}
	l.batches++
	l.windows += int64(len(b.Windows))
	return nil
}

func (l *Ledger) describe(h *host, b *Batch) {
	if !bytes.Equal(h.PublicKey, b.PublicKey) {
		h.PublicKey, h.due = bytes.Clone(b.PublicKey), true // rows that were given out share the old one
	}
	if h.Name != b.Name || h.OS != b.OS || h.Kernel != b.Kernel || h.AgentVersion != b.AgentVersion || h.Attribution != b.Attribution || h.Settings != b.Settings || h.BootID != b.BootID {
		h.Name, h.OS, h.Kernel = strings.Clone(b.Name), intern(b.OS), intern(b.Kernel)
		h.Settings, h.due = b.Settings, true
		h.AgentVersion, h.Attribution, h.BootID = intern(b.AgentVersion), intern(b.Attribution), strings.Clone(b.BootID)
	}
	l.clocksOf(h, b)
	h.Position = b.Position
	h.Batches++
	if !h.dirty {
		h.dirty = true
		l.dirtyHosts = append(l.dirtyHosts, h)
	}
}

func (l *Ledger) openAccount(h *host, b *Batch, w *measure.Window) *account {
	row, _ := deviceRow(b.Devices, w.Device)
	l.lastDevice = l.part.next(l.lastDevice)
	acc := &account{no: l.lastDevice, firstNS: w.StartNS, lastNS: w.StartNS}
	l.describeDevice(acc, row)
	h.open(acc)
	l.accounts++
	h.due = true
	return acc
}

func (h *host) touch(acc *account) {
	if !acc.dirty {
		acc.dirty = true
		h.dirtyAccounts = append(h.dirtyAccounts, acc)
	}
}

// HostEvent is what a host reported beside its figures. It bears on how they
// are read and changes none.
type HostEvent struct {
	HostNo int64
	measure.Event
}

// HostAddress is an address at which other hosts know a host, as it said itself.
type HostAddress struct {
	HostNo  int64
	Address netip.Addr
	AtNS    int64 // end of its newest window then
}

// HostTraffic is traffic that a host reported. It says who works with whom.
type HostTraffic struct {
	HostNo int64
	measure.Traffic
}

func deviceRow(rows []Device, id measure.DeviceID) (Device, bool) {
	for i := range rows {
		if rows[i].ID == id {
			return rows[i], true
		}
	}
	return Device{}, false
}

// ErrRefused is wrapped by every error about a batch that cannot be counted.
var ErrRefused = errors.New("cannot be counted")
