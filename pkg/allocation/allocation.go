// Package allocation knows which tenant the operator gave a host, a device or a
// workload to, and from when to when. It is pure.
//
// What it says outranks what a host claims. Of the allocations in force the most
// specific decides: for a workload on one device, then for a workload, then for
// a device, then for a host. Two equally specific ones that name different
// tenants are a conflict, and nobody is told the time's owner by it.
package allocation

import (
	"cmp"
	"math"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// Allocation gives what it selects to a tenant from FromNS until before ToNS. It
// is never edited: a later record with its ID takes its place.
type Allocation struct {
	ID           string
	Host         string // id of a host, or the name that it reports; "" is every host, and then a workload must be named
	Device       measure.DeviceID
	WorkloadKind measure.WorkloadKind
	WorkloadID   string
	Tenant       measure.TenantID
	FromNS       int64
	ToNS         int64  // 0 has no end; FromNS withdraws it, as if it had never been in force
	RecordedNS   int64  // when the collector took it
	Source       string // "file:line" of the import, "" when read back
}

// Same reports whether two allocations say the same, whenever they were recorded.
func (a Allocation) Same(o Allocation) bool {
	a.RecordedNS, a.Source = o.RecordedNS, o.Source
	return a == o
}

// end is the end as a number that can be compared.
func (a Allocation) end() int64 {
	if a.ToNS == 0 {
		return math.MaxInt64
	}
	return a.ToNS
}

// IsHostID reports whether the text is the id of a host: 26 lower-case base32
// characters. A host says its name itself, and could say another's id.
func IsHostID(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '2' || r > '7') {
			return false
		}
	}
	return len(s) == 26
}

// Diff is what an import changes, by id.
type Diff = table.Diff

// Compare says what recording next over current changes. Allocations that are
// not named stay as they are.
func Compare(current map[string]Allocation, next []Allocation) Diff {
	return table.Compare(current, next, func(a Allocation) string { return a.ID }, Allocation.Same)
}

// Span is the time from FromNS until before ToNS.
type Span struct{ FromNS, ToNS int64 }

// Change is what an allocation selects and the time in which it may decide
// otherwise than before.
type Change struct {
	Allocation
	Span
}

// Changes returns where recording next over current may change who is told to
// own time.
func Changes(current map[string]Allocation, next []Allocation) []Change {
	var out []Change
	add := func(a Allocation, from, to int64) {
		if from < to {
			out = append(out, Change{a, Span{from, to}})
		}
	}
	for _, a := range next {
		old, known := current[a.ID]
		selects := a
		selects.FromNS, selects.ToNS = old.FromNS, old.ToNS
		switch {
		case !known:
			add(a, a.FromNS, a.end())
		case !selects.Same(old):
			add(old, old.FromNS, old.end())
			add(a, a.FromNS, a.end())
		case max(a.FromNS, old.FromNS) >= min(a.end(), old.end()):
			add(a, old.FromNS, old.end())
			add(a, a.FromNS, a.end())
		default:
			add(a, min(a.FromNS, old.FromNS), max(a.FromNS, old.FromNS))
			add(a, min(a.end(), old.end()), max(a.end(), old.end()))
		}
	}
	return out
}

// Merge returns the spans in order, with those that meet joined.
func Merge(spans []Span) []Span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.FromNS, b.FromNS) })
	var out []Span
	for _, s := range spans {
		if n := len(out); n > 0 && s.FromNS <= out[n-1].ToNS {
			out[n-1].ToNS = max(out[n-1].ToNS, s.ToNS)
			continue
		}
		out = append(out, s)
	}
	return out
}
