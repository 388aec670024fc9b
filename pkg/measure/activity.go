package measure

import (
	"math"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// The band of model utilization that turns "a kernel was running" into
// operations, in parts per thousand of the dense 16-bit peak. Published runs
// imply 0.14 to 0.48 of billed hours and up to 0.58 of executed operations.
const (
	bandLow  = 100
	bandBest = 350
	bandHigh = 600
)

// The energy estimate: a board at its power limit does this share of the dense
// 16-bit peak (H100: 400 TFLOP/s at 700 W, A100: 145 at 400 W), and one that
// draws no more than idlePower of the limit does nothing.
const (
	energyBest = 0.40
	idlePower  = 0.20
)

// activity multiplies the share of time in which a kernel ran with a band of the
// peak, because one thread on one SM reads as full utilization.
func (e *estimator) activity(a, b *Sample, d time.Duration) (compute.Bounds, string) {
	pct, ok := meanGauge(a, b, GPUUtilPct)
	if !ok {
		return compute.Bounds{}, whyNoUtil
	}
	busy := func(r compute.Rate, permille float64) compute.Rate {
		return compute.Rate(math.Round(float64(r) * pct / 100 * permille / 1000))
	}
	return compute.Bounds{
		Low:  busy(e.peak, float64(e.band.Low)).Over(d, compute.Down),
		Best: busy(e.peak, float64(e.band.Best)).Over(d, compute.Nearest),
		High: busy(e.fastFloat, float64(e.band.High)).Over(d, compute.Up),
	}, ""
}

// energy estimates from power alone. It moves best only: what data values and
// memory traffic draw makes energy no bound.
func (e *estimator) energy(a, b *Sample, d time.Duration) (compute.Bounds, bool) {
	load, ok := e.load(a, b, d)
	if !ok {
		return compute.Bounds{}, false
	}
	working := min(1, max(0, (load-idlePower)/(1-idlePower)))
	rate := compute.Rate(math.Round(float64(e.peak) * energyBest * working))
	return compute.Bounds{Low: 0, Best: rate.Over(d, compute.Nearest), High: e.ceiling.Over(d, compute.Up)}, true
}

// load returns the mean power over an interval as a share of the board's limit.
func (e *estimator) load(a, b *Sample, d time.Duration) (float64, bool) {
	mj, ok := energyBetween(a, b, d)
	if !ok || e.model.TDPWatts <= 0 {
		return 0, false
	}
	return float64(mj) / 1e3 / d.Seconds() / float64(e.model.TDPWatts), true
}

// energyBetween returns the energy of an interval in mJ: by the counter where
// there is one, else by the trapezoid rule over power.
func energyBetween(a, b *Sample, d time.Duration) (int64, bool) {
	if mj, ok := growth(a, b, EnergyMJ); ok {
		return int64(min(mj, 1<<62)), true
	}
	x, okA := a.Gauge(PowerMW)
	y, okB := b.Gauge(PowerMW)
	if !okA || !okB {
		return 0, false
	}
	return int64(math.Round((x + y) / 2 * d.Seconds())), true
}
