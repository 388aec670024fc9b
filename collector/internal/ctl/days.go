package ctl

import (
	"net/url"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type showRunCommand struct {
	RunID string `arg:"" name:"run" help:"run_…, as flopwatchctl runs lists it."`
}

// Run prints one run.
func (c showRunCommand) Run(s *scope) error {
	one, err := one[apitypes.Run](s, "/v1/runs/"+url.PathEscape(c.RunID), nil)
	if err != nil {
		return err
	}
	return list(s, []apitypes.Run{one}, "", runColumns())
}

type runDaysCommand struct {
	RunID string `arg:"" name:"run" help:"run_…, as flopwatchctl runs lists it."`
}

// Run prints what the run did by day.
func (c runDaysCommand) Run(s *scope) error {
	type row = apitypes.RunDay
	return listAll(s, "/v1/runs/"+url.PathEscape(c.RunID)+"/days", nil, 0, "Nothing was done in the last 30 days.", []column[row]{
		{name: "until", exact: func(d row) string { return exactTime(d.Until) }, title: "24 HOURS UNTIL", text: func(d row) string { return when(d.Until) }},
		{name: "operations_best", exact: func(d row) string { return d.Best }, title: "OPERATIONS", text: func(d row) string { return operations(d.Best) }, right: true},
	})
}

type customerDaysCommand struct {
	ID string `arg:"" help:"cus_…"`
}

// Run prints what the customer's tenants did by day.
func (c customerDaysCommand) Run(s *scope) error {
	type row = apitypes.CustomerDay
	return listAll(s, "/v1/customers/"+url.PathEscape(c.ID)+"/days", nil, 0, "Nothing was done.", []column[row]{
		{name: "until", exact: func(d row) string { return exactTime(d.Until) }, title: "DAY UNTIL", text: func(d row) string { return when(d.Until) }},
		{title: "OPERATIONS best [low, high]", text: func(d row) string { return interval(d.Operations) }, right: true},
		{name: "operations_low", exact: func(d row) string { return d.Operations.Low }},
		{name: "operations_best", exact: func(d row) string { return d.Operations.Best }},
		{name: "operations_high", exact: func(d row) string { return d.Operations.High }},
	})
}
