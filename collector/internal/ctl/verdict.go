package ctl

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type verdictOfRunCommand struct {
	RunID string `arg:"" name:"run" help:"run_…, as flopwatchctl runs lists it."`
}

// Run prints what the run does and why.
func (c verdictOfRunCommand) Run(s *scope) error {
	runs, err := all[apitypes.Run](s, "/v1/runs", nil, 0)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(runs, func(r apitypes.Run) bool { return r.ID == c.RunID })
	if at < 0 {
		return errors.New("there is no such run")
	}
	v := runs[at].Verdict
	type row = apitypes.VerdictEvidence
	if s.format == "table" {
		said := v.Class
		if v.Training != nil {
			said = fmt.Sprintf("%s: training %.2f, inference %.2f, other %.2f", v.Class, *v.Training, *v.Inference, *v.Other)
		}
		if v.Reason != "" {
			said += " (" + v.Reason + ")"
		}
		fmt.Fprintf(s.out, "%s, by %s\n", said, v.Method)
		for _, missing := range v.Missing {
			fmt.Fprintf(s.out, "not known: %s\n", missing)
		}
	}
	return list(s, v.Evidence, "Nothing shows what it does.", []column[row]{
		{name: "feature", exact: func(e row) string { return e.Feature }, title: "FEATURE"},
		{name: "text", exact: func(e row) string { return e.Text }, title: "WHAT WAS SEEN"},
		{name: "log_odds", exact: func(e row) string { return strconv.FormatFloat(e.LogOdds, 'f', -1, 64) }, title: "LOG-ODDS OF TRAINING", text: func(e row) string { return fmt.Sprintf("%+.2f", e.LogOdds) }, right: true},
		{name: "origin", exact: func(e row) string { return e.Origin }, title: "WEIGHT FROM"},
	})
}
