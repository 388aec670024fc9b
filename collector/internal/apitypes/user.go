package apitypes

import "time"

// Session is what signing in answers.
type Session struct {
	Token   string    `json:"token"`
	User    string    `json:"user_id"`
	Expires time.Time `json:"expires"`
	// Recovery are the codes that stand in for the authenticator app, once each; they
	// are told when it is enrolled and never again.
	Recovery []string `json:"recovery_codes,omitempty"`
}

// Enrolment is what an authenticator app is to be given.
type Enrolment struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"`
}

// Problems of a sign-in that goes on with another request.
const (
	ProblemSecondFactor = "urn:flopwatch:problem:second-factor"
	ProblemEnrolment    = "urn:flopwatch:problem:enrolment"
	ProblemNewPassword  = "urn:flopwatch:problem:new-password"
)

// User is a person with an account.
type User struct {
	ID       string    `json:"id" doc:"usr_…"`
	Login    string    `json:"login"`
	Roles    []string  `json:"roles"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	// SecondFactor is whether they have one; who may change things enrols one at their
	// next sign-in.
	SecondFactor bool     `json:"second_factor"`
	Accounts     []string `json:"accounts,omitempty" doc:"All accounts of the same human, where there are several"`
	// Grants are roles that wait for a second person.
	Grants []RoleGrant `json:"grants,omitempty"`
}

// RoleGrant is roles that one person proposes for an account, and what became of that.
type RoleGrant struct {
	ID       string    `json:"id" doc:"grt_…"`
	User     string    `json:"user_id"`
	Login    string    `json:"login"`
	Has      []string  `json:"has" doc:"Roles that the account has now"`
	Roles    []string  `json:"roles" doc:"Roles that it is to have besides"`
	Reason   string    `json:"reason"`
	By       string    `json:"by" doc:"usr_… of who proposed it"`
	Proposed time.Time `json:"proposed"`
	Lapses   time.Time `json:"lapses"`
	State    string    `json:"state" enum:"proposed,granted,refused,lapsed"`
	Decider  string    `json:"decided_by,omitempty"`
	Decided  time.Time `json:"decided,omitzero"`
	Why      string    `json:"why,omitempty" doc:"Of a refusal"`
	// Digest and what follows are there while the grant waits.
	Digest    string `json:"digest,omitempty" doc:"Of what is shown; it changes with the roles and the state of the account"`
	Approvers int    `json:"approvers,omitempty" doc:"How many other people can approve it"`
	Advice    string `json:"advice,omitempty" doc:"What to do where nobody else can"`
}

// NewRoleGrant proposes roles for an account besides those that it has.
type NewRoleGrant struct {
	Roles  []string `json:"roles" minItems:"1" maxItems:"9"`
	Reason string   `json:"reason" minLength:"1" maxLength:"1000"`
}

// Me is who asks, and what their roles allow.
type Me struct {
	ID       string    `json:"id"`
	Roles    []string  `json:"roles"`
	Actions  []string  `json:"actions"`
	SignedIn time.Time `json:"signed_in,omitzero"`
}

// NewUser is an account to make.
type NewUser struct {
	Login    string   `json:"login" pattern:"^[a-z][a-z0-9._-]{1,38}$" doc:"Lower case; not a name of a person that must stay private, it stands in the audit log's rows"`
	Password string   `json:"password" minLength:"12" maxLength:"200"`
	Roles    []string `json:"roles" minItems:"1" maxItems:"9" doc:"They wait for a second person, and the account has none until then, except where it is made on the collector's own machine"`
}

// UserChange changes an account; what is left out stays.
type UserChange struct {
	Password string   `json:"password,omitempty" maxLength:"200" doc:"Of another's account it is good for one sign-in within a day, in which they set their own and present their second factor as ever"`
	Roles    []string `json:"roles,omitempty" maxItems:"9" doc:"All of them from now on: one that is taken away is gone at once, one that is added waits for a second person"`
	Disabled *bool    `json:"disabled,omitempty"`
	Reason   string   `json:"reason" minLength:"1" maxLength:"2000"`
	// ResetSecondFactor takes the second factor away: they enrol anew at the next sign-in.
	ResetSecondFactor bool   `json:"reset_second_factor,omitempty" doc:"Never with a password, and not by who reset the password that still waits to be replaced, where there is another administrator"`
	SamePersonAs      string `json:"same_person_as,omitempty" maxLength:"60" doc:"usr_… of another account of the same human. It is never undone: what one account proposed the other can never approve"`
}

// Token is an API token, without its text.
type Token struct {
	ID      string    `json:"id" doc:"tok_…"`
	User    string    `json:"user_id" doc:"Who made it, and for whom it asks"`
	Name    string    `json:"name"`
	Service bool      `json:"service"`
	Scope   []string  `json:"scope"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero" doc:"Last, to the minute"`
	Revoked time.Time `json:"revoked,omitzero"`
	State   string    `json:"state" enum:"active,expired,revoked"`
	From    []string  `json:"from,omitempty" doc:"Networks from which alone it is taken"`

	Elsewhere     int64     `json:"tried_from_elsewhere" doc:"How often it was tried from outside them and refused, at most 60 a minute of those. From where is not kept"`
	ElsewhereLast time.Time `json:"tried_from_elsewhere_last,omitzero" doc:"To the minute"`
}

// NewToken is an API token to make.
type NewToken struct {
	Name    string   `json:"name" minLength:"1" maxLength:"100" doc:"What it is for; it stands in the audit log"`
	Service bool     `json:"service,omitempty" doc:"For a program that serves others; it asks for you all the same"`
	Scope   []string `json:"scope" minItems:"1" maxItems:"30" doc:"What it may do, such as read-cases: no more than you may, and nothing that needs a person"`
	Days    int      `json:"days" minimum:"1" maximum:"90" doc:"How long it holds"`
	From    []string `json:"from,omitempty" maxItems:"20" doc:"Networks such as 192.0.2.0/24 from which alone it is taken; none for everywhere"`
}

// MadeToken is a new API token with its text, which is told this once.
type MadeToken struct {
	Token
	Text string `json:"token"`
}

// TokenState is whether a token holds at a time.
func TokenState(revoked, expires, now time.Time) string {
	switch {
	case !revoked.IsZero():
		return "revoked"
	case !now.Before(expires):
		return "expired"
	}
	return "active"
}
