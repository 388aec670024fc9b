package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
)

var write = flag.Bool("write", false, "write docs/evaluation.md")

func traces(t *testing.T) string {
	t.Helper()
	folder, err := Folder(".")
	if errors.Is(err, ErrAbsent) {
		t.Skipf("not held against public recordings: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// figures are what must not move unnoticed.
type figures struct {
	Classes []ClassResult
	Crossed Accuracy
	Joins   []Joining
	Called  int // inference recordings called training
}

func rounded(a Accuracy) Accuracy {
	to := func(x float64) float64 { return math.Round(x*100) / 100 }
	a.Brier, a.CalibrationError = to(a.Brier), to(a.CalibrationError)
	a.Bins = append([]Bin(nil), a.Bins...)
	for i := range a.Bins {
		a.Bins[i].Stated, a.Bins[i].Frequency = to(a.Bins[i].Stated), to(a.Bins[i].Frequency)
	}
	return a
}

// A figure that moves fails, for better or worse: UPDATE=1 takes the new ones.
func TestEvaluation(t *testing.T) {
	folder := traces(t)
	r, err := Evaluate(folder, classify.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	var doc bytes.Buffer
	if err := r.Write(&doc, classify.Shipped()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "..", "docs", "evaluation.md")
	if *write {
		if err := os.WriteFile(path, doc.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %s", path)
	} else if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, doc.Bytes()) {
		t.Errorf("docs/evaluation.md is not what the evaluation finds (%v): make eval", err)
	}
	got := figures{Crossed: rounded(r.Crossed), Joins: r.Joins, Called: r.Inference}
	for _, c := range r.Classes {
		c.Accuracy = rounded(c.Accuracy)
		got.Classes = append(got.Classes, c)
	}
	golden(t, filepath.Join("testdata", "expected.json"), got)
	if r.Inference != 0 {
		t.Errorf("%d inference recordings are called training, want none", r.Inference)
	}
}

// The scorecard of the program is the one that follows from the tuning data.
func TestScorecardIsFitted(t *testing.T) {
	examples, err := Examples(traces(t))
	if err != nil {
		t.Fatal(err)
	}
	want := Tune(classify.Shipped(), examples)
	if os.Getenv("UPDATE") != "" {
		data, err := json.MarshalIndent(&want, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("..", "classify", "scorecard.json"), append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 0.01 })
	if diff := cmp.Diff(&want, classify.Shipped(), near); diff != "" {
		t.Errorf("the scorecard is not what the tuning data gives (make fit): %s", diff)
	}
}

// Nothing of a reporting recording may reach the coefficients.
func TestReportingDataDoesNotTune(t *testing.T) {
	examples, err := Examples(traces(t))
	if err != nil {
		t.Fatal(err)
	}
	sides := map[string]Split{}
	for i, e := range examples {
		if side, known := sides[group(e)]; known && side != e.Split {
			t.Errorf("%s lies on both sides", group(e))
		}
		sides[group(e)] = e.Split
		if e.Split == Reporting {
			examples[i].Training = !e.Training
		}
	}
	card := Tune(classify.Shipped(), examples)
	if diff := cmp.Diff(card.Coefficients, Tune(classify.Shipped(), Of(examples, Tuning, "")).Coefficients); diff != "" {
		t.Errorf("labels of reporting data move the coefficients: %s", diff)
	}
}

func golden(t *testing.T, path string, got figures) {
	t.Helper()
	data, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(data)); diff != "" {
		t.Errorf("figures moved (UPDATE=1 takes the new ones): %s", diff)
	}
}
