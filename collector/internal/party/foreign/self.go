package foreign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
)

// ground is what the facts of one party say of the limbs of the definition.
type ground struct {
	us      []string // limbs that hold
	missing []string // facts without which nobody can say that none holds
	other   []string // facts of another country
	notes   []string
}

func (b *Book) domestic(code string) bool { return slices.Contains(b.rules.UnitedStates, code) }

func (g *ground) fact(b *Book, s party.Stated, name, holds string) {
	switch {
	case !s.Known() && s.Unknown != "":
		g.missing = append(g.missing, name+" is not known ("+s.Unknown+")")
	case !s.Known():
		g.missing = append(g.missing, name+" is not known")
	case b.domestic(s.Value):
		g.us = append(g.us, holds+" "+s.Value)
	default:
		g.other = append(g.other, holds+" "+s.Value)
	}
}

func (b *Book) grounds(p party.Party) ground {
	var g ground
	where := p.Location
	if p.Form == party.Person {
		if len(p.Citizenship) == 0 {
			g.missing = append(g.missing, "citizenship is not known")
		}
		for _, c := range p.Citizenship {
			g.fact(b, c, "citizenship", "citizen of")
		}
		g.fact(b, p.PermanentResidence, "permanent residence", "permanent resident of")
	} else {
		g.fact(b, p.Incorporation, "law of organisation", "organised under the law of")
		if !where.Asked() {
			where = p.PrincipalPlace
		}
	}
	if p.LocationBasis == party.ByNetwork && where.Known() {
		g.notes = append(g.notes, "that it is in "+where.Value+" rests on an address on the network, which counts for nothing")
		where = party.Stated{}
	}
	g.fact(b, where, "location", "located in")
	return g
}

// self returns the status of one party without its owners.
func (b *Book) self(id string) (party.ForeignStatus, []Reason) {
	var reasons []Reason
	say := func(status party.ForeignStatus, text string) {
		reasons = append(reasons, Reason{id, status, text})
	}
	head := b.head(id)
	if head != id {
		say(party.Undetermined, fmt.Sprintf("%s is a branch of %s, the same person", id, head))
	}
	p, known := b.snapshot.Parties[head]
	switch {
	case !known:
		say(party.Undetermined, "party "+head+" is not known")
		return party.Undetermined, reasons
	case p.BranchOf != "":
		say(party.Undetermined, "party "+id+" is a branch of itself")
		return party.Undetermined, reasons
	}
	g := b.grounds(p)
	for _, note := range g.notes {
		say(party.Undetermined, note)
	}
	verdict, why := b.assessed(head)
	switch {
	case verdict == control.No:
		say(party.Foreign, why)
		return party.Foreign, reasons
	case len(g.us) == 0 && len(g.missing) == 0 && verdict == control.Yes:
		say(party.Undetermined, "its facts contradict its verification: "+strings.Join(g.other, ", ")+", but "+why)
	case len(g.us) == 0 && len(g.missing) == 0:
		say(party.Foreign, "none of the grounds of "+b.rules.Citation+" for a US person holds: "+strings.Join(g.other, ", "))
		return party.Foreign, reasons
	case len(g.us) == 0:
		if verdict == control.Yes {
			say(party.Undetermined, why+", but no ground for it is recorded")
		}
		for _, m := range g.missing {
			say(party.Undetermined, m)
		}
	case verdict != control.Yes:
		say(party.Undetermined, "it may be a US person ("+strings.Join(g.us, ", ")+"), but "+why)
	default:
		text := strings.Join(g.us, ", ")
		if len(g.other) > 0 {
			text += " (" + strings.Join(g.other, ", ") + ")"
		}
		say(party.US, text+"; "+why)
		return party.US, reasons
	}
	return party.Undetermined, reasons
}

// assessed returns what the last verification concluded, Unknown if there is
// none that holds, and says why.
func (b *Book) assessed(id string) (control.Answer, string) {
	v, there := b.last[id]
	on := v.At.UTC().Format(date)
	switch {
	case !there:
		return control.Unknown, "nobody has assessed whether it is one"
	case v.Outcome == party.Pending:
		return control.Unknown, "its verification is pending since " + on
	case v.Outcome == party.Failed:
		return control.Unknown, "its verification failed on " + on
	case !v.ValidUntil.IsZero() && !b.snapshot.Valid.Before(v.ValidUntil):
		return control.Unknown, "its verification of " + on + " expired on " + v.ValidUntil.UTC().Format(date)
	case v.USPerson == control.Yes:
		return control.Yes, "verification " + v.ID + " of " + on + " concluded that it is a US person"
	case v.USPerson == control.No:
		return control.No, "verification " + v.ID + " of " + on + " concluded that it is not a US person"
	case v.USPerson == control.Unknown:
		return control.Unknown, "verification " + v.ID + " of " + on + " could not tell"
	}
	return control.Unknown, "nobody has assessed whether it is one: verification " + v.ID + " of " + on + " says nothing of it"
}
