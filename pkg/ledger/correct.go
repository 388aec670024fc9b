package ledger

import (
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Piece is a stretch of a corrected segment that is counted for one owner. The
// pieces of a segment cover it, and what they hold adds up to what it holds.
type Piece struct {
	FromNS, ToNS int64
	State        measure.State
	Tenant       measure.TenantID
	Amounts
}

// Correction is an entry that gives a piece of a segment to another owner than
// it was counted for before.
type Correction struct {
	Segment int64
	Before  Claim // whose it was
	Piece         // whose it is, and what is given
}

// Correct cuts the pieces of a segment anew where, inside the scope, the table
// names another owner than they have. nil pieces are those of a segment that was
// never corrected. What the host claimed is not changed, so a correction can be
// taken back by the next. Without corrections nothing differs.
//
// A segment tells how much was done in it and not when. So a cut gives to both
// sides in proportion to time: totals stay exact, and the bounds of one side are
// an estimate as good as the segment is even. Segments are cut at every change
// of workload, state and method, and never grow once they are corrected.
func Correct(s *Segment, pieces []Piece, table *allocation.Table, h *Host, parent measure.DeviceID, scope []allocation.Span) (after []Piece, made []Correction, told []Difference) {
	claim := Claim{s.Key.State, s.Key.Tenant}
	if pieces == nil {
		pieces = []Piece{{s.StartNS, s.EndNS, claim.State, claim.Tenant, Amounts{s.DurationNS, s.Operations, s.FloatTensor, s.Ceiling, s.EnergyMJ}}}
	}
	if s.Key.Claim.State != 0 {
		claim = s.Key.Claim
	}
	place := allocation.Place{HostID: string(h.ID), HostName: h.Name, Device: s.Key.Device, Parent: parent, Workload: s.Key.Workload}
	for _, rest := range pieces {
		was := Claim{rest.State, rest.Tenant}
		left := true // of the piece
		for _, in := range scope {
			// A piece that was clipped to nothing still has an instant.
			from, to := max(in.FromNS, rest.FromNS), min(in.ToNS, max(rest.ToNS, rest.FromNS+1))
			if from >= to || !left {
				continue
			}
			for _, answer := range table.Resolve(place, from, to) {
				if differs(claim, answer.Tenants) {
					told = append(told, difference(h, claim, answer.Tenants, rest.Operations, max(from, answer.FromNS), answer.ToNS))
				}
				now := owner(claim, answer.Tenants)
				if now == was {
					continue
				}
				if answer.FromNS > rest.FromNS {
					after = append(after, rest.cut(answer.FromNS))
				}
				given := rest
				if left = answer.ToNS < rest.ToNS; left {
					given = rest.cut(answer.ToNS)
				}
				given.State, given.Tenant = now.State, now.Tenant
				after = append(after, given)
				made = append(made, Correction{s.ID, was, given})
			}
		}
		if left {
			after = append(after, rest)
		}
	}
	return after, made, told
}

// cut takes off what lies before the instant.
func (p *Piece) cut(at int64) Piece {
	before := *p
	before.ToNS = at
	before.Amounts = p.take(mulDiv(p.DurationNS, at-p.FromNS, p.ToNS-p.FromNS))
	p.FromNS = at
	return before
}
