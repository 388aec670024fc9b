// Package verifier is what an auditor runs: the offline checks of sealed bundles
// and of the audit log, as commands. It asks no collector, opens no network, and
// imports nothing of the collector's own code, so that it can be rebuilt alone.
package verifier

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/bundle"
	"github.com/flopwatch/flopwatch/pkg/plaintext"
	"github.com/flopwatch/flopwatch/pkg/verdict"
)

// What a check came to besides yes. The verdict is printed by then.
var (
	ErrBroken     = errors.New("it does not hold")
	ErrCannotTell = errors.New("that it holds cannot be told")
)

// Bundle is the command that checks a sealed bundle.
type Bundle struct {
	Path      string `arg:"" help:"The bundle." type:"existingfile"`
	Collector string `help:"Id of the collector that must have signed it."`
}

// Check checks the bundle and prints the verdict.
func (c Bundle) Check(w io.Writer, asJSON bool) error {
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
	sentence := "THE BUNDLE DOES NOT HOLD. Do not rely on it. See the lines that begin with \"no\"."
	switch v.Answer {
	case verdict.Yes:
		sentence = "The bundle holds: report " + v.Report + " says what was approved, and its operations follow from what the hosts signed."
	case verdict.CannotTell:
		sentence = "Nothing contradicts the bundle, but not all of it can be told. See the lines that begin with \"cannot tell\"."
	}
	return tell(w, asJSON, v, v.Steps, sentence)
}

// Log is the command that checks an exported audit log.
type Log struct {
	Folder    string   `arg:"" help:"Folder with the log as tiles, from audit export." type:"existingdir"`
	Collector string   `help:"Id of the collector that must have signed it."`
	Key       string   `help:"The log's key, as name+hash+base64; log.vkey beside the log by default." placeholder:"KEY"`
	Anchor    []string `help:"File of checkpoints that were kept elsewhere: what serve --audit-anchor writes, or the checkpoint of an older export. May be repeated." type:"existingfile" sep:"none" placeholder:"FILE"`
	Witness   []string `help:"Key of a witness that must have cosigned the checkpoint. May be repeated." sep:"none" placeholder:"KEY"`
}

// Check checks the log and prints the verdict.
func (c Log) Check(w io.Writer, asJSON bool) error {
	trust := audit.Trust{Collector: c.Collector, Key: c.Key, Witnesses: c.Witness}
	for _, path := range c.Anchor {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("audit verify: %w", err)
		}
		err = audit.ReadAnchors(f, func(signed string) error {
			trust.Anchors = append(trust.Anchors, signed)
			return nil
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("audit verify: %s: %w", filepath.Base(path), err)
		}
	}
	v := audit.VerifyTiles(os.DirFS(c.Folder), trust)
	sentence := "THE LOG DOES NOT HOLD. Do not rely on it. See the lines that begin with \"no\"."
	switch v.Answer {
	case verdict.Yes:
		sentence = "The log holds: each of its entries is as it was signed, and it grew out of what was kept elsewhere."
	case verdict.CannotTell:
		sentence = "Nothing contradicts the log, but not all of it can be told. See the lines that begin with \"cannot tell\"."
	}
	return tell(w, asJSON, v, v.Steps, sentence)
}

func tell(w io.Writer, asJSON bool, v any, steps verdict.Steps, sentence string) error {
	if asJSON {
		if err := plaintext.JSON(w, v); err != nil {
			return err
		}
	} else {
		for _, step := range steps {
			if _, err := fmt.Fprintf(w, "%-12s %s\n             %s\n", step.Answer, step.What, plaintext.Printable(step.Why)); err != nil {
				return fmt.Errorf("write the verdict: %w", err)
			}
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", plaintext.Printable(sentence)); err != nil {
			return fmt.Errorf("write the verdict: %w", err)
		}
	}
	switch steps.Answer() {
	case verdict.No:
		return ErrBroken
	case verdict.CannotTell:
		return ErrCannotTell
	}
	return nil
}
