package witness

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/flopwatch/flopwatch/bpf"
)

// flows is how many pairs of cgroup and peer the kernel counts between two looks.
const flows = 4096

// Exchange is what the processes of one cgroup sent to a peer and received from it.
type Exchange struct {
	Cgroup         string // path in the unified hierarchy
	Peer           netip.Addr
	Sent, Received uint64 // bytes of payload
}

// Traffic returns what was exchanged since the last call, and how many socket calls
// found no room or no name for their cgroup. known is false where the kernel does
// not tell. It may take some tens of milliseconds.
func (w *Witness) Traffic() (all []Exchange, lost uint64, known bool, err error) {
	if w.monitor == nil {
		return nil, 0, false, nil
	}
	found, err := w.monitor.Traffic()
	if errors.Is(err, bpf.ErrNotWatched) {
		return nil, 0, false, nil
	}
	if err != nil {
		err = fmt.Errorf("count traffic: %w", err) // what was read before it counts
	}
	names := map[uint64]string{}
	for _, f := range found {
		path, looked := names[f.Cgroup]
		if !looked {
			path, _ = w.cgroup(f.Cgroup) // "" is of nobody
			names[f.Cgroup] = path
		}
		if path == "" {
			lost++
			continue
		}
		all = append(all, Exchange{Cgroup: path, Peer: f.Peer.Unmap(), Sent: f.Sent, Received: f.Received})
	}
	drops, dropErr := w.monitor.Drops()
	if dropErr != nil {
		return all, lost, true, errors.Join(err, dropErr)
	}
	w.mu.Lock()
	lost += drops.Flows - w.flowDrops
	w.flowDrops = drops.Flows
	w.mu.Unlock()
	return all, lost, true, err
}
