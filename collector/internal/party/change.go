package party

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// Change is a new state of an object that somebody enters.
type Change struct {
	Object   Object
	From, To time.Time         // zero From: of a new object since ever, of a known one from now on
	Source   string            // "file:line", or whose event it is
	Name     string            // of a contract: what the customer is called in lists
	Personal map[string]string // of the object, by field, to be sealed
}

func (c Change) fault(column, rule string) error {
	source := c.Source
	if source == "" {
		source = "change:0"
	}
	return fmt.Errorf("%s: %s: %s", source, column, rule)
}

// Sealed returns the id and keyed digest of an object's sealed data.
func Sealed(o Object) (id, digest string) {
	switch o := o.(type) {
	case Party:
		return o.Sealed, o.Digest
	case Identifier:
		return o.Sealed, o.Hash
	case Verification:
		return o.Sealed, o.Digest
	}
	return "", ""
}

// Seal returns the object with the id of its sealed data.
func Seal(o Object, id string) Object {
	switch o := o.(type) {
	case Party:
		o.Sealed = id
		return o
	case Identifier:
		o.Sealed = id
		return o
	case Verification:
		o.Sealed = id
		return o
	}
	return o
}

// Subject returns the party under whose key an object's personal data are sealed.
func Subject(o Object) string {
	switch o := o.(type) {
	case Party:
		return o.ID
	case Identifier:
		return o.Party
	case Verification:
		return o.Party
	}
	return ""
}

// Same reports whether two objects say the same, wherever their personal data
// are sealed.
func Same(a, b Object) bool {
	x, err := json.Marshal(Seal(a, ""))
	y, err2 := json.Marshal(Seal(b, ""))
	return err == nil && err2 == nil && a.Kind() == b.Kind() && string(x) == string(y)
}

// Current returns the object of a kind and id in the snapshot, also one that
// has ended.
func (s Snapshot) Current(kind Kind, id string) (o Object, ok bool) {
	if gone, ended := s.gone[string(kind)+"/"+id]; ended {
		return gone, true
	}
	switch kind {
	case OfParty:
		o, ok = s.Parties[id]
	case OfInterest:
		o, ok = s.Interests[id]
	case OfIdentifier:
		o, ok = s.Identifiers[id]
	case OfContract:
		o, ok = s.Contracts[id]
	case OfAccount:
		o, ok = s.Accounts[id]
	case OfVerification:
		o, ok = s.Verifications[id]
	case OfRestriction:
		o, ok = s.Restrictions[id]
	case OfReseller:
		o, ok = s.Resellers[id]
	case OfExemption:
		o, ok = s.Exemptions[id]
	case OfListHit:
		o, ok = s.ListHits[id]
	case OfHold:
		o, ok = s.Holds[id]
	case OfErasure:
		o, ok = s.Erasures[id]
	case OfReview:
		o, ok = s.Reviews[id]
	}
	return o, ok
}

// Check tells what is wrong with changes, once they are laid over how it is now:
// one line "file:line: column: rule" each, at most a hundred. It changes nothing.
func Check(now Snapshot, changes []Change) error {
	c := checker{now: now, next: overlay(now, changes)}
	seen := map[string]bool{}
	for _, change := range changes {
		key := string(change.Object.Kind()) + "/" + change.Object.Key() + "@" + change.From.String()
		if seen[key] {
			c.tell(change, idColumn(change.Object.Kind()), "is there twice")
			continue
		}
		seen[key] = true
		c.change(change)
	}
	c.totals(changes)
	c.tenants(changes)
	return errors.Join(c.faults...)
}

// idColumn is the column that names objects of a kind.
func idColumn(k Kind) string {
	if k == OfContract {
		return "customer_id"
	}
	return string(k) + "_id"
}

// overlay returns the snapshot with changes over it; the maps of now stay as
// they are.
func overlay(now Snapshot, changes []Change) Snapshot {
	next := NewSnapshot(now.Valid, now.Known)
	for _, c := range changes {
		next.Put(c.Object)
	}
	return next
}

type checker struct {
	now, next Snapshot // next has only what changes
	faults    []error
}

func (c *checker) tell(change Change, column, rule string) {
	if len(c.faults) < table.MaxFaults {
		c.faults = append(c.faults, change.fault(column, rule))
	}
}

func either[T any](next, now map[string]T, id string) (T, bool) {
	if o, ok := next[id]; ok {
		return o, true
	}
	o, ok := now[id]
	return o, ok
}

func (c *checker) party(id string) (Party, bool) { return either(c.next.Parties, c.now.Parties, id) }

func (c *checker) refers(change Change, column, id string) {
	if _, ok := c.party(id); !ok {
		c.tell(change, column, "names a party that is not there")
	}
}

func (c *checker) change(change Change) {
	if !change.To.IsZero() && !change.To.After(change.From) {
		c.tell(change, "valid_to", "is not after valid_from")
	}
	if _, erased := c.now.Erasures[Subject(change.Object)]; erased && len(change.Personal) > 0 {
		// A register that still names whom it has erased may be imported again.
		if old, known := c.now.Current(change.Object.Kind(), change.Object.Key()); !known || !Same(old, change.Object) {
			c.tell(change, "party_id", "is of a party whose personal data were erased")
		}
	}
	switch o := change.Object.(type) {
	case Party:
		for _, ref := range []struct{ column, id string }{{"branch_of", o.BranchOf}, {"ultimate_parent", o.UltimateParent.Value}} {
			if ref.id != "" {
				c.refers(change, ref.column, ref.id)
			}
		}
		if o.BranchOf == o.ID {
			c.tell(change, "branch_of", "is the party itself")
		}
	case Interest:
		c.refers(change, "subject", o.Subject)
		if o.Owner.Known() {
			c.refers(change, "owner", o.Owner.Value)
		}
		if o.Owner.Value == o.Subject {
			c.tell(change, "owner", "is the subject itself")
		}
	case Identifier:
		c.refers(change, "party_id", o.Party)
	case Contract:
		if o.Party == "" {
			break
		}
		p, ok := c.party(o.Party)
		switch {
		case !ok:
			c.tell(change, "party_id", "names a party that is not there")
		case p.Form == Person && change.Name != "":
			c.tell(change, "name", "must be empty for a person: names of persons are sealed with the party")
		}
	case Account:
		if _, ok := either(c.next.Contracts, c.now.Contracts, o.Customer); !ok {
			c.tell(change, "customer_id", "names a customer that is not there")
		}
		for _, r := range o.Reseller {
			if _, ok := either(c.next.Resellers, c.now.Resellers, r); !ok {
				c.tell(change, "reseller", "names a reseller that is not there")
			}
		}
		if !o.Closed.IsZero() && o.Closed.Before(o.Opened) {
			c.tell(change, "closed", "is before it was opened")
		}
	case Verification:
		c.refers(change, "party_id", o.Party)
		if old, ok := c.now.Verifications[o.ID]; ok && !Same(old, o) {
			c.tell(change, "verification_id", "is there and says something else: a verification is never changed, a new one supersedes it")
		}
		if o.At.After(c.now.Known) {
			c.tell(change, "at", "is in the future")
		}
		if !o.ValidUntil.IsZero() && !o.ValidUntil.After(o.At) {
			c.tell(change, "valid_until", "is not after the verification")
		}
		if o.Supersedes != "" {
			if _, ok := either(c.next.Verifications, c.now.Verifications, o.Supersedes); !ok {
				c.tell(change, "supersedes", "names a verification that is not there")
			}
		}
	case Reseller:
		c.refers(change, "party_id", o.Party)
		if o.Customer != "" {
			if _, ok := either(c.next.Contracts, c.now.Contracts, o.Customer); !ok {
				c.tell(change, "customer_id", "names a customer that is not there")
			}
		}
	}
}

// totals refuses interests that make more than the whole of a subject certain.
func (c *checker) totals(changes []Change) {
	type key struct {
		subject string
		what    InterestKind
	}
	sums := map[key]int64{}
	for id, i := range c.now.Interests {
		if _, changed := c.next.Current(OfInterest, id); !changed {
			sums[key{i.Subject, i.What}] += int64(i.Low)
		}
	}
	for _, i := range c.next.Interests {
		sums[key{i.Subject, i.What}] += int64(i.Low)
	}
	for _, change := range changes {
		i, ok := change.Object.(Interest)
		if !ok || i.Ended || i.What != InShares && i.What != InVotes {
			continue
		}
		if sum := sums[key{i.Subject, i.What}]; sum > int64(control.Whole) {
			c.tell(change, "share", fmt.Sprintf("makes %d.%04d %% of the subject's %s, more than there are", sum/10_000, sum%10_000, i.What))
		}
	}
}

// tenants refuses a tenant that two accounts hold at once.
func (c *checker) tenants(changes []Change) {
	owner := map[measure.TenantID]string{}
	for id, a := range c.now.Accounts {
		if _, changed := c.next.Accounts[id]; !changed && a.open() {
			for _, t := range a.Tenants {
				owner[t] = id
			}
		}
	}
	for _, change := range changes {
		a, ok := change.Object.(Account)
		if !ok || !a.open() {
			continue
		}
		for _, t := range a.Tenants {
			if other, held := owner[t]; held && other != a.ID {
				c.tell(change, "tenants", "one of the account's tenants belongs to another account")
			}
			owner[t] = a.ID
		}
	}
}

func (a Account) open() bool { return a.Closed.IsZero() }

// Differences says what changes do to how it is now, by "kind/id" in order.
// From is settled on the way.
func Differences(now Snapshot, changes []Change) (d Diff, moved []Change) {
	for _, c := range changes {
		kind, id := c.Object.Kind(), c.Object.Key()
		name := strings.Replace(string(kind), string(OfContract), "customer", 1) + "/" + id
		old, known := now.Current(kind, id)
		switch {
		case known && Same(old, c.Object) && c.From.IsZero():
			d.Unchanged = append(d.Unchanged, name)
			continue
		case !known:
			d.New = append(d.New, name)
		default:
			d.Changed = append(d.Changed, name)
		}
		if c.From.IsZero() {
			c.From = since(c.Object)
			if known {
				c.From = now.Known
			}
		}
		moved = append(moved, c)
	}
	for _, ids := range [][]string{d.New, d.Changed, d.Unchanged} {
		slices.Sort(ids)
	}
	return d, moved
}

// Ever is since when what has no beginning is so.
var Ever = time.Unix(0, 0).UTC()

// since returns since when a new object is so, where nobody says it.
func since(o Object) time.Time {
	var at time.Time
	switch o := o.(type) {
	case Account:
		at = o.Opened
	case Verification:
		at = o.At
	case ListHit:
		at = o.At
	case Erasure:
		at = o.At
	case Review:
		at = o.At
	}
	if at.IsZero() {
		return Ever
	}
	return at
}
