package control

import (
	"fmt"
	"testing"
)

// hub is one owner with so many subjects, of which each tenth holds a bit of
// the owner, so that a circle of a tenth of them has to be solved.
func hub(n int) (all []Interest) {
	for i := range n {
		s := ID(fmt.Sprintf("s%06d", i))
		all = append(all, Interest{Owner: "hub", Subject: s, Low: 600_000, High: 700_000})
		if i%10 == 0 {
			all = append(all, Interest{Owner: s, Subject: "hub", Low: 1, High: 10})
		}
	}
	return append(all, Interest{Owner: "top", Subject: "hub", Low: 500_000, High: 500_000})
}

// crowd is one subject with so many owners.
func crowd(n int) (all []Interest) {
	for i := range n {
		all = append(all, Interest{Owner: ID(fmt.Sprintf("o%06d", i)), Subject: "s", Low: Share(int(Whole) / n), High: Share(int(Whole) / n)})
	}
	return all
}

// chain is owners above each other.
func chain(n int) (all []Interest) {
	for i := range n {
		all = append(all, Interest{Owner: ID(fmt.Sprintf("c%06d", i)), Subject: ID(fmt.Sprintf("c%06d", i+1)), Low: Whole, High: Whole})
	}
	return all
}

func TestHub(t *testing.T) {
	g, err := New(Defaults, hub(5000))
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Groups(); len(got) != 1 || got[0].Owner != "top" || len(got[0].Members) != 5001 {
		t.Fatalf("got %d groups, of %s", len(got), got[0].Owner)
	}
	part := g.Effective("top")
	if len(part) != 5001 || part["s000001"].Low < .3 || part["s000001"].High > .36 {
		t.Fatalf("got %d subjects, %v", len(part), part["s000001"])
	}
}

// A circle too large to solve is not answered by a guess.
func TestCircleTooLargeIsNotKnown(t *testing.T) {
	const n = 30 // everybody holds a bit of everybody
	all := []Interest{{Owner: "top", Subject: "p0", Low: 1000, High: 1000}}
	for o := range n {
		for s := range n {
			if o != s {
				all = append(all, Interest{Owner: ID(fmt.Sprint("p", o)), Subject: ID(fmt.Sprint("p", s)), Low: 600, High: 600})
			}
		}
	}
	g, err := New(Defaults, all)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Effective("top")["p1"]; got.Low == 0 || got.High-got.Low > 1e-9 {
		t.Errorf("got %v", got)
	}
	g.fill = 100
	if got := g.Effective("top")["p1"]; got != (Interval{0, 1}) {
		t.Errorf("got %v", got)
	}
}

func BenchmarkControl(b *testing.B) {
	for _, c := range []struct {
		name string
		all  []Interest
		ask  func(*Graph)
	}{
		{"groups of a hub of 100000", hub(100_000), func(g *Graph) { g.Groups() }},
		{"effective of a hub of 20000", hub(20_000), func(g *Graph) { g.Effective("top") }},
		{"owners of a crowd of 20000", crowd(20_000), func(g *Graph) { g.Owners("s") }},
		{"groups of a chain of 20000", chain(20_000), func(g *Graph) { g.Groups() }},
		{"effective of a chain of 20000", chain(20_000), func(g *Graph) { g.Effective("c000000") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				g, err := New(Defaults, c.all)
				if err != nil {
					b.Fatal(err)
				}
				c.ask(g)
			}
		})
	}
}
