package party

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party/control"
)

// Record is what was recorded of an object: how it is from From on, until To or,
// if that is zero, until another record says otherwise. Records are never
// changed. Where two are of the same time, the one recorded later is believed.
type Record struct {
	No       int64 // in the order in which they were recorded
	From, To time.Time
	Recorded time.Time
	By       string // who recorded it, by id
	Source   string // where it is from: "file:line", a vendor's event
	Object   Object
}

// Covers reports whether the record is of an instant.
func (r Record) Covers(at time.Time) bool {
	return !at.Before(r.From) && (r.To.IsZero() || at.Before(r.To))
}

// Snapshot is how the objects were at an instant (Valid), by what was recorded
// up to another one (Known). What happened (verifications, hits, erasures,
// reviews) is there from when it was on; what has ended is not there, but of
// resellers and accounts, which say themselves when they ended.
type Snapshot struct {
	Valid, Known  time.Time
	Parties       map[string]Party
	Interests     map[string]Interest
	Identifiers   map[string]Identifier
	Contracts     map[string]Contract // by customer
	Accounts      map[string]Account
	Verifications map[string]Verification
	Restrictions  map[string]Restriction
	Resellers     map[string]Reseller
	Exemptions    map[string]Exemption
	ListHits      map[string]ListHit
	Holds         map[string]Hold
	Erasures      map[string]Erasure // by party
	Reviews       map[string]Review
	gone          map[string]Object // what has ended, by "kind/id"
}

// At returns the snapshot of records, which are in the order of their numbers.
func At(records []Record, valid, known time.Time) Snapshot {
	type key struct {
		kind Kind
		id   string
	}
	current := map[key]Object{}
	for _, r := range records {
		if r.Covers(valid) && !r.Recorded.After(known) {
			current[key{r.Object.Kind(), r.Object.Key()}] = r.Object
		}
	}
	s := NewSnapshot(valid, known)
	for _, o := range current {
		s.Put(o)
	}
	return s
}

// NewSnapshot returns a snapshot of nothing.
func NewSnapshot(valid, known time.Time) Snapshot {
	return Snapshot{Valid: valid, Known: known,
		Parties: map[string]Party{}, Interests: map[string]Interest{}, Identifiers: map[string]Identifier{}, Contracts: map[string]Contract{},
		Accounts: map[string]Account{}, Verifications: map[string]Verification{}, Restrictions: map[string]Restriction{}, Resellers: map[string]Reseller{},
		Exemptions: map[string]Exemption{}, ListHits: map[string]ListHit{}, Holds: map[string]Hold{}, Erasures: map[string]Erasure{}, Reviews: map[string]Review{}, gone: map[string]Object{}}
}

// Put lays an object over the snapshot.
func (s *Snapshot) Put(o Object) {
	switch o := o.(type) {
	case Party:
		s.Parties[o.ID] = o
	case Interest:
		put(s, s.Interests, o, !o.Ended)
	case Identifier:
		put(s, s.Identifiers, o, !o.Ended)
	case Contract:
		put(s, s.Contracts, o, !o.Ended)
	case Account:
		s.Accounts[o.ID] = o
	case Verification:
		s.Verifications[o.ID] = o
	case Restriction:
		put(s, s.Restrictions, o, !o.Lifted)
	case Reseller:
		s.Resellers[o.ID] = o
	case Exemption:
		s.Exemptions[o.ID] = o
	case ListHit:
		s.ListHits[o.ID] = o
	case Hold:
		put(s, s.Holds, o, o.Released == "")
	case Erasure:
		s.Erasures[o.ID] = o
	case Review:
		s.Reviews[o.ID] = o
	}
}

func put[T Object](s *Snapshot, into map[string]T, o T, there bool) {
	key := string(o.Kind()) + "/" + o.Key()
	if there {
		into[o.Key()] = o
		delete(s.gone, key)
	} else {
		delete(into, o.Key())
		s.gone[key] = o
	}
}

// Graph returns who owns and controls whom. It fails on interests that cannot be.
func (s Snapshot) Graph(rules control.Rules) (*control.Graph, error) {
	all := make([]control.Interest, 0, len(s.Interests))
	for _, id := range Ordered(s.Interests) {
		all = append(all, s.Interests[id].Control())
	}
	return control.New(rules, all)
}
