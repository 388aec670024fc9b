package ctl

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type resellersCommands struct {
	List resellersCommand   `cmd:"" default:"withargs" help:"Resellers with their timers."`
	Act  actResellerCommand `cmd:"" help:"Say what happened with a reseller."`
}

type resellersCommand struct{}

// Run prints the resellers.
func (resellersCommand) Run(s *scope) error {
	type row = apitypes.Reseller
	rows, err := all[row](s, "/v1/resellers", nil, 0)
	if err != nil {
		return err
	}
	timers := func(r row) string {
		var parts []string
		for _, t := range r.Timers {
			parts = append(parts, fmt.Sprintf("%s %s %s", t.Name, t.Due, t.State))
		}
		return strings.Join(parts, ", ")
	}
	return list(s, rows, "No resellers recorded.", []column[row]{
		{name: "reseller_id", exact: func(r row) string { return r.ID }, title: "RESELLER"},
		{name: "party", exact: func(r row) string { return r.Party }, title: "PARTY"},
		{name: "foreign_status", exact: func(r row) string { return r.ForeignStatus }, title: "FOREIGN"},
		{name: "programme", exact: func(r row) string { return r.Programme }, title: "PROGRAMME"},
		{name: "disclosure", exact: func(r row) string { return r.Disclosure }, title: "DISCLOSURE"},
		{name: "attested", exact: func(r row) string { return exactTime(r.Attested) }},
		{name: "failing", exact: func(r row) string { return exactTime(r.Failing) }},
		{name: "ended", exact: func(r row) string { return exactTime(r.Ended) }},
		{name: "timers", exact: timers, title: "TIMERS"},
		{name: "accounts", exact: func(r row) string { return strings.Join(r.Accounts, " ") }},
	})
}

type actResellerCommand struct {
	ID     string    `arg:"" help:"Id of the reseller."`
	Act    string    `arg:"" enum:"attest,hold_copy,request_copy,produce_copy,find_failing,report,end" help:"attest, hold_copy, request_copy, produce_copy, find_failing, report or end."`
	At     time.Time `required:"" help:"When, as 2026-11-23T12:00:00Z."`
	Reason string    `required:"" help:"Why, or what it rests on."`
}

// Run records what happened with a reseller.
func (c actResellerCommand) Run(s *scope) error {
	return recorded(s, "/v1/resellers/"+url.PathEscape(c.ID)+"/events", apitypes.ResellerAct{Act: c.Act, At: c.At, Reason: c.Reason})
}
