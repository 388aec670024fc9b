package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/party/control"
)

// Stake is an ownership interest as it is recorded.
type Stake struct {
	control.Interest
	Verified bool
}

// ownershipBits is what an owner's majority says for control: a fact of record,
// which outweighs every inference.
const ownershipBits = 20

// Structure is who owns and controls whom, with parties that are one taken as
// one.
type Structure struct {
	Verified *control.Graph // of what is verified: stated shares count as possible
	Stated   *control.Graph // as if everything that is stated held
	same     map[ID]ID
}

// Rep returns the party that stands for one: the least of those that are one
// with it.
func (s *Structure) Rep(id ID) ID { return cmp.Or(s.same[id], id) }

// NewStructure builds the graphs. Identity are links that count; parties that
// they join are taken as one, named after the least. What two records of one
// subject state is not added up: the higher counts.
func NewStructure(rules control.Rules, stakes []Stake, identity []Link) (*Structure, error) {
	s := &Structure{same: map[ID]ID{}}
	sets := newSets()
	for i := range identity {
		if identity[i].Class == Identity && identity[i].State.Counts() {
			sets.join(identity[i].A, identity[i].B)
		}
	}
	for root, members := range sets.in {
		least := slices.Min(members)
		for _, id := range members {
			s.same[id] = least
		}
		_ = root
	}
	var err error
	if s.Verified, err = control.New(rules, s.merge(stakes, true)); err != nil {
		return nil, fmt.Errorf("verified interests: %w", err)
	}
	if s.Stated, err = control.New(rules, s.merge(stakes, false)); err != nil {
		return nil, fmt.Errorf("stated interests: %w", err)
	}
	return s, nil
}

type stakeKey struct {
	owner, subject control.ID
	kind           control.Kind
}

// merge brings stakes to the parties that stand for others.
func (s *Structure) merge(stakes []Stake, verified bool) []control.Interest {
	type sums struct {
		low, high int64
		sources   []string
	}
	by := map[stakeKey]map[control.ID]*sums{} // then by the record of the subject
	for _, st := range stakes {
		k := stakeKey{subject: control.ID(s.Rep(ID(st.Subject))), kind: st.Kind, owner: st.Owner}
		if st.Owner != control.Undisclosed {
			k.owner = control.ID(s.Rep(ID(st.Owner)))
		}
		if k.owner == k.subject {
			continue // a company that is one with its owner
		}
		if by[k] == nil {
			by[k] = map[control.ID]*sums{}
		}
		sum := by[k][st.Subject]
		if sum == nil {
			sum = &sums{}
			by[k][st.Subject] = sum
		}
		if st.Verified || !verified {
			sum.low += int64(st.Low)
		}
		sum.high += int64(st.High)
		sum.sources = append(sum.sources, st.Source)
	}
	var out []control.Interest
	for k, records := range by {
		var best sums
		for _, r := range records {
			best.low, best.high = max(best.low, r.low), max(best.high, r.high)
			best.sources = append(best.sources, r.sources...)
		}
		whole := int64(control.Whole)
		out = append(out, control.Interest{Source: strings.Join(sources(best.sources...), " "), Owner: k.owner, Subject: k.subject, Kind: k.kind,
			Low: control.Share(min(best.low, whole)), High: control.Share(max(min(best.high, whole), min(best.low, whole)))})
	}
	slices.SortFunc(out, func(a, b control.Interest) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// Links returns the control links that ownership gives, from the highest owner
// of a group to each member. What is verified the rules decide; what is only
// stated a person must.
func (s *Structure) Links() []Found {
	var out []Found
	known := map[string]bool{}
	for _, pass := range []struct {
		graph     *control.Graph
		automatic bool
		needs     string
	}{{s.Verified, true, ""}, {s.Stated, false, "the ownership is stated and not verified"}} {
		for _, g := range pass.graph.Groups() {
			for _, m := range g.Members {
				f := Found{ID: LinkID(Control, ID(g.Owner), ID(m.Party)), A: ID(g.Owner), B: ID(m.Party), Class: Control, Directed: true, Bits: ownershipBits,
					Automatic: pass.automatic, Needs: pass.needs}
				if known[f.ID] {
					continue
				}
				known[f.ID] = true
				f.Evidence = []Evidence{memberEvidence(m, pass.automatic)}
				out = append(out, f)
			}
		}
	}
	slices.SortFunc(out, func(a, b Found) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func memberEvidence(m control.Member, verified bool) Evidence {
	holders := make([]string, len(m.Holders))
	for i, h := range m.Holders {
		holders[i] = string(h)
	}
	held := fmt.Sprintf("%.1f %% of its %s", 100*m.Held.Low, m.Kind)
	if m.Held.High > m.Held.Low {
		held = fmt.Sprintf("%.1f to %.1f %% of its %s", 100*m.Held.Low, 100*m.Held.High, m.Kind)
	}
	if m.Kind == control.Power {
		held = "power over it"
	}
	detail := fmt.Sprintf("the group has %s, through %s", held, strings.Join(holders, ", "))
	return Evidence{Name: "ownership", Key: digestID("", detail)[:16], Bits: ownershipBits, Verified: verified, Detail: detail}
}
