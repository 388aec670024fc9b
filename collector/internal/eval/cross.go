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

// Crossed judges each group of the examples by a scorecard that was fitted on
// the others: what is to be expected of models and machines never seen.
func Crossed(card *classify.Scorecard, examples []Example) []Judged {
	var groups []string
	seen := map[string]bool{}
	for _, e := range examples {
		if g := group(e); !seen[g] {
			seen[g] = true
			groups = append(groups, g)
		}
	}
	var out []Judged
	for _, g := range groups {
		var in, left []Example
		for _, e := range examples {
			if group(e) == g {
				left = append(left, e)
			} else {
				in = append(in, e)
			}
		}
		fitted := Fit(card, in)
		out = append(out, JudgeAll(&fitted, left)...)
	}
	return out
}

// DecideFrom returns the probability from which an answer is given: the next
// multiple of 0.05 above what any wrong answer was given when its group was left
// out.
func DecideFrom(crossed []Judged) float64 {
	worst := 0.5
	for _, j := range crossed {
		switch {
		case !j.Told():
		case j.Example.Training:
			worst = max(worst, j.Inference)
		default:
			worst = max(worst, j.Verdict.Training)
		}
	}
	return math.Min(0.95, math.Floor(worst*20+1)/20)
}

// Tune returns the scorecard that follows from the tuning examples alone.
func Tune(card *classify.Scorecard, examples []Example) classify.Scorecard {
	tuning := RhythmAlone(Of(examples, Tuning, ""))
	fitted := Fit(card, tuning)
	fitted.Decide = DecideFrom(Crossed(card, tuning))
	return fitted
}
