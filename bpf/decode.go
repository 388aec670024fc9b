package bpf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"net/netip"
	"time"
	"unsafe"
)

// Sizes of what the programs write. The fields are read at the offsets that the
// generated types have; TestLayout compares those with the programs' own types.
const (
	eventSize        = int(unsafe.Sizeof(monitorEvent{}))
	communicatorSize = int(unsafe.Sizeof(monitorCommunicatorEvent{}))
	holderSize       = int(unsafe.Sizeof(monitorHolder{}))
)

// decodeEvent fills e from a record of the ring buffer. Of a communicator's id it
// keeps the hash and overwrites the bytes in the record. A record of another
// shape than the programs write is an error.
func decodeEvent(e *Event, record []byte, hasher hash.Hash) error {
	if len(record) < eventSize {
		return fmt.Errorf("decode event: %d bytes, want %d", len(record), eventSize)
	}
	u64 := func(at uintptr) uint64 { return binary.LittleEndian.Uint64(record[at:]) }
	u32 := func(at uintptr) uint32 { return binary.LittleEndian.Uint32(record[at:]) }
	kind := u32(unsafe.Offsetof(monitorEvent{}.Kind))
	if kind < uint32(Forked) || kind > uint32(Joined) {
		return fmt.Errorf("decode event: no event is of kind %d", kind)
	}
	*e = Event{
		Kind:    Kind(kind),
		Time:    time.Duration(u64(unsafe.Offsetof(monitorEvent{}.Time))),
		PID:     int(u32(unsafe.Offsetof(monitorEvent{}.Pid))),
		Start:   time.Duration(u64(unsafe.Offsetof(monitorEvent{}.Start))),
		Cgroup:  u64(unsafe.Offsetof(monitorEvent{}.Cgroup)),
		PPID:    int(u32(unsafe.Offsetof(monitorEvent{}.Ppid))),
		Creator: int(u32(unsafe.Offsetof(monitorEvent{}.Creator))),
		File:    u64(unsafe.Offsetof(monitorEvent{}.File)),
		Major:   u32(unsafe.Offsetof(monitorEvent{}.Major)),
		Minor:   u32(unsafe.Offsetof(monitorEvent{}.Minor)),
	}
	if e.Kind != Joined {
		return nil
	}
	if len(record) < communicatorSize {
		return fmt.Errorf("decode communicator: %d bytes, want %d", len(record), communicatorSize)
	}
	e.Communicator.Ranks = u32(unsafe.Offsetof(monitorCommunicatorEvent{}.Ranks))
	e.Communicator.Rank = u32(unsafe.Offsetof(monitorCommunicatorEvent{}.Rank))
	at := unsafe.Offsetof(monitorCommunicatorEvent{}.Id)
	id := record[at : at+unsafe.Sizeof(monitorCommunicatorEvent{}.Id)]
	hasher.Reset()
	_, _ = hasher.Write(id) // a hash never fails
	hasher.Sum(e.Communicator.Hash[:0])
	clear(id)
	return nil
}

// newHasher returns the keyed hash of communicator ids.
func newHasher(key []byte) hash.Hash { return hmac.New(sha256.New, key) }

// decodeHolders reads what the iterator wrote: whole records and nothing else.
func decodeHolders(data []byte) ([]Holder, error) {
	if len(data)%holderSize != 0 {
		return nil, fmt.Errorf("decode holders: %d bytes are no multiple of %d", len(data), holderSize)
	}
	holders := make([]Holder, 0, len(data)/holderSize)
	for ; len(data) > 0; data = data[holderSize:] {
		u64 := func(at uintptr) uint64 { return binary.LittleEndian.Uint64(data[at:]) }
		u32 := func(at uintptr) uint32 { return binary.LittleEndian.Uint32(data[at:]) }
		holders = append(holders, Holder{
			PID:    int(u32(unsafe.Offsetof(monitorHolder{}.Pid))),
			Start:  time.Duration(u64(unsafe.Offsetof(monitorHolder{}.Start))),
			Cgroup: u64(unsafe.Offsetof(monitorHolder{}.Cgroup)),
			PPID:   int(u32(unsafe.Offsetof(monitorHolder{}.Ppid))),
			File:   u64(unsafe.Offsetof(monitorHolder{}.File)),
			Major:  u32(unsafe.Offsetof(monitorHolder{}.Major)),
			Minor:  u32(unsafe.Offsetof(monitorHolder{}.Minor)),
		})
	}
	return holders, nil
}

// decodeFlow joins the key and the value of one line of the table of flows.
func decodeFlow(key *monitorFlowKey, bytes *monitorFlowBytes) Flow {
	return Flow{
		Cgroup:   key.Cgroup,
		Peer:     netip.AddrFrom16(key.Peer).Unmap(),
		Sent:     bytes.Sent,
		Received: bytes.Received,
	}
}
