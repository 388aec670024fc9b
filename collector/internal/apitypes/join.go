package apitypes

import "time"

// Join says why two workloads are in one run.
type Join struct {
	ID       string         `json:"id" doc:"jon_…"`
	Run      string         `json:"run"`
	Kind     string         `json:"kind" doc:"space: at the same time; time: one after the other"`
	From     string         `json:"from" doc:"The workload that began earlier"`
	To       string         `json:"to"`
	FromPart string         `json:"from_part" doc:"Key of the part, with kind and host"`
	ToPart   string         `json:"to_part"`
	At       time.Time      `json:"at" doc:"Start of the later one"`
	GapS     float64        `json:"gap_seconds" doc:"In time, from the end of the earlier one; negative where they overlap"`
	Bits     int            `json:"bits" doc:"Sum of the evidence; each bit doubles the odds"`
	Evidence []JoinEvidence `json:"evidence"`
	Weights  string         `json:"weights" doc:"That weighed it: id, version and digest"`
	Verdict  string         `json:"verdict" doc:"open: the evidence decides; together: a person confirmed it"`
	Reason   string         `json:"reason,omitempty" doc:"Of the last decision"`
	By       string         `json:"by,omitempty"`
}

// JoinEvidence is one piece of it.
type JoinEvidence struct {
	Name   string `json:"name"`
	Bits   int    `json:"bits" doc:"Negative speaks against"`
	Detail string `json:"detail"`
}

// RunChange is one line of the history of runs.
type RunChange struct {
	At         time.Time `json:"at"`
	Run        string    `json:"run"`
	Act        string    `json:"act" doc:"begun, split, merged or ended"`
	Other      string    `json:"other,omitempty" doc:"Run that it came out of or went into"`
	Operations Bounds    `json:"operations" doc:"Of the run after the change; of one that is gone, what it had last"`
}

// JoinVerdict is what somebody says of a join.
type JoinVerdict struct {
	Verdict string `json:"verdict" enum:"apart,together,open" doc:"apart undoes the join, together confirms it, open takes back what was said"`
	Reason  string `json:"reason" minLength:"1" maxLength:"2000"`
}

// RunJoin says with which run another is one.
type RunJoin struct {
	With   string `json:"with" pattern:"^run_[a-z0-9]{1,40}$"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

// JoinDecision is what a person said of a join.
type JoinDecision struct {
	ID      string    `json:"id" doc:"Of the join"`
	Tenant  string    `json:"tenant"`
	Verdict string    `json:"verdict"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	Decided time.Time `json:"decided"`
}
