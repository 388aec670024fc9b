package tenancy

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Outcome is how a question for a tenant ended.
type Outcome uint8

// The outcomes.
const (
	Unleased Outcome = iota // no lease in force selects the subject
	Leased
	Conflict // equally specific leases in force name different tenants
	// Undecided is when leases of a kind are in force, and the scheduler could not
	// be asked for the name by which they may select the subject.
	Undecided
)

// String returns the lower-case name.
func (o Outcome) String() string {
	switch o {
	case Unleased:
		return "unleased"
	case Leased:
		return "leased"
	case Conflict:
		return "conflict"
	case Undecided:
		return "undecided"
	}
	return "invalid"
}

// Verdict is an outcome and the leases that made it.
type Verdict struct {
	Outcome Outcome
	Lease   Lease // the lease that decided, or one side of the conflict
	Other   Lease // the other side of the conflict
}

// Table is a set of leases. It never changes and is safe for many goroutines.
// The nil table has no leases.
type Table struct {
	bySelector map[Selector][]Lease
	spans      map[Kind]span
	count      int
}

// span is the time from the first start to the last end of leases.
type span struct{ fromNS, toNS int64 }

// NewTable indexes leases. A cgroup prefix may end in a slash or not, a VM's UUID
// may be in upper case or without dashes.
func NewTable(leases []Lease) *Table {
	t := &Table{bySelector: make(map[Selector][]Lease, len(leases)), spans: map[Kind]span{}, count: len(leases)}
	for _, l := range leases {
		switch {
		case l.Selector.Kind == CgroupPrefix && len(l.Selector.Value) > 1:
			l.Selector.Value = strings.TrimRight(l.Selector.Value, "/")
		case l.Selector.Kind == VM:
			if id, ok := probe.ParseUUID(l.Selector.Value); ok {
				l.Selector.Value = id
			}
		}
		t.extend(l)
		t.bySelector[l.Selector] = append(t.bySelector[l.Selector], l)
	}
	for _, same := range t.bySelector {
		slices.SortStableFunc(same, func(a, b Lease) int {
			return cmp.Or(cmp.Compare(a.FromNS, b.FromNS), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Line, b.Line))
		})
	}
	return t
}

// extend widens the span of a lease's kind.
func (t *Table) extend(l Lease) {
	end := l.ToNS
	if end == 0 {
		end = math.MaxInt64
	}
	s, ok := t.spans[l.Selector.Kind]
	if !ok {
		s = span{l.FromNS, end}
	}
	t.spans[l.Selector.Kind] = span{min(s.fromNS, l.FromNS), max(s.toNS, end)}
}

// undecided turns a verdict without a lease into Undecided if leases of a kind may
// be in force. What is less specific must not decide then: a customer's pod is not
// the host owner's because the kubelet is slow.
func (t *Table) undecided(v Verdict, kind Kind, atNS int64) Verdict {
	if s, ok := t.spans[kind]; ok && v.Outcome == Unleased && atNS >= s.fromNS && atNS < s.toNS {
		v.Outcome = Undecided
	}
	return v
}

// Len returns the number of leases.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return t.count
}

// Tenant answers whose the subject was at an instant. The tenant is "" unless
// the outcome is Leased. It does not allocate.
func (t *Table) Tenant(s Subject, atNS int64) (measure.TenantID, Verdict) {
	if t == nil || t.count == 0 {
		return "", Verdict{}
	}
	// Groups of equally specific selectors, most specific first.
	v := t.look(Verdict{}, Container, s.Container, atNS)
	if v.Outcome == Unleased {
		v = t.look(v, SlurmJob, s.SlurmJob, atNS)
		v = t.look(v, PodUID, s.PodUID, atNS)
	}
	if v.Outcome == Unleased {
		v = t.look(v, Unit, s.Unit, atNS)
		if _, posed := probe.ParseUUID(s.VM); !posed { // a name is not another VM's UUID
			v = t.look(v, VM, s.VM, atNS)
		}
		v = t.look(v, VM, s.VMUUID, atNS)
		if s.VM != "" && s.VMUUID == "" {
			v = t.undecided(v, VM, atNS)
		}
	}
	for path := s.Cgroup; path != "" && v.Outcome == Unleased; path = parentPath(path) {
		v = t.look(v, CgroupPrefix, path, atNS)
	}
	if v.Outcome == Unleased {
		v = t.look(v, Namespace, s.Namespace, atNS)
		v = t.look(v, SlurmAccount, s.SlurmAccount, atNS)
		if s.PodUID != "" && s.Namespace == "" {
			v = t.undecided(v, Namespace, atNS)
		}
		if s.SlurmJob != "" && s.SlurmAccount == "" {
			v = t.undecided(v, SlurmAccount, atNS)
		}
	}
	if v.Outcome == Unleased {
		v = t.look(v, UID, s.UID, atNS)
	}
	if v.Outcome == Unleased {
		v = t.look(v, MIG, string(s.MIG), atNS)
	}
	if v.Outcome == Unleased {
		v = t.look(v, Device, string(s.Device), atNS)
	}
	if v.Outcome == Unleased {
		v = t.look(v, Host, s.Host, atNS)
	}
	if v.Outcome != Leased {
		return "", v
	}
	return v.Lease.Tenant, v
}

// look adds the leases of one selector to a verdict on its group.
func (t *Table) look(v Verdict, kind Kind, value string, atNS int64) Verdict {
	if value == "" {
		return v
	}
	for _, l := range t.bySelector[Selector{kind, value}] {
		if l.FromNS > atNS {
			break // sorted by start
		}
		if !l.InForce(atNS) {
			continue
		}
		switch {
		case v.Outcome == Unleased:
			v = Verdict{Outcome: Leased, Lease: l}
		case v.Outcome == Leased && v.Lease.Tenant != l.Tenant:
			v.Outcome, v.Other = Conflict, l
		}
	}
	return v
}

// Conflicts lists pairs of leases of one selector that name different tenants
// for an overlapping time, by line, at most limit of them.
func (t *Table) Conflicts(limit int) []Verdict {
	if t == nil {
		return nil
	}
	var found []Verdict
	for _, same := range t.bySelector {
		for i, a := range same {
			for _, b := range same[i+1:] {
				if a.ToNS != 0 && b.FromNS >= a.ToNS {
					break // sorted by start: none of the rest overlaps a
				}
				if a.Tenant != b.Tenant {
					found = append(found, Verdict{Outcome: Conflict, Lease: a, Other: b})
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.Lease.Line, b.Lease.Line), cmp.Compare(a.Other.Line, b.Other.Line))
	})
	return found[:min(limit, len(found))]
}

func decimal(n int) string { return strconv.Itoa(n) }
