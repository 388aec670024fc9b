package store

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// machine is a batch of a host with one virtual machine, which talks with peers.
func machine(host, id string, from, to int, own string, peers ...string) *ledger.Batch {
	w := measure.Workload{Kind: measure.KindVM, ID: id}
	device := measure.DeviceID("GPU-" + host)
	b := reports(ledger.HostID(host), host, 1, []ledger.Device{gpu(device, "H100")}, window(device, from, to,
		entry(measure.Attributed, "t1", w, measure.GPM, to-from, compute.Exactly(compute.Operations(to-from)), compute.Operations(1000*(to-from)))))
	b.Addresses = []netip.Addr{netip.MustParseAddr(own)}
	for _, p := range peers {
		b.Traffic = append(b.Traffic, measure.Traffic{StartNS: at(from), EndNS: at(to), Workload: w, Peer: netip.MustParseAddr(p), SentBytes: 10, ReceivedBytes: 20})
	}
	return b
}

// Two machines on two hosts that talk with each other are one run, and the join
// says why. An address that two hosts claim, or that nobody has, says nothing.
func TestTrafficJoins(t *testing.T) {
	for _, c := range []struct {
		name  string
		extra []*ledger.Batch
		runs  int
	}{
		{"both tell", nil, 1},
		{"a third host claims the address", []*ledger.Batch{machine("c", "3", 2*hourS, 12*hourS, "10.0.0.2")}, 3},
		{"the claim is of another time", []*ledger.Batch{machine("c", "3", 1000*hourS, 1001*hourS, "10.0.0.2")}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			d := NewDeriver(s, nil, atNoon)
			count(t, s, []Follower{d}, append([]*ledger.Batch{
				machine("a", "1", 0, 10*hourS, "10.0.0.1", "10.0.0.2", "10.0.0.99"), machine("b", "2", hourS, 12*hourS, "10.0.0.2", "10.0.0.1")}, c.extra...)...)
			derive(t, d)
			runs := runsOf(t, s, "t1")
			if len(runs) != c.runs {
				t.Fatalf("%d runs, want %d: %+v", len(runs), c.runs, runs)
			}
			if c.runs != 1 {
				return
			}
			joins := joinsOf(t, s, runs[0].ID)
			if len(joins) != 1 || !slices.ContainsFunc(joins[0].Evidence, func(e training.Evidence) bool { return e.Name == "traffic" && e.Bits > 0 }) {
				t.Errorf("joins %+v, want one by traffic", joins)
			}
		})
	}
}

// What is kept of a workload's peers is bounded: those heard of last.
func TestTrafficIsBounded(t *testing.T) {
	s := open(t, t.TempDir())
	var peers []string
	for i := range 2 * maxTalks {
		peers = append(peers, fmt.Sprintf("10.1.0.%d", i+1))
	}
	count(t, s, nil, machine("a", "1", 0, hourS, "10.0.0.1", peers...))
	var rows int
	if err := s.read.QueryRow("SELECT count(*) FROM traffic").Scan(&rows); err != nil || rows != maxTalks {
		t.Errorf("%d rows (%v), want %d", rows, err, maxTalks)
	}
}
