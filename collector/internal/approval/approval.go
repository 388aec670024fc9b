// Package approval holds the rule of four eyes: what one person proposes takes
// effect when another one approves exactly that.
//
// An approval is of a digest, so an edit after it voids it. Whoever wrote or
// edited what the digest is of cannot approve it, in whatever role and through
// whatever account: what counts is the human.
package approval

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// FreshSignIn is how long before an approval the approver must have signed in at most.
const FreshSignIn = 5 * time.Minute

// Errors of Approve.
var (
	ErrSelf   = errors.New("who wrote or edited it cannot approve it")
	ErrEdited = errors.New("it was edited since it was shown: approve what it is now")
	ErrSignIn = errors.New("sign in again to approve")
	ErrLapsed = errors.New("the proposal has lapsed: propose it again")
)

// Digest is the SHA-256 of the canonical form of what is proposed.
type Digest [32]byte

// Proposal is something that waits for a second person.
type Proposal struct {
	Digest  Digest
	Authors []string  // ids of the people who wrote or edited it, the proposer among them
	At      time.Time // when it was proposed
	Lapses  time.Time // zero: never
}

// Approver is a person who approves.
type Approver struct {
	ID       string
	SignedIn time.Time // when they last proved who they are; zero for programs, which approve nothing
	Accounts []string  // every account of the same human, where there are several
}

// among reports whether one of the approver's accounts is named.
func (a Approver) among(ids []string) bool {
	return slices.Contains(ids, a.ID) || slices.ContainsFunc(a.Accounts, func(id string) bool { return slices.Contains(ids, id) })
}

// Approval is the word of the second person.
type Approval struct {
	Digest Digest
	By     string
	At     time.Time
}

// Approve returns the approval of what the approver was shown, or why it is none.
func (p Proposal) Approve(by Approver, shown Digest, now time.Time) (Approval, error) {
	switch {
	case len(p.Authors) == 0 || by.ID == "":
		return Approval{}, errors.New("approve: nobody is named")
	case by.among(p.Authors):
		return Approval{}, fmt.Errorf("approve: %w", ErrSelf)
	case shown != p.Digest:
		return Approval{}, fmt.Errorf("approve: %w", ErrEdited)
	case !p.Lapses.IsZero() && !now.Before(p.Lapses):
		return Approval{}, fmt.Errorf("approve: %w", ErrLapsed)
	case now.Sub(by.SignedIn) > FreshSignIn || by.SignedIn.After(now):
		return Approval{}, fmt.Errorf("approve: %w", ErrSignIn)
	}
	return Approval{Digest: p.Digest, By: by.ID, At: now}, nil
}

// Edit returns the proposal after a person changed it. An approval of what it
// was before is of another digest.
func (p Proposal) Edit(by string, digest Digest) Proposal {
	p.Digest = digest
	if !slices.Contains(p.Authors, by) {
		p.Authors = append(slices.Clip(p.Authors), by)
	}
	return p
}

// Holds reports whether the approval is of the proposal as it is.
func (a Approval) Holds(p Proposal) bool {
	return a.By != "" && a.Digest == p.Digest && !slices.Contains(p.Authors, a.By)
}
