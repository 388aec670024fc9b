package bpf

import "time"

// Kind is what happened.
type Kind uint8

const (
	// Forked is the start of a process as a copy of its creator, whose open files
	// it inherits.
	Forked = Kind(monitorEventKindEVENT_FORK)
	// Executed is a process that runs another program from now on.
	Executed = Kind(monitorEventKindEVENT_EXEC)
	// Exited is the end of the last thread of a process. Its files are closed
	// after that.
	Exited = Kind(monitorEventKindEVENT_EXIT)
	// Moved is a process that was put into another cgroup, which the event names.
	Moved = Kind(monitorEventKindEVENT_MOVE)
	// Opened is an attempt to open a watched device. If the driver refuses, the
	// Closed follows at once.
	Opened = Kind(monitorEventKindEVENT_OPEN)
	// Closed is the end of an open file: no process holds it any more. The
	// process of the event is the one that opened it.
	Closed = Kind(monitorEventKindEVENT_CLOSE)
	// Joined is a process that sets up a communicator of NCCL. It may be told more
	// than once when a library is watched through several containers.
	Joined = Kind(monitorEventKindEVENT_COMMUNICATOR)
)

// Event is one thing that happened on the host.
type Event struct {
	Kind    Kind
	Time    time.Duration // since boot
	PID     int           // of the process
	Start   time.Duration // of the process, since boot; 0 is unknown
	Cgroup  uint64        // of the process in the unified hierarchy, the inode of its folder; 0 is unknown
	PPID    int           // of its parent
	Creator int           // Forked: who called it, mostly the parent

	File         uint64 // Opened, Closed: number of the open file, unique while the monitor lives; 0 is unknown
	Major, Minor uint32 // Opened, Closed: number of the device

	Communicator Communicator // Joined
}

// Communicator is the part of one rank in a communicator.
type Communicator struct {
	// Hash is the HMAC-SHA256 of the communicator's id under
	// [Config.CommunicatorKey]: equal on all hosts that use one key.
	Hash  [32]byte
	Ranks uint32 // size of the communicator
	Rank  uint32 // of this process, from 0
}
