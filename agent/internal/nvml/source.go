package nvml

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Options say where the library is and how long a device may take.
type Options struct {
	LibraryPath string        // "" searches the known places
	Deadline    time.Duration // for one reading of one device, default 500 ms
	Without     []int         // indices of devices that are not opened, nor a handle of them taken
}

// defaultDeadline leaves half of a 1 s period to the rest of a cycle.
const defaultDeadline = 500 * time.Millisecond

// gpmApart is the shortest distance of two GPM samples, 100 ms by the vendor's
// guide, with some room.
const gpmApart = 120 * time.Millisecond

// closeWait bounds how long Close waits for a device that hangs.
const closeWait = 2 * time.Second

// Source reads all devices of this host. Its methods are for one goroutine.
type Source struct {
	lib      *library
	driver   string
	deadline time.Duration
	workers  []*worker
	xids     *xids
	devices  []Device
	readings []DeviceReading
	busy     []bool // asked and not answered
	accepted []bool // the answer before was returned from Readings
	asked    []bool // asked in this call
	round    []int  // those asked, in order
	runner   *runner
	timer    *time.Timer
	wait     sync.WaitGroup // of everything that may be inside a call
	closed   bool
}

// Open loads the library, finds the devices and starts a worker for each. It
// takes about gpmApart longer where a device has GPM. The error wraps
// ErrNoDriver on a host without a driver. A library call that hangs makes Open
// return the context's error and leaves the call behind.
func Open(ctx context.Context, o Options) (*Source, error) {
	type result struct {
		source *Source
		err    error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := open(o)
		opened <- result{s, err}
	}()
	select {
	case r := <-opened:
		return r.source, r.err
	case <-ctx.Done():
		// The call cannot be stopped; should it return after all, what it opened
		// is closed again.
		go func() {
			if r := <-opened; r.source != nil {
				_ = r.source.Close() // nobody is left to tell
			}
		}()
		return nil, fmt.Errorf("open the NVIDIA management library: %w", ctx.Err())
	}
}

func open(o Options) (*Source, error) {
	lib, err := load(o.LibraryPath)
	if err != nil {
		return nil, err
	}
	without := map[int]bool{}
	for _, i := range o.Without {
		without[i] = true
	}
	units, err := discover(lib, without)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", lib.path, err), lib.close())
	}
	n := len(units)
	s := &Source{
		lib: lib, deadline: o.Deadline,
		workers: make([]*worker, n), devices: make([]Device, n), readings: make([]DeviceReading, n),
		busy: make([]bool, n), accepted: make([]bool, n), asked: make([]bool, n),
	}
	if s.deadline <= 0 {
		s.deadline = defaultDeadline
	}
	if lib.has(callDriverVersion) {
		if v, ret := lib.SystemGetDriverVersion(); ret == nv.SUCCESS {
			s.driver = strings.Clone(v)
		}
	}
	for i, u := range units {
		s.workers[i] = newWorker(lib, u)
	}
	s.probe()
	for i, w := range s.workers {
		s.devices[i] = w.describe()
		s.accepted[i] = true
	}
	s.xids = watchXids(lib, s.workers)
	s.timer = time.NewTimer(time.Hour)
	s.timer.Stop()
	return s, nil
}

// probe asks once for everything that may be refused, before any reading.
func (s *Source) probe() {
	waiting := false
	for _, w := range s.workers {
		if w.gpm.reason == "" {
			if ret := w.gpm.take(); ret == nv.SUCCESS {
				w.gpm.settle()
				waiting = true
			} else if isUnsupported(ret) || ret == nv.ERROR_NO_PERMISSION {
				w.gpm.free()
				w.gpm.reason = "GPM sample: " + failure(ret).Error()
			}
		}
		if !w.disabled[callUtilization] {
			_, ret := w.hot.utilization()
			w.try(callUtilization, ret)
		}
		if !w.disabled[callProcessUse] {
			// What the driver still remembers from before is not ours.
			rows, ret := w.hot.uses(0)
			w.try(callProcessUse, ret)
			for i := range rows {
				w.newSeen = max(w.newSeen, uint64(rows[i].time))
			}
		}
	}
	if !waiting {
		return
	}
	time.Sleep(gpmApart)
	for _, w := range s.workers {
		if w.gpm.reason != "" || !w.gpm.hasBase || w.gpm.take() != nv.SUCCESS {
			continue
		}
		if w.gpm.compute() == nv.SUCCESS {
			w.gpm.probe()
		}
	}
}

// describe names the best method of the worker's unit. It is called before the
// worker runs.
func (w *worker) describe() Device {
	d := Device{
		Device: w.unit.device, Index: w.unit.index, Minor: minorOf(w.lib, w.unit.whole),
		Accounting: accountingOf(w.lib, w.unit.whole),
	}
	d.Fabric = fabricOf(w.lib, w.unit.whole)
	switch {
	case w.gpm.offers(uint32(nv.GPM_METRIC_SM_CYCLES_ELAPSED)) && w.gpm.offers(uint32(nv.GPM_METRIC_HMMA_CYCLES_ACTIVE)) && d.SMCount > 0:
		d.Method = measure.Cycles
	case w.gpm.offers(uint32(nv.GPM_METRIC_HMMA_TENSOR_UTIL)) && !w.disabled[callClock]:
		d.Method, d.Reason = measure.GPM, "the driver has no cycle counters"
	case !w.disabled[callUtilization]:
		d.Method, d.Reason = measure.Activity, w.gpm.reason
	default:
		d.Method, d.Reason = measure.Allocation, w.gpm.reason+"; no utilization"
	}
	if d.Reason == "" && d.Method != measure.Cycles {
		d.Reason = "the device offers no tensor pipe activity"
	}
	return d
}

// Library returns the file that was loaded and the driver's version, "" if it
// does not say.
func (s *Source) Library() (path, driver string) { return s.lib.path, s.driver }

// Confidential says whether the host's devices compute in confidential mode, in
// which drivers may refuse counters.
func (s *Source) Confidential() Answer {
	if !s.lib.has(callConfidential) {
		return CouldNotTell
	}
	switch state, ret := s.lib.SystemGetConfComputeState(); {
	case ret != nv.SUCCESS:
		return CouldNotTell
	case state.CcFeature == nv.CC_SYSTEM_FEATURE_ENABLED:
		return Yes
	}
	return No
}

// Xids returns the errors that the driver reported since the last call, and how
// many more there were than are kept.
func (s *Source) Xids() (list []Xid, dropped int64) { return s.xids.take() }

// Devices returns the devices and partitions in the order of Readings.
func (s *Source) Devices() []Device { return s.devices }

// Readings reads every device once and waits until the deadline or the end of
// ctx at most. nowNS is the time of the call in Unix nanoseconds and stamps the
// samples. There is one answer for each device, in the order of Devices; a
// device that failed, was lost or is still busy with an earlier call has Err
// set. Answers that come late are dropped, and averages then cover their time
// too. The result is valid until the next call. Calls should be at least 100 ms
// apart, because GPM averages need that.
//
// The devices are read one after the other on one thread, because waking one for
// each would cost more than the readings. The first that takes more than half of
// the deadline is left to itself, and those after it are read side by side.
func (s *Source) Readings(ctx context.Context, nowNS int64) []DeviceReading {
	start := time.Now()
	s.round = s.round[:0]
	for i, w := range s.workers {
		if s.busy[i] && w.settled() { // late: dropped
			s.busy[i], s.accepted[i] = false, false
		}
		if s.asked[i] = !s.closed && !s.busy[i]; s.asked[i] {
			w.request = request{nowNS: nowNS, asked: start, accepted: s.accepted[i]}
			w.state.Store(asked)
			s.round = append(s.round, i)
			s.busy[i] = true
		}
	}
	if len(s.round) > 0 {
		s.timer.Reset(s.deadline / 2)
		s.run(s.round)
		s.await(ctx, start)
		s.timer.Stop()
	}
	for i, w := range s.workers {
		switch {
		case !s.asked[i]:
			s.gap(i)
		case w.state.CompareAndSwap(asked, settled): // nobody came to it
			s.busy[i], s.accepted[i] = false, false
			s.gap(i)
		case !w.settled():
			s.gap(i)
		default:
			s.readings[i] = w.reading
			s.busy[i], s.accepted[i] = false, w.reading.Err == nil
		}
	}
	return s.readings
}

// run lets a runner read the devices of the round, a new one if the last hangs.
func (s *Source) run(round []int) {
	if s.runner == nil {
		s.runner = &runner{rounds: make(chan []*worker, 1), done: make(chan struct{}, 1)}
		s.wait.Go(s.runner.loop)
	}
	s.runner.list = s.runner.list[:0]
	for _, i := range round {
		s.runner.list = append(s.runner.list, s.workers[i])
	}
	s.runner.rounds <- s.runner.list
}

// await waits for the round. When a device hangs, its runner is given up: it
// ends once the call returns, and the devices after it get one each.
func (s *Source) await(ctx context.Context, start time.Time) {
	select {
	case <-s.runner.done:
		return
	case <-ctx.Done():
	case <-s.timer.C:
	}
	s.runner.abandon()
	s.runner = nil
	if ctx.Err() != nil {
		return
	}
	var others sync.WaitGroup
	for _, i := range s.round {
		if w := s.workers[i]; w.claim() {
			others.Add(1)
			s.wait.Go(func() {
				defer others.Done()
				w.work()
			})
		}
	}
	all := make(chan struct{})
	s.wait.Go(func() {
		others.Wait()
		close(all)
	})
	s.timer.Reset(s.deadline - time.Since(start))
	select {
	case <-all:
	case <-ctx.Done():
	case <-s.timer.C:
	}
}

func (s *Source) gap(i int) {
	id := s.workers[i].unit.device.ID
	err := ErrDeadline
	if s.closed {
		err = ErrClosed
	}
	s.readings[i] = DeviceReading{Device: id, Err: fmt.Errorf("read device %s: %w", id, err)}
}

// Close ends the workers and unloads the library, unless a call is still in it:
// unloading it under a call would crash. A wait for device errors is such a call
// and cannot be cut short, so that the end of the process is what lets go of the
// driver. A device that hangs is waited for a short time only, and named.
func (s *Source) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	idle := s.xids.close()
	if s.runner != nil {
		s.runner.abandon()
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.wait.Wait()
	}()
	var hung []error
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-gone:
		for _, w := range s.workers {
			w.gpm.free()
			w.hot.free()
		}
	case <-timer.C:
		for _, w := range s.workers {
			if w.state.Load() == working {
				hung = append(hung, fmt.Errorf("close device %s: %w", w.unit.device.ID, ErrDeadline))
			}
		}
	}
	if len(hung) > 0 || !idle {
		return errors.Join(hung...)
	}
	return s.lib.close()
}
