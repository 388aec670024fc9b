package resolve

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"math"
	"slices"
	"strings"
)

// LinkID returns the id of a link. It follows from class and parties.
func LinkID(c Class, a, b ID) string {
	return digestID("lnk_", string(c), string(a), string(b))
}

func digestID(prefix string, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]
}

// compare returns the links of two parties by their evidence.
func (r *Register) compare(p pair) []Found {
	x, y := &r.parties[p.a], &r.parties[p.b]
	if x.gone || y.gone {
		return nil
	}
	if y.Party < x.Party {
		x, y = y, x
	}
	c := comparison{weights: r.weights, x: x, y: y}
	c.values(r)
	c.names(r)
	if !c.candidate && !r.shareBlock(x, y) {
		return nil
	}
	if !c.promising() {
		return nil
	}
	var out []Found
	identity := c.link(Identity)
	if identity != nil {
		out = append(out, *identity)
		if identity.Automatic {
			return out // they are one: nothing more is to be said of the two
		}
	}
	if x.Customer != "" && x.Customer == y.Customer {
		return out
	}
	for _, class := range []Class{Control, Coordination} {
		if f := c.link(class); f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// shareBlock reports whether they share a part of a name that few have.
func (r *Register) shareBlock(x, y *entry) bool {
	for i, j := 0, 0; i < len(x.blocks) && j < len(y.blocks); {
		switch {
		case x.blocks[i] == y.blocks[j]:
			if r.rare(r.blocks[x.blocks[i]]) {
				return true
			}
			i++
			j++
		case x.blocks[i] < y.blocks[j]:
			i++
		default:
			j++
		}
	}
	return false
}

// comparison holds what two records have in common.
type comparison struct {
	weights   *Weights
	x, y      *entry
	candidate bool // they share a value that finds candidates

	shared   []sharedValue
	against  []Evidence // of identity
	verified bool       // something verified speaks against identity
	alike    float64    // of the names, -1 where one has none
	called   int        // how many parties have the name that both have
}

type sharedValue struct {
	a, b    *Identifier
	weight  *KindWeight
	holders int
	alive   bool
}

// values finds the identifiers that both have, and those that contradict.
func (c *comparison) values(r *Register) {
	xs, ys := c.x.Identifiers, c.y.Identifiers
	for i, j := 0, 0; i < len(xs) && j < len(ys); {
		switch order := byValue(xs[i], ys[j]); {
		case order < 0:
			i++
		case order > 0:
			j++
		default:
			if w := c.weights.kinds[xs[i].Kind]; w != nil {
				s := sharedValue{a: &xs[i], b: &ys[j], weight: w, alive: true, holders: 2}
				if h := r.values[value{xs[i].Kind, xs[i].Key}]; h != nil {
					s.holders, s.alive = len(h.customers), r.alive(h)
					c.candidate = c.candidate || s.alive
				}
				c.shared = append(c.shared, s)
			}
			i++
			j++
		}
	}
	for i := range xs {
		c.contradict(&xs[i], ys)
	}
}

// contradict notes that the other has another value of the same kind and scheme,
// and not this one. Each kind and scheme is told once.
func (c *comparison) contradict(a *Identifier, others []Identifier) {
	w := c.weights.kinds[a.Kind]
	if w == nil || w.Against == 0 {
		return
	}
	for i := range c.x.Identifiers {
		if o := &c.x.Identifiers[i]; o.Kind == a.Kind && o.Scheme == a.Scheme && o != a && slices.Compare(o.Key[:], a.Key[:]) < 0 {
			return // told by that one
		}
	}
	other := (*Identifier)(nil)
	for i := range others {
		if o := &others[i]; o.Kind == a.Kind && o.Scheme == a.Scheme {
			other = o
			for _, s := range c.shared {
				if s.a.Kind == a.Kind && s.a.Scheme == a.Scheme {
					return // one of several is the same
				}
			}
		}
	}
	if other == nil {
		return
	}
	e := Evidence{Name: string(a.Kind), Bits: w.Against, Verified: a.Verified && other.Verified, Sources: sources(a.Source, other.Source), Detail: "another " + words(a.Kind)}
	if e.Verified {
		e.Bits = w.AgainstVerified
		e.Detail += ", both verified"
		c.verified = true
	}
	c.against = append(c.against, e)
}

// names compares the names.
func (c *comparison) names(r *Register) {
	c.alike = -1
	for i := range c.x.Names {
		for j := range c.y.Names {
			a, b := &c.x.Names[i], &c.y.Names[j]
			likeness := a.alike(b)
			if likeness == 1 {
				called := min(len(r.blocks[a.whole].parties), c.weights.NameBlock+1)
				if c.called == 0 || called < c.called {
					c.called = called
				}
			}
			c.alike = max(c.alike, likeness)
		}
	}
}

// promising reports whether any class can reach its line, without the cost of
// telling why.
func (c *comparison) promising() bool {
	for _, s := range c.shared {
		if s.alive && !s.weight.CompareOnly {
			return true
		}
	}
	return c.alike >= c.weights.Name.CloseFrom
}

// link weighs the evidence for a class. It is nil below the line.
func (c *comparison) link(class Class) *Found {
	f := Found{A: c.x.Party, B: c.y.Party, Class: class}
	strong := false
	for _, s := range c.shared {
		if s.weight.m(class) == 0 {
			continue
		}
		e := Evidence{Name: string(s.a.Kind), Key: s.a.Key.String(), Holders: s.holders, Verified: s.a.Verified && s.b.Verified,
			Sources: sources(s.a.Source, s.b.Source), Detail: "the same " + words(s.a.Kind)}
		if s.a.SinceNS != 0 && s.b.SinceNS != 0 {
			e.SinceNS = max(s.a.SinceNS, s.b.SinceNS)
		}
		switch {
		case !s.alive:
			e.Detail += fmt.Sprintf(", which more than %d customers have: it says nothing", c.weights.Hub.Cap)
		case s.weight.CompareOnly:
			e.Bits, e.Holders = c.weights.bits(s.weight, class, 2), 0
		default:
			e.Bits = c.weights.bits(s.weight, class, s.holders)
			e.Detail += fmt.Sprintf(", held by %d", s.holders)
			strong = strong || s.weight.Strong && s.holders <= c.weights.Hub.Full
		}
		f.Evidence = append(f.Evidence, e)
	}
	if class == Identity {
		f.Evidence = append(f.Evidence, c.likeness()...)
		f.Evidence = append(f.Evidence, c.against...)
	}
	for _, e := range f.Evidence {
		f.Bits += e.Bits
	}
	f.Bits = hundredths(f.Bits)
	line := c.weights.lines[class]
	if f.Bits < line.Propose {
		return nil
	}
	f.ID = LinkID(class, f.A, f.B)
	slices.SortStableFunc(f.Evidence, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Bits), math.Abs(a.Bits)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	switch {
	case class == Control:
		f.Needs = "shared means show no control by themselves"
	case class == Coordination:
		f.Automatic = f.Bits >= line.Automatic
	case !strong:
		f.Needs = "no number that names a legal person is the same"
	case c.verified:
		f.Needs = "something verified speaks against it"
	case f.Bits < line.Automatic:
		f.Needs = "what speaks against it weighs too much"
	default:
		f.Automatic = true
	}
	return &f
}

// likeness returns what names, countries and natures say of identity.
func (c *comparison) likeness() (out []Evidence) {
	n := c.weights.Name
	switch {
	case c.alike == 1:
		bits := hundredths(math.Log2(n.Exact / max(n.Floor, float64(c.called)/float64(c.weights.Population))))
		out = append(out, Evidence{Name: "name", Bits: bits, Holders: c.called, Detail: fmt.Sprintf("the same name, which %d have", c.called)})
	case c.alike >= n.CloseFrom:
		out = append(out, Evidence{Name: "name", Bits: n.Close, Detail: fmt.Sprintf("names alike by %.0f %%", 100*c.alike)})
	case c.alike >= n.NearFrom:
		out = append(out, Evidence{Name: "name", Bits: n.Near, Detail: fmt.Sprintf("names alike by %.0f %%", 100*c.alike)})
	case c.alike >= 0 && c.alike < n.DifferentBelow:
		out = append(out, Evidence{Name: "name", Bits: n.Different, Detail: "another name"})
	}
	if len(c.x.Countries) > 0 && len(c.y.Countries) > 0 {
		e := Evidence{Name: "country", Bits: c.weights.Country.Different, Detail: "no country in common"}
		for _, country := range c.x.Countries {
			if slices.Contains(c.y.Countries, country) {
				e = Evidence{Name: "country", Bits: c.weights.Country.Same, Detail: "the same country"}
				break
			}
		}
		out = append(out, e)
	}
	if c.x.Person != c.y.Person {
		out = append(out, Evidence{Name: "nature", Bits: c.weights.OtherNature, Detail: "one is a person, one an organisation"})
	}
	return out
}

func sources(all ...string) []string {
	all = slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

func words(k Kind) string { return strings.ReplaceAll(string(k), "_", " ") }
