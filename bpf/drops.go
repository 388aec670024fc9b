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
	if err := p.addMisses(&counts); err != nil {
		return Drops{}, err
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

// addMisses adds what the kernel did not hand to the programs, because one was
// running on the CPU already. Kernels before 5.12 do not count it.
func (p *programs) addMisses(counts *[monitorDropDROPS]uint64) error {
	for name, program := range p.loaded.Programs {
		stats, err := program.Stats()
		if err != nil {
			return fmt.Errorf("read misses of %s: %w", name, err)
		}
		switch name {
		case monitorProgProcessFork, monitorProgProcessExec, monitorProgProcessExit, monitorProgProcessMove:
			counts[monitorDropDROP_PROCESS] += stats.RecursionMisses
		case monitorProgDeviceOpen, monitorProgFileOpen, monitorProgDeviceAsked:
			counts[monitorDropDROP_OPEN] += stats.RecursionMisses
		case monitorProgFileFree, monitorProgFilePut:
			counts[monitorDropDROP_CLOSE] += stats.RecursionMisses
		case monitorProgFlowSent, monitorProgFlowReceived, monitorProgSocketSent, monitorProgSocketReceived:
			counts[monitorDropDROP_FLOW] += stats.RecursionMisses
		case monitorProgJoinRank, monitorProgJoinScalable:
			counts[monitorDropDROP_COMMUNICATOR] += stats.RecursionMisses
		}
	}
	return nil
}
