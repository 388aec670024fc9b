package ctl

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type runJoinsCommand struct {
	RunID string `arg:"" name:"run" help:"run_…, as flopwatchctl runs lists it."`
}

// Run prints why the workloads are one run.
func (c runJoinsCommand) Run(s *scope) error {
	type row = apitypes.Join
	rows, err := all[row](s, "/v1/runs/"+c.RunID+"/joins", nil, 0)
	if err != nil {
		return err
	}
	evidence := func(j row) string {
		words := make([]string, len(j.Evidence))
		for i, e := range j.Evidence {
			words[i] = fmt.Sprintf("%s (%s%d)", e.Detail, plus(e.Bits), e.Bits)
		}
		return strings.Join(words, "; ")
	}
	return list(s, rows, "One workload: nothing was joined.", []column[row]{
		{name: "join", exact: func(j row) string { return j.ID }, title: "JOIN"},
		{name: "kind", exact: func(j row) string { return j.Kind }, title: "IN"},
		{name: "from", exact: func(j row) string { return j.From }, title: "FROM"},
		{name: "to", exact: func(j row) string { return j.To }, title: "TO"},
		{name: "from_part", exact: func(j row) string { return j.FromPart }},
		{name: "to_part", exact: func(j row) string { return j.ToPart }},
		{name: "at", exact: func(j row) string { return exactTime(j.At) }, title: "AT", text: func(j row) string { return when(j.At) }},
		{name: "gap_seconds", exact: func(j row) string { return strconv.FormatFloat(j.GapS, 'f', -1, 64) }, title: "GAP", text: func(j row) string {
			if j.Kind != "time" {
				return ""
			}
			return time.Duration(j.GapS * 1e9).Round(time.Second).String()
		}, right: true},
		{name: "bits", exact: func(j row) string { return number(j.Bits) }, title: "BITS", right: true},
		{name: "evidence", exact: evidence, title: "BECAUSE"},
		{name: "weights", exact: func(j row) string { return j.Weights }},
		{name: "verdict", exact: func(j row) string { return j.Verdict }, title: "SAID", text: func(j row) string {
			if j.Verdict == "together" {
				return "confirmed by " + j.By
			}
			return ""
		}},
		{name: "by", exact: func(j row) string { return j.By }},
		{name: "reason", exact: func(j row) string { return j.Reason }},
	})
}

func plus(n int) string {
	if n > 0 {
		return "+"
	}
	return ""
}

type runHistoryCommand struct {
	RunID string `arg:"" name:"run" help:"run_…; also of one that is gone."`
}

// Run prints what became of the run.
func (c runHistoryCommand) Run(s *scope) error {
	type row = apitypes.RunChange
	return listAll(s, "/v1/runs/"+c.RunID+"/history", nil, 0, "No such run was ever there.", []column[row]{
		{name: "at", exact: func(c row) string { return exactTime(c.At) }, title: "AT", text: func(c row) string { return when(c.At) }},
		{name: "run", exact: func(c row) string { return c.Run }, title: "RUN"},
		{name: "act", exact: func(c row) string { return c.Act }, title: "ACT", text: func(c row) string {
			return map[string]string{"split": "came out of", "merged": "went into"}[c.Act] + map[string]string{"begun": "begun", "ended": "ended"}[c.Act]
		}},
		{name: "other", exact: func(c row) string { return c.Other }, title: "OTHER"},
		{title: "OPERATIONS best [low, high]", text: func(c row) string { return interval(c.Operations) }, right: true},
		{name: "operations_low", exact: func(c row) string { return c.Operations.Low }},
		{name: "operations_best", exact: func(c row) string { return c.Operations.Best }},
		{name: "operations_high", exact: func(c row) string { return c.Operations.High }},
	})
}

type joinDecisionsCommand struct{}

// Run prints what people said.
func (joinDecisionsCommand) Run(s *scope) error {
	rows, err := all[apitypes.JoinDecision](s, "/v1/joins/decisions", nil, 0)
	if err != nil {
		return err
	}
	return printDecisions(s, rows)
}

func printDecisions(s *scope, rows []apitypes.JoinDecision) error {
	type row = apitypes.JoinDecision
	return list(s, rows, "Nobody said anything of a join: the evidence decides.", []column[row]{
		{name: "join", exact: func(d row) string { return d.ID }, title: "JOIN"},
		{name: "tenant", exact: func(d row) string { return d.Tenant }, title: "TENANT"},
		{name: "verdict", exact: func(d row) string { return d.Verdict }, title: "VERDICT"},
		{name: "by", exact: func(d row) string { return d.By }, title: "BY"},
		{name: "decided", exact: func(d row) string { return exactTime(d.Decided) }, title: "DECIDED", text: func(d row) string { return when(d.Decided) }},
		{name: "reason", exact: func(d row) string { return d.Reason }, title: "REASON"},
	})
}

// verdictCommand is what split, confirm and reopen have in common.
type verdictCommand struct {
	Join   string `arg:"" help:"jon_…, as flopwatchctl runs joins lists it."`
	Reason string `help:"Why; it stands in the audit log." required:""`
}

func (c verdictCommand) say(s *scope, verdict string) error {
	d, err := send[apitypes.JoinDecision](s, "/v1/joins/"+c.Join+"/decisions", apitypes.JoinVerdict{Verdict: verdict, Reason: c.Reason})
	if err != nil {
		return err
	}
	return printDecisions(s, []apitypes.JoinDecision{d})
}

type splitCommand struct{ verdictCommand }

// Run undoes a join.
func (c splitCommand) Run(s *scope) error { return c.say(s, "apart") }

type confirmCommand struct{ verdictCommand }

// Run confirms a join.
func (c confirmCommand) Run(s *scope) error { return c.say(s, "together") }

type reopenJoinCommand struct{ verdictCommand }

// Run takes back what was said.
func (c reopenJoinCommand) Run(s *scope) error { return c.say(s, "open") }

type joinRunsCommand struct {
	RunID  string `arg:"" name:"run" help:"run_…, as flopwatchctl runs lists it."`
	With   string `arg:"" help:"The other run, of the same tenant."`
	Reason string `help:"Why; it stands in the audit log." required:""`
}

// Run says that two runs are one.
func (c joinRunsCommand) Run(s *scope) error {
	d, err := send[apitypes.JoinDecision](s, "/v1/runs/"+c.RunID+"/joins", apitypes.RunJoin{With: c.With, Reason: c.Reason})
	if err != nil {
		return err
	}
	return printDecisions(s, []apitypes.JoinDecision{d})
}
