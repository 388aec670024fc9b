package ctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/pkg/bundle"
)

var errCannotTell = errors.New("the bundle cannot be told to hold")

type verifyCommand struct {
	Path      string `arg:"" help:"The bundle." type:"existingfile"`
	Collector string `help:"Id of the collector that must have signed it."`
}

// Run checks a bundle. It asks no collector.
func (c verifyCommand) Run(s *scope) error {
	f, err := os.Open(c.Path)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	v, err := bundle.Verify(f, info.Size(), c.Collector)
	if err != nil {
		return fmt.Errorf("verify %s: %w", filepath.Base(c.Path), err)
	}
	if s.format == "json" {
		if err := printJSON(s.out, v); err != nil {
			return err
		}
	} else {
		for _, step := range v.Steps {
			s.out.say("%-12s %s\n             %s\n", step.Answer, step.What, printable(step.Why))
		}
		s.out.say("\n%s\n", verdict(v))
	}
	switch v.Answer {
	case bundle.No:
		return errBroken
	case bundle.CannotTell:
		return errCannotTell
	}
	return nil
}

func verdict(v bundle.Verdict) string {
	switch v.Answer {
	case bundle.Yes:
		return "The bundle holds: report " + printable(v.Report) + " says what was approved, and its operations follow from what the hosts signed."
	case bundle.CannotTell:
		return "Nothing contradicts the bundle, but not all of it can be told. See the lines that begin with \"cannot tell\"."
	}
	return "THE BUNDLE DOES NOT HOLD. Do not rely on it. See the lines that begin with \"no\"."
}
