package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
)

// Flow is the traffic of a cgroup with one peer, by socket calls: payload of TCP,
// without headers and retransmissions, and from Linux 6.3 that of connected UDP.
// Not counted are what stays on the host, what is received by splice, and what a
// kernel before 6.5 sends by sendfile.
type Flow struct {
	Cgroup         uint64 // of the process that sent or received, in the unified hierarchy
	Peer           netip.Addr
	Sent, Received uint64 // bytes
}

// flowBatch is how many flows are read in one call of the kernel.
const flowBatch = 4096

// flowTables are the two tables that programs count into by turns.
type flowTables struct {
	active *ebpf.Map // array of one: the table in use
	batch  int

	mu     sync.Mutex
	tables [2]*ebpf.Map // the first is in use
}

func newFlowTables(loaded map[string]*ebpf.Map) *flowTables {
	a, b := loaded[monitorMapFlowsA], loaded[monitorMapFlowsB]
	// A batch that is smaller than one bucket's chain is refused; one that takes
	// the whole table never is.
	return &flowTables{active: loaded[monitorMapFlows], tables: [2]*ebpf.Map{a, b}, batch: int(min(a.MaxEntries(), flowBatch))}
}

// Traffic returns the bytes since the last call, and clears them. Each byte is
// told once: the table is exchanged, and the kernel answers when no program
// counts into the old one any more. It may take some tens of milliseconds.
// [ErrNotWatched] without Config.Flows. After an error, what could not be read
// is told by the next call but one.
func (m *Monitor) Traffic() ([]Flow, error) {
	if m.programs == nil || m.programs.flows == nil {
		return nil, fmt.Errorf("read traffic: %w", ErrNotWatched)
	}
	flows, err := m.programs.flows.take()
	if err != nil {
		return flows, fmt.Errorf("read traffic: %w", err)
	}
	return flows, nil
}

func (t *flowTables) take() ([]Flow, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.active.Put(uint32(0), t.tables[1]); err != nil {
		return nil, fmt.Errorf("exchange tables: %w", err)
	}
	t.tables[0], t.tables[1] = t.tables[1], t.tables[0]

	var flows []Flow
	var cursor ebpf.MapBatchCursor
	keys := make([]monitorFlowKey, t.batch)
	bytes := make([]monitorFlowBytes, t.batch)
	for {
		n, err := t.tables[1].BatchLookupAndDelete(&cursor, keys, bytes, nil)
		for i := range n {
			flows = append(flows, decodeFlow(&keys[i], &bytes[i]))
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return flows, nil
		}
		if err != nil {
			return flows, fmt.Errorf("read table: %w", err)
		}
	}
}
