// Package permission says which role may do what in the collector, and carries
// who asks through a request. Separation of duty is not here: that two acts need
// two people is the rule of package approval, whatever roles they have.
package permission

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role is what somebody is trusted with.
type Role string

// Roles. The first nine are people's.
const (
	Viewer          Role = "viewer"
	Analyst         Role = "analyst"
	IdentitySteward Role = "identity-steward"
	SeniorReviewer  Role = "senior-reviewer"
	FilingOfficer   Role = "filing-officer"
	PolicyAuthor    Role = "policy-author"
	PolicyApprover  Role = "policy-approver"
	Auditor         Role = "auditor"
	Admin           Role = "admin"

	// Machine is the role of the token that lies in the data directory. Who can
	// read that can read the database; but no program decides a case.
	Machine Role = "machine"
)

// People are the roles that a person can be given, in the order in which they are shown.
var People = []Role{Viewer, Analyst, IdentitySteward, SeniorReviewer, FilingOfficer, PolicyAuthor, PolicyApprover, Auditor, Admin}

// Action is something that a role may do.
type Action string

// Actions.
const (
	ReadAggregates  Action = "read aggregates"  // tenants, runs, ledger, coverage, hosts
	ReadCases       Action = "read cases"       // findings and cases
	WorkCases       Action = "work on cases"    // triage, open, assign, comment, suppress
	ProposeDecision Action = "propose decision" // of a case, and drafts of its report
	Approve         Action = "approve"          // decisions, reports, knowledge moved later
	ReadReports     Action = "read reports"
	File            Action = "record filing"
	Reveal          Action = "reveal personal data"
	ProposeLink     Action = "propose link"
	DecideLink      Action = "decide link"
	ReadPolicy      Action = "read policy"
	DraftPolicy     Action = "draft policy"
	ApprovePolicy   Action = "approve policy"
	ReadAudit       Action = "read audit log"
	Import          Action = "import"     // customers, allocations, inventory
	Administer      Action = "administer" // users, hosts, keys, retention, connectors

	ProposeExemption Action = "propose exemption"
	ApproveExemption Action = "approve exemption" // two people do
)

// Actions are all of them.
var Actions = []Action{ReadAggregates, ReadCases, WorkCases, ProposeDecision, Approve, ReadReports, File, Reveal, ProposeLink, DecideLink,
	ReadPolicy, DraftPolicy, ApprovePolicy, ReadAudit, Import, Administer, ProposeExemption, ApproveExemption}

// matrix is the table of roles.
var matrix = map[Role][]Action{
	Viewer:          {ReadAggregates, ReadPolicy},
	Analyst:         {ReadAggregates, ReadCases, WorkCases, ProposeDecision, ReadReports, Reveal, ProposeLink, ReadPolicy, ProposeExemption},
	IdentitySteward: {ReadAggregates, ReadCases, Reveal, ProposeLink, DecideLink, ReadPolicy, Import, ProposeExemption},
	SeniorReviewer:  {ReadAggregates, ReadCases, WorkCases, Approve, ReadReports, Reveal, ReadPolicy, ApproveExemption},
	FilingOfficer:   {ReadAggregates, ReadCases, ReadReports, File, Reveal, ReadPolicy, ApproveExemption},
	PolicyAuthor:    {ReadAggregates, ReadPolicy, DraftPolicy},
	PolicyApprover:  {ReadAggregates, ReadCases, ReadPolicy, ApprovePolicy, ApproveExemption},
	Auditor:         {ReadAggregates, ReadCases, ReadReports, Reveal, ReadPolicy, ReadAudit},
	Admin:           {ReadAggregates, ReadPolicy, Import, Administer},
	Machine:         {ReadAggregates, ReadCases, ReadPolicy, ReadAudit, Import, Administer},
}

// Allows reports whether the role may do it.
func (r Role) Allows(a Action) bool { return slices.Contains(matrix[r], a) }

// ParseRoles reads roles of people by their names, each once, in the order of People.
func ParseRoles(names []string) ([]Role, error) {
	var roles []Role
	for _, name := range names {
		if !slices.Contains(People, Role(name)) {
			all := make([]string, len(People))
			for i, r := range People {
				all[i] = string(r)
			}
			return nil, fmt.Errorf("roles: each must be one of %s", strings.Join(all, ", "))
		}
	}
	for _, r := range People {
		if slices.Contains(names, string(r)) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

// User is a person with an account.
type User struct {
	ID       string // usr_…
	Login    string
	Roles    []Role
	Disabled bool
	// Accounts are all accounts of the same human where there are several, this one
	// among them; empty where there is one.
	Accounts []string
}

// Principal is who asks.
type Principal struct {
	ID       string // usr_…
	Roles    []Role
	SignedIn time.Time // when they last proved who they are; zero for programs
	Accounts []string  // as of a User
	Session  string    // ses_…, a name that opens nothing; "" for programs
	// Token is tok_… where an API token asks for the person who made it. Then only
	// what is in Scope is allowed, and that only while the person's roles allow it.
	Token string
	Scope []Action
}

// May reports whether one of the roles allows it, and where a token asks, its scope.
func (p Principal) May(a Action) bool {
	if p.Token != "" && (!slices.Contains(p.Scope, a) || !Delegable(a)) {
		return false
	}
	return slices.ContainsFunc(p.Roles, func(r Role) bool { return r.Allows(a) })
}

type key struct{}

// With returns the context of a request that p makes.
func With(ctx context.Context, p Principal) context.Context { return context.WithValue(ctx, key{}, p) }

// Of returns who makes the request; nobody, who may do nothing, if nobody is named.
func Of(ctx context.Context) Principal {
	p, _ := ctx.Value(key{}).(Principal)
	return p
}

// Rights names all that decides what somebody may do and see, other than who they
// are: for two principals with the same rights the matrix says the same.
func (p Principal) Rights() string {
	var b strings.Builder
	for _, r := range People {
		if slices.Contains(p.Roles, r) {
			b.WriteString(string(r) + " ")
		}
	}
	if slices.Contains(p.Roles, Machine) {
		b.WriteString(string(Machine) + " ")
	}
	if p.Token != "" {
		b.WriteString("by token: ")
		for _, a := range Actions {
			if slices.Contains(p.Scope, a) {
				b.WriteString(string(a) + ", ")
			}
		}
	}
	return b.String()
}

// Session is a sign-in of a person that is complete, by the hash of what opens it.
type Session struct {
	Hash            string // SHA-256 of the secret, in hexadecimal digits
	User            string // usr_…
	Door            string // by which it was opened and holds
	Made, Used      time.Time
	Proved          time.Time // when they last proved who they are
	Strong, Outside bool      // with a second factor, with an identity provider
	SignOut         string    // where they sign out of it, "" for nowhere
}
