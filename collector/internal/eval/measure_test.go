package eval

import (
	"compress/gzip"
	"os"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func zipped(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(file)
	if _, err := zip.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if zip.Close() != nil || file.Close() != nil {
		t.Fatalf("write %s", path)
	}
}

func contains(err error, text string) bool { return strings.Contains(err.Error(), text) }

func judged(trains bool, p float64, class classify.Class) Judged {
	return Judged{Example{Training: trains}, classify.Verdict{Class: class, Training: p, Inference: 1 - p}}
}

func TestAccuracy(t *testing.T) {
	a := Measure([]Judged{
		judged(true, 1, classify.Training),
		judged(true, 0.1, classify.Inference),
		judged(false, 0.9, classify.Training),
		judged(false, 0.5, classify.CannotTell),
		judged(false, 0, classify.Inference),
		{Example{Training: true}, classify.Verdict{Class: classify.CannotTell}},
	}, 0.5)
	if a.Training != 3 || a.Inference != 3 || a.Found != 1 || a.Missed != 1 || a.Called != 1 || a.FalseAlarms != 2 || a.Untold != 2 {
		t.Errorf("counts are %+v", a)
	}
	if a.Precision() != 0.5 || a.Recall() != 1.0/3 {
		t.Errorf("precision %v, recall %v, want 1/2 and 1/3", a.Precision(), a.Recall())
	}
	// Half of (0 + 0.81) / 2 and half of (0.81 + 0.25 + 0) / 3, without the one that
	// states nothing.
	if a.Brier < 0.3791 || a.Brier > 0.3792 {
		t.Errorf("Brier score %v, want 0.379", a.Brier)
	}
	var n int
	for _, b := range a.Bins {
		n += b.Examples
	}
	if n != 5 {
		t.Errorf("%d examples in bins, want 5", n)
	}
}

func TestJoiningCountsMergesAndSplits(t *testing.T) {
	container := func(id string, at int64) training.Stretch {
		return training.Stretch{Host: "h" + id, Accelerator: "A", StartNS: at * 1e9, Workload: measure.Workload{Kind: measure.KindContainer, ID: id}}
	}
	var j Joining
	j.add(Labelled{Tenant: "t", // two true runs at once, then one in two halves
		Stretches: []training.Stretch{container("a", 0), container("b", 0), container("c", 10_000), container("d", 90_000_000)},
		Truth:     []string{"one", "two", "three", "three"}})
	if j.Runs != 3 || j.Merges != 1 || j.Splits != 1 || j.Exact != 0 {
		t.Errorf("%+v, want one merge and one split of three", j)
	}
	if j.Precision() != 0 || j.Recall() != 0 {
		t.Errorf("precision %v and recall %v of pairs, want none", j.Precision(), j.Recall())
	}
}
