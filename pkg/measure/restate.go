package measure

import (
	"math"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Restate returns the bounds of figures once it is known which floating-point
// tensor formats the work used: low at the slowest of them, high at the fastest,
// and best at 16 bit if that is among them, else at the slowest. Operations,
// method, duration and float are those of an Entry or of a sum of entries by one
// method; m is the catalogue row that they were computed with. Bounds never
// widen. Figures of methods that do not tell pipes apart keep low and best, and
// take the declared peak as their ceiling.
func Restate(e Entry, m accel.Model, formats ...compute.Precision) compute.Bounds {
	b := e.Operations
	_, bf16, _ := floatRates(m)
	if len(formats) == 0 || bf16 == 0 {
		return b
	}
	slow, fast, at16 := uint64(math.MaxUint64), uint64(0), false
	var peak compute.Rate
	for _, p := range formats {
		w := uint64(m.OpsPerClock[p])
		if w == 0 {
			return b // a format that the hardware lacks is no knowledge
		}
		slow, fast, at16 = min(slow, w), max(fast, w), at16 || p == compute.BF16
		peak = max(peak, m.Peaks[p])
	}
	var permille int64
	switch e.Method.Name {
	case Cycles:
		permille = cyclesError
	case GPM:
		permille = gpmError
	default:
		if peak > 0 {
			b.High = max(b.Best, min(b.High, peak.Over(e.Duration, compute.Up)))
		}
		return b
	}
	best := slow
	if at16 {
		best = bf16
	}
	tf32, _, _ := floatRates(m)
	// What the other pipes did is what is left when the float tensor part of each
	// figure is taken away again. High may have been cut at the ceiling, so for it
	// the other pipes count twice their best, which no pipe exceeds.
	restLow := b.Low - scaled(e.FloatTensor, tf32, bf16, 1000-permille)
	rest := b.Best - e.FloatTensor
	restated := compute.Bounds{
		Low:  max(b.Low, max(0, restLow)+scaled(e.FloatTensor, slow, bf16, 1000-permille)),
		Best: rest + scaled(e.FloatTensor, best, bf16, 1000),
		High: min(b.High, scaled(rest, 2, 1, 1000+permille)+scaled(e.FloatTensor, fast, bf16, 1000+permille)+1),
	}
	restated.High = max(restated.High, restated.Low)
	restated.Best = min(max(restated.Best, restated.Low), restated.High)
	return restated
}

// scaled returns n × num/den × permille/1000.
func scaled(n compute.Operations, num, den uint64, permille int64) compute.Operations {
	v := float64(n) * float64(num) / float64(den) * float64(permille) / 1000
	if v >= math.MaxInt64 {
		return compute.MaxOperations
	}
	return compute.Operations(v)
}
