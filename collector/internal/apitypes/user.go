package apitypes

import "time"

// Session is what signing in answers.
type Session struct {
	Token   string    `json:"token"`
	User    string    `json:"user_id"`
	Expires time.Time `json:"expires"`
}

// User is a person with an account.
type User struct {
	ID       string    `json:"id" doc:"usr_…"`
	Login    string    `json:"login"`
	Roles    []string  `json:"roles"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
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
	Roles    []string `json:"roles" minItems:"1" maxItems:"9"`
}

// UserChange changes an account; what is left out stays.
type UserChange struct {
	Password string   `json:"password,omitempty" maxLength:"200"`
	Roles    []string `json:"roles,omitempty" maxItems:"9"`
	Disabled *bool    `json:"disabled,omitempty"`
	Reason   string   `json:"reason" minLength:"1" maxLength:"2000"`
}
