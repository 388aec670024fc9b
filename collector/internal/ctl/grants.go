package ctl

import (
	"net/url"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type grantsCommand struct{}

// Run prints the grants of roles, the last proposed first.
func (grantsCommand) Run(s *scope) error {
	rows, err := all[apitypes.RoleGrant](s, "/v1/grants", nil, 0)
	if err != nil {
		return err
	}
	return printGrants(s, rows)
}

func printGrants(s *scope, rows []apitypes.RoleGrant) error {
	type row = apitypes.RoleGrant
	return list(s, rows, "No role was proposed for anybody.", []column[row]{
		{name: "grant_id", exact: func(g row) string { return g.ID }, title: "GRANT"},
		{name: "state", exact: func(g row) string { return g.State }, title: "STATE"},
		{name: "user_id", exact: func(g row) string { return g.User }, title: "ACCOUNT"},
		{name: "login", exact: func(g row) string { return g.Login }, title: "LOGIN"},
		{name: "has", exact: func(g row) string { return strings.Join(g.Has, " ") }, title: "HAS"},
		{name: "roles", exact: func(g row) string { return strings.Join(g.Roles, " ") }, title: "IS TO HAVE BESIDES"},
		{name: "by", exact: func(g row) string { return g.By }, title: "BY"},
		{name: "lapses", exact: func(g row) string { return exactTime(g.Lapses) }, title: "LAPSES", text: func(g row) string { return when(g.Lapses) }},
		{name: "reason", exact: func(g row) string { return g.Reason }, title: "REASON"},
		{name: "decided_by", exact: func(g row) string { return g.Decider }},
		{name: "digest", exact: func(g row) string { return g.Digest }, title: "DIGEST"},
	})
}

// printUser prints an account, and what waits for a second person.
func printUser(s *scope, u apitypes.User) error {
	if err := printUsers(s, []apitypes.User{u}); err != nil || s.format == "json" || s.format == "csv" {
		return err
	}
	for _, g := range u.Grants {
		s.out.say("\n%s waits for a second person until %s: %s besides what %s has. Another administrator, who has just signed in, runs\n  flopwatchctl users approve %s %s\n",
			printable(g.ID), when(g.Lapses), printable(strings.Join(g.Roles, ", ")), printable(g.Login), printable(g.ID), printable(g.Digest))
		if g.Advice != "" {
			s.out.say("%s.\n", printable(g.Advice))
		}
	}
	return nil
}

type grantRoleCommand struct {
	ID     string   `arg:"" help:"usr_…, as flopwatchctl users lists it."`
	Role   []string `help:"What they are to be trusted with besides; may be given more than once." required:""`
	Reason string   `help:"Why; it stands in the audit log." required:""`
}

// Run proposes roles for an account.
func (c grantRoleCommand) Run(s *scope) error {
	u, err := send[apitypes.User](s, "/v1/users/"+url.PathEscape(c.ID)+"/grants", apitypes.NewRoleGrant{Roles: c.Role, Reason: c.Reason})
	if err != nil {
		return err
	}
	return printUser(s, u)
}

type approveGrantCommand struct {
	ID     string `arg:"" help:"grt_…"`
	Digest string `arg:"" help:"Of what you approve, as flopwatchctl users grants prints it."`
}

// Run approves a grant.
func (c approveGrantCommand) Run(s *scope) error {
	g, err := send[apitypes.RoleGrant](s, "/v1/grants/"+url.PathEscape(c.ID)+"/approvals", apitypes.DigestApproval{Digest: c.Digest})
	if err != nil {
		return err
	}
	return printGrants(s, []apitypes.RoleGrant{g})
}

type refuseGrantCommand struct {
	ID     string `arg:"" help:"grt_…"`
	Reason string `required:"" help:"Why."`
}

// Run refuses a grant.
func (c refuseGrantCommand) Run(s *scope) error {
	g, err := send[apitypes.RoleGrant](s, "/v1/grants/"+url.PathEscape(c.ID)+"/refusals", apitypes.Reasoned{Reason: c.Reason})
	if err != nil {
		return err
	}
	return printGrants(s, []apitypes.RoleGrant{g})
}
