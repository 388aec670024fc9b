package allocation

import (
	"cmp"
	"slices"
	"sort"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Place is where and by what time is spent.
type Place struct {
	HostID   string
	HostName string
	Device   measure.DeviceID
	Parent   measure.DeviceID // the whole device of a partition, "" otherwise
	Workload measure.Workload // its hint decides nothing
}

// Piece is a part of a span in which one answer holds: no tenant when no
// allocation is in force, one, or those of a conflict in order.
type Piece struct {
	FromNS, ToNS int64
	Tenants      []measure.TenantID
}

// Conflict is time for which equally specific allocations name different tenants.
type Conflict struct {
	IDs     []string
	Tenants []measure.TenantID
	Span
}

// selector is what an allocation says it is about.
type selector struct {
	host   string
	named  bool // host is a name and no id
	device measure.DeviceID
	kind   measure.WorkloadKind
	id     string
}

func (a Allocation) selector() selector {
	return selector{a.Host, a.Host != "" && !IsHostID(a.Host), a.Device, a.WorkloadKind, a.WorkloadID}
}

// shape numbers what a selector names, without saying which.
func (s selector) shape() (i int) {
	for bit, is := range [4]bool{s.host != "", s.named, s.device != "", s.kind != ""} {
		if is {
			i |= 1 << bit
		}
	}
	return i
}

// Table answers whose time is whose. It does not change once it is made and may
// be read from many goroutines.
type Table struct {
	spans     map[selector][]Piece // in order, without overlap, each with a tenant
	hosts     map[string]bool      // hosts by id that an allocation names
	names     map[string]bool      // and by name
	everyHost bool                 // an allocation is about every host
	shapes    [16]bool             // of the selectors that there are: what is not there is not looked for
	conflicts []Conflict
}

// maxConflicts bounds how many conflicts a table tells of.
const maxConflicts = 100

// NewTable returns the table of the allocations, in whatever order they come.
func NewTable(all []Allocation) *Table {
	t := &Table{spans: map[selector][]Piece{}, hosts: map[string]bool{}, names: map[string]bool{}}
	of := map[selector][]Allocation{}
	for _, a := range all {
		if a.FromNS >= a.end() {
			continue
		}
		key := a.selector()
		of[key] = append(of[key], a)
		switch {
		case a.Host == "":
			t.everyHost = true
		case key.named:
			t.names[a.Host] = true
		default:
			t.hosts[a.Host] = true
		}
	}
	for key, list := range of {
		t.spans[key] = t.sweep(list)
		t.shapes[key.shape()] = true
	}
	slices.SortFunc(t.conflicts, func(a, b Conflict) int {
		return cmp.Or(cmp.Compare(a.FromNS, b.FromNS), cmp.Compare(a.ToNS, b.ToNS), slices.Compare(a.IDs, b.IDs))
	})
	t.conflicts = t.conflicts[:min(len(t.conflicts), maxConflicts)]
	return t
}

// sweep cuts the time of allocations of one selector where one begins or ends.
func (t *Table) sweep(list []Allocation) []Piece {
	slices.SortFunc(list, func(a, b Allocation) int { return cmp.Or(cmp.Compare(a.FromNS, b.FromNS), cmp.Compare(a.ID, b.ID)) })
	var cuts []int64
	for _, a := range list {
		cuts = append(cuts, a.FromNS, a.end())
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []Piece
	var active []Allocation
	next := 0
	for i, from := range cuts[:len(cuts)-1] {
		active = slices.DeleteFunc(active, func(a Allocation) bool { return a.end() <= from })
		for next < len(list) && list[next].FromNS == from {
			active = append(active, list[next])
			next++
		}
		if len(active) == 0 {
			continue
		}
		p := Piece{FromNS: from, ToNS: cuts[i+1]}
		var ids []string
		for _, a := range active {
			p.Tenants, ids = append(p.Tenants, a.Tenant), append(ids, a.ID)
		}
		slices.Sort(p.Tenants)
		p.Tenants = slices.Clip(slices.Compact(p.Tenants))
		if len(p.Tenants) > 1 {
			slices.Sort(ids)
			t.conflicts = append(t.conflicts, Conflict{ids, p.Tenants, Span{p.FromNS, p.ToNS}})
		}
		out = join(out, p)
	}
	return out
}

// join adds a piece, to the one before if that says the same.
func join(out []Piece, p Piece) []Piece {
	if n := len(out); n > 0 && out[n-1].ToNS == p.FromNS && slices.Equal(out[n-1].Tenants, p.Tenants) {
		out[n-1].ToNS = p.ToNS
		return out
	}
	return append(out, p)
}

// Conflicts returns the conflicts between allocations that select in the same
// words, at most a hundred, in order of time. Those that select the same host in
// other words, by id and by name, come to light when it reports.
func (t *Table) Conflicts() []Conflict { return t.conflicts }

// Concerns reports whether any allocation is about the host. Where none is, what
// it claims stands.
func (t *Table) Concerns(hostID, hostName string) bool {
	return t != nil && (t.everyHost || t.hosts[hostID] || t.names[hostName])
}

// levels returns the selectors that an allocation of the place may have, the most
// specific level first. What is for a partition is more specific than what is
// for its whole device.
func (p *Place) levels() [6]selector {
	w := selector{kind: p.Workload.Kind, id: p.Workload.ID}
	return [6]selector{
		{device: p.Device, kind: w.kind, id: w.id}, {device: p.Parent, kind: w.kind, id: w.id}, w,
		{device: p.Device}, {device: p.Parent}, {},
	}
}

// Resolve cuts [fromNS, toNS), which must not be empty, where the answer changes.
// The pieces cover the span without a hole or an overlap.
func (t *Table) Resolve(p Place, fromNS, toNS int64) []Piece {
	var lists [6][3][]Piece
	for i, s := range p.levels() {
		workload, device := i < 3, i != 2 && i != 5
		if workload && (s.kind == "" || s.id == "") || device && s.device == "" {
			continue
		}
		n := 0
		for _, host := range []selector{{host: p.HostID}, {host: p.HostName, named: true}, {}} {
			s.host, s.named = host.host, host.named
			if host.host == "" && (host.named || !workload) || !t.shapes[s.shape()] {
				continue
			}
			if spans := t.spans[s]; len(spans) > 0 {
				// Those that end before the span are of no interest.
				lists[i][n] = spans[sort.Search(len(spans), func(k int) bool { return spans[k].ToNS > fromNS }):]
				n++
			}
		}
	}
	var out []Piece
	for at := fromNS; at < toNS; {
		next, found := toNS, false
		var tenants []measure.TenantID
		for i := range lists {
			decides := false
			for k := range lists[i] {
				spans := lists[i][k]
				for len(spans) > 0 && spans[0].ToNS <= at {
					spans = spans[1:]
				}
				lists[i][k] = spans
				if len(spans) == 0 {
					continue
				}
				if spans[0].FromNS > at {
					next = min(next, spans[0].FromNS)
					continue
				}
				next = min(next, spans[0].ToNS)
				if !found {
					tenants, decides = union(tenants, spans[0].Tenants), true
				}
			}
			found = found || decides
		}
		out = join(out, Piece{at, next, tenants})
		at = next
	}
	return out
}

// union returns the tenants of two ordered lists. It writes to neither.
func union(a, b []measure.TenantID) []measure.TenantID {
	if len(a) == 0 || slices.Equal(a, b) {
		return b
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Clip(slices.Compact(all))
}

// Selects reports whether the allocation is about the place, whenever it is in
// force.
func (a Allocation) Selects(p Place) bool {
	if a.Host != "" && a.Host != p.HostID && (a.Host != p.HostName || IsHostID(a.Host)) {
		return false
	}
	if a.Device != "" && a.Device != p.Device && a.Device != p.Parent {
		return false
	}
	return a.WorkloadKind == "" || a.WorkloadKind == p.Workload.Kind && a.WorkloadID == p.Workload.ID
}
