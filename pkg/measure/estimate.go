package measure

import (
	"math"
	"math/bits"
	"time"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// methodVersion is the version of every estimate method below; it grows when a
// figure would come out differently.
const methodVersion = 1

// The relative errors that low and high allow for beside the precision interval,
// in parts per thousand: counters and their semantics, and clock noise.
const (
	cyclesError = 50
	gpmError    = 100
)

// The band of model utilization that turns "a kernel was running" into
// operations, in parts per thousand of the dense 16-bit peak. Published runs
// imply 0.14 to 0.48 of billed hours and up to 0.58 of executed operations.
const (
	bandLow  = 100
	bandBest = 350
	bandHigh = 600
)

// Precision rules, as they appear in windows.
const (
	ruleTensor   = "tf32..bf16..fastest float"
	ruleBand     = "bf16 band 0.10/0.35/0.60"
	ruleCeiling  = "bf16 estimate 0.35, ceiling fastest"
	reasonNoCyc  = "no cycle counters"
	reasonNoGPM  = "no cycle counters, no pipe activity"
	reasonNoUtil = "no counters, no utilization"
)

// pipe is one execution pipe with the dense operations per cycle and SM that
// its activity can mean.
type pipe struct {
	gauge           Gauge
	counter         Counter
	low, best, high uint64
}

// estimator turns intervals of one device into operations.
type estimator struct {
	model     accel.Model
	grade     accel.Grade
	sms       uint64
	pipes     []pipe
	peak      compute.Rate
	fastFloat compute.Rate // fastest floating-point rate: a kernel may have used it
	ceiling   compute.Rate
	maxMHz    float64
}

func newEstimator(m accel.Model, grade accel.Grade) *estimator {
	e := &estimator{model: m, grade: grade, sms: uint64(max(m.SMCount, 0)), peak: m.TrainingPeak(), ceiling: m.Ceiling(), maxMHz: float64(m.MaxSMMHz)}
	for _, p := range []compute.Precision{compute.BF16, compute.FP8, compute.FP4} {
		e.fastFloat = max(e.fastFloat, m.Peaks[p])
	}
	e.fastFloat = max(e.fastFloat, e.peak)
	w := func(p compute.Precision) uint64 { return uint64(m.OpsPerClock[p]) }
	if bf16 := w(compute.BF16); bf16 > 0 {
		low := bf16
		if tf32 := w(compute.TF32); tf32 > 0 {
			low = tf32
		}
		// HMMA holds every floating format of the tensor cores up to 32 bit: an FP8
		// run on Hopper moved HMMA and left IMMA flat.
		e.pipes = append(e.pipes, pipe{HMMA, CycHMMA, low, bf16, max(bf16, w(compute.FP8), w(compute.FP4))})
	}
	if int8 := w(compute.INT8); int8 > 0 {
		e.pipes = append(e.pipes, pipe{IMMA, CycIMMA, int8, int8, int8})
	}
	if fp64tc := w(compute.FP64Tensor); fp64tc > 0 {
		e.pipes = append(e.pipes, pipe{DMMA, CycDMMA, fp64tc, fp64tc, fp64tc})
	}
	// CUDA cores: activity counts issue slots, and a slot holds a multiply-add (two
	// operations) or a plain operation (one).
	if fp32 := w(compute.FP32); fp32 > 0 {
		e.pipes = append(e.pipes, pipe{FP32, CycFP32, fp32 / 2, fp32, fp32}, pipe{FP16, CycFP16, fp32, 2 * fp32, 4 * fp32})
	}
	if fp64 := m.Peaks[compute.FP64]; fp64 > 0 && m.SMCount > 0 && m.MaxSMMHz > 0 {
		slots := uint64(math.Round(float64(fp64) / float64(m.SMCount*m.MaxSMMHz)))
		e.pipes = append(e.pipes, pipe{FP64, CycFP64, slots / 2, slots, slots})
	}
	return e
}

// interval estimates the operations of the time between two samples by the best
// method that both allow.
func (e *estimator) interval(a, b *Sample, d time.Duration) (compute.Bounds, Method) {
	if ops, ok := e.cycles(a, b, d); ok {
		return e.clamp(ops, d), e.method(Cycles, ruleTensor, "")
	}
	if ops, ok := e.gpm(a, b, d); ok {
		return e.clamp(ops, d), e.method(GPM, ruleTensor, reasonNoCyc)
	}
	if ops, ok := e.activity(a, b, d); ok {
		return e.clamp(ops, d), e.method(Activity, ruleBand, reasonNoGPM)
	}
	return e.allocation(d), e.method(Allocation, ruleCeiling, reasonNoUtil)
}

func (e *estimator) method(name MethodName, precision, reason string) Method {
	return Method{Name: name, Version: methodVersion, Precision: precision, Reason: reason, Grade: string(e.grade)}
}

// clamp keeps high at what the device can do at most, unless best is above it:
// then the catalogue is wrong, and hiding that would be worse.
func (e *estimator) clamp(b compute.Bounds, d time.Duration) compute.Bounds {
	b.High = max(b.Best, min(b.High, e.ceiling.Over(d, compute.Up)))
	return b
}

// cycles counts tensor and CUDA-core operations from cumulative cycle counters:
// growth × SMs × operations per cycle when the counters are means over the SMs,
// growth × operations per cycle when they are sums. Which of the two shows in
// the growth of elapsed cycles against the SM clock. Exact over any gap.
func (e *estimator) cycles(a, b *Sample, d time.Duration) (compute.Bounds, bool) {
	elapsed, ok := growth(a, b, CycSMElapsed)
	if !ok || elapsed == 0 || e.sms == 0 || len(e.pipes) == 0 {
		return compute.Bounds{}, false
	}
	clock := e.maxMHz
	if mhz, ok := meanGauge(a, b, SMClockMHz); ok && mhz > 0 {
		clock = mhz
	}
	if clock <= 0 {
		return compute.Bounds{}, false
	}
	// The geometric mean of 1 and the SM count parts the two meanings widely.
	scale := e.sms
	if float64(elapsed) > clock*1e6*d.Seconds()*math.Sqrt(float64(e.sms)) {
		scale = 1
	}
	var total compute.Bounds
	seen := false
	for _, p := range e.pipes {
		n, ok := growth(a, b, p.counter)
		if !ok {
			// A pipe that fell, is missing or is new while others are there is a fault of the
			// driver: the whole interval goes to the next method.
			_, before := a.Counter(p.counter)
			_, now := b.Counter(p.counter)
			if before || now {
				return compute.Bounds{}, false
			}
			continue
		}
		// No pipe is active for longer than its SM runs; a jump of a counter would
		// otherwise become operations. One part in a hundred is reading skew.
		if n > elapsed+elapsed/100 {
			return compute.Bounds{}, false
		}
		seen = true
		total = total.Add(compute.Bounds{
			Low:  product(n, scale*p.low, 1000-cyclesError, compute.Down),
			Best: product(n, scale*p.best, 1000, compute.Nearest),
			High: product(n, scale*p.high, 1000+cyclesError, compute.Up),
		})
	}
	return total, seen
}

// gpm multiplies pipe activity, which the driver averages over the time between
// the samples, with SMs, operations per cycle and the SM clock.
func (e *estimator) gpm(a, b *Sample, d time.Duration) (compute.Bounds, bool) {
	if _, ok := b.Gauge(HMMA); !ok || e.sms == 0 || len(e.pipes) == 0 {
		return compute.Bounds{}, false
	}
	lowMHz, mhz, highMHz := e.maxMHz/2, float64(e.model.PeakTensorMHz), e.maxMHz
	if read, ok := meanGauge(a, b, SMClockMHz); ok && read > 0 {
		lowMHz, mhz, highMHz = read, read, read
	}
	if mhz <= 0 {
		return compute.Bounds{}, false
	}
	cyclesAt := func(mhz float64) float64 { return mhz * 1e6 * d.Seconds() }
	var total compute.Bounds
	for _, p := range e.pipes {
		active, ok := b.Gauge(p.gauge)
		if !ok {
			continue
		}
		total = total.Add(compute.Bounds{
			Low:  product(uint64(active*cyclesAt(lowMHz)), e.sms*p.low, 1000-gpmError, compute.Down),
			Best: product(uint64(math.Round(active*cyclesAt(mhz))), e.sms*p.best, 1000, compute.Nearest),
			High: product(uint64(math.Ceil(active*cyclesAt(highMHz))), e.sms*p.high, 1000+gpmError, compute.Up),
		})
	}
	return total, total.Valid()
}

// activity multiplies the share of time in which a kernel ran with a band of the
// peak, because one thread on one SM reads as full utilization.
func (e *estimator) activity(a, b *Sample, d time.Duration) (compute.Bounds, bool) {
	pct, ok := meanGauge(a, b, GPUUtilPct)
	if !ok {
		return compute.Bounds{}, false
	}
	busy := func(r compute.Rate, permille float64) compute.Rate {
		return compute.Rate(math.Round(float64(r) * pct / 100 * permille / 1000))
	}
	return compute.Bounds{
		Low:  busy(e.peak, bandLow).Over(d, compute.Down),
		Best: busy(e.peak, bandBest).Over(d, compute.Nearest),
		High: busy(e.fastFloat, bandHigh).Over(d, compute.Up),
	}, true
}

// allocation knows only that the device could be used: from nothing to the
// ceiling, with the middle of the band as a stated estimate.
func (e *estimator) allocation(d time.Duration) compute.Bounds {
	return compute.Bounds{
		Low:  0,
		Best: (e.peak / 1000 * bandBest).Over(d, compute.Nearest),
		High: e.ceiling.Over(d, compute.Up),
	}
}

// meanGauge returns the mean of what the two samples say, or of the one that
// says something.
func meanGauge(a, b *Sample, g Gauge) (float64, bool) {
	x, okA := a.Gauge(g)
	y, okB := b.Gauge(g)
	switch {
	case okA && okB:
		return (x + y) / 2, true
	case okB:
		return y, true
	case okA:
		return x, true
	}
	return 0, false
}

// product returns cycles × per cycle × permille/1000 as operations, exact until
// the one rounding.
func product(cycles, per, permille uint64, round compute.Rounding) compute.Operations {
	const unit = compute.Giga * 1000
	hi, lo := bits.Mul64(cycles, per*permille)
	if hi >= unit {
		return compute.MaxOperations
	}
	q, rem := bits.Div64(hi, lo, unit)
	if (round == compute.Up && rem > 0) || (round == compute.Nearest && rem >= unit/2) {
		q++
	}
	if q > math.MaxInt64 {
		return compute.MaxOperations
	}
	return compute.Operations(q)
}
