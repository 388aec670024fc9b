package permission

import (
	"slices"
	"time"
)

// GrantLife is how long a proposed grant of a role waits for a second person.
const GrantLife = 7 * 24 * time.Hour

// States of a grant.
const (
	GrantProposed = "proposed"
	GrantGiven    = "granted"
	GrantRefused  = "refused"
	GrantLapsed   = "lapsed" // proposed, and nobody decided in time
)

// Grant is roles that one person proposes for an account besides those that it has,
// and what became of that.
type Grant struct {
	ID      string // grt_…
	Account string // usr_…
	Roles   []Role
	Reason  string
	By      string // usr_… of who proposed it
	At      time.Time
	// What became of it, empty and zero while it waits.
	Outcome string // GrantGiven or GrantRefused
	Decider string // usr_…
	Decided time.Time
	Why     string // of a refusal
}

// State is how the grant stands at a time.
func (g Grant) State(now time.Time) string {
	switch {
	case g.Outcome != "":
		return g.Outcome
	case !now.Before(g.At.Add(GrantLife)):
		return GrantLapsed
	}
	return GrantProposed
}

// Added returns the roles of wanted that are not among had, and those that are, in
// the order of People.
func Added(had, wanted []Role) (added, kept []Role) {
	for _, r := range People {
		switch {
		case !slices.Contains(wanted, r):
		case slices.Contains(had, r):
			kept = append(kept, r)
		default:
			added = append(added, r)
		}
	}
	return added, kept
}

// Owner is the id of whom a one-time link lets in while nobody has an account.
const Owner = "owner"

// Local reports whether the asker is on the collector's own machine and has no account:
// a program with the token of the data directory, or the owner of a trial. Such a one
// can read and write the database itself.
func (p Principal) Local() bool {
	return p.Token == "" && (p.ID == Owner || slices.Contains(p.Roles, Machine))
}
