// Package classify says whether a run trains a model, serves one or does
// something else, how sure that is, and why. It is pure.
//
// The method is a scorecard: every feature adds to the log-odds of training, and
// the additions are the evidence, largest first. Coefficients lie in a file that
// is part of the program and has a digest; those of the rhythm are fitted on
// recordings, the others are set by judgement, and each says which. How busy the
// devices were has no coefficient. Where nothing shows behaviour the answer is
// that it cannot be told, which is not a probability of one half.
package classify

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// Class is what a run does.
type Class string

// The answers.
const (
	Training   Class = "training"
	Inference  Class = "inference"
	Other      Class = "other"
	CannotTell Class = "cannot tell"
)

// Observation is what is known of a run.
type Observation struct {
	Rhythm      rhythm.Rhythm // of power or activity, merged over the devices of the run
	Window      time.Duration // length of the windows of the rhythm, 10 s if 0
	Hosts       int
	Devices     int
	Duration    time.Duration // from its first to its last window
	Empirical   bool          // some time was measured; false where only the allocation is known
	TensorShare float64       // part of the operations that tensor pipes did, 0..1; -1 where no pipe is read
	Utilization float64       // operations over peak × time, 0..1; -1 if not known. Shown, never counted
	Ranks       int           // of the largest communicator that was seen, 0 if none was
}

// Evidence is what one feature adds.
type Evidence struct {
	Feature string
	Text    string  // what was seen, in words
	LogOdds float64 // for training if above 0
	Origin  Origin
}

// Verdict is what a run does, with why. The probabilities add up to 1, also where
// none is high enough for an answer; they are all 0 where nothing shows behaviour.
type Verdict struct {
	Class     Class
	Training  float64
	Inference float64
	Other     float64
	Reason    string     // why it cannot be told, else ""
	Evidence  []Evidence // largest effect first
	Missing   []string   // evidence that was not there
	Method    string     // name and version, with the beginning of the digest
}

// Judge applies the scorecard of the program.
func Judge(o Observation) Verdict { return Shipped().Judge(o) }

// Judge applies the scorecard. The same observation gives the same verdict.
func (s *Scorecard) Judge(o Observation) Verdict {
	v := Verdict{Class: CannotTell, Method: s.Name()}
	features := Features(o)
	odds := s.Intercept + math.Log(s.TrainingShare/(1-s.TrainingShare))
	for _, c := range s.Coefficients {
		x, ok := features[c.Feature]
		if !ok {
			if !slices.Contains(v.Missing, c.Missing) {
				v.Missing = append(v.Missing, c.Missing)
			}
			continue
		}
		add := min(max(c.Weight*(x-c.Center)/c.Scale, -c.Limit), c.Limit)
		odds += add
		v.Evidence = append(v.Evidence, Evidence{Feature: c.Feature, Text: describe(c.Feature, o), LogOdds: add, Origin: c.Origin})
	}
	slices.SortStableFunc(v.Evidence, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(math.Abs(b.LogOdds), math.Abs(a.LogOdds)), cmp.Compare(a.Feature, b.Feature))
	})
	switch length := time.Duration(o.Rhythm.Compared()) * o.window() / time.Duration(max(o.Devices, 1)); {
	case !o.Empirical:
		v.Reason = "only the allocation is known: nothing shows what the devices did"
		return v
	case o.Duration < s.shortest():
		v.Reason = fmt.Sprintf("it is known for %s, less than %s", o.Duration.Round(time.Second), s.shortest())
		return v
	case o.Rhythm.Compared() < uint64(s.ShortestChanges):
		v.Reason = fmt.Sprintf("%d changes of power or activity between windows were compared (%s per device), fewer than %d", o.Rhythm.Compared(), length.Round(time.Second), s.ShortestChanges)
		return v
	}
	v.Other = s.other(o)
	v.Training = (1 - v.Other) * logistic(odds)
	v.Inference = 1 - v.Other - v.Training
	switch {
	case v.Training >= s.Decide:
		v.Class = Training
	case v.Inference >= s.DecideInference:
		v.Class = Inference
	case v.Other >= s.Decide:
		v.Class = Other
	default:
		v.Reason = fmt.Sprintf("no class is likely enough: training takes %.0f %%, inference %.0f %%", 100*s.Decide, 100*s.DecideInference)
	}
	return v
}

// Told reports whether the probabilities say anything.
func (v Verdict) Told() bool { return v.Training+v.Inference+v.Other > 0 }

// other is the probability that it is neither: only pipes that are read can say
// so. Matrix work is what training and inference have in common.
func (s *Scorecard) other(o Observation) float64 {
	switch {
	case o.TensorShare < 0:
		return 0
	case o.TensorShare < s.NoTensorBelow:
		return s.OtherWithoutTensor
	}
	return s.OtherWithTensor
}

func (o Observation) window() time.Duration {
	if o.Window <= 0 {
		return 10 * time.Second
	}
	return o.Window
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
