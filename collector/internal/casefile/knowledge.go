package casefile

import (
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Move is a proposal to say that something was known later than determined
// before. It gives time, so it needs a second person.
type Move struct {
	Clock  string    `json:"clock"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Digest identifies a move.
func (m Move) Digest() (approval.Digest, error) { return canonical.Digest(m) }

func (c Case) clockAt(name string) (int, error) {
	i := slices.IndexFunc(c.Clocks, func(k clock.Clock) bool { return k.Name == name })
	if i < 0 {
		return 0, fmt.Errorf("case %s has no such clock: %w", c.ID, ErrInput)
	}
	return i, nil
}

func (c Case) withClock(i int, k clock.Clock) Case {
	c.Clocks = slices.Clone(c.Clocks)
	c.Clocks[i] = k
	c.Version++
	return c
}

// Know determines since when the clock's matter was known. To an earlier instant
// one person may move it; a later one is proposed, and waits for ApproveMove.
func (c Case) Know(name string, at time.Time, by, reason string, now time.Time) (Case, error) {
	i, err := c.clockAt(name)
	if err != nil {
		return c, err
	}
	if at.After(c.Clocks[i].KnownAt(now)) {
		return c.proposeMove(Move{Clock: name, At: at.UTC(), By: by, Reason: reason}, now)
	}
	k, err := c.Clocks[i].Know(clock.Knowledge{At: at, Recorded: now, By: by, Reason: reason})
	if err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	return c.withClock(i, k), nil
}

func (c Case) proposeMove(m Move, now time.Time) (Case, error) {
	if m.By == "" || m.Reason == "" {
		return c, fmt.Errorf("case %s: %w", c.ID, clock.ErrReason)
	}
	if m.At.After(now) {
		return c, fmt.Errorf("case %s: nothing is known from %s on, which is to come: %w", c.ID, m.At.Format(time.RFC3339), ErrInput)
	}
	digest, err := m.Digest()
	if err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	c.Move, c.MoveProposal = m, approval.Proposal{Digest: digest, Authors: []string{m.By}, At: now}
	c.Version++
	return c, nil
}

// ApproveMove makes the proposed move of knowledge, by a second person who was shown it.
func (c Case) ApproveMove(by approval.Approver, shown approval.Digest, now time.Time) (Case, error) {
	if c.Move.Clock == "" {
		return c, fmt.Errorf("case %s: no move of knowledge is proposed: %w", c.ID, ErrTransition)
	}
	given, err := c.MoveProposal.Approve(by, shown, now)
	if err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	i, err := c.clockAt(c.Move.Clock)
	if err != nil {
		return c, err
	}
	k, err := c.Clocks[i].Know(clock.Knowledge{At: c.Move.At, Recorded: now, By: c.Move.By, Second: given.By, Reason: c.Move.Reason})
	if err != nil {
		return c, fmt.Errorf("case %s: %w", c.ID, err)
	}
	c.Move, c.MoveProposal = Move{}, approval.Proposal{}
	return c.withClock(i, k), nil
}

// StartClock adds an obligation that runs from an instant, such as a request
// that came in. A clock of the same name that is met may run again under a new name.
func (c Case) StartClock(o clock.Obligation, from, now time.Time) (Case, error) {
	if _, err := c.clockAt(o.Name); err == nil {
		return c, fmt.Errorf("case %s has a clock of that name: %w", c.ID, ErrInput)
	}
	if from.IsZero() || from.After(now) {
		return c, fmt.Errorf("case %s: the clock %s must start in the past: %w", c.ID, o.Name, ErrInput)
	}
	c.Clocks = append(slices.Clip(c.Clocks), clock.Start(o, from, now))
	c.Version++
	return c, nil
}

// Meet says that an obligation was met at an instant.
func (c Case) Meet(name string, at time.Time) (Case, error) {
	i, err := c.clockAt(name)
	if err != nil {
		return c, err
	}
	k := c.Clocks[i]
	if !k.Met.IsZero() {
		return c, fmt.Errorf("case %s: %s was met before: %w", c.ID, name, ErrTransition)
	}
	k.Met = at
	return c.withClock(i, k), nil
}
