package bpf

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/btf"
)

// encode is a record as the programs write it.
func encode(t testing.TB, record any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, record); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodeEvent(t *testing.T) {
	hasher := newHasher(make([]byte, minKeyBytes))
	head := monitorEvent{Time: 7, Start: 5, Cgroup: 1 << 40, File: 9, Pid: 4_000_000_000, Ppid: 3, Creator: 2, Major: 195, Minor: 255, Kind: uint32(Opened)}
	want := Event{Kind: Opened, Time: 7, PID: 4_000_000_000, Start: 5, Cgroup: 1 << 40, PPID: 3, Creator: 2, File: 9, Major: 195, Minor: 255}
	var e Event
	if err := decodeEvent(&e, encode(t, head), hasher); err != nil || e != want {
		t.Errorf("decoded %+v %v, want %+v", e, err, want)
	}

	head.Kind = uint32(Joined)
	record := encode(t, monitorCommunicatorEvent{Head: head, Ranks: 8, Rank: 7, Id: [128]uint8{1, 2, 3}})
	if err := decodeEvent(&e, record, hasher); err != nil || e.Communicator.Ranks != 8 || e.Communicator.Rank != 7 {
		t.Errorf("decoded %+v %v", e, err)
	}
	first := e.Communicator.Hash
	if id := record[unsafe.Offsetof(monitorCommunicatorEvent{}.Id):]; !bytes.Equal(id, make([]byte, 128)) {
		t.Errorf("the id is still there: %x", id)
	}
	if err := decodeEvent(&e, encode(t, monitorCommunicatorEvent{Head: head, Id: [128]uint8{1, 2, 4}}), hasher); err != nil || e.Communicator.Hash == first {
		t.Errorf("another id has the same hash, or %v", err)
	}

	for name, record := range map[string][]byte{
		"empty":        {},
		"short":        encode(t, head)[:eventSize-1],
		"short join":   encode(t, head),
		"kind 0":       encode(t, monitorEvent{}),
		"kind unknown": encode(t, monitorEvent{Kind: uint32(Joined) + 1}),
	} {
		if err := decodeEvent(&e, record, hasher); err == nil {
			t.Errorf("%s: decoded as %+v", name, e)
		}
	}
}

// Decoding an event allocates nothing.
func TestDecodeAllocates(t *testing.T) {
	hasher := newHasher(make([]byte, minKeyBytes))
	record := encode(t, monitorEvent{Kind: uint32(Forked)})
	var e Event
	if n := testing.AllocsPerRun(100, func() { _ = decodeEvent(&e, record, hasher) }); n != 0 {
		t.Errorf("%v allocations for an event", n)
	}
}

func TestDecodeHolders(t *testing.T) {
	data := encode(t, []monitorHolder{{Start: 1, Cgroup: 2, File: 3, Pid: 4, Ppid: 5, Major: 6, Minor: 7}, {Pid: 8}})
	holders, err := decodeHolders(data)
	if err != nil || len(holders) != 2 || holders[0] != (Holder{Start: 1, Cgroup: 2, File: 3, PID: 4, PPID: 5, Major: 6, Minor: 7}) || holders[1].PID != 8 {
		t.Errorf("holders %+v %v", holders, err)
	}
	if _, err := decodeHolders(data[:len(data)-1]); err == nil {
		t.Error("a part of a record is taken")
	}
}

// The types that the decoders use are those that the programs were built with.
func TestLayout(t *testing.T) {
	spec, err := loadMonitor()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		size    int
		offsets map[string]uintptr
	}{
		"event": {eventSize, map[string]uintptr{
			"time": unsafe.Offsetof(monitorEvent{}.Time), "start": unsafe.Offsetof(monitorEvent{}.Start),
			"cgroup": unsafe.Offsetof(monitorEvent{}.Cgroup), "file": unsafe.Offsetof(monitorEvent{}.File),
			"pid": unsafe.Offsetof(monitorEvent{}.Pid), "ppid": unsafe.Offsetof(monitorEvent{}.Ppid),
			"creator": unsafe.Offsetof(monitorEvent{}.Creator), "major": unsafe.Offsetof(monitorEvent{}.Major),
			"minor": unsafe.Offsetof(monitorEvent{}.Minor), "kind": unsafe.Offsetof(monitorEvent{}.Kind),
		}},
		"communicator_event": {communicatorSize, map[string]uintptr{
			"head": 0, "ranks": unsafe.Offsetof(monitorCommunicatorEvent{}.Ranks),
			"rank": unsafe.Offsetof(monitorCommunicatorEvent{}.Rank), "id": unsafe.Offsetof(monitorCommunicatorEvent{}.Id),
		}},
		"holder": {holderSize, map[string]uintptr{
			"start": unsafe.Offsetof(monitorHolder{}.Start), "cgroup": unsafe.Offsetof(monitorHolder{}.Cgroup),
			"file": unsafe.Offsetof(monitorHolder{}.File), "pid": unsafe.Offsetof(monitorHolder{}.Pid),
			"ppid": unsafe.Offsetof(monitorHolder{}.Ppid), "major": unsafe.Offsetof(monitorHolder{}.Major),
			"minor": unsafe.Offsetof(monitorHolder{}.Minor),
		}},
		"flow_key":   {int(unsafe.Sizeof(monitorFlowKey{})), map[string]uintptr{"cgroup": 0, "peer": unsafe.Offsetof(monitorFlowKey{}.Peer)}},
		"flow_bytes": {int(unsafe.Sizeof(monitorFlowBytes{})), map[string]uintptr{"sent": 0, "received": unsafe.Offsetof(monitorFlowBytes{}.Received)}},
	} {
		var c *btf.Struct
		if err := spec.Types.TypeByName(name, &c); err != nil {
			t.Fatal(err)
		}
		if int(c.Size) != want.size || len(c.Members) != len(want.offsets) {
			t.Errorf("%s: %d bytes and %d members in C, %d and %d in Go", name, c.Size, len(c.Members), want.size, len(want.offsets))
		}
		for _, member := range c.Members {
			if at, ok := want.offsets[member.Name]; !ok || uintptr(member.Offset.Bytes()) != at {
				t.Errorf("%s.%s is at %d in C, at %d in Go", name, member.Name, member.Offset.Bytes(), at)
			}
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	head := monitorEvent{Time: 1, Start: 2, Pid: 3, Kind: uint32(Forked)}
	f.Add(encode(f, head))
	head.Kind = uint32(Joined)
	f.Add(encode(f, monitorCommunicatorEvent{Head: head, Ranks: 2}))
	f.Add([]byte{})
	hasher := newHasher(make([]byte, minKeyBytes))
	f.Fuzz(func(t *testing.T, record []byte) {
		var e Event
		if err := decodeEvent(&e, record, hasher); err != nil {
			return
		}
		if e.Kind < Forked || e.Kind > Joined || len(record) < eventSize {
			t.Errorf("decoded %+v from %d bytes", e, len(record))
		}
		if e.Kind != Joined && e.Communicator != (Communicator{}) {
			t.Errorf("kind %d with a communicator", e.Kind)
		}
	})
}

func FuzzDecodeHolders(f *testing.F) {
	f.Add(encode(f, monitorHolder{Pid: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		holders, err := decodeHolders(data)
		if err == nil && len(holders)*holderSize != len(data) {
			t.Errorf("%d holders from %d bytes", len(holders), len(data))
		}
		for i, h := range distinct(holders) {
			if i > len(holders) || h.PID < 0 {
				t.Errorf("holder %+v", h)
			}
		}
	})
}

func FuzzDecodeConnector(f *testing.F) {
	f.Add(connectorRecord(procFork, 1, 2, 3, 3))
	f.Add(connectorRecord(procExit, 7, 7, 0, 0))
	f.Add(listenRequest(7))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Event
		told, err := decodeConnector(&e, b, time.Second)
		if told && (err != nil || e.Kind < Forked || e.Kind > Exited) {
			t.Errorf("told %+v, %v", e, err)
		}
		_, _ = decodeAnswer(b)
	})
}

func FuzzDeviceMajors(f *testing.F) {
	f.Add("Character devices:\n195 nvidia\n\nBlock devices:\n")
	f.Fuzz(func(t *testing.T, text string) {
		majors, err := DeviceMajors(strings.NewReader(text))
		for _, major := range majors {
			if err == nil && major > 4095 {
				t.Errorf("major %d", major)
			}
		}
	})
}
