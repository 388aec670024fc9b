package measure

import (
	"math"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// The relative errors that low and high allow for beside the precision interval,
// in parts per thousand: counters and their semantics, and clock noise.
const (
	cyclesError = 50
	gpmError    = 100
)

// meaning is what the cycle counters of a device count. The driver's
// documentation does not say, so it is found out by comparing the growth of
// elapsed cycles with the SM clock.
type meaning struct {
	cycles cycleMeaning
	odd    int // intervals in a row that fit neither
}

type cycleMeaning int

const (
	meaningUnknown cycleMeaning = iota
	meaningMean                 // of one SM, averaged over all
	meaningSum                  // over all SMs
)

// Elapsed cycles may be off the clock by this much and still follow it: clocks
// are point readings where the driver keeps no history.
const (
	clockFitLow  = 0.4
	clockFitHigh = 1.6
)

// oddLimit is how many intervals in a row may fit neither meaning before what
// was found out is doubted.
const oddLimit = 3

// scale returns what growth is multiplied with to be a sum over the SMs, or why
// it cannot be told. A gap is judged by what was found before it, since the
// clock at its ends says little of it.
func (e *estimator) scale(a, b *Sample, elapsed uint64, d time.Duration, gap bool) (uint64, string) {
	c, read := clockOf(a, b)
	if !read {
		if c.best = e.maxMHz; c.best <= 0 {
			return 0, whyNoClock
		}
	}
	ratio := float64(elapsed) / (c.best * 1e6 * d.Seconds())
	if !read || (gap && e.meaning.cycles == meaningUnknown) {
		// The geometric mean of 1 and the SM count parts the two meanings widely.
		if ratio > math.Sqrt(float64(e.sms)) {
			return 1, ""
		}
		return e.sms, ""
	}
	if !gap {
		fits := meaningUnknown
		switch {
		case ratio > clockFitLow && ratio < clockFitHigh:
			fits = meaningMean
		case ratio > clockFitLow*float64(e.sms) && ratio < clockFitHigh*float64(e.sms):
			fits = meaningSum
		}
		switch {
		case fits != meaningUnknown && fits == e.meaning.cycles:
			e.meaning.odd = 0
		case fits != meaningUnknown && (e.meaning.cycles == meaningUnknown || e.meaning.odd >= oddLimit):
			e.meaning = meaning{cycles: fits}
		default:
			e.meaning.odd++
		}
		if e.meaning.cycles == meaningUnknown || e.meaning.odd >= oddLimit {
			return 0, e.fault(whyOffClock)
		}
	}
	if e.meaning.cycles == meaningSum {
		return 1, ""
	}
	return e.sms, ""
}

// cycles counts tensor and CUDA-core operations from cumulative cycle counters:
// growth × SMs × operations per cycle when the counters are means over the SMs,
// growth × operations per cycle when they are sums. Exact over any gap. The text
// says why the method does not hold, "" if it does.
func (e *estimator) cycles(a, b *Sample, d time.Duration, gap bool) (compute.Bounds, compute.Operations, string) {
	if _, ok := b.Counter(CycSMElapsed); !ok {
		return compute.Bounds{}, 0, whyNoCycles
	}
	if e.sms == 0 || len(e.pipes) == 0 {
		return compute.Bounds{}, 0, whyNoShape
	}
	elapsed, ok := growth(a, b, CycSMElapsed)
	if !ok || elapsed == 0 {
		return compute.Bounds{}, 0, e.fault(whyCounterFell)
	}
	scale, why := e.scale(a, b, elapsed, d, gap)
	if why != "" {
		return compute.Bounds{}, 0, why
	}
	var t tally
	for i := range e.pipes {
		p := &e.pipes[i]
		n, ok := growth(a, b, p.counter)
		if !ok {
			// A pipe that fell, is missing or is new while others are there is a fault of the
			// driver: the whole interval goes to the next method.
			_, before := a.Counter(p.counter)
			_, now := b.Counter(p.counter)
			if before || now {
				return compute.Bounds{}, 0, e.fault(whyCounterFell)
			}
			continue
		}
		// No pipe is active for longer than its SM runs; a jump of a counter would
		// otherwise become operations. One part in a hundred is reading skew.
		if n > elapsed+elapsed/100 {
			return compute.Bounds{}, 0, e.fault(whyBeyondSM)
		}
		if p.counter == CycDMMA {
			// Drivers report double-precision tensor work as DMMA, as DFMA or as both: the
			// larger is taken, since the sum would count the same work twice.
			if other, ok := growth(a, b, CycDFMA); ok && other <= elapsed+elapsed/100 {
				n = max(n, other)
			}
		}
		t.add(p, [3]uint64{n, n, n}, scale, cyclesError)
	}
	if !t.seen {
		return compute.Bounds{}, 0, whyNoCycles
	}
	if e.dead(a, b, d, t.ops.Best) {
		return compute.Bounds{}, 0, e.fault(whyPipesDead)
	}
	return t.ops, t.float, ""
}

// gpm multiplies pipe activity, which the driver averages over the time between
// the samples, with SMs, operations per cycle and the SM clock.
func (e *estimator) gpm(a, b *Sample, d time.Duration) (compute.Bounds, compute.Operations, string) {
	if _, ok := b.Gauge(HMMA); !ok {
		return compute.Bounds{}, 0, whyNoPipes
	}
	if e.sms == 0 || len(e.pipes) == 0 {
		return compute.Bounds{}, 0, whyNoShape
	}
	c, ok := clockOf(a, b)
	if !ok {
		c = clock{e.maxMHz / 2, float64(e.model.PeakTensorMHz), e.maxMHz}
		if c.best <= 0 {
			c.best = e.maxMHz
		}
	}
	if c.best <= 0 {
		return compute.Bounds{}, 0, whyNoClock
	}
	per := 1e6 * d.Seconds()
	var t tally
	for i := range e.pipes {
		p := &e.pipes[i]
		active, ok := b.Gauge(p.gauge)
		if p.gauge == DMMA {
			// As for the counters.
			if other, there := b.Gauge(DFMA); there {
				active, ok = max(other, active), true
				if active != active {
					active = other
				}
			}
		}
		if !ok {
			continue
		}
		t.add(p, [3]uint64{
			uint64(active * c.low * per),
			uint64(math.Round(active * c.best * per)),
			uint64(math.Ceil(active * c.high * per)),
		}, e.sms, gpmError)
	}
	if e.dead(a, b, d, t.ops.Best) {
		return compute.Bounds{}, 0, e.fault(whyPipesDead)
	}
	return t.ops, t.float, ""
}

// Counters of pipes are known to fall to zero after some driver errors while
// the device works on. These are the marks of it: best below this share of the
// peak, with utilization and power above theirs and memory not the reason.
const (
	deadBestPermille = 5
	deadUtilPct      = 50
	deadPower        = 0.5 // of the board's limit
	deadDRAM         = 0.2
)

// dead reports whether pipes that read idle cannot be believed. Each mark must
// have been read: what is not known does not refute a counter.
func (e *estimator) dead(a, b *Sample, d time.Duration, best compute.Operations) bool {
	if best > (e.peak/1000*deadBestPermille).Over(d, compute.Down) {
		return false
	}
	util, ok := meanGauge(a, b, GPUUtilPct)
	if !ok || util < deadUtilPct {
		return false
	}
	if dram, ok := b.Gauge(DRAMActive); ok && dram > deadDRAM {
		return false
	}
	load, ok := e.load(a, b, d)
	return ok && load > deadPower
}
