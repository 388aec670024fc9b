package programme

import (
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/foreign"
)

// Beside is what bears on the programme and is no record of parties.
type Beside struct {
	Seen     map[string]time.Time // last access, by account
	OpenCase map[string]bool      // customers with a case that is not closed
	Reported map[string]time.Time // customers with a case decided to be reportable: when
}

// Book holds one snapshot against a pack.
type Book struct {
	pack     *Pack
	zone     *time.Location
	s        party.Snapshot
	beside   Beside
	now      time.Time
	foreign  *foreign.Book
	accounts map[string][]party.Account      // by customer, in order
	ids      map[string][]party.Identifier   // by party
	checks   map[string][]party.Verification // by party, the first first
	held     map[string]party.Restriction    // by customer
	holds    map[string]party.Hold           // by customer
	reviews  map[string]time.Time            // last, by what was reviewed
	owners   map[string][]string             // of a party, one step up
}

// New prepares a snapshot; its valid time is now.
func New(pack *Pack, zone *time.Location, s party.Snapshot, beside Beside) (*Book, error) {
	b := &Book{pack: pack, zone: zone, s: s, beside: beside, now: s.Valid,
		accounts: map[string][]party.Account{}, ids: map[string][]party.Identifier{}, checks: map[string][]party.Verification{},
		held: map[string]party.Restriction{}, holds: map[string]party.Hold{}, reviews: map[string]time.Time{}, owners: map[string][]string{}}
	var err error
	if b.foreign, err = foreign.New(s, pack.Rules()); err != nil {
		return nil, fmt.Errorf("programme: %w", err)
	}
	for _, id := range party.Ordered(s.Accounts) {
		a := s.Accounts[id]
		b.accounts[a.Customer] = append(b.accounts[a.Customer], a)
	}
	for _, id := range party.Ordered(s.Identifiers) {
		d := s.Identifiers[id]
		b.ids[d.Party] = append(b.ids[d.Party], d)
	}
	for _, v := range s.Verifications {
		if !v.At.After(b.now) {
			b.checks[v.Party] = append(b.checks[v.Party], v)
		}
	}
	for _, all := range b.checks {
		slices.SortFunc(all, func(x, y party.Verification) int {
			if c := x.At.Compare(y.At); c != 0 {
				return c
			}
			return compare(x.ID, y.ID)
		})
	}
	for _, id := range party.Ordered(s.Restrictions) {
		b.held[s.Restrictions[id].Customer] = s.Restrictions[id]
	}
	for _, id := range party.Ordered(s.Holds) {
		b.holds[s.Holds[id].Customer] = s.Holds[id]
	}
	for _, id := range party.Ordered(s.Interests) {
		if i := s.Interests[id]; i.Owner.Value != "" {
			b.owners[i.Subject] = append(b.owners[i.Subject], i.Owner.Value)
		}
	}
	for _, r := range s.Reviews {
		key := r.Of
		if r.Of == "programme" {
			key = "programme:" + r.What
		}
		if r.At.After(b.reviews[key]) {
			b.reviews[key] = r.At
		}
	}
	return b, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// State is how the verification of a party or customer stands.
type State string

// The states of verification. Any goes to restricted by a person's act.
const (
	Unverified State = "unverified"
	Pending    State = "pending"
	Verified   State = "verified"
	Expiring   State = "expiring"
	Expired    State = "expired"
	Failed     State = "failed"
	Restricted State = "restricted"
)

// Check is how the verification of one party stands.
type Check struct {
	State State
	Last  party.Verification // that decides
	Until time.Time          // when it expires; zero if it does not
}

// Verification returns how the verification of a party stands.
func (b *Book) Verification(id string) Check {
	c := Check{State: Unverified}
	for _, v := range b.checks[id] {
		if v.Outcome == party.Pending && c.Last.Outcome == party.Verified {
			continue // a check that goes on does not undo the one before
		}
		c.Last = v
	}
	switch c.Last.Outcome {
	case party.Pending:
		c.State = Pending
	case party.Failed:
		c.State = Failed
	case party.Verified:
		c.Until = c.Last.ValidUntil
		if c.Until.IsZero() {
			c.Until = c.Last.At.AddDate(0, 0, b.pack.Verification.ValidityDays)
		}
		switch {
		case !b.now.Before(c.Until):
			c.State = Expired
		case !b.now.Before(c.Until.AddDate(0, 0, -b.pack.Verification.ExpiringDays)):
			c.State = Expiring
		default:
			c.State = Verified
		}
	}
	return c
}

// Item is one field of the pack's list, of one party.
type Item struct {
	Party    string
	Field    *Field
	Held     bool
	Reason   string // why it is not held, if that is recorded
	Required bool
}

// Customer is how a customer stands in the programme.
type Customer struct {
	ID            string
	Party         string
	Determination foreign.Determination
	State         State // restricted if it is, else as the least of the party's and its owners' verifications
	Check         Check // of the party
	Restriction   party.Restriction
	Owners        []Owner
	Items         []Item
	Missing       int // required items that are not held
	Accounts      []party.Account
	Open          bool // an account is open
	LastAccess    time.Time
	Seen          map[string]time.Time // last access, by account
	ReviewDue     time.Time
	Retention     Retention
	Headquarters  control.Answer // in the pack's group of countries, or its ultimate parent's are
	Why           string         // of that
	Hits          []party.ListHit
	Exemptions    []party.Exemption // in force
}

// Owner is a beneficial owner in the programme.
type Owner struct {
	foreign.Owner
	Check Check
}

// Customers returns how every customer stands, by id.
func (b *Book) Customers() []Customer {
	out := make([]Customer, 0, len(b.s.Contracts))
	for _, id := range party.Ordered(b.s.Contracts) {
		out = append(out, b.Customer(id))
	}
	return out
}

// Customer returns how one customer stands.
func (b *Book) Customer(id string) Customer {
	contract := b.s.Contracts[id]
	c := Customer{ID: id, Party: contract.Party, Determination: b.foreign.Customer(id), Check: b.Verification(contract.Party), Restriction: b.held[id], Accounts: b.accounts[id], Seen: b.beside.Seen}
	for _, a := range c.Accounts {
		c.Open = c.Open || a.Closed.IsZero() || a.Closed.After(b.now)
		if at := b.beside.Seen[a.ID]; at.After(c.LastAccess) {
			c.LastAccess = at
		}
	}
	if c.Party != "" {
		c.Items = b.items("customer", id, c.Party, c.Determination.Status)
	}
	c.State = c.Check.State
	for _, o := range c.Determination.Owners {
		owner := Owner{o, b.Verification(o.Party)}
		c.Owners = append(c.Owners, owner)
		// An owner who is a US person needs no more than to be assessed.
		c.State = worse(c.State, owner.Check.State)
		if o.Status != party.US {
			c.Items = append(c.Items, b.items("owner", id, o.Party, o.Status)...)
		}
	}
	for _, i := range c.Items {
		if i.Required && !i.Held {
			c.Missing++
		}
	}
	if c.Restriction.ID != "" {
		c.State = Restricted
	}
	last := c.Check.Last.At
	if at := b.reviews[id]; at.After(last) {
		last = at
	}
	if !last.IsZero() {
		c.ReviewDue = last.AddDate(0, 0, b.pack.ReviewDays)
	}
	c.Retention = b.retention(c)
	c.Headquarters, c.Why = b.headquarters(c.Party)
	for _, hit := range party.Ordered(b.s.ListHits) {
		h := b.s.ListHits[hit]
		if h.Party == c.Party && c.Party != "" || slices.ContainsFunc(c.Owners, func(o Owner) bool { return o.Party == h.Party }) {
			c.Hits = append(c.Hits, h)
		}
	}
	for _, e := range party.Ordered(b.s.Exemptions) {
		if x := b.s.Exemptions[e]; x.Scope == "customer" && x.Of == id && x.InForce(b.now) {
			c.Exemptions = append(c.Exemptions, x)
		}
	}
	return c
}

// order of states, the worst last.
var order = []State{Verified, Expiring, Pending, Unverified, Expired, Failed, Restricted}

func worse(a, b State) State {
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// facts read what is held of a party or customer elsewhere than in the vault.
var facts = map[string]func(party.Party, party.Contract) party.Stated{
	"incorporation":   func(p party.Party, _ party.Contract) party.Stated { return p.Incorporation },
	"principal_place": func(p party.Party, _ party.Contract) party.Stated { return p.PrincipalPlace },
	"headquarters":    func(p party.Party, _ party.Contract) party.Stated { return p.Headquarters },
	"ultimate_parent": func(p party.Party, _ party.Contract) party.Stated { return p.UltimateParent },
	"places_of_use": func(_ party.Party, c party.Contract) party.Stated {
		for _, s := range c.PlacesOfUse {
			if s.Asked() {
				return s
			}
		}
		return party.Stated{}
	},
}

// items returns the fields of the pack's list for one party. A US person who
// checks out needs no more than its name.
func (b *Book) items(what, customer, id string, status party.ForeignStatus) (out []Item) {
	p := b.s.Parties[id]
	for n := range b.pack.Fields {
		f := &b.pack.Fields[n]
		if !f.of(what, p.Form) {
			continue
		}
		i := Item{Party: id, Field: f, Required: !f.Optional && (status != party.US || f.ID == "name")}
		switch {
		case f.Personal != "":
			i.Held = slices.Contains(p.Holds, f.Personal)
			for _, not := range p.NotHeld {
				if name, reason, _ := cut(not); name == f.Personal {
					i.Reason = reason
				}
			}
		case f.Fact != "":
			s := facts[f.Fact](p, b.s.Contracts[customer])
			i.Held, i.Reason = s.Known(), s.Unknown
		case f.AccessLog:
			for _, a := range b.accounts[customer] {
				i.Held = i.Held || !b.beside.Seen[a.ID].IsZero()
			}
		default:
			i.Held = slices.ContainsFunc(b.ids[id], func(d party.Identifier) bool { return slices.Contains(f.Identifiers, d.Type) })
		}
		out = append(out, i)
	}
	return out
}

func cut(s string) (name, rest string, ok bool) {
	for i := range s {
		if s[i] == ':' {
			return s[:i], s[i+2:], true
		}
	}
	return s, "", false
}

// headquarters tests where a party or its ultimate parent is headquartered,
// whatever law it is organised under.
func (b *Book) headquarters(id string) (control.Answer, string) {
	return b.pack.HeadquartersOf(b.s, id)
}

// HeadquartersOf says whether the headquarters of a party or of its ultimate parent
// are in the pack's group of countries, and why.
func (p *Pack) HeadquartersOf(s party.Snapshot, id string) (control.Answer, string) {
	who, known := s.Parties[id]
	if !known {
		return control.Unknown, "nothing is known of the party"
	}
	parent := who.ParentHeadquarters
	if above, ok := s.Parties[who.UltimateParent.Value]; ok && !parent.Known() {
		parent = above.Headquarters
	}
	own := who.Headquarters
	if who.Form == party.Person {
		own, parent = who.Location, who.Location
	}
	for _, place := range []struct {
		name string
		at   party.Stated
	}{{"its headquarters", own}, {"the headquarters of its ultimate parent", parent}} {
		if place.at.Known() && slices.Contains(p.Headquarters.Countries, place.at.Value) {
			return control.Yes, place.name + " are in " + place.at.Value + ", which is in " + p.Headquarters.Group
		}
	}
	if !own.Known() {
		return control.Unknown, "its headquarters are not known"
	}
	if !parent.Known() {
		return control.Unknown, "the headquarters of its ultimate parent are not known"
	}
	return control.No, "neither its headquarters (" + own.Value + ") nor those of its ultimate parent (" + parent.Value + ") are in " + p.Headquarters.Group
}
