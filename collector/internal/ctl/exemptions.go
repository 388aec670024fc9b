package ctl

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type exemptionsCommands struct {
	List     exemptionsCommand        `cmd:"" default:"withargs" help:"Exemptions with their approvals."`
	Propose  proposeExemptionCommand  `cmd:"" help:"Propose an exemption, which two other people approve."`
	Approve  approveExemptionCommand  `cmd:"" help:"Approve an exemption by its digest."`
	Withdraw withdrawExemptionCommand `cmd:"" help:"Withdraw an exemption."`
}

type exemptionsCommand struct{}

// Run prints the exemptions.
func (exemptionsCommand) Run(s *scope) error {
	type row = apitypes.Exemption
	return listAll(s, "/v1/exemptions", nil, 0, "No exemptions.", []column[row]{
		{name: "exemption_id", exact: func(e row) string { return e.ID }, title: "EXEMPTION"},
		{name: "state", exact: func(e row) string { return e.State }, title: "STATE"},
		{name: "scope", exact: func(e row) string { return e.Scope + " " + e.Of }, title: "OF"},
		{name: "basis", exact: func(e row) string { return e.Basis }, title: "BASIS"},
		{name: "from", exact: func(e row) string { return exactTime(e.From) }, title: "FROM", text: func(e row) string { return when(e.From) }},
		{name: "to", exact: func(e row) string { return exactTime(e.To) }, title: "TO", text: func(e row) string { return when(e.To) }},
		{name: "approvals", exact: func(e row) string { return strings.Join(e.Approvals, "; ") }, title: "APPROVED", text: func(e row) string { return fmt.Sprintf("%d of %d", len(e.Approvals), e.Needed) }},
		{name: "digest", exact: func(e row) string { return e.Digest }},
	})
}

type proposeExemptionCommand struct {
	Scope    string    `arg:"" enum:"customer,account,workload" help:"customer, account or workload."`
	Of       string    `arg:"" help:"Its id."`
	Basis    string    `required:"" help:"On what it rests, such as proposed 15 CFR 7.306."`
	IssuedBy string    `required:"" help:"Who granted it."`
	From     time.Time `required:"" help:"Since when, as 2026-11-23T00:00:00Z."`
	To       time.Time `required:"" help:"Until when."`
	Evidence []string  `help:"References."`
}

// Run proposes an exemption.
func (c proposeExemptionCommand) Run(s *scope) error {
	return recorded(s, "/v1/exemptions", apitypes.NewExemption{Basis: c.Basis, Scope: c.Scope, Of: c.Of, IssuedBy: c.IssuedBy, From: c.From, To: c.To, Evidence: c.Evidence})
}

type approveExemptionCommand struct {
	ID     string `arg:"" help:"exm_…"`
	Digest string `arg:"" help:"Of what you approve, as exemptions -o json prints it."`
}

// Run approves an exemption.
func (c approveExemptionCommand) Run(s *scope) error {
	return recorded(s, "/v1/exemptions/"+url.PathEscape(c.ID)+"/approvals", apitypes.DigestApproval{Digest: c.Digest})
}

type withdrawExemptionCommand struct {
	ID     string `arg:"" help:"exm_…"`
	Reason string `required:"" help:"Why."`
}

// Run withdraws an exemption.
func (c withdrawExemptionCommand) Run(s *scope) error {
	return recorded(s, "/v1/exemptions/"+url.PathEscape(c.ID)+"/withdrawals", apitypes.Reasoned{Reason: c.Reason})
}
