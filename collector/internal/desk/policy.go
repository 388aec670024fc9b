package desk

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
)

// Pack is a pack that the collector has: shipped with it, of its site, or put in
// force by people.
type Pack struct {
	ID        string
	Version   int
	Title     string
	Citation  string
	Status    string // what force its text has: proposed, final, guidance, revoked, contractual, internal
	Effective string // in words
	Binds     string
	Digest    string
	Source    string // shipped, site, or the policy that put it in force
	InForce   bool   // held against the fleet
	Rules     []PackRule
}

// PackRule is a rule of a pack, as people read it.
type PackRule struct {
	ID          string
	Title       string
	Citation    string
	Measure     string
	Threshold   string // in the unit
	Unit        string
	Bound       string
	WarnPercent []int
	Clock       string // "" starts none
}

// PackFault is a file of the site's packs that was refused. What is in force does
// not change by it.
type PackFault struct {
	File   string
	Faults []string // file:line: key: what is wrong
}

// Policy is a text on its way to being in force.
type Policy struct {
	ID      string // pol_…
	Version int64  // grows with each act
	Kind    string // pack, weights, scorecard, settings
	Name    string // of what it replaces
	Number  int    // version in the text
	Digest  string // of the text
	State   string // draft, simulated, proposed, scheduled, in force, superseded, rejected, withdrawn
	Authors []string

	Simulation       string // sim_…, "" for none
	SimulationDigest string
	Rationale        string
	Planned          time.Time
	From             time.Time // of an approved one
	Proposal         string    // digest that a second person approves
	Lapses           time.Time
	ApprovedBy       string
	Approved         time.Time
	Reason           string // of a rejection or withdrawal

	Text     string      // of a single policy only
	History  []PolicyAct // likewise, the first first
	Lookback *Lookback   // likewise; nil before it was in force
}

// PolicyAct is one act on a policy.
type PolicyAct struct {
	Version int64
	At      time.Time
	By      string
	Act     string
	Note    string
	State   string
}

// Lookback is what a policy found in history when it came into force.
type Lookback struct {
	At       time.Time
	Findings []string // fnd_…
}

// Simulation is a simulation with its report.
type Simulation struct {
	ID     string // sim_…
	Policy string
	Text   string // digest of the text that was simulated
	At     time.Time
	By     string
	Digest string // of the report
	Report *lab.Impact
}

// PolicyReader answers what concerns policies. Packs are in order of their ids,
// policies last drafted first.
type PolicyReader interface {
	Packs(ctx context.Context) ([]Pack, []PackFault, error)
	Policies(ctx context.Context) ([]Policy, error)
	Policy(ctx context.Context, id string) (p Policy, ok bool, err error)
	Simulation(ctx context.Context, id string) (s Simulation, ok bool, err error)
}
