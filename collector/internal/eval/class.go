package eval

import (
	"fmt"
	"math"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
)

// Bin is a row of a reliability table: the examples whose stated probability of
// training lies in [From, To).
type Bin struct {
	From, To  float64
	Examples  int
	Stated    float64 // mean
	Frequency float64 // share that trains
}

// Judged is what the classifier said of an example.
type Judged struct {
	Example
	classify.Verdict
}

// Accuracy is how a classifier did on examples of one kind.
type Accuracy struct {
	Training, Inference int // examples by label
	Found               int // trainings called training
	Missed              int // trainings called inference
	Called              int // inferences called training
	FalseAlarms         int // inferences with a probability of training of 0.5 or more
	Untold              int // of both, without an answer
	Brier               float64
	CalibrationError    float64 // expected, of those with a probability; -1 for one class alone
	Bins                []Bin
}

// Precision returns the share of alarms that are true, 1 if there is none.
func (a Accuracy) Precision() float64 { return ratio(a.Found, a.Found+a.Called) }

// Recall returns the share of trainings that were found; those without an answer
// were not.
func (a Accuracy) Recall() float64 { return ratio(a.Found, a.Training) }

func ratio(n, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(n) / float64(of)
}

// bins of the reliability table. The ends are narrow: that is where most lie.
var binEdges = []float64{0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, math.Nextafter(1, 2)}

// JudgeAll judges the examples.
func JudgeAll(card *classify.Scorecard, examples []Example) []Judged {
	out := make([]Judged, len(examples))
	for i, e := range examples {
		out[i] = Judged{e, card.Judge(e.Observation)}
	}
	return out
}

// RhythmAlone returns the examples without how many hosts took part: in the
// recordings every run over several hosts is a training, so that the number
// would give the label away.
func RhythmAlone(examples []Example) []Example {
	out := append([]Example(nil), examples...)
	for i := range out {
		out[i].Hosts = 0
	}
	return out
}

// Measure returns how the classifier did. Frequencies, Brier score and
// calibration error are those of a fleet in which the share of what is judged
// trains: each class weighs as much, however many examples it has. Of examples of
// one class alone there is no calibration to speak of: the error is -1.
func Measure(judged []Judged, share float64) Accuracy {
	var a Accuracy
	var told [2]float64
	for _, j := range judged {
		if j.Told() {
			told[int(label(j.Example.Training))]++
		}
	}
	weight := func(training bool) float64 {
		if told[0] == 0 || told[1] == 0 {
			return 1 / (told[0] + told[1])
		}
		if training {
			return share / told[1]
		}
		return (1 - share) / told[0]
	}
	bins := make([]Bin, len(binEdges)-1)
	for i := range bins {
		bins[i].From, bins[i].To = binEdges[i], min(binEdges[i+1], 1)
	}
	mass := make([]float64, len(bins))
	for _, j := range judged {
		if j.Example.Training {
			a.Training++
		} else {
			a.Inference++
		}
		switch {
		case j.Class == classify.CannotTell:
			a.Untold++
		case j.Example.Training && j.Class == classify.Training:
			a.Found++
		case j.Example.Training:
			a.Missed++
		case j.Class == classify.Training:
			a.Called++
		}
		if !j.Told() {
			continue
		}
		p, y := j.Verdict.Training, label(j.Example.Training)
		if p >= 0.5 && !j.Example.Training {
			a.FalseAlarms++
		}
		w := weight(j.Example.Training)
		a.Brier += w * (p - y) * (p - y)
		for i := range bins {
			if p >= binEdges[i] && p < binEdges[i+1] {
				bins[i].Examples++
				bins[i].Stated += w * p
				bins[i].Frequency += w * y
				mass[i] += w
			}
		}
	}
	for i := range bins {
		if b := &bins[i]; b.Examples > 0 {
			b.Stated /= mass[i]
			b.Frequency /= mass[i]
			a.CalibrationError += mass[i] * math.Abs(b.Stated-b.Frequency)
			a.Bins = append(a.Bins, *b)
		}
	}
	if told[0] == 0 || told[1] == 0 {
		a.CalibrationError = -1
	}
	return a
}

// Of returns those of one split, and set if it is not empty.
func Of(examples []Example, split Split, set string) []Example {
	var out []Example
	for _, e := range examples {
		if e.Split == split && (set == "" || e.Set == set) {
			out = append(out, e)
		}
	}
	return out
}

// why says on what a wrong answer rests.
func (j Judged) why() string {
	if len(j.Evidence) == 0 {
		return j.Reason
	}
	e := j.Evidence[0]
	return fmt.Sprintf("%s (%+.1f)", e.Text, e.LogOdds)
}
