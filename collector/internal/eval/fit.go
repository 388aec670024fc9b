package eval

import (
	"math"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
)

// penalty on the square of a weight per unit of scale: with a few dozen examples
// weights would else grow until probabilities are 0 and 1.
const penalty = 2.0

// Fit returns the scorecard with intercept and fitted coefficients replaced by
// those of a logistic regression on the examples: gradient descent on the
// penalised likelihood, which has one minimum. The classes weigh the same,
// however many examples each has. Coefficients set by judgement stay, and take
// no part.
func Fit(card *classify.Scorecard, examples []Example) classify.Scorecard {
	fitted := *card
	fitted.Coefficients = append([]classify.Coefficient(nil), card.Coefficients...)
	var at []int // of the coefficients that are fitted
	for i, c := range fitted.Coefficients {
		if c.Origin == classify.Fitted {
			at = append(at, i)
		}
	}
	var xs [][]float64
	var ys []float64
	for _, e := range examples {
		if x, ok := vector(&fitted, at, e); ok {
			xs = append(xs, x)
			ys = append(ys, label(e.Training))
		}
	}
	weights := classWeights(ys)
	w := make([]float64, len(at)+1) // the last is the intercept
	grad := make([]float64, len(w))
	const step = 0.02
	for range 20000 {
		for j := range at {
			grad[j] = penalty * w[j] / float64(len(xs))
		}
		grad[len(at)] = 0
		for i, x := range xs {
			miss := (1/(1+math.Exp(-dot(w, x))) - ys[i]) * weights[i]
			for j := range x {
				grad[j] += miss * x[j]
			}
			grad[len(at)] += miss
		}
		for j := range w {
			w[j] -= step * grad[j] * 10
		}
	}
	for j, i := range at {
		fitted.Coefficients[i].Weight = round(w[j])
	}
	fitted.Intercept = round(w[len(at)])
	return fitted
}

// vector returns the scaled features, false where one is not known.
func vector(card *classify.Scorecard, at []int, e Example) ([]float64, bool) {
	features := classify.Features(e.Observation)
	x := make([]float64, len(at))
	for j, i := range at {
		c := card.Coefficients[i]
		v, ok := features[c.Feature]
		if !ok || e.Rhythm.Compared() < uint64(card.ShortestChanges) {
			return nil, false
		}
		x[j] = (v - c.Center) / c.Scale
	}
	return x, true
}

// classWeights make both classes weigh a half.
func classWeights(ys []float64) []float64 {
	var ones float64
	for _, y := range ys {
		ones += y
	}
	out := make([]float64, len(ys))
	for i, y := range ys {
		if y == 1 {
			out[i] = 0.5 / ones
		} else {
			out[i] = 0.5 / (float64(len(ys)) - ones)
		}
	}
	return out
}

func dot(w, x []float64) float64 {
	sum := w[len(x)]
	for j := range x {
		sum += w[j] * x[j]
	}
	return sum
}

func label(training bool) float64 {
	if training {
		return 1
	}
	return 0
}

// round keeps three digits after the point: what is beyond depends on the
// order of additions.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }
