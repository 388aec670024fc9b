// Package control works out who owns and who controls whom, over any number of
// steps and through circles of holdings. It is pure.
//
// Two results are kept apart, because the rules do: the effective share (what
// part of a party ends at an owner, products along paths, summed) and control
// (the group that an owner decides for: what the group together holds half of,
// or controls in another way, belongs to the group). A share that is not known
// is an interval. Every result then is one too: it holds whatever the shares
// turn out to be, and "could not tell" is an answer.
package control

import (
	"cmp"
	"fmt"
	"slices"
)

// ID names a party. It is the provider's own opaque id.
type ID string

// Undisclosed is the owner that nobody named. Whoever it is may also be a party
// that is named elsewhere.
const Undisclosed ID = ""

// Share is a part of a whole in millionths: 250,000 is 25 %.
type Share int32

// Whole is all of it.
const Whole Share = 1_000_000

// Kind is what an interest consists of.
type Kind uint8

// Shares and votes are each a whole of their own. Power is control by other
// means (appointment, contract, office); its low is above 0 where it is
// certain, its high where it is possible.
const (
	Shares Kind = iota
	Votes
	Power
	kinds
)

func (k Kind) String() string { return [...]string{"shares", "votes", "power"}[k] }

// Interest is what an owner has in a subject: between Low and High. What is
// stated but not verified has Low 0 for those who count only verified facts.
type Interest struct {
	Source         string // the record that states it
	Owner, Subject ID
	Kind           Kind
	Low, High      Share
}

// Rules are the lines of a policy pack.
type Rules struct {
	Own     Share // at least so much is owned or controlled by a beneficial owner
	Cascade Share // at least so much, held together, makes a subject part of the group
}

// Defaults are 25 % of proposed 15 CFR 7.301 (beneficial owner) and the 50 %
// of OFAC's rule on property of blocked persons, aggregated.
var Defaults = Rules{Own: 250_000, Cascade: 500_000}

// Answer is yes, no, or that nobody can tell.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Interval bounds a part of the whole, each between 0 and 1.
type Interval struct{ Low, High float64 }

// Contradiction says that what is stated of a subject cannot be.
type Contradiction struct {
	Subject ID
	Kind    Kind
	Stated  int64 // lows together, millionths
}

func (c Contradiction) Error() string {
	return fmt.Sprintf("%s of %s: at least %d.%04d %% are stated, more than there are", c.Kind, c.Subject, c.Stated/10_000, c.Stated%10_000)
}

// edge is what an owner, or in a list of holdings the subject, has of one kind.
type edge struct {
	node      int
	low, high Share
}

// Graph holds interests. It is not changed after New, and may be read by many.
type Graph struct {
	rules  Rules
	ids    []ID // ordered; 0 is Undisclosed
	index  map[ID]int
	owners [kinds][][]edge // by subject
	holds  [kinds][][]edge // by owner
	lows   [kinds][]int64  // by subject: what its owners certainly have
	wrong  []Contradiction
	fill   int // how many numbers may be held while a circle is solved
}

const maxFill = 2_000_000

// New builds a graph. Interests of one owner in one subject of one kind add up.
// It fails on what is no interest: a share outside 0 to Whole, low above high,
// an owner of itself, no subject. Where the lows of a subject exceed the whole,
// nothing is certain about it: its lows count as 0, and Contradictions tells.
func New(rules Rules, interests []Interest) (*Graph, error) {
	g := &Graph{rules: rules, ids: []ID{Undisclosed}, index: map[ID]int{}, fill: maxFill}
	for i, n := range interests {
		if err := n.check(); err != nil {
			return nil, fmt.Errorf("interest %d (%s): %w", i+1, n.Source, err)
		}
		g.ids = append(g.ids, n.Owner, n.Subject)
	}
	slices.Sort(g.ids)
	g.ids = slices.Compact(g.ids)
	for i, id := range g.ids {
		g.index[id] = i
	}
	for k := range kinds {
		g.owners[k] = make([][]edge, len(g.ids))
		g.holds[k] = make([][]edge, len(g.ids))
		g.lows[k] = make([]int64, len(g.ids))
	}
	sums := map[[3]int]edgeSum{}
	for _, n := range interests {
		key := [3]int{int(n.Kind), g.index[n.Subject], g.index[n.Owner]}
		s := sums[key]
		sums[key] = edgeSum{s.low + int64(n.Low), s.high + int64(n.High)}
	}
	for key, s := range sums {
		k, subject := key[0], key[1]
		g.owners[k][subject] = append(g.owners[k][subject], edge{key[2], Share(min(s.low, int64(Whole)+1)), Share(min(s.high, int64(Whole)))})
	}
	for k := range kinds {
		for subject := range g.ids {
			g.settle(k, subject)
		}
	}
	return g, nil
}

type edgeSum struct{ low, high int64 }

func (n Interest) check() error {
	switch {
	case n.Kind >= kinds:
		return fmt.Errorf("kind %d is not known", n.Kind)
	case n.Subject == Undisclosed:
		return fmt.Errorf("has no subject")
	case n.Owner == n.Subject:
		return fmt.Errorf("%s cannot own itself", n.Subject)
	case n.Low < 0 || n.High > Whole || n.Low > n.High:
		return fmt.Errorf("share %d to %d is not within 0 to %d", n.Low, n.High, Whole)
	}
	return nil
}

// settle orders the owners of a subject and bounds each by what the others
// certainly have. What is stated of nobody belongs to Undisclosed.
func (g *Graph) settle(k Kind, subject int) {
	all := g.owners[k][subject]
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b edge) int { return cmp.Compare(a.node, b.node) })
	if k != Power {
		lows, highs := sum(all)
		if lows > int64(Whole) {
			g.wrong = append(g.wrong, Contradiction{g.ids[subject], k, lows})
			for i := range all {
				all[i].low = 0
			}
			lows = 0
		}
		if all[0].node != 0 {
			all = slices.Insert(all, 0, edge{})
		}
		// Beyond what is stated somebody holds the rest.
		all[0].low = Share(max(int64(all[0].low), int64(Whole)-(highs-int64(all[0].high))))
		all[0].high = Whole
		lows, _ = sum(all)
		for i := range all {
			all[i].high = Share(min(int64(all[i].high), int64(Whole)-lows+int64(all[i].low)))
		}
	}
	g.owners[k][subject] = all
	g.lows[k][subject], _ = sum(all)
	for _, e := range all {
		if e.high > 0 {
			g.holds[k][e.node] = append(g.holds[k][e.node], edge{subject, e.low, e.high})
		}
	}
}

func sum(all []edge) (lows, highs int64) {
	for _, e := range all {
		lows += int64(e.low)
		highs += int64(e.high)
	}
	return lows, highs
}

// Contradictions are the subjects of which more than all is stated.
func (g *Graph) Contradictions() []Contradiction {
	out := slices.Clone(g.wrong)
	slices.SortFunc(out, func(a, b Contradiction) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// Parties are all that the interests name, ordered.
func (g *Graph) Parties() []ID { return slices.Clone(g.ids[1:]) }
