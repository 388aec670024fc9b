package desk

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// LinkReader tells which parties are linked and what they did together. Valid is
// the time of which, known that by what was recorded up to; zero is now.
type LinkReader interface {
	Links(ctx context.Context, valid, known time.Time) ([]Link, error)
	LinkHistory(ctx context.Context, id string) ([]Link, error)
	Clusters(ctx context.Context, level resolve.Level, valid, known time.Time) ([]Cluster, error)
	UltimateCustomer(ctx context.Context, id string, valid, known time.Time) (u Ultimate, ok bool, err error)
}

// Link is a link of two parties as it stands.
type Link struct {
	resolve.Link
	Bridge bool   // it would alone hold two groups together: a second person must approve it
	Digest string // of what a second person approves, "" unless it waits for one
}

// Cluster is accounts that are taken together at a level.
type Cluster struct {
	ID         string // of the account, customer or reseller; clu_… of several customers
	Level      resolve.Level
	Root       resolve.ID // the highest owner, "" if there is none
	Status     string     // foreign, us or undetermined, of all together
	Customers  []ClusterCustomer
	Accounts   []ClusterAccount
	Parties    []resolve.ID
	Links      []string // in the order in which they came to count
	Operations compute.Bounds
}

// ClusterCustomer is a customer of a cluster.
type ClusterCustomer struct {
	ID, Name, Status string
}

// ClusterAccount is an account of a cluster with what it did.
type ClusterAccount struct {
	ID         string
	Operations compute.Bounds
}

// Ultimate is who is behind an account, customer or cluster.
type Ultimate struct {
	ID           string
	Valid, Known time.Time // zero: now
	Levels       []LevelView
	Links        []Link // that any level uses
	Owners       []Ownership
	MoreOwners   bool // ownership is not told of all parties
}

// LevelView is a cluster with how it came about and what is left without parts
// of it.
type LevelView struct {
	Cluster
	Merges    []Merge
	Without   []Counterfactual // least left first
	MoreLinks bool             // the cluster has more links than are tried
}

// Merge is a step in which a cluster grew.
type Merge struct {
	Link string
	AtNS int64
	A, B []resolve.ID
}

// Counterfactual is what is left without a link, or without all that rests on a
// value.
type Counterfactual struct {
	Link     string // lnk_…, or
	Evidence string // kind and key of the value
	Links    []string
	Left     compute.Bounds // of the part that did most
	Parts    []Part
}

// Part is what a counterfactual leaves together.
type Part struct {
	Customers, Accounts []string
	Operations          compute.Bounds
}

// Ownership is what an owner is to a party. Owner is "" for whoever was not named.
type Ownership struct {
	Subject    resolve.ID
	Owner      resolve.ID
	Effective  control.Interval // part of the shares that ends at the owner
	Together   control.Interval // with all that the owner controls
	Controls   control.Answer
	Beneficial control.Answer
	Ultimate   bool
}
