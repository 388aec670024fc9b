package ctl

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type allocationsCommand struct{}

func (allocationsCommand) Run(s *scope) error {
	type row = apitypes.Allocation
	return listAll(s, "/v1/allocations", nil, 0, "No allocations yet: what hosts claim stands. Import with flopwatchctl allocations import FILE.", []column[row]{
		{name: "allocation_id", exact: func(a row) string { return a.ID }, title: "ID"},
		{name: "host", exact: func(a row) string { return a.Host }, title: "HOST", text: func(a row) string { return orElse(a.Host, "(every host)") }},
		{name: "device", exact: func(a row) string { return a.Device }, title: "DEVICE"},
		{name: "workload_kind", exact: func(a row) string { return a.WorkloadKind }},
		{name: "workload_id", exact: func(a row) string { return a.WorkloadID }, title: "WORKLOAD", text: func(a row) string { return strings.TrimSpace(a.WorkloadKind + " " + a.WorkloadID) }},
		{name: "tenant_id", exact: func(a row) string { return a.Tenant }, title: "TENANT"},
		{name: "from", exact: func(a row) string { return exactTime(a.From) }, title: "FROM", text: func(a row) string { return when(a.From) }},
		{name: "to", exact: func(a row) string { return exactTime(a.To) }, title: "TO", text: func(a row) string {
			switch {
			case a.Withdrawn:
				return "withdrawn"
			case a.To.IsZero():
				return "no end"
			}
			return when(a.To)
		}},
		{name: "withdrawn", exact: func(a row) string { return strconv.FormatBool(a.Withdrawn) }},
		{name: "recorded", exact: func(a row) string { return exactTime(a.Recorded) }},
	})
}

type correctionsCommand struct {
	Limit int `help:"Most entries to print; 0 prints all." default:"100"`
}

// Run prints the correcting entries.
func (c correctionsCommand) Run(s *scope) error {
	type row = apitypes.Correction
	rows, err := all[row](s, "/v1/corrections", nil, c.Limit)
	if err != nil {
		return err
	}
	owner := func(tenant, state string) string { return orElse(tenant, "("+state+")") }
	return list(s, rows, "No corrections: no allocation came after the time that it is about was counted.", []column[row]{
		{name: "correction", exact: func(c row) string { return c.ID }, title: "CORRECTION"},
		{name: "segment", exact: func(c row) string { return number(c.Segment) }},
		{name: "host", exact: func(c row) string { return c.Host }},
		{name: "host_name", exact: func(c row) string { return c.HostName }, title: "HOST"},
		{name: "device", exact: func(c row) string { return c.Device }, title: "DEVICE"},
		{name: "workload_kind", exact: func(c row) string { return c.WorkloadKind }},
		{name: "workload_id", exact: func(c row) string { return c.WorkloadID }, title: "WORKLOAD", text: func(c row) string { return strings.TrimSpace(c.WorkloadKind + " " + c.WorkloadID) }},
		{name: "method", exact: func(c row) string { return c.Method }},
		{name: "from", exact: func(c row) string { return exactTime(c.From) }, title: "FROM", text: func(c row) string { return when(c.From) }},
		{name: "to", exact: func(c row) string { return exactTime(c.To) }, title: "TO", text: func(c row) string { return when(c.To) }},
		{name: "state_before", exact: func(c row) string { return c.StateBefore }},
		{name: "tenant_before", exact: func(c row) string { return c.TenantBefore }, title: "BEFORE", text: func(c row) string { return owner(c.TenantBefore, c.StateBefore) }},
		{name: "state_after", exact: func(c row) string { return c.StateAfter }},
		{name: "tenant_after", exact: func(c row) string { return c.TenantAfter }, title: "AFTER", text: func(c row) string { return owner(c.TenantAfter, c.StateAfter) }},
		{name: "duration_ns", exact: func(c row) string { return number(c.DurationNS) }, title: "DEVICE TIME", text: func(c row) string { return span(apitypes.Seconds(c.DurationNS / 1e6)) }, right: true},
		{title: "OPERATIONS best [low, high]", text: func(c row) string { return interval(c.Operations) }, right: true},
		{name: "operations_low", exact: func(c row) string { return c.Operations.Low }},
		{name: "operations_best", exact: func(c row) string { return c.Operations.Best }},
		{name: "operations_high", exact: func(c row) string { return c.Operations.High }},
		{name: "ceiling", exact: func(c row) string { return c.Ceiling }},
		{name: "energy_mj", exact: func(c row) string {
			if c.EnergyMJ == nil {
				return ""
			}
			return number(*c.EnergyMJ)
		}},
		{name: "recorded", exact: func(c row) string { return exactTime(c.Recorded) }},
	})
}

type importAllocationsCommand struct {
	File   string `arg:"" help:"CSV or NDJSON file; NDJSON when its name ends in .ndjson or .json." type:"existingfile"`
	DryRun bool   `help:"Say what would change and write nothing."`
}

// Run sends the file and prints what changed. Faults of the file are an error
// that names each.
func (i importAllocationsCommand) Run(s *scope) error {
	var diff apitypes.AllocationDiff
	if err := (fileImport{"allocations", i.File, i.DryRun}).send(s, http.MethodPut, "/v1/allocations", rowsOrLines(i.File), &diff); err != nil {
		return err
	}
	if s.format != "table" {
		return fields(s, diff, []field{
			{"new", number(len(diff.New)), ""}, {"changed", number(len(diff.Changed)), ""}, {"unchanged", number(len(diff.Unchanged)), ""},
			{"corrections", number(diff.Corrections), ""}, seconds("corrected_seconds", diff.Corrected), {"conflicts", number(len(diff.Conflicts)), ""},
		})
	}
	if diff.DryRun {
		s.out.say("dry run, nothing written: ")
	}
	s.out.say("%d new, %d changed, %d unchanged; %d correcting entries for %s of device time\n", len(diff.New), len(diff.Changed), len(diff.Unchanged), diff.Corrections, span(diff.Corrected))
	for _, part := range []struct {
		what string
		ids  []string
	}{{"new", diff.New}, {"changed", diff.Changed}} {
		for _, id := range part.ids {
			s.out.say("  %s %s\n", part.what, printable(id))
		}
	}
	for _, c := range diff.Conflicts {
		to := "with no end"
		if !c.To.IsZero() {
			to = "to " + when(c.To)
		}
		s.out.say("  conflict of %s from %s %s: the time stays unattributed\n", printable(strings.Join(c.Allocations, ", ")), when(c.From), to)
	}
	return nil
}
