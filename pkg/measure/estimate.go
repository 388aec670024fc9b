package measure

import (
	"math"
	"math/bits"
	"time"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// methodVersion is the version of every estimate method of this package; it
// grows when a figure would come out differently.
const methodVersion = 2

// Precision rules, as they appear in windows.
const (
	ruleTensor  = "tf32..bf16..fastest float"
	ruleEnergy  = "bf16 0.40 at full power, ceiling fastest"
	ruleCeiling = "bf16 estimate 0.35, ceiling fastest"
)

// Why a method does not hold for an interval, as windows say it.
const (
	whyNoCycles    = "no cycle counters"
	whyCounterFell = "a cycle counter fell or is missing"
	whyBeyondSM    = "a pipe was active for longer than its SM ran"
	whyOffClock    = "elapsed cycles do not follow the SM clock"
	whyNoPipes     = "no pipe activity"
	whyPipesDead   = "pipes read idle while utilization and power are high"
	whyNoUtil      = "no utilization"
	whyNoShape     = "SM count or rates of the device are not known"
	whyNoClock     = "no SM clock"
	whyGuessed     = "several held the device: the split is a guess"
)

// estimate is what is known of the operations of an interval.
type estimate struct {
	ops    compute.Bounds
	float  compute.Operations // part of best, see Entry.FloatTensor
	method Method
}

// offer is the best method that a source says a device has, and why no better.
type offer struct {
	name   MethodName
	reason string
}

// estimator turns intervals of one device into operations.
type estimator struct {
	band      Band
	bandRule  string
	model     accel.Model
	grade     accel.Grade
	sms       uint64
	pipes     []pipe
	peak      compute.Rate
	fastFloat compute.Rate // fastest floating-point rate: a kernel may have used it
	ceiling   compute.Rate
	maxMHz    float64

	offered offer
	meaning meaning // of the cycle counters
	reasons reasonCache
	doubted string // the reading of the newest interval that cannot be true, "" if none
}

func newEstimator(m accel.Model, grade accel.Grade, band Band) *estimator {
	e := &estimator{band: band, bandRule: band.rule(), model: m, grade: grade, sms: uint64(max(m.SMCount, 0)), peak: m.TrainingPeak(), ceiling: m.Ceiling(), maxMHz: float64(m.MaxSMMHz)}
	for _, p := range []compute.Precision{compute.BF16, compute.FP8, compute.FP4} {
		e.fastFloat = max(e.fastFloat, m.Peaks[p])
	}
	e.fastFloat = max(e.fastFloat, e.peak)
	e.pipes = pipesOf(m)
	return e
}

// interval estimates the operations of the time between two samples by the best
// method that both allow. A gap is time that only counters can bridge; elsewhere
// the result for it is what the device could have done.
func (e *estimator) interval(a, b *Sample, d time.Duration, gap bool) estimate {
	e.doubted = ""
	ops, float, noCycles := e.cycles(a, b, d, gap)
	if noCycles == "" {
		return e.settle(ops, float, d, Cycles, ruleTensor, "")
	}
	if gap {
		return estimate{ops: e.allocation(d), method: Method{Name: NoMethod}}
	}
	ops, float, noGPM := e.gpm(a, b, d)
	if noGPM == "" {
		return e.settle(ops, float, d, GPM, ruleTensor, noCycles)
	}
	ops, noUtil := e.activity(a, b, d)
	why := e.reasons.join(noCycles, noGPM)
	if noUtil == "" {
		return e.settle(ops, 0, d, Activity, e.bandRule, why)
	}
	why = e.reasons.join(why, noUtil)
	if ops, ok := e.energy(a, b, d); ok {
		return e.settle(ops, 0, d, Activity, ruleEnergy, why)
	}
	return e.settle(e.allocation(d), 0, d, Allocation, ruleCeiling, why)
}

// settle names the method and keeps high at what the device can do at most,
// unless best is above it: then the catalogue is wrong, and hiding that would be
// worse.
func (e *estimator) settle(ops compute.Bounds, float compute.Operations, d time.Duration, name MethodName, rule, reason string) estimate {
	ops.High = max(ops.Best, min(ops.High, e.ceiling.Over(d, compute.Up)))
	if name == e.offered.name && e.offered.reason != "" && reason != "" && e.doubted == "" {
		reason = e.offered.reason
	}
	return estimate{
		ops: ops, float: min(float, ops.Best),
		method: Method{Name: name, Version: methodVersion, Precision: rule, Reason: reason, Grade: string(e.grade)},
	}
}

// reasonCache joins reasons without allocating for each interval.
type reasonCache struct {
	joined map[[2]string]string
}

func (c *reasonCache) join(first, second string) string {
	if s, ok := c.joined[[2]string{first, second}]; ok {
		return s
	}
	if c.joined == nil {
		c.joined = map[[2]string]string{}
	}
	s := first + ", " + second
	c.joined[[2]string{first, second}] = s
	return s
}

// fault marks a method as failing by what was read, not by what the device lacks.
func (e *estimator) fault(why string) string {
	e.doubted = why
	return why
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

// clock is the SM clock of an interval in MHz.
type clock struct {
	low, best, high float64
}

// clockOf returns the mean that the driver's history gives, or else what lies
// between the readings at both ends; ok is false if there is neither.
func clockOf(a, b *Sample) (c clock, ok bool) {
	if mean, ok := b.Gauge(SMClockMeanMHz); ok && mean > 0 {
		return clock{mean, mean, mean}, true
	}
	mean, ok := meanGauge(a, b, SMClockMHz)
	if !ok || mean <= 0 {
		return clock{}, false
	}
	c = clock{mean, mean, mean}
	if x, ok := a.Gauge(SMClockMHz); ok && x > 0 {
		c.low, c.high = min(c.low, x), max(c.high, x)
	}
	if y, ok := b.Gauge(SMClockMHz); ok && y > 0 {
		c.low, c.high = min(c.low, y), max(c.high, y)
	}
	return c, true
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
