package agent

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Told are the largest peers in the fleet's networks, of workloads on devices, as
// one line for all cgroups of a workload.
func TestConversationPicks(t *testing.T) {
	networks, err := networksOf("10.0.0.0/8, fc00::/7")
	if err != nil {
		t.Fatal(err)
	}
	job, other := measure.Workload{Kind: measure.KindSlurmJob, ID: "7"}, measure.Workload{Kind: measure.KindUnit, ID: "sshd.service"}
	c := conversation{networks: networks}
	c.hold([]measure.Share{{State: measure.Attributed, Workload: job}, {State: measure.Idle}})
	asked := 0
	of := func(path string) measure.Workload {
		if asked++; path == "/ssh" {
			return other
		}
		return job
	}
	address := netip.MustParseAddr
	exchanges := []witness.Exchange{
		{Cgroup: "/a", Peer: address("10.0.0.2"), Sent: 5, Received: 1}, {Cgroup: "/b", Peer: address("10.0.0.2"), Sent: 7},
		{Cgroup: "/a", Peer: address("203.0.113.9"), Sent: 1 << 40}, {Cgroup: "/a", Peer: address("203.0.113.10"), Received: 3}, // a customer's customer: nobody's business
		{Cgroup: "/ssh", Peer: address("10.0.0.2"), Sent: 1 << 40},
		{Cgroup: "/a", Peer: address("fd00::1"), Received: 100},
	}
	for i := range 3 * maxPeers {
		exchanges = append(exchanges, witness.Exchange{Cgroup: "/a", Peer: address(fmt.Sprintf("10.9.0.%d", i)), Sent: 1})
	}
	from, to := time.Unix(100, 0), time.Unix(130, 0)
	got := c.pick(exchanges, from, to, of)
	want := []measure.Traffic{
		{StartNS: 100e9, EndNS: 130e9, Workload: job, Peer: measure.Outside, SentBytes: 1 << 40, ReceivedBytes: 3},
		{StartNS: 100e9, EndNS: 130e9, Workload: job, Peer: address("fd00::1"), ReceivedBytes: 100},
		{StartNS: 100e9, EndNS: 130e9, Workload: job, Peer: address("10.0.0.2"), SentBytes: 12, ReceivedBytes: 1},
	}
	if len(got) != maxPeers+1 || !slices.Equal(got[:3], want) {
		t.Errorf("%d lines, the first %+v, want %d and %+v", len(got), got[:3], maxPeers+1, want)
	}
	if asked != 3 {
		t.Errorf("%d cgroups were looked up, want 3", asked)
	}
	for text, want := range map[string]int{noTraffic: 0, "10.0.0.0/8": 1} {
		if p, err := networksOf(text); err != nil || len(p) != want {
			t.Errorf("%q: %v %v", text, p, err)
		}
	}
	for _, text := range []string{"", "10.0.0.1", "10.0.0.0/8;", "all"} {
		if _, err := networksOf(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
