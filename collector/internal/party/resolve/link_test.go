package resolve

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func found(class Class, a, b ID, automatic bool, evidence ...string) Found {
	f := Found{ID: LinkID(class, a, b), A: a, B: b, Class: class, Automatic: automatic, Bits: float64(10 * len(evidence))}
	for _, e := range evidence {
		f.Evidence = append(f.Evidence, Evidence{Name: e, Key: e, Bits: 10})
	}
	if !automatic {
		f.Needs = "a person"
	}
	return f
}

// step holds evidence against what stands and lays what follows over it.
func step(history []Link, found []Found, now int64) []Link {
	return append(history, Advance(At(history, now, now), found, nil, "w 1", now)...)
}

func stateOf(history []Link, id string, now int64) State {
	for _, l := range At(history, now, now) {
		if l.ID == id {
			return l.State
		}
	}
	return ""
}

func TestRejectedIsNotProposedAgainWithoutNewEvidence(t *testing.T) {
	card := found(Control, "a", "b", false, "card")
	h := step(nil, []Found{card}, 1)
	if got := stateOf(h, card.ID, 1); got != Proposed {
		t.Fatalf("first it is %s", got)
	}
	no, err := Decide(h[0], Reject, "usr_s", "a family card", 0, false, 2)
	if err != nil {
		t.Fatal(err)
	}
	h = append(h, no)
	for now, evidence := range map[int64][]string{3: {"card"}, 4: {"card"}} {
		if more := Advance(At(h, now, now), []Found{found(Control, "a", "b", false, evidence...)}, nil, "", now); len(more) > 0 {
			t.Errorf("proposed again: %+v", more)
		}
	}
	// The evidence goes and comes back: it is not new.
	h = step(h, nil, 5)
	h = step(h, []Found{card}, 6)
	if got := stateOf(h, card.ID, 6); got != Rejected {
		t.Errorf("it is %s when the evidence comes back", got)
	}
	h = step(h, []Found{found(Control, "a", "b", false, "card", "ssh_key")}, 7)
	if got := stateOf(h, card.ID, 7); got != Proposed {
		t.Errorf("with new evidence it is %s", got)
	}
	// Rejected once more, the first evidence counts as seen still.
	no, err = Decide(h[len(h)-1], Reject, "usr_s", "no", 0, false, 8)
	if err != nil {
		t.Fatal(err)
	}
	h = append(h, no)
	if h = step(h, []Found{card}, 9); stateOf(h, card.ID, 9) != Rejected {
		t.Error("seen evidence was forgotten")
	}
}

// What a person took apart the rules never join again.
func TestSplitIsNeverAutomaticAgain(t *testing.T) {
	tax := found(Identity, "a", "b", true, "tax_id")
	h := step(nil, []Found{tax}, 1)
	out, err := Decide(h[0], TakeOut, "usr_s", "a wrong number", 0, false, 2)
	if err != nil {
		t.Fatal(err)
	}
	h = append(h, out)
	for now := int64(3); now < 6; now++ {
		h = step(h, []Found{found(Identity, "a", "b", true, "tax_id", "lei")}, now)
		if got := stateOf(h, tax.ID, now); got != Proposed {
			t.Errorf("at %d it is %s", now, got)
		}
	}
	if len(h) != 3 {
		t.Errorf("%d records, want 3: %+v", len(h), h)
	}
}

func TestWhoMayDecideWhat(t *testing.T) {
	states := []State{Proposed, Automatic, Pending, Accepted, Rejected, Split, Withdrawn}
	want := map[Verdict]map[State]State{
		Accept:  {Proposed: Accepted, Rejected: Accepted, Split: Accepted, Withdrawn: Accepted},
		Approve: {Pending: Accepted},
		Reject:  {Proposed: Rejected, Pending: Rejected},
		TakeOut: {Automatic: Split, Accepted: Split},
	}
	for v, by := range want {
		for _, s := range states {
			next, err := Decide(Link{State: s}, v, "usr_s", "why", 0, false, 1)
			if (err == nil) != (by[s] != "") || err == nil && next.State != by[s] {
				t.Errorf("%s of %s: %s, %v", v, s, next.State, err)
			}
		}
	}
	if next, err := Decide(Link{State: Proposed}, Accept, "usr_s", "why", 0, true, 1); err != nil || next.State != Pending {
		t.Errorf("a bridge becomes %s, %v", next.State, err)
	}
	if _, err := Decide(Link{State: Proposed}, "perhaps", "usr_s", "why", 0, false, 1); err == nil {
		t.Error("any word is a verdict")
	}
}

// A link whose evidence goes is withdrawn, unless a person accepted it.
func TestEvidenceGoes(t *testing.T) {
	tax, card := found(Identity, "a", "b", true, "tax_id"), found(Control, "a", "c", false, "card")
	h := step(nil, []Found{tax, card}, 1)
	yes, err := Decide(h[slices.IndexFunc(h, func(l Link) bool { return l.ID == card.ID })], Accept, "usr_s", "same board", 0, false, 2)
	if err != nil {
		t.Fatal(err)
	}
	h = step(append(h, yes), nil, 3)
	if a, b := stateOf(h, tax.ID, 3), stateOf(h, card.ID, 3); a != Withdrawn || b != Accepted {
		t.Errorf("they are %s and %s", a, b)
	}
	// It can be asked how it was before.
	if got := stateOf(h, tax.ID, 2); got != Automatic {
		t.Errorf("at 2 it was %s", got)
	}
	if h = step(h, []Found{tax}, 4); stateOf(h, tax.ID, 4) != Automatic {
		t.Error("it does not come back")
	}
}

func TestHeldBack(t *testing.T) {
	pairs := []Found{found(Identity, "a", "b", true, "tax_id"), found(Identity, "c", "d", true, "tax_id")}
	bridge := found(Identity, "b", "c", true, "lei")
	leaf := found(Identity, "d", "e", true, "lei")
	h := step(nil, append(pairs, bridge, leaf), 1)
	if got := stateOf(h, bridge.ID, 1); got != Proposed {
		t.Errorf("the bridge is %s", got)
	}
	if got := stateOf(h, leaf.ID, 1); got != Automatic {
		t.Errorf("the link to one more party is %s", got)
	}
	// The order does not matter: what was a link to one party becomes a bridge.
	h = step(nil, []Found{pairs[0], bridge}, 1)
	if got := stateOf(h, bridge.ID, 1); got != Automatic {
		t.Errorf("to one party it is %s", got)
	}
	h = step(h, append(pairs, bridge), 2)
	if got := stateOf(h, bridge.ID, 2); got != Proposed {
		t.Errorf("between two groups it is %s", got)
	}
	if more := Advance(At(h, 3, 3), append(pairs, bridge), nil, "w 1", 3); len(more) > 0 {
		t.Errorf("looking again records %+v", more)
	}

	// A total that comes over a level by a link waits for a person; what counts
	// already stays when its total grows.
	lifts := func(a, b []ID) bool { return slices.Contains(append(slices.Clone(a), b...), "b") }
	got := Advance(nil, pairs, lifts, "", 1)
	for _, l := range got {
		if want := map[bool]State{true: Proposed, false: Automatic}[l.B == "b"]; l.State != want {
			t.Errorf("%s–%s is %s: %s", l.A, l.B, l.State, l.Needs)
		}
	}
	standing := Advance(nil, pairs, nil, "", 1)
	if more := Advance(standing, pairs, lifts, "", 2); len(more) > 0 {
		t.Errorf("what counts is asked for again: %+v", more)
	}
}

// Bridges are what takes two groups apart, found by trying.
func TestBridges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "parties")
		var links []Link
		for i := range rapid.IntRange(0, 14).Draw(t, "links") {
			a, b := rapid.IntRange(0, n-1).Draw(t, "a"), rapid.IntRange(0, n-1).Draw(t, "b")
			if a != b {
				links = append(links, Link{Found: Found{ID: fmt.Sprint(i), A: ID(rune('a' + a)), B: ID(rune('a' + b))}})
			}
		}
		want := map[string]bool{}
		for i := range links {
			s := newSets()
			for j := range links {
				if j != i {
					s.join(links[j].A, links[j].B)
				}
			}
			if s.find(links[i].A) != s.find(links[i].B) && len(s.members(links[i].A)) >= 2 && len(s.members(links[i].B)) >= 2 {
				want[links[i].ID] = true
			}
		}
		if d := cmp.Diff(want, Bridges(links)); d != "" {
			t.Fatalf("%v (-tried +found):\n%s", links, d)
		}
	})
}

// Links of one request join no two groups that there were, and leave no bridge,
// whatever is asked for in whatever order.
func TestBridgesAmong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "parties")
		next := 0
		draw := func(what string) (links []Link) {
			for range rapid.IntRange(0, 10).Draw(t, what) {
				a, b := rapid.IntRange(0, n-1).Draw(t, "a"), rapid.IntRange(0, n-1).Draw(t, "b")
				if next++; a != b {
					links = append(links, Link{Found: Found{ID: fmt.Sprint(next), A: ID(rune('a' + a)), B: ID(rune('a' + b))}})
				}
			}
			return links
		}
		counting, asked := draw("counting"), draw("asked")
		held := BridgesAmong(counting, asked)
		was, is := newSets(), newSets()
		for _, l := range counting {
			was.join(l.A, l.B)
			is.join(l.A, l.B)
		}
		after := slices.Clone(counting)
		bridges := Bridges(slices.Concat(counting, asked))
		for _, l := range asked {
			if bridges[l.ID] && !held[l.ID] {
				t.Fatalf("%v is the only link among all of %v and %v", l, counting, asked)
			}
			if !held[l.ID] {
				after = append(after, l)
				is.join(l.A, l.B)
			}
		}
		for x := range n {
			for y := range n {
				a, b := ID(rune('a'+x)), ID(rune('a'+y))
				if was.find(a) != was.find(b) && is.find(a) == is.find(b) && len(was.members(a)) >= 2 && len(was.members(b)) >= 2 {
					t.Fatalf("%s and %s came together: %v, asked %v, held %v", a, b, counting, asked, held)
				}
			}
		}
		left := Bridges(after)
		for _, l := range asked {
			if left[l.ID] && !held[l.ID] {
				t.Fatalf("%v is left a bridge: %v, asked %v, held %v", l, counting, asked, held)
			}
		}
	})
	link := func(id string, a, b ID) Link { return Link{Found: Found{ID: id, A: a, B: b}} }
	pairs := []Link{link("ab", "a", "b"), link("cd", "c", "d")}
	for name, c := range map[string]struct {
		counting, asked []Link
		want            map[string]bool
	}{
		"one":                          {pairs, []Link{link("1", "b", "c")}, map[string]bool{"1": true}},
		"two of the same":              {pairs, []Link{link("1", "b", "c"), link("2", "c", "b")}, map[string]bool{"1": true, "2": true}},
		"a ring":                       {pairs, []Link{link("1", "b", "c"), link("2", "a", "d")}, map[string]bool{"1": true, "2": true}},
		"two of the same first of all": {nil, append([]Link{link("1", "b", "c"), link("2", "b", "c")}, pairs...), map[string]bool{"1": true, "2": true}},
		"one more within a group":      {pairs, []Link{link("1", "a", "b")}, map[string]bool{}},
		"to one party":                 {pairs, []Link{link("1", "b", "e"), link("2", "b", "e")}, map[string]bool{}},
		"three of three":               {nil, []Link{link("1", "a", "b"), link("2", "b", "c"), link("3", "c", "a")}, map[string]bool{}},
	} {
		if d := cmp.Diff(c.want, BridgesAmong(c.counting, c.asked)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// No row of requests, one after the other, leaves a link that one person accepted and
// that alone holds two groups together.
func TestNoChainGrowsByOnePerson(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(t, "parties")
		var counting []Link
		next := 0
		for range rapid.IntRange(1, 10).Draw(t, "requests") {
			var asked []Link
			for range rapid.IntRange(1, 3).Draw(t, "links") {
				a, b := rapid.IntRange(0, n-1).Draw(t, "a"), rapid.IntRange(0, n-1).Draw(t, "b")
				if next++; a != b {
					asked = append(asked, Link{Found: Found{ID: fmt.Sprint(next), A: ID(rune('a' + a)), B: ID(rune('a' + b))}, State: Accepted})
				}
			}
			held := BridgesAmong(counting, asked)
			for _, l := range asked {
				if !held[l.ID] {
					counting = append(counting, l)
				}
			}
			ways, _ := waysOf(counting)
			if left := bridgePairs(ways); len(left) > 0 {
				t.Fatalf("%v came by one person: %v, asked %v, held %v", left, counting, asked, held)
			}
		}
	})
	link := func(id string, a, b ID) Link { return Link{Found: Found{ID: id, A: a, B: b}, State: Accepted} }
	chain := []Link{link("ab", "a", "b"), link("bc", "b", "c")}
	with := func(change func(*Link)) []Link {
		all := slices.Clone(chain)
		change(&all[1])
		return all
	}
	for name, c := range map[string]struct {
		counting, asked []Link
		want            map[string]bool
	}{
		"at the end of a chain":          {chain, []Link{link("1", "c", "d")}, map[string]bool{"1": true}},
		"two at its end":                 {chain, []Link{link("1", "c", "d"), link("2", "c", "e")}, map[string]bool{"1": true, "2": true}},
		"at its middle":                  {chain, []Link{link("1", "b", "d")}, map[string]bool{}},
		"a second way to what it adds":   {chain, []Link{link("1", "c", "d"), link("2", "b", "d")}, map[string]bool{}},
		"where two links hold the end":   {append(slices.Clone(chain), link("bc2", "c", "b")), []Link{link("1", "c", "d")}, map[string]bool{"1": true}},
		"elsewhere":                      {chain, []Link{link("1", "x", "y")}, map[string]bool{}},
		"behind what the rules decided":  {with(func(l *Link) { l.State = Automatic }), []Link{link("1", "c", "d")}, map[string]bool{}},
		"behind what follows from owner": {with(func(l *Link) { l.Directed = true }), []Link{link("1", "c", "d")}, map[string]bool{}},
		"a chain of two":                 {chain[:1], []Link{link("1", "b", "d")}, map[string]bool{}},
	} {
		if d := cmp.Diff(c.want, BridgesAmong(c.counting, c.asked)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// Whatever comes, advancing twice records nothing the second time, and what
// people said stays.
func TestAdvanceSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var history []Link
		draw := func() (all []Found) {
			seen := map[string]bool{}
			for range rapid.IntRange(0, 8).Draw(t, "found") {
				a, b := rapid.IntRange(0, 5).Draw(t, "a"), rapid.IntRange(0, 5).Draw(t, "b")
				f := found(rapid.SampledFrom(Classes).Draw(t, "class"), ID(rune('a'+min(a, b))), ID(rune('a'+max(a, b))), rapid.Bool().Draw(t, "automatic"), rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 1, 3, rapid.ID).Draw(t, "evidence")...)
				if a != b && !seen[f.ID] {
					seen[f.ID] = true
					all = append(all, f)
				}
			}
			return all
		}
		var last []Found
		for now := int64(1); now < 6; now++ {
			last = draw()
			before := At(history, now, now)
			history = step(history, last, now)
			for _, l := range before {
				if (l.State == Accepted || l.State == Pending) && stateOf(history, l.ID, now) != l.State {
					t.Fatalf("%s was %s", l.ID, l.State)
				}
			}
			if all := At(history, now, now); len(all) > 0 {
				l := all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
				if next, err := Decide(l, rapid.SampledFrom([]Verdict{Accept, Reject, TakeOut, Approve}).Draw(t, "verdict"), "usr", "r", 0, rapid.Bool().Draw(t, "bridge"), now); err == nil {
					history = append(history, next)
				}
			}
		}
		history = step(history, last, 7)
		if more := Advance(At(history, 8, 8), last, nil, "w 1", 8); len(more) > 0 {
			t.Fatalf("a second look records %+v", more)
		}
	})
}
