// Package foreign determines whether a customer is a US person, a foreign person
// or undetermined, with reasons that a person can read. It is pure.
//
// The definitions are those of proposed 15 CFR 7.301 (89 FR 5698). A US person is
// a citizen, a lawful permanent resident, an entity organised under US law with
// its branches abroad, or any person located in the United States; a foreign
// person is one who is not. A customer counts as a US person only when it and all
// its beneficial owners have been assessed and are. What is not known is
// undetermined, never domestic, and an address on the network proves nothing.
package foreign

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
)

// Rules are what a pack says of the definition.
type Rules struct {
	Citation     string        // of the definition
	UnitedStates []string      // codes of the US and its territories
	Control      control.Rules // lines of beneficial ownership
	// ForeignOwner is the status of a customer that is a US person itself and has
	// a foreign beneficial owner.
	ForeignOwner party.ForeignStatus
}

// Defaults are the rules of the proposal. Reports are due on transactions for or
// on behalf of a foreign person, so a US company of a foreign owner counts as
// foreign.
var Defaults = Rules{
	Citation: "proposed 15 CFR 7.301", UnitedStates: []string{"US", "AS", "GU", "MP", "PR", "UM", "VI"}, Control: control.Defaults, ForeignOwner: party.Foreign,
}

// Determination is a status with its reasons.
type Determination struct {
	Status  party.ForeignStatus
	Self    party.ForeignStatus // of the customer without its owners
	Reasons []Reason
	Owners  []Owner // who are or may be beneficial owners, who has most first
	// Undisclosed reports whether somebody who is not named may be one.
	Undisclosed bool
}

// Text returns the reasons in one line.
func (d Determination) Text() string {
	texts := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		texts[i] = r.Text
	}
	return strings.Join(texts, "; ")
}

// Reason is one reason. It names parties by id only.
type Reason struct {
	Party  string
	Status party.ForeignStatus // to which it speaks
	Text   string
}

// Owner is a beneficial owner, or one who may be.
type Owner struct {
	Party  string
	Is     control.Answer // yes or unknown
	Share  control.Interval
	Limbs  []string // "ownership", "control"
	Status party.ForeignStatus
}

// Book determines the statuses of one snapshot. It may be read by many.
type Book struct {
	snapshot party.Snapshot
	rules    Rules
	graph    *control.Graph
	wrong    map[string]string // subject of which more than all is stated → what
	last     map[string]party.Verification
	asked    map[string]bool // of whom an interest is stated
}

// dispersed begins the name of the many small owners of a party.
const dispersed = "(dispersed)"

// New prepares a snapshot. It fails on interests that cannot be.
func New(s party.Snapshot, rules Rules) (*Book, error) {
	b := &Book{snapshot: s, rules: rules, wrong: map[string]string{}, last: map[string]party.Verification{}, asked: map[string]bool{}}
	var all []control.Interest
	stated := map[string]int64{} // highs of shares
	owners := map[string]bool{}
	for _, i := range s.Interests {
		n := i.Control()
		n.Subject = control.ID(b.head(i.Subject))
		if i.Owner.Known() {
			n.Owner = control.ID(b.head(i.Owner.Value))
			owners[string(n.Owner)] = true
		}
		if n.Owner == n.Subject {
			continue // a company and its branch are one
		}
		b.asked[string(n.Subject)] = true
		if n.Kind == control.Shares {
			stated[string(n.Subject)] += int64(n.High)
		}
		all = append(all, n)
	}
	for id := range owners {
		all = append(all, b.rest(id, stated)...)
	}
	slices.SortFunc(all, func(a, b control.Interest) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Source, b.Source))
	})
	var err error
	if b.graph, err = control.New(rules.Control, all); err != nil {
		return nil, fmt.Errorf("foreign status: %w", err)
	}
	for _, c := range b.graph.Contradictions() {
		b.wrong[string(c.Subject)] = c.Error()
	}
	for _, v := range s.Verifications {
		if v.At.After(s.Valid) {
			continue
		}
		have, known := b.last[v.Party]
		later := cmp.Or(v.At.Compare(have.At), cmp.Compare(v.ID, have.ID)) > 0
		// A check that goes on does not undo what the one before found.
		if open := v.Outcome == party.Pending; known && open != (have.Outcome == party.Pending) {
			later = !open
		}
		if !known || later {
			b.last[v.Party] = v
		}
	}
	return b, nil
}

// rest says to whom the part of an owning organisation belongs that nobody is
// stated to have: to many who do not matter where that is certified, else to
// somebody who is not named.
func (b *Book) rest(id string, stated map[string]int64) []control.Interest {
	p, known := b.snapshot.Parties[id]
	if !known || p.Form != party.Organisation {
		return nil
	}
	left := int64(control.Whole) - stated[id]
	switch {
	case p.OwnersComplete.Known() && left > 0:
		return []control.Interest{{Source: "owners_complete", Owner: control.ID(dispersed + id), Subject: control.ID(id), Low: control.Share(left), High: control.Share(left)}}
	case stated[id] == 0:
		return []control.Interest{{Source: "not stated", Owner: control.Undisclosed, Subject: control.ID(id), High: control.Whole}}
	}
	return nil
}

// head returns the party of which another is a branch; itself if it is none.
func (b *Book) head(id string) string {
	for range 8 {
		of := b.snapshot.Parties[id].BranchOf
		if of == "" || of == id {
			return id
		}
		id = of
	}
	return id
}

// Customer determines the status of a customer by its contract.
func (b *Book) Customer(id string) Determination {
	c, known := b.snapshot.Contracts[id]
	switch {
	case !known:
		return alone(party.Undetermined, "the customer is not known")
	case c.Party == "":
		status := cmp.Or(c.Declared, party.Undetermined)
		text := "declared by the provider, who recorded no facts"
		if c.Reason != "" {
			text += ": " + c.Reason
		}
		return alone(status, text)
	}
	return b.Party(c.Party)
}

func alone(status party.ForeignStatus, text string) Determination {
	return Determination{Status: status, Self: status, Reasons: []Reason{{Status: status, Text: text}}}
}

// Party determines what the status of a customer would be that is the party.
func (b *Book) Party(id string) Determination {
	var d Determination
	d.Self, d.Reasons = b.self(id)
	head := b.head(id)
	foreign, open := d.Self == party.Foreign, d.Self == party.Undetermined
	p := b.snapshot.Parties[head]
	owners, undisclosed := b.owners(head)
	d.Owners = owners
	ours := 0
	for _, o := range owners {
		_, why := b.self(o.Party)
		if o.Status == party.US {
			if o.Is == control.Yes {
				ours++
			}
			continue
		}
		text := fmt.Sprintf("its beneficial owner %s (%s) is %s", o.Party, o.text(), o.Status)
		if o.Is == control.Yes && o.Status == party.Foreign {
			foreign = foreign || b.rules.ForeignOwner == party.Foreign
			open = open || b.rules.ForeignOwner == party.Undetermined
		} else {
			open = true
		}
		if o.Is != control.Yes {
			text = fmt.Sprintf("%s may be a beneficial owner (%s) and is %s", o.Party, o.text(), o.Status)
		}
		status := party.Undetermined
		if o.Is == control.Yes {
			status = o.Status
		}
		d.Reasons = append(d.Reasons, Reason{o.Party, status, text + ": " + texts(why)})
	}
	tell := func(text string) {
		open = true
		d.Reasons = append(d.Reasons, Reason{head, party.Undetermined, text})
	}
	complete := p.OwnersComplete.Known()
	switch {
	case p.Form == party.Person && !b.asked[head]:
	case p.Form == party.Organisation && !b.asked[head] && !complete:
		d.Undisclosed = true
		tell("its owners are not known")
	case undisclosed > 0 && !complete:
		d.Undisclosed = true
		tell(fmt.Sprintf("up to %s of it ends at nobody who is named", percent(undisclosed)))
	}
	for _, node := range b.above(head) {
		if wrong := b.wrong[node]; wrong != "" {
			tell(wrong)
		}
	}
	d.Status = party.US
	switch {
	case foreign:
		d.Status = party.Foreign
	case open:
		d.Status = party.Undetermined
	case p.Form == party.Person:
	case ours > 0:
		d.Reasons = append(d.Reasons, Reason{head, party.US, "all its beneficial owners are US persons: " + names(owners)})
	default:
		d.Reasons = append(d.Reasons, Reason{head, party.US, "nobody meets either limb of beneficial ownership (" + cmp.Or(p.OwnersComplete.Value, "by the interests that are stated") + ")"})
	}
	return d
}

func names(owners []Owner) string {
	var ids []string
	for _, o := range owners {
		if o.Is == control.Yes {
			ids = append(ids, o.Party)
		}
	}
	return strings.Join(ids, ", ")
}

func texts(reasons []Reason) string { return Determination{Reasons: reasons}.Text() }

// owners returns who are or may be beneficial owners, and the greatest part that
// somebody who is not named may have, 0 if that is below the line.
func (b *Book) owners(id string) (out []Owner, undisclosed float64) {
	if !b.asked[id] {
		return nil, 0
	}
	report := b.graph.Owners(control.ID(id))
	for _, s := range report.Standings {
		who := string(s.Owner)
		p, known := b.snapshot.Parties[who]
		is := s.Beneficial()
		// Only an individual is one; of a party that nobody recorded that is not known.
		if is == control.No || strings.HasPrefix(who, dispersed) || known && p.Form != party.Person {
			continue
		}
		o := Owner{Party: who, Is: is, Share: s.Effective}
		if s.Together.High > o.Share.High || s.Together.Low > o.Share.Low {
			o.Share = control.Interval{Low: max(s.Together.Low, s.Effective.Low), High: max(s.Together.High, s.Effective.High)}
		}
		if s.Owns != control.No {
			o.Limbs = append(o.Limbs, "ownership")
		}
		if s.Controls != control.No {
			o.Limbs = append(o.Limbs, "control")
		}
		o.Status, _ = b.self(who)
		out = append(out, o)
	}
	if report.More {
		undisclosed = report.Undisclosed.High
	}
	return out, undisclosed
}

// above are the party and all who are stated to own a part of it.
func (b *Book) above(id string) []string {
	if len(b.wrong) == 0 {
		return nil
	}
	all := []string{id}
	for _, s := range b.graph.Owners(control.ID(id)).Standings {
		all = append(all, string(s.Owner))
	}
	return all
}

func (o Owner) text() string {
	var parts []string
	if o.Share.High > 0 {
		text := percent(o.Share.High)
		if o.Share.Low != o.Share.High {
			text = percent(o.Share.Low) + " to " + text
		}
		parts = append(parts, text)
	}
	if slices.Contains(o.Limbs, "control") {
		parts = append(parts, "controls it")
	}
	return strings.Join(parts, ", ")
}

func percent(part float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", part*100), "0"), ".") + " %"
}

const date = time.DateOnly
