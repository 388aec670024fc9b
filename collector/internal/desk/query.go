package desk

import (
	"errors"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ErrGone means that a list no longer has the item after which to go on.
var ErrGone = errors.New("the list no longer has the item after which to go on")

// RunQuery says which runs are wanted. Its zero value is all of them.
type RunQuery struct {
	IDs      []string         // only these, where not nil
	Tenant   measure.TenantID // only this tenant's
	Customer string           // only those of this customer's tenants
	Prefix   string           // only those whose id begins so
	After    string           // only those after this run; ErrGone if there is none
	Limit    int              // most runs, 0 for no limit
}

// FindingQuery says which findings are wanted. Its zero value is all of them.
type FindingQuery struct {
	IDs   []string // only these, where not nil
	About []string // only those whose subject or customer is one of these, where not nil
	State string   // only those on which the work stands so: open, triaged, attached, dismissed, suppressed
	By    string   // only those on which this person worked last, where not ""
	// Urgent gives the most severe first, and of those the one that waits longest,
	// instead of the newest. It goes with State, By, After and Limit alone.
	Urgent bool
	Prefix string // only those whose id begins so
	After  string // only those after this finding in the order asked for; ErrGone if there is none
	Limit  int    // most findings, 0 for no limit
}
