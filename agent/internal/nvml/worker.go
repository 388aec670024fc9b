package nvml

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ProcessUse is one process on a device.
type ProcessUse struct {
	PID         int     // on the host
	MemoryBytes int64   // device memory that it holds, -1 if not known
	SMUtil      float64 // percent of the device since the last reading, NaN if not known
}

// DeviceReading is what one device answered. Err makes it a gap: then nothing
// else holds.
type DeviceReading struct {
	Device       measure.DeviceID
	Sample       measure.Sample
	Processes    []ProcessUse
	HoldersKnown bool // false: who holds the device is not known, which is not nobody
	Condition    Condition
	Err          error
}

// request asks a worker for one reading.
type request struct {
	nowNS    int64
	asked    time.Time
	accepted bool // the answer before was used
}

// unlimited is how the library writes "not available" in a 64-bit field.
const unlimited = math.MaxUint64

// gpmPatience is how many GPM samples may fail one after another before the
// device is read without. Up to then the whole reading is a gap, because the
// next pair then measures the time that this one missed.
const gpmPatience = 2

// The states of a worker. Who moves it from asked to working owns it until it
// is settled.
const (
	settled int32 = iota
	asked
	working
)

// worker reads one unit.
type worker struct {
	lib     *library
	unit    unit
	gpm     *gpm
	hot     *hot
	state   atomic.Int32
	request request

	reading  DeviceReading
	disabled [calls]bool // answered "not supported"
	lastSeen uint64      // newest process use taken, microseconds of the driver
	newSeen  uint64      // lastSeen once the reading is accepted
	gpmFails int
	ticks    int
	clocks   clockHistory
	links    links
	shape    shape
}

func newWorker(l *library, u unit) *worker {
	w := &worker{lib: l, unit: u}
	w.reading.Device = u.device.ID
	w.hot = newHot(l, &w.unit)
	w.gpm = newGPM(l, &w.unit, w.hot)
	w.links = newLinks()
	if s, known := shapeOf(l, u.whole); known {
		w.shape = s
	}
	if u.isPartition() {
		// Exist only for the whole device, or not at all in MIG mode.
		for _, c := range []call{callPower, callEnergy, callUtilization, callProcessUse, callFields, callECC} {
			w.disabled[c] = true
		}
	}
	for c := range calls {
		w.disabled[c] = w.disabled[c] || !l.has(c)
	}
	return w
}

// claim takes the worker if it is asked and nobody else took it.
func (w *worker) claim() bool { return w.state.CompareAndSwap(asked, working) }

// work makes the reading that was asked for. The caller has claimed it.
func (w *worker) work() {
	w.read(w.request)
	w.state.Store(settled)
}

// settled reports whether no reading is wanted or under way.
func (w *worker) settled() bool { return w.state.Load() == settled }

// runner reads devices one after the other.
type runner struct {
	rounds    chan []*worker
	done      chan struct{} // a round was read to its end
	list      []*worker
	abandoned atomic.Bool
}

// loop reads rounds until the runner is abandoned.
func (r *runner) loop() {
	for round := range r.rounds {
		for _, w := range round {
			if r.abandoned.Load() {
				return
			}
			if w.claim() {
				w.work()
			}
		}
		r.done <- struct{}{}
	}
}

// abandon lets the runner end once the call that it is in returns.
func (r *runner) abandon() {
	r.abandoned.Store(true)
	close(r.rounds)
}

// read makes one reading. Some wrappers of go-nvml slice by a count that a newer
// call may have raised, which panics; that costs a reading and not the program.
func (w *worker) read(r request) {
	defer func() {
		if p := recover(); p != nil {
			w.reading.Err = fmt.Errorf("read device %s: %v", w.unit.device.ID, p)
		}
	}()
	if r.accepted {
		w.gpm.settle()
		w.lastSeen = w.newSeen
		w.clocks.seenUS = max(w.clocks.seenUS, w.clocks.newUS)
	}
	slow := w.ticks%conditionEvery == 0
	w.ticks++
	w.reading.Processes, w.reading.HoldersKnown = w.reading.Processes[:0], false
	w.reading.Sample = measure.NewSample(w.unit.device.ID, r.nowNS)
	if err := w.sample(r); err != nil {
		w.reading.Err = fmt.Errorf("read device %s: %w", w.unit.device.ID, err)
		return
	}
	if slow && w.changed() {
		w.reading.Err = fmt.Errorf("read device %s: %w", w.unit.device.ID, ErrChanged)
		return
	}
	w.reading.Err = nil
	w.processes()
	if slow {
		w.condition()
	}
}

// try notes what an answer means for later. ok: there is a value; lost: the
// device is gone.
func (w *worker) try(c call, ret nv.Return) (ok, lost bool) {
	if ret == nv.SUCCESS {
		return true, false
	}
	if isUnsupported(ret) {
		w.disabled[c] = true
	}
	return false, isLost(ret)
}

// sample fills the gauges and counters. An error makes the reading a gap.
func (w *worker) sample(r request) error {
	s, h := &w.reading.Sample, w.hot
	var first nv.Return // first answer that was not a value
	got := 0
	note := func(c call, ret nv.Return) (bool, error) {
		ok, lost := w.try(c, ret)
		switch {
		case lost:
			return false, failure(ret)
		case ok:
			got++
		case first == nv.SUCCESS:
			first = ret
		}
		return ok, nil
	}
	if !w.disabled[callPower] {
		v, ret := h.power()
		if ok, err := note(callPower, ret); err != nil {
			return err
		} else if ok && v != math.MaxUint32 {
			s.SetGauge(measure.PowerMW, float64(v))
		}
	}
	if !w.disabled[callEnergy] {
		v, ret := h.energy()
		if ok, err := note(callEnergy, ret); err != nil {
			return err
		} else if ok && v != unlimited {
			s.SetCounter(measure.EnergyMJ, v)
		}
	}
	if !w.disabled[callUtilization] {
		v, ret := h.utilization()
		if ok, err := note(callUtilization, ret); err != nil {
			return err
		} else if ok {
			s.SetGauge(measure.GPUUtilPct, float64(v))
		}
	}
	if !w.disabled[callMemory] {
		used, total, ret := h.memory()
		if ok, err := note(callMemory, ret); err != nil {
			return err
		} else if ok && used <= total {
			s.SetGauge(measure.MemUsedBytes, float64(used))
		}
	}
	if !w.disabled[callClock] {
		v, ret := h.clock()
		if ok, err := note(callClock, ret); err != nil {
			return err
		} else if ok {
			s.SetGauge(measure.SMClockMHz, float64(v))
		}
	}
	w.clockMean(s)
	ok, err := w.pipes(r)
	if err != nil {
		return err
	}
	w.linkRates(s, time.Now())
	if !ok && got == 0 {
		if first == nv.SUCCESS {
			first = nv.ERROR_NOT_SUPPORTED
		}
		return fmt.Errorf("no reading succeeded: %w", failure(first))
	}
	return nil
}

// pipes adds the GPM metrics and sets the sample's time to the instant of its
// GPM sample, which bounds what the averages cover.
func (w *worker) pipes(r request) (ok bool, err error) {
	if w.gpm.reason != "" {
		return false, nil
	}
	ret := w.gpm.take()
	if ret != nv.SUCCESS {
		w.gpmFails++
		if isLost(ret) || w.gpmFails <= gpmPatience {
			return false, fmt.Errorf("take a GPM sample: %w", failure(ret))
		}
		w.gpm.hasBase = false
		return false, nil
	}
	w.gpmFails = 0
	w.reading.Sample.TimeNS = r.nowNS + time.Since(r.asked).Nanoseconds()
	if !w.gpm.hasBase {
		return true, nil
	}
	if ret := w.gpm.compute(); ret != nv.SUCCESS {
		if isLost(ret) {
			return false, failure(ret)
		}
		return true, nil
	}
	// The first averages cover the time since the source was opened, not since the
	// sample before it; counters know no such difference.
	w.gpm.fill(&w.reading.Sample, w.ticks == 1)
	return true, nil
}

// processes lists who holds the unit and how much each used it.
func (w *worker) processes() {
	w.newSeen = w.lastSeen
	if !w.disabled[callProcesses] {
		list, ret := w.hot.processes()
		if ok, _ := w.try(callProcesses, ret); ok {
			w.reading.HoldersKnown = true
			for i := range list {
				use := ProcessUse{PID: int(list[i].pid), MemoryBytes: -1, SMUtil: math.NaN()}
				if list[i].memory < math.MaxInt64 {
					use.MemoryBytes = int64(list[i].memory)
				}
				w.reading.Processes = append(w.reading.Processes, use)
			}
		}
	}
	if w.disabled[callProcessUse] {
		return
	}
	rows, ret := w.hot.uses(w.lastSeen)
	if ok, _ := w.try(callProcessUse, ret); !ok {
		return // NOT_FOUND: nobody used the device since lastSeen
	}
	for i := range rows {
		w.newSeen = max(w.newSeen, uint64(rows[i].time))
		// Some drivers repeat old rows or return figures of thousands of percent.
		if uint64(rows[i].time) <= w.lastSeen || rows[i].sm > 100 {
			continue
		}
		w.use(int(rows[i].pid), float64(rows[i].sm))
	}
}

// use adds the utilization of a process. One that is not in the list ended since
// the last reading, and held the device until then.
func (w *worker) use(pid int, percent float64) {
	for i := range w.reading.Processes {
		if p := &w.reading.Processes[i]; p.PID == pid {
			if !(p.SMUtil >= percent) { // also where there is none yet
				p.SMUtil = percent
			}
			return
		}
	}
	if percent > 0 {
		w.reading.Processes = append(w.reading.Processes, ProcessUse{PID: pid, MemoryBytes: -1, SMUtil: percent})
	}
}
