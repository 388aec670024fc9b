package fleet

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/recording"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// FromRecording returns a fleet of one captured host. The leases say whose its
// workloads were; without one a workload's time is unattributed.
func FromRecording(r *recording.Recording, leases *tenancy.Table) *Fleet {
	if len(r.Samples) == 0 {
		return &Fleet{}
	}
	first, last := r.Samples[0].TimeNS, r.Samples[0].TimeNS
	for i := range r.Samples {
		first, last = min(first, r.Samples[i].TimeNS), max(last, r.Samples[i].TimeNS)
	}
	return &Fleet{hosts: []*host{{
		name: r.Host, bootID: r.BootID, startNS: first, endNS: last, devices: len(r.Devices),
		open: func(time.Duration) ([]measure.Device, source) {
			return r.Devices, newRecordedSource(r, leases)
		},
	}}}
}

// recordedSource plays the samples in the order in which they were taken, one
// instant at a time.
type recordedSource struct {
	recording *recording.Recording
	leases    *tenancy.Table
	at        int // next sample
	processes map[instant][]tenancy.Process
	period    time.Duration
	readings  []sampler.Reading
	flows     []recording.Flow // that are left, by time
	signs     []measure.Event  // likewise
}

type instant struct {
	timeNS int64
	device measure.DeviceID
}

func newRecordedSource(r *recording.Recording, leases *tenancy.Table) *recordedSource {
	s := &recordedSource{recording: r, leases: leases, processes: map[instant][]tenancy.Process{}, period: usualStep(r.Samples), flows: slices.Clone(r.Network)}
	slices.SortStableFunc(s.flows, func(a, b recording.Flow) int { return cmp.Compare(a.TimeNS, b.TimeNS) })
	for _, e := range r.Events {
		if _, ok := measure.SignOf(e); ok {
			s.signs = append(s.signs, e)
		}
	}
	slices.SortStableFunc(s.signs, func(a, b measure.Event) int { return cmp.Compare(a.TimeNS, b.TimeNS) })
	for _, p := range r.Processes {
		names, workload := probe.Resolve([]string{p.Cgroup})
		util := p.SMUtil
		if util < 0 {
			util = math.NaN()
		}
		key := instant{p.TimeNS, p.Device}
		subject := tenancy.Subject{Host: r.Host, Device: p.Device}
		holder := probe.Process{PID: p.PID, UID: -1, Names: names, Workload: workload}
		s.processes[key] = append(s.processes[key], tenancy.Held(subject, holder, util))
	}
	return s
}

// usualStep returns the median time between samples of the first device, 1 s if
// there are none: it is what the recording was taken with.
func usualStep(samples []measure.Sample) time.Duration {
	var steps []int64
	var last int64
	for i := range samples {
		if samples[i].Device != samples[0].Device {
			continue
		}
		if step := samples[i].TimeNS - last; i > 0 && step > 0 {
			steps = append(steps, step)
		}
		last = samples[i].TimeNS
	}
	if len(steps) == 0 {
		return time.Second
	}
	slices.Sort(steps)
	return time.Duration(steps[len(steps)/2])
}

// fold keeps the window short: a recording is one host and shows its rhythm.
func (s *recordedSource) fold(window time.Duration) measure.FoldConfig {
	return measure.FoldConfig{Window: min(window, max(s.period, 10*time.Second)), Period: s.period}
}

// exchanged adds up what a workload and a peer exchanged until an instant. Sums
// over all peers name nobody and are left out.
func (s *recordedSource) exchanged(ns int64) []measure.Traffic {
	var out []measure.Traffic
	for ; len(s.flows) > 0 && s.flows[0].TimeNS <= ns; s.flows = s.flows[1:] {
		f := s.flows[0]
		_, workload := probe.Resolve([]string{f.Cgroup})
		if !f.Peer.IsValid() || workload.Kind == measure.KindNone {
			continue
		}
		i := slices.IndexFunc(out, func(t measure.Traffic) bool { return t.Workload == workload && t.Peer == f.Peer })
		if i < 0 {
			i = len(out)
			out = append(out, measure.Traffic{StartNS: f.TimeNS, Workload: workload, Peer: f.Peer})
		}
		if out[i].EndNS = f.TimeNS; f.Direction == recording.Sent {
			out[i].SentBytes += f.Bytes
		} else {
			out[i].ReceivedBytes += f.Bytes
		}
	}
	return out
}

// told returns the signs that the recorded host saw until an instant. What else it
// told follows from its readings and is told anew.
func (s *recordedSource) told(ns int64) []measure.Event {
	var out []measure.Event
	for ; len(s.signs) > 0 && s.signs[0].TimeNS <= ns; s.signs = s.signs[1:] {
		out = append(out, s.signs[0])
	}
	return out
}

func (s *recordedSource) together() bool { return false }

// seek does nothing: a recording is short, and windows that were durable before
// are left out when they come again.
func (s *recordedSource) seek(int64) {}

func (s *recordedSource) next() (int64, []sampler.Reading, bool) {
	samples := s.recording.Samples
	if s.at >= len(samples) {
		return 0, nil, false
	}
	at := samples[s.at].TimeNS
	s.readings = s.readings[:0]
	for ; s.at < len(samples) && samples[s.at].TimeNS == at; s.at++ {
		sample := samples[s.at]
		shares := []measure.Share{{State: measure.Idle, PPM: tenancy.Whole}}
		if procs := s.processes[instant{at, sample.Device}]; len(procs) > 0 {
			shares = tenancy.Shares(procs, s.leases, at)
		} else if s.recording.Processes == nil {
			shares = tenancy.UnknownHolders(tenancy.Subject{Host: s.recording.Host, Device: sample.Device}, s.leases, at)
		}
		s.readings = append(s.readings, sampler.Reading{Sample: sample, Shares: shares})
	}
	return at, s.readings, true
}
