package layered_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/webui/layered"
)

func graphs(t *rapid.T) (int, []layered.Edge) {
	n := rapid.IntRange(1, 40).Draw(t, "nodes")
	edges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) layered.Edge {
		return layered.Edge{From: rapid.IntRange(0, n-1).Draw(t, "from"), To: rapid.IntRange(0, n-1).Draw(t, "to")}
	}), 0, 80).Draw(t, "edges")
	return n, edges
}

// Nodes of a layer keep a row apart, linked nodes are in different layers, nothing
// stands above the top, and the order of edges changes nothing.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, edges := graphs(t)
		places, _ := layered.Layout(n, edges)
		for _, e := range edges {
			if e.From != e.To && places[e.From].Layer == places[e.To].Layer {
				t.Fatalf("%v lies in one layer", e)
			}
		}
		same, through := layered.Layout(n, edges)
		if d := cmp.Diff(places, same); d != "" {
			t.Fatal(d)
		}
		for _, e := range edges {
			if at, step := places[e.From].Layer, 1; e.From != e.To {
				if places[e.To].Layer < at {
					step = -1
				}
				for _, p := range through(e) {
					if at += step; p.Layer != at {
						t.Fatalf("%v passes layer %d and not %d", e, p.Layer, at)
					}
				}
				if at+step != places[e.To].Layer {
					t.Fatalf("%v leaves layers out", e)
				}
			}
		}
		for i, p := range places {
			if p.Layer < 0 || p.Layer >= n || p.Y < -1e-6 {
				t.Fatalf("node %d stands at %v", i, p)
			}
			for _, q := range places[:i] {
				if d := p.Y - q.Y; p.Layer == q.Layer && d > -1+1e-6 && d < 1-1e-6 {
					t.Fatalf("%v and %v stand too close", p, q)
				}
			}
		}
		turned := slices.Clone(edges)
		slices.Reverse(turned)
		again, _ := layered.Layout(n, turned)
		if d := cmp.Diff(places, again); d != "" {
			t.Fatal(d)
		}
	})
}

// Without a cycle every edge leads to the right.
func TestEdgesLeadOnwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, edges := graphs(t)
		for i, e := range edges {
			edges[i] = layered.Edge{From: min(e.From, e.To), To: max(e.From, e.To)}
		}
		places, _ := layered.Layout(n, edges)
		for _, e := range edges {
			if e.From != e.To && places[e.From].Layer >= places[e.To].Layer {
				t.Fatalf("%v leads from %v to %v", e, places[e.From], places[e.To])
			}
		}
	})
}

// A tree is drawn without crossings, and its root in the middle of its children.
func TestTree(t *testing.T) {
	var edges []layered.Edge
	for i := 1; i < 40; i++ {
		edges = append(edges, layered.Edge{From: (i - 1) / 3, To: i})
	}
	places, _ := layered.Layout(40, edges)
	if n := crossings(places, edges); n > 0 {
		t.Errorf("%d crossings", n)
	}
	if mean := (places[1].Y + places[2].Y + places[3].Y) / 3; mean-places[0].Y > 0.5 || places[0].Y-mean > 0.5 {
		t.Errorf("the root is at %v, its children around %v", places[0].Y, mean)
	}
}

// A graph of 200 nodes is placed while a page is made.
func TestTwoHundredNodes(t *testing.T) {
	var edges []layered.Edge
	for i := range 400 {
		edges = append(edges, layered.Edge{From: i * 7 % 200, To: (i*13 + 5) % 200})
	}
	begin := time.Now()
	layered.Layout(200, edges)
	if took := time.Since(begin); took > 20*time.Second { // milliseconds, on a machine that does nothing else
		t.Errorf("it took %v", took)
	} else {
		t.Logf("%v", took)
	}
}

// crossings counts how often edges between neighbouring layers cross, as they stand.
func crossings(places []layered.Place, edges []layered.Edge) int {
	count := 0
	for i, a := range edges {
		for _, b := range edges[:i] {
			if places[a.From].Layer == places[b.From].Layer && places[a.To].Layer == places[b.To].Layer &&
				(places[a.From].Y-places[b.From].Y)*(places[a.To].Y-places[b.To].Y) < 0 {
				count++
			}
		}
	}
	return count
}
