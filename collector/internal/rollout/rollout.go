// Package rollout decides which hosts get a new version of settings when, and
// when to stop. It is pure.
//
// A version goes to a part of the fleet, is held there, and goes on to the next
// part unless coverage fell. Which hosts come first is random and follows from
// the version, so the same hosts are not always first.
package rollout

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/settings"
)

// Host is a host and how it reports.
type Host struct {
	settings.Host
	Reports  int   // version that it says it runs
	Devices  int   // that should report
	Observed int64 // device-milliseconds since it was first seen
	Elapsed  int64 // likewise, seen or not
}

// State is how a roll-out stands.
type State string

// States.
const (
	Rolling State = "rolling"
	Done    State = "done"
	Stopped State = "stopped" // by itself: the hosts go back to the version before
)

// Rollout is one version on its way.
type Rollout struct {
	Policy  string    `json:"policy"` // pol_…
	Version int       `json:"version"`
	Before  int       `json:"before"` // version of the hosts that do not have it yet
	State   State     `json:"state"`
	Step    int       `json:"step"` // index of the step
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason,omitempty"`
	// Base is the coverage in permille of the hosts with the version at the step
	// before, 0 before one was measured. It stands in where no host is without.
	Base int `json:"base,omitempty"`
	// Mark is what each host had observed and elapsed when the step began.
	Mark map[string]Mark `json:"mark,omitempty"`
}

// Mark is what a host had reported at an instant.
type Mark struct{ Observed, Elapsed int64 }

// Begin starts a roll-out with its first step.
func Begin(policy string, version, before int, hosts []Host, now time.Time) Rollout {
	r := Rollout{Policy: policy, Version: version, Before: before, State: Rolling, Since: now}
	r.mark(hosts)
	return r
}

func (r *Rollout) mark(hosts []Host) {
	r.Mark = make(map[string]Mark, len(hosts))
	for _, h := range hosts {
		r.Mark[h.ID] = Mark{h.Observed, h.Elapsed}
	}
}

// In reports whether a host is in the part of the fleet that a step gives the
// version to.
func In(host string, version, percent int) bool {
	sum := sha256.Sum256(fmt.Appendf(nil, "flopwatch/rollout/v1\x00%d\x00%s", version, host))
	return binary.BigEndian.Uint64(sum[:])%10_000 < uint64(percent)*100
}

// Wants returns the version that a host should run. The first hosts of a small
// fleet are those that come first, so that a step is never nobody.
func (r *Rollout) Wants(f *settings.Fleet, host string, first string) int {
	switch {
	case r.State == Done:
		return r.Version
	case r.State == Stopped:
		return r.Before
	case In(host, r.Version, f.Rollout.Percents()[r.Step]) || host == first:
		return r.Version
	}
	return r.Before
}

// First returns the host that is first in every step.
func First(hosts []Host, version int) string {
	best, lowest := "", uint64(1<<63)
	for _, h := range hosts {
		sum := sha256.Sum256(fmt.Appendf(nil, "flopwatch/rollout/v1\x00%d\x00%s", version, h.ID))
		if n := binary.BigEndian.Uint64(sum[:]) % 10_000; best == "" || n < lowest || n == lowest && h.ID < best {
			best, lowest = h.ID, n
		}
	}
	return best
}

// Advance returns the roll-out as it is now: a step further when the step was
// held, stopped when the coverage of the hosts with the version is below that of
// the others, or of themselves before. What it changed is told.
func (r Rollout) Advance(f *settings.Fleet, hosts []Host, now time.Time) (Rollout, bool) {
	if r.State != Rolling {
		return r, false
	}
	first := First(hosts, r.Version)
	with, without := share{}, share{}
	waiting := 0
	for _, h := range hosts {
		m := r.Mark[h.ID]
		if r.Wants(f, h.ID, first) == r.Version {
			with.add(h, m, now.Sub(r.Since))
			if h.Reports != r.Version {
				waiting++
			}
		} else {
			without.add(h, m, now.Sub(r.Since))
		}
	}
	held := now.Sub(r.Since) >= f.Rollout.HoldFor()
	// A short look says little of coverage; a tenth of the hold is asked for.
	if now.Sub(r.Since)*10 >= f.Rollout.HoldFor() && with.elapsed > 0 {
		base, whose := r.Base, "theirs before"
		if without.elapsed > 0 {
			base, whose = without.permille(), "that of the others"
		}
		if got := with.permille(); got+f.Rollout.Drop() < base {
			r.State, r.Since = Stopped, now
			r.Reason = fmt.Sprintf("coverage of the hosts with version %d is %d.%d %%, %s %d.%d %%", r.Version, got/10, got%10, whose, base/10, base%10)
			r.Mark = nil
			return r, true
		}
	}
	if !held || waiting > 0 {
		return r, false
	}
	if r.Step == len(f.Rollout.Percents())-1 {
		r.State, r.Since, r.Mark = Done, now, nil
		return r, true
	}
	r.Step, r.Since, r.Base = r.Step+1, now, with.permille()
	r.mark(hosts)
	return r, true
}

// share is how much of the time of hosts was observed since a step began.
type share struct{ observed, elapsed int64 }

func (s *share) add(h Host, m Mark, since time.Duration) {
	observed, elapsed := h.Observed-m.Observed, h.Elapsed-m.Elapsed
	// A host that says nothing has observed nothing of the time that went by.
	expected := since.Milliseconds() * int64(max(1, h.Devices))
	s.observed += max(0, observed)
	s.elapsed += max(elapsed, expected)
}

func (s *share) permille() int { return int(s.observed * 1000 / max(1, s.elapsed)) }

// Converged counts hosts by the version that they report, and those that do not
// report the one that they should.
func (r *Rollout) Converged(f *settings.Fleet, hosts []Host) (byVersion map[int]int, behind []string) {
	byVersion = map[int]int{}
	first := First(hosts, r.Version)
	for _, h := range hosts {
		byVersion[h.Reports]++
		if h.Reports != r.Wants(f, h.ID, first) {
			behind = append(behind, h.ID)
		}
	}
	slices.Sort(behind)
	return byVersion, behind
}
