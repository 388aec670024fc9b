// Package eval holds the judgements of flopwatch against recordings whose truth
// is known: what a run does, and which workloads are one run. It keeps data that
// tunes apart from data that reports, by source and not by row.
//
// `make eval` writes what it finds to docs/evaluation.md. The public recordings
// are not part of the repository; without them the small made-up set in this
// package is all that is checked.
package eval

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
)

// Split says what a labelled example may be used for.
type Split string

// The splits.
const (
	Tuning    Split = "tuning"
	Reporting Split = "reporting"
)

// Example is one labelled run.
type Example struct {
	Set      string // folder of the recordings
	System   string // machine that it ran on
	Name     string
	Split    Split
	Training bool // the label
	classify.Observation
}

// ErrAbsent is wrapped by errors about recordings that are not on this machine.
var ErrAbsent = errors.New("the public recordings are not on this machine")

// Folder returns the folder of the public recordings: shared/traces beside the
// repository that holds the given directory.
func Folder(from string) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", fmt.Errorf("look for public recordings: %w", err)
	}
	for dir := from; ; {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			traces := filepath.Join(filepath.Dir(dir), "shared", "traces")
			if _, err := os.Stat(traces); errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("%s: %w", traces, ErrAbsent)
			} else if err != nil {
				return "", fmt.Errorf("look for public recordings: %w", err)
			}
			return traces, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod above %s: %w", from, ErrAbsent)
		}
		dir = up
	}
}

// Examples reads all labelled series of power below the folder.
func Examples(traces string) ([]Example, error) {
	training, err := trainingPower(traces)
	if err != nil {
		return nil, err
	}
	inference, err := inferencePower(traces)
	if err != nil {
		return nil, err
	}
	return append(training, inference...), nil
}
