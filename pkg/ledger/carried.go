package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// Carried is what one host counted since its rows were given out: how far it is, and
// the figures of its accounts and segments that grew. With the rows it makes the
// ledger whole again.
type Carried struct {
	HostNo int64
	State  []byte // as appendState writes it
}

const carriedVersion = 1

// appendState writes what differs from the rows of the host. Integers are varints, in
// the order of the code.
func (h *host) appendState(b []byte) []byte {
	b = append(b, carriedVersion)
	b = binary.AppendUvarint(b, h.Position.Epoch)
	b = binary.AppendUvarint(b, h.Position.Seq)
	b = append(b, h.Position.Hash[:]...)
	for _, n := range [...]int64{h.FirstNS, h.LastNS, h.Batches, h.Clocks.BootNS, h.Clocks.ShiftNS, h.Clocks.StepNS, h.Clocks.SealedNS, h.Clocks.LagNS,
		h.Energy.SlotNS, h.Energy.EnergyMJ, h.Energy.KnownNS} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(h.dirtyAccounts)))
	for _, a := range h.dirtyAccounts {
		for _, n := range [...]int64{a.no, a.lastNS - h.LastNS, a.overlapNS, a.windows, int64(a.recentOperations), a.recentNS} {
			b = binary.AppendVarint(b, n)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(h.dirtySegments)))
	var beats [64]byte
	for _, s := range h.dirtySegments {
		for _, n := range [...]int64{s.of.no, s.id, s.endNS - h.LastNS, s.durationNS, int64(s.operations.Low), int64(s.operations.Best - s.operations.Low),
			int64(s.operations.High - s.operations.Best), int64(s.ceiling), s.energyMJ, int64(s.float)} {
			b = binary.AppendVarint(b, n)
		}
		beat := s.appendBeat(beats[:0])
		b = binary.AppendUvarint(b, uint64(len(beat)))
		b = append(b, beat...)
	}
	return b
}

var errCarried = errors.New("what is carried of a host cannot be read")

// Position returns how far the host is counted, which its row says only later.
func (c Carried) Position() (p Position, err error) {
	r := reader{b: c.State}
	if r.byte() != carriedVersion {
		return p, errCarried
	}
	p.Epoch, p.Seq = r.uint(), r.uint()
	copy(p.Hash[:], r.bytes(len(p.Hash)))
	if r.bad {
		return Position{}, errCarried
	}
	return p, nil
}

// carry takes over what a host counted since its rows were given out.
func (l *Ledger) carry(h *host, accounts map[int64]*account, state []byte) error {
	r := reader{b: state}
	if r.byte() != carriedVersion {
		return fmt.Errorf("host %s: %w", h.ID, errCarried)
	}
	h.Position.Epoch, h.Position.Seq = r.uint(), r.uint()
	copy(h.Position.Hash[:], r.bytes(len(h.Position.Hash)))
	for _, n := range [...]*int64{&h.FirstNS, &h.LastNS, &h.Batches, &h.Clocks.BootNS, &h.Clocks.ShiftNS, &h.Clocks.StepNS, &h.Clocks.SealedNS, &h.Clocks.LagNS,
		&h.Energy.SlotNS, &h.Energy.EnergyMJ, &h.Energy.KnownNS} {
		*n = r.int()
	}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		a := accounts[r.int()]
		if a == nil || h.account(a.id) != a {
			return fmt.Errorf("host %s: a device that it does not have: %w", h.ID, errCarried)
		}
		a.lastNS, a.overlapNS, a.windows = h.LastNS+r.int(), r.int(), r.int()
		a.recentOperations, a.recentNS = compute.Operations(r.int()), r.int()
		h.touch(a)
	}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		device, id := r.int(), r.int()
		var s *segment
		if a := accounts[device]; a != nil && h.account(a.id) == a {
			for _, o := range a.open {
				if o.id == id {
					s = o
				}
			}
		}
		if s == nil {
			return fmt.Errorf("host %s: segment %d, which is not open: %w", h.ID, id, errCarried)
		}
		s.endNS, s.durationNS = h.LastNS+r.int(), r.int()
		s.operations.Low = compute.Operations(r.int())
		s.operations.Best = s.operations.Low + compute.Operations(r.int())
		s.operations.High = s.operations.Best + compute.Operations(r.int())
		s.ceiling, s.energyMJ, s.float = compute.Operations(r.int()), r.int(), compute.Operations(r.int())
		if encoded := r.bytes(int(min(r.uint(), 1<<16))); len(encoded) > 0 {
			beat, err := rhythm.Decode(encoded)
			if err != nil {
				return fmt.Errorf("host %s: segment %d: %w", h.ID, id, err)
			}
			s.beat = &beat
		}
		s.dirty = true
		h.dirtySegments = append(h.dirtySegments, s)
	}
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("host %s: %w", h.ID, errCarried)
	}
	h.carriedNS = 1 // longer than any wait: the rows come with the next Take
	l.carriers = append(l.carriers, carrier{h, h.carriedNS})
	return nil
}

// reader reads varints; after a fault it reads zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}
