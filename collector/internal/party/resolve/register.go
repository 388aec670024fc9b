package resolve

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// Register holds records and the links that their evidence gives. Links depend
// on the records alone and not on the order in which they came. It may be used
// by one goroutine at a time.
type Register struct {
	weights *Weights
	parties []entry
	at      map[ID]int32
	values  map[value]*holding
	blocks  map[uint64]*holding
	links   map[pair][]Found
}

type value struct {
	kind Kind
	key  Key
}

// entry is a record as it is compared.
type entry struct {
	Record
	gone   bool
	blocks []uint64 // by name and country, ordered
}

// holding is who has a value or a part of a name.
type holding struct {
	parties   []int32
	customers []string // of a value; at most one more than the hub cap
}

type pair struct{ a, b int32 } // a < b

// NewRegister returns an empty register. Weights must be valid.
func NewRegister(w *Weights) *Register {
	return &Register{weights: w, at: map[ID]int32{}, values: map[value]*holding{}, blocks: map[uint64]*holding{}, links: map[pair][]Found{}}
}

// Len is the number of parties.
func (r *Register) Len() int { return len(r.at) }

// Load puts many records at once. It is the same as Put for each, and faster.
// Progress, if not nil, is called now and then with how many parties are
// compared; if it returns false, Load stops, and what was not compared is not
// linked.
func (r *Register) Load(all []Record, progress func(done int) bool) {
	touched := map[pair]bool{}
	if len(r.parties) > 0 {
		for _, rec := range all {
			r.place(rec, touched)
		}
		for p := range touched {
			r.settle(p)
		}
		return
	}
	for _, rec := range all {
		r.place(rec, nil)
	}
	r.compareAll(progress)
}

// Put adds a record or replaces that of the same party, and returns the pairs of
// parties whose links are not what they were.
func (r *Register) Put(rec Record) []Change {
	touched := map[pair]bool{}
	r.place(rec, touched)
	return r.settleAll(touched)
}

// Remove takes a party out: it was merged elsewhere, or erased.
func (r *Register) Remove(id ID) []Change {
	touched := map[pair]bool{}
	if i, ok := r.at[id]; ok {
		r.take(i, touched)
		delete(r.at, id)
	}
	return r.settleAll(touched)
}

// Change is what became of the links of two parties.
type Change struct {
	A, B ID
	Now  []Found
}

func (r *Register) settleAll(touched map[pair]bool) []Change {
	var out []Change
	for p := range touched {
		if r.settle(p) {
			a, b := r.parties[p.a].Party, r.parties[p.b].Party
			out = append(out, Change{min(a, b), max(a, b), r.links[p]})
		}
	}
	slices.SortFunc(out, func(x, y Change) int { return cmp.Or(cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B)) })
	return out
}

// settle compares a pair anew and reports whether its links changed.
func (r *Register) settle(p pair) bool {
	before := r.links[p]
	now := r.compare(p)
	if len(now) == 0 {
		delete(r.links, p)
	} else {
		r.links[p] = now
	}
	return !slices.EqualFunc(before, now, same)
}

// same reports whether two findings of one link say the same.
func same(a, b Found) bool {
	return a.ID == b.ID && a.Bits == b.Bits && a.Automatic == b.Automatic && a.Needs == b.Needs &&
		slices.EqualFunc(a.Evidence, b.Evidence, func(x, y Evidence) bool {
			return x.Name == y.Name && x.Key == y.Key && x.Bits == y.Bits && x.Holders == y.Holders && slices.Equal(x.Sources, y.Sources)
		})
}

// Links returns all links, by id.
func (r *Register) Links() []Found {
	var all []Found
	for _, links := range r.links {
		all = append(all, links...)
	}
	slices.SortFunc(all, func(a, b Found) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// place puts a record into the index. The pairs whose evidence that changes are
// added to touched, if it is not nil.
func (r *Register) place(rec Record, touched map[pair]bool) {
	rec.Names = slices.Clone(rec.Names)
	rec.Identifiers = slices.Clone(rec.Identifiers)
	slices.SortStableFunc(rec.Identifiers, byValue)
	rec.Identifiers = slices.CompactFunc(rec.Identifiers, func(a, b Identifier) bool { return a.Kind == b.Kind && a.Key == b.Key })
	e := entry{Record: rec, blocks: blocksOf(rec)}
	i, known := r.at[rec.Party]
	if known {
		r.take(i, touched)
		r.parties[i] = e
	} else {
		i = int32(len(r.parties))
		r.at[rec.Party] = i
		r.parties = append(r.parties, e)
	}
	for _, id := range rec.Identifiers {
		if k := r.weights.kinds[id.Kind]; k == nil || k.CompareOnly {
			continue
		}
		h := held(r.values, value{id.Kind, id.Key})
		alive := r.alive(h)
		h.parties = append(h.parties, i)
		h.count(holder(&e), r.weights.Hub.Cap)
		if alive {
			h.touch(touched) // the value is less rare for all of them
		}
	}
	for _, b := range e.blocks {
		h := held(r.blocks, b)
		alive := r.rare(h)
		h.parties = append(h.parties, i)
		switch {
		case alive && (!r.rare(h) || e.called(b)):
			h.touch(touched) // it finds nobody any more, or the name is less rare for all
		case alive:
			h.touchOf(i, touched)
		}
	}
}

func held[K comparable](all map[K]*holding, k K) *holding {
	h := all[k]
	if h == nil {
		h = &holding{}
		all[k] = h
	}
	return h
}

// take takes a record out of the index.
func (r *Register) take(i int32, touched map[pair]bool) {
	e := &r.parties[i]
	for _, id := range e.Identifiers {
		k := value{id.Kind, id.Key}
		h := r.values[k]
		if h == nil {
			continue
		}
		if r.alive(h) {
			h.touch(touched)
		}
		h.drop(i)
		h.customers = nil
		for _, n := range h.parties {
			h.count(holder(&r.parties[n]), r.weights.Hub.Cap)
		}
		if r.alive(h) {
			h.touch(touched)
		}
		if len(h.parties) == 0 {
			delete(r.values, k)
		}
	}
	for _, b := range e.blocks {
		h := r.blocks[b]
		alive := r.rare(h)
		if alive {
			h.touchOf(i, touched)
		}
		h.drop(i)
		if r.rare(h) && (!alive || e.called(b)) {
			h.touch(touched) // it finds candidates again, or the name is rarer for all
		}
		if len(h.parties) == 0 {
			delete(r.blocks, b)
		}
	}
	e.gone = true
	e.Identifiers, e.Names, e.blocks = nil, nil, nil
}

// holder is whom a value counts for.
func holder(e *entry) string {
	if e.Customer != "" {
		return e.Customer
	}
	return "\x00" + string(e.Party)
}

func (h *holding) drop(i int32) {
	h.parties = slices.DeleteFunc(h.parties, func(n int32) bool { return n == i })
}

// count notes a customer, until there are more than limit.
func (h *holding) count(customer string, limit int) {
	if len(h.customers) <= limit && !slices.Contains(h.customers, customer) {
		h.customers = append(h.customers, customer)
	}
}

// mostParties bounds how many parties are held against each other over one
// value: few customers may have any number of parties.
const mostParties = 64

// alive reports whether a value says something and finds candidates.
func (r *Register) alive(h *holding) bool {
	return len(h.customers) <= r.weights.Hub.Cap && len(h.parties) <= mostParties
}

// rare reports whether few enough have a part of a name for it to find candidates.
func (r *Register) rare(h *holding) bool { return len(h.parties) <= r.weights.NameBlock }

// touch adds all pairs of the parties.
func (h *holding) touch(touched map[pair]bool) {
	if touched == nil {
		return
	}
	for x, a := range h.parties {
		for _, b := range h.parties[x+1:] {
			touched[pair{min(a, b), max(a, b)}] = true
		}
	}
}

// touchOf adds the pairs of one of the parties.
func (h *holding) touchOf(i int32, touched map[pair]bool) {
	if touched == nil {
		return
	}
	for _, b := range h.parties {
		if b != i {
			touched[pair{min(i, b), max(i, b)}] = true
		}
	}
}

// called reports whether a part of a name is the whole of one of its names.
func (e *entry) called(block uint64) bool {
	return slices.ContainsFunc(e.Names, func(n Name) bool { return n.whole == block })
}

// candidates returns the parties before i that share a value or a part of a name
// with it that not too many have, ordered.
func (r *Register) candidates(i int32, out []int32) []int32 {
	e := &r.parties[i]
	take := func(h *holding) {
		for _, j := range h.parties {
			if j < i {
				out = append(out, j)
			}
		}
	}
	for _, id := range e.Identifiers {
		if h := r.values[value{id.Kind, id.Key}]; h != nil && r.alive(h) {
			take(h)
		}
	}
	for _, b := range e.blocks {
		if h := r.blocks[b]; r.rare(h) {
			take(h)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func byValue(a, b Identifier) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Key[:], b.Key[:]))
}

// blocksOf returns the parts of names with each country, and whole names alone.
func blocksOf(rec Record) []uint64 {
	var out []uint64
	for _, n := range rec.Names {
		out = append(out, n.whole)
		for _, c := range rec.Countries {
			f := fnv.New64a()
			f.Write([]byte(c))
			for _, b := range n.blocks {
				out = append(out, (b^f.Sum64())*0x9e3779b97f4a7c15)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
