package bpf

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
)

// programs are the BPF programs of one monitor, loaded and attached.
type programs struct {
	hooks   hooks
	missing error // what was asked for and is not watched
	loaded  *ebpf.Collection
	links   []io.Closer
	events  *ringbuf.Reader
	running sync.Mutex
	devices *deviceTable // nil unless devices are watched, as holders
	holders *link.Iter
	flows   *flowTables // nil unless flows are counted
	joins   *joins      // nil unless communicators may be watched
}

// openPrograms loads and attaches what the settings ask for. With AnyMethod it
// leaves out what has no hook here, so that the rest is not lost with it.
func openPrograms(config *Config) (*programs, error) {
	if err := liftLockedMemory(); err != nil {
		return nil, err
	}
	spec, err := loadMonitor()
	if err != nil {
		return nil, fmt.Errorf("read BPF programs: %w", err)
	}
	p := &programs{}
	if p.hooks, err = chooseHooks(spec); err != nil {
		return nil, err
	}
	if p.missing = p.hooks.missing(config); p.missing != nil && config.Method == Programs {
		return nil, p.missing
	}
	if err := p.hooks.narrow(spec, config); err != nil {
		return nil, err
	}
	if p.loaded, err = ebpf.NewCollection(spec); err != nil {
		return nil, fmt.Errorf("load BPF programs: %w", err)
	}
	if err := p.attach(config); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// narrow leaves of the specification what the settings ask for.
func (h *hooks) narrow(spec *ebpf.CollectionSpec, config *Config) error {
	keep := []string{monitorProgProcessFork, monitorProgProcessExec, monitorProgProcessExit, monitorProgProcessMove}
	if config.Devices {
		keep = append(append(keep, h.open...), monitorProgDeviceHolders)
	} else {
		delete(spec.Maps, monitorMapMajors)
		delete(spec.Maps, monitorMapFiles)
		delete(spec.Maps, monitorMapFileNumbers)
	}
	if config.Flows > 0 && h.traffic != nil {
		keep = append(keep, h.traffic...)
		size := uint32(config.Flows)
		spec.Maps[monitorMapFlowsA].MaxEntries = size
		spec.Maps[monitorMapFlowsB].MaxEntries = size
		spec.Maps[monitorMapFlows].InnerMap.MaxEntries = size
	} else {
		delete(spec.Maps, monitorMapFlows)
		delete(spec.Maps, monitorMapFlowsA)
		delete(spec.Maps, monitorMapFlowsB)
	}
	if len(config.CommunicatorKey) > 0 {
		keep = append(keep, monitorProgJoinRank, monitorProgJoinScalable)
		if h.multi {
			spec.Programs[monitorProgJoinRank].AttachType = ebpf.AttachTraceUprobeMulti
			spec.Programs[monitorProgJoinScalable].AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	recall := uint8(0)
	if config.Recall > 0 {
		recall = 1
		keep = append(keep, monitorProgCgroupMade)
		spec.Maps[monitorMapProcesses].MaxEntries = uint32(config.Recall)
		spec.Maps[monitorMapCgroupPaths].MaxEntries = recalledPaths
	}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !slices.Contains(keep, name) })
	spec.Maps[monitorMapEvents].MaxEntries = uint32(config.RingBytes)
	number := uint8(0)
	if h.closes {
		number = 1
	}
	if err := errors.Join(
		spec.Variables[monitorVarWakeBytes].Set(uint64(config.RingBytes/8)),
		spec.Variables[monitorVarNumberFiles].Set(number),
		spec.Variables[monitorVarRecall].Set(recall),
	); err != nil {
		return fmt.Errorf("set constants of the BPF programs: %w", err)
	}
	return nil
}

func (p *programs) attach(config *Config) error {
	var err error
	if p.events, err = ringbuf.NewReader(p.loaded.Maps[monitorMapEvents]); err != nil {
		return fmt.Errorf("map the ring of events: %w", err)
	}
	if config.Devices {
		p.devices = &deviceTable{majors: p.loaded.Maps[monitorMapMajors]}
		if err := p.devices.set(config.Majors); err != nil {
			return err
		}
	}
	if config.Flows > 0 && p.hooks.traffic != nil {
		p.flows = newFlowTables(p.loaded.Maps)
	}
	if len(config.CommunicatorKey) > 0 {
		p.joins = newJoins(p.loaded.Programs, config.CommunicatorKey, p.hooks.multi)
	}
	for _, name := range slices.Sorted(maps.Keys(p.loaded.Programs)) {
		if err := p.attachOne(name, p.loaded.Programs[name]); err != nil {
			return fmt.Errorf("attach %s: %w", name, err)
		}
	}
	return nil
}

func (p *programs) attachOne(name string, program *ebpf.Program) error {
	var attached io.Closer
	var err error
	switch name {
	case monitorProgJoinRank, monitorProgJoinScalable:
		return nil // attached to libraries as they are named
	case monitorProgDeviceHolders:
		p.holders, err = link.AttachIter(link.IterOptions{Program: program})
		attached = p.holders
	case monitorProgDeviceAsked:
		attached, err = link.AttachCgroup(link.CgroupOptions{Path: p.hooks.root, Attach: ebpf.AttachCGroupDevice, Program: program})
	default:
		attached, err = link.AttachTracing(link.TracingOptions{Program: program})
	}
	if err != nil {
		return err
	}
	p.links = append(p.links, attached)
	return nil
}

func (p *programs) close() error {
	var errs []error
	if p.joins != nil {
		errs = append(errs, p.joins.close())
	}
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	if p.events != nil {
		errs = append(errs, p.events.Close())
	}
	p.loaded.Close()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("detach BPF programs: %w", err)
	}
	return nil
}
