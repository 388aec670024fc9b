package permission

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// reads are the actions that change nothing and show no personal data.
var reads = []Action{ReadAggregates, ReadCases, ReadReports, ReadPolicy, ReadAudit}

// ChangesState reports whether a role may do more than look. Who has such a role
// signs in with a second factor. Seeing personal data counts: it is an act, which is
// logged with its reason.
func (r Role) ChangesState() bool {
	return slices.ContainsFunc(matrix[r], func(a Action) bool { return !slices.Contains(reads, a) })
}

// NeedSecondFactor reports whether one of the roles may do more than look.
func NeedSecondFactor(roles []Role) bool { return slices.ContainsFunc(roles, Role.ChangesState) }

// personal are the actions that only a person can do who signed in: the word of a
// second person, what is sent to an authority, and the sight of personal data.
var personal = []Action{Approve, ApprovePolicy, ApproveExemption, DecideLink, File, Reveal}

// Delegable reports whether an API token can be allowed it.
func Delegable(a Action) bool { return !slices.Contains(personal, a) }

// ScopeName is the name of an action in the scope of a token, such as read-cases.
func ScopeName(a Action) string { return strings.ReplaceAll(string(a), " ", "-") }

// ParseScope reads names of actions for a token that p makes: each must be one that a
// token can be allowed, and one that p's roles allow. They come back in the order of
// Actions, each once.
func ParseScope(p Principal, names []string) ([]Action, error) {
	var scope []Action
	for _, a := range Actions {
		if !slices.Contains(names, ScopeName(a)) {
			continue
		}
		switch {
		case !Delegable(a):
			return nil, fmt.Errorf("scope: %s is for a person who signed in, never for a token", ScopeName(a))
		case !p.May(a):
			return nil, fmt.Errorf("scope: your own roles do not allow %s", ScopeName(a))
		}
		scope = append(scope, a)
	}
	for _, name := range names {
		if !slices.ContainsFunc(Actions, func(a Action) bool { return ScopeName(a) == name }) {
			return nil, fmt.Errorf("scope: each must be one of %s", strings.Join(scopeNames(), ", "))
		}
	}
	if len(scope) == 0 {
		return nil, fmt.Errorf("scope: name at least one of %s", strings.Join(scopeNames(), ", "))
	}
	return scope, nil
}

func scopeNames() (names []string) {
	for _, a := range Actions {
		if Delegable(a) {
			names = append(names, ScopeName(a))
		}
	}
	return names
}

// MaxTokenLife is the longest time for which an API token can be made. Those that were
// made for longer, before this was so, run out as they were made.
const MaxTokenLife = 90 * 24 * time.Hour

// Token is an API token as it is kept: its text is known to its holder alone.
type Token struct {
	ID      string // tok_…
	User    string // who made it, for whom it asks
	Name    string // what it is for
	Service bool   // for a program that serves others, not for its maker's own use
	Scope   []Action
	Made    time.Time
	Expires time.Time
	Revoked time.Time // zero while it holds
	Used    time.Time // last, to the minute; zero for never
	From    Networks  // from which alone it is taken; none for everywhere

	// Elsewhere is how often it was tried from outside them, and when that was last, to
	// the minute. From where is not kept.
	Elsewhere     int64
	ElsewhereLast time.Time
}

// Holds reports whether the token opens anything at a time.
func (t Token) Holds(at time.Time) bool { return t.Revoked.IsZero() && at.Before(t.Expires) }

// SecondFactor is what an account has besides its password.
type SecondFactor struct {
	Sealed   []byte   // the secret of the authenticator app, under a key of the collector
	Step     int64    // of the last code that was used; no code is good twice
	Recovery []string // hashes of the recovery codes that are left
	Made     time.Time
}
