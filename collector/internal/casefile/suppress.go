package casefile

import (
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// LongSuppression is the longest that one person alone may suppress a finding.
const LongSuppression = 30 * 24 * time.Hour

// Suppression keeps a finding from view until it grows or its time is over. What
// it is about goes on being counted.
type Suppression struct {
	Owner  string // who answers for it
	Reason string
	From   time.Time
	Until  time.Time // excluded
	Level  int       // warning level of the finding when it was suppressed, in percent
	At     compute.Operations
	Second approval.Approval // needed when it is longer than LongSuppression
}

// Errors of Suppress.
var (
	ErrReason   = errors.New("a reason is needed")
	ErrCrossing = errors.New("a finding at or above its threshold is decided in a case, not suppressed or dismissed")
	ErrSecond   = errors.New("a second person is needed")
)

// growth is by how much a suppressed finding may grow before it shows again.
const growthPercent = 20

// Suppress returns an error unless the suppression may be put on a finding of
// the level. proposal is what a second person was asked to approve, if it is long.
func (s Suppression) Suppress(proposal approval.Proposal) error {
	switch {
	case s.Owner == "" || s.Reason == "":
		return fmt.Errorf("suppress: %w", ErrReason)
	case !s.Until.After(s.From):
		return fmt.Errorf("suppress: it ends before it begins: %w", ErrInput)
	case s.Level >= 100:
		return fmt.Errorf("suppress: %w", ErrCrossing)
	case s.Until.Sub(s.From) > LongSuppression && !s.Second.Holds(proposal):
		return fmt.Errorf("suppress for more than %d days: %w", int(LongSuppression/(24*time.Hour)), ErrSecond)
	}
	return nil
}

// Reopens says why the finding shows again at an instant, "" if it does not: its
// time is over, it reached the next warning level, or it grew by a fifth.
func (s Suppression) Reopens(now time.Time, level int, operations compute.Operations) string {
	switch {
	case !now.Before(s.Until):
		return "the suppression ended at " + s.Until.UTC().Format(time.RFC3339)
	case level > s.Level:
		return fmt.Sprintf("it reached the level of %d %%, suppressed at %d %%", level, s.Level)
	case operations/100 >= s.At/100+s.At/100*growthPercent/100 && operations > s.At:
		return fmt.Sprintf("it grew by %d %% or more", growthPercent)
	}
	return ""
}

// Dismiss returns an error unless one person may dismiss a finding of the level.
func Dismiss(level int, code, reason string) error {
	switch {
	case level >= 100:
		return fmt.Errorf("dismiss: %w", ErrCrossing)
	case code == "" || reason == "":
		return fmt.Errorf("dismiss: %w", ErrReason)
	}
	return nil
}
