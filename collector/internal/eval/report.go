package eval

import (
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
)

// Report is what an evaluation found.
type Report struct {
	Method    string
	Classes   []ClassResult
	Crossed   Accuracy // tuning data, each group judged without having tuned
	Slope     float64  // of the line that would calibrate what was left out, see Line
	Offset    float64
	Joins     []Joining
	Wrong     []Judged // of the reporting data: an answer that is wrong, or p ≥ 0.5 for an inference
	Untold    []Judged // of the reporting data
	Inference int      // inference recordings called training, of all sets and splits
}

// ClassResult is how classification did on one set and split.
type ClassResult struct {
	Set   string
	Split Split
	Hosts bool // whether the number of hosts was told
	Accuracy
}

// Evaluate runs the whole evaluation on the recordings below the folder.
func Evaluate(traces string, card *classify.Scorecard) (*Report, error) {
	examples, err := Examples(traces)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	r := &Report{Method: card.Name()}
	r.Joins, err = Joinings(traces)
	if err != nil {
		return nil, fmt.Errorf("evaluate joining: %w", err)
	}
	r.Crossed = Measure(Crossed(card, RhythmAlone(Of(examples, Tuning, ""))), card.TrainingShare)
	even := stated(*card, 0.5)
	r.Slope, r.Offset = Line(Crossed(&even, RhythmAlone(Of(examples, Tuning, ""))))
	for _, split := range []Split{Tuning, Reporting} {
		for _, set := range []string{trainingPowerSet, inferencePowerSet, ""} {
			part := Of(examples, split, set)
			r.Classes = append(r.Classes,
				ClassResult{set, split, false, Measure(JudgeAll(card, RhythmAlone(part)), card.TrainingShare)},
				ClassResult{set, split, true, Measure(JudgeAll(card, part), card.TrainingShare)})
		}
	}
	for _, j := range JudgeAll(card, RhythmAlone(Of(examples, Reporting, ""))) {
		switch {
		case j.Class == classify.Training && !j.Example.Training, j.Class == classify.Inference && j.Example.Training,
			!j.Example.Training && j.Verdict.Training >= 0.5:
			r.Wrong = append(r.Wrong, j)
		case j.Class == classify.CannotTell:
			r.Untold = append(r.Untold, j)
		}
	}
	for _, j := range JudgeAll(card, examples) {
		if !j.Example.Training && j.Class == classify.Training {
			r.Inference++
		}
	}
	return r, nil
}
