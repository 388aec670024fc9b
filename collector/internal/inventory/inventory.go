package inventory

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// Inventory is all hosts of a fleet. It belongs to one goroutine, or to a lock.
type Inventory struct {
	hosts  map[ledger.HostID]Host
	owners map[string]ledger.HostID // every key that was ever bound, signing or broker
}

// New returns an empty inventory.
func New() *Inventory {
	return &Inventory{hosts: map[ledger.HostID]Host{}, owners: map[string]ledger.HostID{}}
}

// Restore returns the inventory that the changes made, in the order in which
// they were made.
func Restore(changes []Change) (*Inventory, error) {
	v := New()
	for _, c := range changes {
		if _, err := v.Apply(c); err != nil {
			return nil, fmt.Errorf("restore inventory: change %d: %w", c.No, err)
		}
	}
	return v, nil
}

// Apply makes a change and returns the host as it is then. A key that was ever
// bound, to this host or another, is not bound again: who copied it once would
// come back.
func (v *Inventory) Apply(c Change) (Host, error) {
	if c.Key != nil {
		for _, key := range []string{string(c.Key.Signing), c.Key.Broker} {
			if owner, known := v.owners[key]; known {
				return Host{}, fmt.Errorf("%s host %s: %w: the key was bound to host %s before", c.Act, c.Host, ErrRefused, owner)
			}
		}
	}
	h, err := v.hosts[c.Host].Apply(c)
	if err != nil {
		return Host{}, err
	}
	v.hosts[h.ID] = h
	if c.Key != nil {
		v.owners[string(c.Key.Signing)], v.owners[c.Key.Broker] = h.ID, h.ID
	}
	return h, nil
}

// Host returns a host by its id.
func (v *Inventory) Host(id ledger.HostID) (Host, bool) {
	h, ok := v.hosts[id]
	return h, ok
}

// Hosts returns all hosts in order of their ids.
func (v *Inventory) Hosts() []Host {
	return slices.SortedFunc(maps.Values(v.hosts), func(a, b Host) int { return cmp.Compare(a.ID, b.ID) })
}

// Verdict says whether who holds a key may act for a host.
type Verdict int

// The verdicts. Only Admitted is a yes.
const (
	Unknown   Verdict = iota // no host ever had the key
	Admitted                 // a key of an enrolled host
	Ended                    // a key that was replaced
	Withdrawn                // the host was revoked or retired
	Suspended                // the host is suspected to be copied
)

// String returns the verdict as it is written in quarantine and logs.
func (v Verdict) String() string {
	return [...]string{"the key belongs to no host", "admitted", "the key was replaced", "the host was revoked or retired", "the host is suspected to be copied"}[v]
}

// BySigning says which host signs with a key, and whether it may at an instant in
// Unix nanoseconds. The host is named also when it may not, if it is known.
func (v *Inventory) BySigning(key ed25519.PublicKey, ns int64) (ledger.HostID, Verdict) {
	return v.judge(string(key), ns, func(k Key) bool { return k.Signing.Equal(key) })
}

// ByBroker says which host connects with a public nkey, as BySigning.
func (v *Inventory) ByBroker(nkey string, ns int64) (ledger.HostID, Verdict) {
	return v.judge(nkey, ns, func(k Key) bool { return k.Broker == nkey })
}

func (v *Inventory) judge(key string, ns int64, is func(Key) bool) (ledger.HostID, Verdict) {
	id, known := v.owners[key]
	if !known {
		return "", Unknown
	}
	h := v.hosts[id]
	switch {
	case h.State == Revoked || h.State == Retired:
		return id, Withdrawn
	case h.Suspicion != "":
		return id, Suspended
	case !slices.ContainsFunc(h.Keys, func(k Key) bool { return is(k) && k.ValidAt(ns) }):
		return id, Ended
	}
	return id, Admitted
}

// Expectation says that a host should report certain devices over a time.
type Expectation struct {
	Host ledger.HostID
	Name string
	Site string
	Span
}

// Expected returns who was expected to report in the half-open interval, in
// order of host and time. Spans are cut to the interval; to 0 means no end.
func (v *Inventory) Expected(fromNS, toNS int64) []Expectation {
	var all []Expectation
	for _, h := range v.hosts {
		for _, s := range h.Spans {
			s.FromNS = max(s.FromNS, fromNS)
			if toNS != 0 && (s.ToNS == 0 || s.ToNS > toNS) {
				s.ToNS = toNS
			}
			if s.ToNS == 0 || s.FromNS < s.ToNS {
				all = append(all, Expectation{Host: h.ID, Name: h.Name, Site: h.Site, Span: s})
			}
		}
	}
	slices.SortFunc(all, func(a, b Expectation) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.FromNS, b.FromNS))
	})
	return all
}
