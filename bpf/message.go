package bpf

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Numbers of the process connector (linux/connector.h, linux/cn_proc.h).
const (
	connectorProcesses = 1 // index and value of its messages, and its group
	connectorListen    = 1
	connectorMessage   = 4096

	netlinkHeader   = 16
	connectorHeader = 20
	procHeader      = 16 // kind, CPU, time
	procNone        = 0x00000000
	procFork        = 0x00000001
	procExec        = 0x00000002
	procExit        = 0x80000000
)

// listenRequest is the message that asks for events. The answer bears the next
// number after mark.
func listenRequest(mark uint32) []byte {
	const size = netlinkHeader + connectorHeader + 4
	b := make([]byte, 0, size)
	b = binary.NativeEndian.AppendUint32(b, size)
	b = binary.NativeEndian.AppendUint16(b, 3) // NLMSG_DONE
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, connectorProcesses)
	b = binary.NativeEndian.AppendUint32(b, connectorProcesses)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, mark)
	b = binary.NativeEndian.AppendUint16(b, 4)
	b = binary.NativeEndian.AppendUint16(b, 0)
	return binary.NativeEndian.AppendUint32(b, connectorListen)
}

// message is one message of the process connector.
type message struct {
	ack  uint32
	kind uint32
	time time.Duration // monotonic
	data []byte
}

func decodeMessage(b []byte) (message, error) {
	if len(b) < netlinkHeader+connectorHeader+procHeader {
		return message{}, fmt.Errorf("decode message of the process connector: %d bytes", len(b))
	}
	head, proc := b[netlinkHeader:], b[netlinkHeader+connectorHeader:]
	if index, value := binary.NativeEndian.Uint32(head), binary.NativeEndian.Uint32(head[4:]); index != connectorProcesses || value != connectorProcesses {
		return message{}, fmt.Errorf("decode message of the process connector: it is of connector %d.%d", index, value)
	}
	return message{
		ack:  binary.NativeEndian.Uint32(head[12:]),
		kind: binary.NativeEndian.Uint32(proc),
		time: time.Duration(binary.NativeEndian.Uint64(proc[8:])),
		data: proc[procHeader:],
	}, nil
}

// answer is what the kernel says to a request to listen.
type answer struct {
	message
	errno uint32
}

// mine says whether the answer is to the request with the mark: the kernel sends
// answers to all who listen.
func (a answer) mine(mark uint32) bool { return a.kind == procNone && a.ack == mark+1 }

func decodeAnswer(b []byte) (answer, error) {
	m, err := decodeMessage(b)
	if err != nil {
		return answer{}, err
	}
	if m.kind == procNone && len(m.data) >= 4 {
		return answer{m, binary.NativeEndian.Uint32(m.data)}, nil
	}
	return answer{message: m}, nil
}

// decodeConnector fills e and says whether the message is an event of a process:
// threads and other kinds are none. suspended is added to its time.
func decodeConnector(e *Event, b []byte, suspended time.Duration) (bool, error) {
	m, err := decodeMessage(b)
	if err != nil {
		return false, err
	}
	var kind Kind
	size := 8
	switch m.kind {
	case procFork:
		kind, size = Forked, 16
	case procExec:
		kind = Executed
	case procExit:
		kind = Exited
	default:
		return false, nil
	}
	if len(m.data) < size {
		return false, fmt.Errorf("decode event of the process connector: %d bytes, want %d", len(m.data), size)
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(m.data[4*i:]) }
	*e = Event{Kind: kind, Time: m.time + suspended}
	thread, process := word(0), word(1)
	if kind == Forked {
		e.PPID = int(word(1))
		thread, process = word(2), word(3)
	}
	e.PID = int(process)
	// An exec by another thread than the first names that thread before it takes
	// the place of the first; it is the process all the same.
	return kind == Executed || thread == process, nil
}
