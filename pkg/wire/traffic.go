package wire

import (
	"net/netip"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// maxTrafficBytes bounds one figure: a thousand years of it can be summed.
const maxTrafficBytes = 1 << 53

func encodeTraffic(p *PayloadMessage, b *Batch) {
	for _, a := range b.Addresses {
		p.Addresses = append(p.Addresses, a.AsSlice())
	}
	if len(b.Traffic) == 0 {
		return
	}
	numbers := make(map[measure.Workload]uint32, len(p.Workloads))
	for i, w := range p.Workloads {
		numbers[measure.Workload{Kind: measure.WorkloadKind(w.Kind), ID: w.Id, Hint: w.Hint}] = uint32(i) + 1
	}
	t := tables{workloads: numbers}
	for i := range b.Traffic {
		f := &b.Traffic[i]
		p.Traffic = append(p.Traffic, &TrafficMessage{StartNs: f.StartNS, LengthNs: uint64(f.EndNS - f.StartNS), Workload: t.workload(p, f.Workload),
			Peer: f.Peer.AsSlice(), Sent: uint64(f.SentBytes), Received: uint64(f.ReceivedBytes)})
	}
}

// checkTraffic refuses what no agent writes.
func (p *PayloadMessage) checkTraffic() error {
	if len(p.Addresses) > MaxAddress || len(p.Traffic) > MaxTraffic {
		return invalid("%d addresses and %d lines of traffic, at most %d and %d", len(p.Addresses), len(p.Traffic), MaxAddress, MaxTraffic)
	}
	for i, raw := range p.Addresses {
		if !validAddress(raw) {
			return invalid("address %d", i)
		}
	}
	for i, f := range p.Traffic {
		if f.StartNs < 0 || f.LengthNs > maxWindowNS || f.Workload == 0 || f.Workload > uint32(len(p.Workloads)) || !validPeer(f.Peer) ||
			f.Sent > maxTrafficBytes || f.Received > maxTrafficBytes || f.StartNs > maxTimeNS {
			return invalid("traffic %d", i)
		}
	}
	return nil
}

// maxTimeNS keeps a start and a length from passing the last instant of int64.
const maxTimeNS = 1<<63 - 1 - maxWindowNS

// validAddress accepts an address in its one form: not IPv4 inside of IPv6.
func validAddress(raw []byte) bool {
	a, ok := netip.AddrFromSlice(raw)
	return ok && a.IsValid() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast()
}

// validPeer accepts an address, and what stands for everybody outside.
func validPeer(raw []byte) bool {
	a, ok := netip.AddrFromSlice(raw)
	return ok && a == measure.Outside || validAddress(raw)
}
