package measure

import "net/netip"

// Outside stands for every peer that is not in the networks of the fleet. Who they
// are is nobody's business; how much went out and came in is evidence.
var Outside = netip.IPv4Unspecified()

// Traffic is what one workload of a host exchanged with one peer through sockets.
// It says who works with whom, and bears on no figure.
type Traffic struct {
	StartNS, EndNS int64 // when it was counted, Unix nanoseconds
	Workload       Workload
	Peer           netip.Addr
	SentBytes      int64 // payload
	ReceivedBytes  int64
}
