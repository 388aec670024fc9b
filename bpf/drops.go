package bpf

import "fmt"

// Drops counts what happened but could not be told, since Open. Whoever derives
// something from events widens its bounds when a count has grown, and takes
// [Monitor.Holders] anew after lost opens, closes or forks.
type Drops struct {
	Processes     uint64 // forks, execs, exits and moves; with Connector, messages lost at least
	Opens         uint64
	Closes        uint64
	Files         uint64 // open files beyond the table: their close is not told either
	Flows         uint64 // socket calls whose bytes found no room
	Communicators uint64
}

// Any says whether anything was lost.
func (d Drops) Any() bool { return d != Drops{} }

func (p *programs) readDrops() (Drops, error) {
	var counts [monitorDropDROPS]uint64
	for what := range counts {
		var perCPU []uint64
		if err := p.loaded.Maps[monitorMapDrops].Lookup(uint32(what), &perCPU); err != nil {
			return Drops{}, fmt.Errorf("read drop counter %d: %w", what, err)
		}
		for _, n := range perCPU {
			counts[what] += n
		}
	}
	return Drops{
		Processes:     counts[monitorDropDROP_PROCESS],
		Opens:         counts[monitorDropDROP_OPEN],
		Closes:        counts[monitorDropDROP_CLOSE],
		Files:         counts[monitorDropDROP_FILE],
		Flows:         counts[monitorDropDROP_FLOW],
		Communicators: counts[monitorDropDROP_COMMUNICATOR],
	}, nil
}
