package programme

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/party"
)

// Reseller is how a reseller stands.
type Reseller struct {
	party.Reseller
	Foreign  party.ForeignStatus
	Timers   []Timer
	Opaque   bool     // it does not tell its end customers: its total counts as one customer's
	Accounts []string // sold through it, open
}

// Timer is one obligation towards or about a reseller.
type Timer struct {
	Name     string // copy, end, attestation
	Began    time.Time
	Standing clock.Standing
}

// Resellers returns how every reseller stands, by id.
func (b *Book) Resellers() []Reseller {
	through := map[string][]string{}
	for _, id := range party.Ordered(b.s.Accounts) {
		a := b.s.Accounts[id]
		if !a.Closed.IsZero() && !a.Closed.After(b.now) {
			continue
		}
		for _, r := range a.Reseller {
			through[r] = append(through[r], id)
		}
	}
	out := make([]Reseller, 0, len(b.s.Resellers))
	for _, id := range party.Ordered(b.s.Resellers) {
		r := b.s.Resellers[id]
		s := Reseller{Reseller: r, Foreign: b.foreign.Party(r.Party).Status, Opaque: r.Disclosure == party.NoDisclosure, Accounts: through[id]}
		days := b.pack.Resellers
		s.Timers = append(s.Timers, b.timer("copy", days.CopyDays, r.Requested, r.Produced)...)
		s.Timers = append(s.Timers, b.timer("end", days.EndDays, r.Failing, r.Ended)...)
		if r.Ended.IsZero() {
			s.Timers = append(s.Timers, b.timer("attestation", days.AttestDays, r.Attested, time.Time{})...)
		}
		out = append(out, s)
	}
	return out
}

// timer counts calendar days in the legal zone from an instant; one that has not
// begun is none.
func (b *Book) timer(name string, days int, began, met time.Time) []Timer {
	if began.IsZero() || began.After(b.now) {
		return nil
	}
	k := clock.Clock{Obligation: clock.Obligation{Name: name, Basis: clock.Given, Days: days, Zone: b.zone}, Occurred: began, Met: met}
	return []Timer{{name, began, k.Standing(b.now)}}
}
