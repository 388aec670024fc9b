package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/hostfacts"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

const (
	// trafficEvery is how often traffic is taken from the kernel.
	trafficEvery = 30 * time.Second
	// addressesEvery is how often addresses are told that did not change.
	addressesEvery = time.Hour
	// maxPeers is how many peers of a workload are told, those with most bytes.
	maxPeers = 16
	// noTraffic is the flag's word for counting none.
	noTraffic = "none"
)

// conversation knows which workloads held devices lately, and with which hosts of
// the fleet they exchange bytes. Peers elsewhere are nobody's business and are told
// as one sum; workloads without a device are left out. It is for one goroutine.
type conversation struct {
	networks []netip.Prefix // none: nothing is told
	since    time.Time      // when traffic was last taken
	held     map[measure.Workload]bool
	lost     bool // the last look lost something; said once

	addresses []netip.Addr // as told last
	addressed time.Time
}

// networksOf reads a list of networks.
func networksOf(text string) ([]netip.Prefix, error) {
	if text == noTraffic {
		return nil, nil
	}
	var out []netip.Prefix
	for word := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(word))
		if err != nil {
			return nil, fmt.Errorf("read networks of the fleet: %w", err)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// hold notes who held a device.
func (c *conversation) hold(shares []measure.Share) {
	if len(c.networks) == 0 {
		return
	}
	for i := range shares {
		if w := shares[i].Workload; w.Kind != measure.KindNone && !c.held[w] {
			if c.held == nil {
				c.held = map[measure.Workload]bool{}
			}
			c.held[w] = true
		}
	}
}

// due reports whether it is time to look again.
func (c *conversation) due(now time.Time) bool {
	return len(c.networks) > 0 && now.Sub(c.since) >= trafficEvery
}

// traffic returns what workloads on devices exchanged with hosts of the fleet since
// the last look, and the host's own addresses if they are to be told.
func (o *owners) traffic(ctx context.Context, now time.Time) ([]netip.Addr, []measure.Traffic) {
	c := &o.talk
	from := c.since
	c.since = now
	exchanges, lost, known, err := o.witness.Traffic()
	if err != nil {
		o.log.ErrorContext(ctx, "traffic is not all known", slog.Any("error", err))
	}
	if !known {
		return nil, nil
	}
	if lost > 0 && !c.lost {
		o.log.WarnContext(ctx, "traffic was counted for nobody", slog.Uint64("calls", lost))
	}
	c.lost = lost > 0
	traffic := c.pick(exchanges, from, now, func(path string) measure.Workload {
		names, workload := probe.Resolve([]string{path})
		return o.resolver.Complete(probe.Process{UID: -1, Names: names, Workload: workload, Ended: true}, now.UnixNano()).Workload
	})
	clear(c.held)
	return o.ownAddresses(ctx, now), traffic
}

// pick adds up what belongs to workloads on devices, and keeps the largest peers
// and the sum of those outside.
func (c *conversation) pick(exchanges []witness.Exchange, from, to time.Time, of func(cgroup string) measure.Workload) []measure.Traffic {
	type pair struct {
		workload measure.Workload
		peer     netip.Addr
	}
	sums := map[pair]*measure.Traffic{}
	owner := map[string]measure.Workload{}
	for _, e := range exchanges {
		peer := e.Peer
		if !hostfacts.Within(c.networks, peer) {
			if peer.IsLoopback() || peer.IsUnspecified() {
				continue
			}
			peer = measure.Outside
		}
		w, looked := owner[e.Cgroup]
		if !looked {
			w = of(e.Cgroup)
			owner[e.Cgroup] = w
		}
		if !c.held[w] {
			continue
		}
		t := sums[pair{w, peer}]
		if t == nil {
			t = &measure.Traffic{StartNS: from.UnixNano(), EndNS: to.UnixNano(), Workload: w, Peer: peer}
			sums[pair{w, peer}] = t
		}
		t.SentBytes += int64(min(e.Sent, math.MaxInt32<<16))
		t.ReceivedBytes += int64(min(e.Received, math.MaxInt32<<16))
	}
	all := make([]measure.Traffic, 0, len(sums))
	for _, t := range sums {
		all = append(all, *t)
	}
	bytes := func(t measure.Traffic) int64 { return t.SentBytes + t.ReceivedBytes }
	slices.SortFunc(all, func(a, b measure.Traffic) int {
		return cmp.Or(cmp.Compare(bytes(b), bytes(a)), a.Peer.Compare(b.Peer), cmp.Compare(a.Workload.Kind, b.Workload.Kind), cmp.Compare(a.Workload.ID, b.Workload.ID))
	})
	peers := map[measure.Workload]int{}
	all = slices.DeleteFunc(all, func(t measure.Traffic) bool {
		if t.Peer == measure.Outside {
			return false
		}
		peers[t.Workload]++
		return peers[t.Workload] > maxPeers
	})
	return all[:min(len(all), wire.MaxTraffic)]
}

// ownAddresses returns the host's addresses when they changed or were not told for
// long.
func (o *owners) ownAddresses(ctx context.Context, now time.Time) []netip.Addr {
	c := &o.talk
	found, err := hostfacts.Addresses("/proc", c.networks)
	if err != nil {
		o.log.WarnContext(ctx, "own addresses are not known: other hosts' traffic with this one says nothing", slog.Any("error", err))
		return nil
	}
	if slices.Equal(found, c.addresses) && now.Sub(c.addressed) < addressesEvery {
		return nil
	}
	c.addresses, c.addressed = found, now
	return found
}
