package eval

import (
	"math"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
)

// group is what examples share that must not lie on both sides of a split: the
// model of a training, the machine of an inference.
func group(e Example) string {
	if e.Training {
		return strings.Split(e.Name, "/")[1]
	}
	return e.System
}

// leaveOut calls with each group of the examples and with what is left without it.
func leaveOut(examples []Example, with func(left, others []Example)) {
	var groups []string
	seen := map[string]bool{}
	for _, e := range examples {
		if g := group(e); !seen[g] {
			seen[g] = true
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		var left, others []Example
		for _, e := range examples {
			if group(e) == g {
				left = append(left, e)
			} else {
				others = append(others, e)
			}
		}
		with(left, others)
	}
}

// Crossed judges each group of the examples by a scorecard that was fitted on
// the others: what is to be expected of models and machines never
// seen. The share of trainings is that of the card.
func Crossed(card *classify.Scorecard, examples []Example) []Judged {
	var out []Judged
	leaveOut(examples, func(left, others []Example) {
		fitted := stated(Fit(card, others), card.TrainingShare)
		out = append(out, JudgeAll(&fitted, left)...)
	})
	return out
}

// Line returns slope and offset of the line (Platt 1999) that would make the
// log-odds of judged examples, whose group did not tune, fit their labels: 1 and 0
// where what is stated is what is found.
func Line(judged []Judged) (slope, offset float64) {
	var odds, ys []float64
	for _, j := range judged {
		if j.Told() {
			odds, ys = append(odds, math.Log(j.Verdict.Training/(1-j.Verdict.Training))), append(ys, label(j.Example.Training))
		}
	}
	return line(odds, ys)
}

func line(odds, ys []float64) (slope, offset float64) {
	weights := classWeights(ys)
	slope = 1
	for range 20000 {
		ds, do := 0.0, 0.0
		for i, x := range odds {
			miss := (1/(1+math.Exp(-(slope*x+offset))) - ys[i]) * weights[i]
			ds, do = ds+miss*x, do+miss
		}
		slope, offset = slope-0.05*ds, offset-0.05*do
	}
	return round(slope), round(offset)
}

// stated returns the card with its probabilities stated for a fleet in which the
// share of what is judged trains. A fit is for a half.
func stated(card classify.Scorecard, share float64) classify.Scorecard {
	card.TrainingShare = share
	return card
}

// ShareFrom returns the largest share of trainings, in steps of 0.05 up to a half,
// for which no inference whose group was left out has a probability of training
// of a half or more.
func ShareFrom(card *classify.Scorecard, examples []Example) float64 {
	for share := 0.5; share > 0.06; share -= 0.05 {
		share = math.Round(share*20) / 20
		at := stated(*card, share)
		if Measure(Crossed(&at, examples), share).FalseAlarms == 0 {
			return share
		}
	}
	return 0.05
}

// DecideFrom returns the probabilities from which each class is the answer: the
// next multiple of 0.05, of inference 0.01, above what any wrong answer was given
// when its group was left out.
func DecideFrom(crossed []Judged) (trains, serves float64) {
	trains, serves = 0.5, 0.5
	for _, j := range crossed {
		switch {
		case !j.Told():
		case j.Example.Training:
			serves = max(serves, j.Inference)
		default:
			trains = max(trains, j.Verdict.Training)
		}
	}
	above := func(p, steps float64) float64 { return math.Min(1-1/steps, math.Floor(p*steps+1)/steps) }
	return above(trains, 20), above(serves, 100)
}

// Tune returns the scorecard that follows from the tuning examples alone.
func Tune(card *classify.Scorecard, examples []Example) classify.Scorecard {
	tuning := RhythmAlone(Of(examples, Tuning, ""))
	fitted := Fit(card, tuning)
	fitted.TrainingShare = ShareFrom(card, tuning)
	fitted.Decide, fitted.DecideInference = DecideFrom(Crossed(&fitted, tuning))
	return fitted
}
