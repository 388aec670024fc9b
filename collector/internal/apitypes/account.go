package apitypes

import "time"

// Account is what a person sees of their own account.
type Account struct {
	Login        string    `json:"login"`
	Accounts     []string  `json:"accounts"`
	SecondFactor bool      `json:"second_factor"`
	Since        time.Time `json:"since,omitzero"` // of the second factor
	Recovery     int       `json:"recovery"`       // recovery codes that are left
	Required     bool      `json:"required"`       // the roles need a second factor
	Outside      bool      `json:"outside"`        // an identity provider knows them
	Sessions     []OpenSession
}

// OpenSession is a session of a person.
type OpenSession struct {
	Name       string // ses_…, opens nothing
	Made, Used time.Time
	This       bool
}
