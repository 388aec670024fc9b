package control

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// world is a truth, and what is known of it: intervals that hold the truth.
type world struct {
	truth, known []Interest
}

func drawWorld(t *rapid.T) world {
	n := rapid.IntRange(2, 7).Draw(t, "parties")
	var w world
	for s := range n {
		for _, kind := range []Kind{Shares, Votes} {
			left := int32(Whole)
			for o := range n + 1 {
				if o == s || !rapid.Bool().Draw(t, "holds") {
					continue
				}
				// Coarse shares meet the lines exactly; what is left may be all.
				part := rapid.SampledFrom([]int32{0, 1, 250_000, 333_333, 500_000, 999_999, int32(Whole)}).Draw(t, "share")
				part = min(part, left)
				left -= part
				owner := ID(fmt.Sprint("p", o))
				if o == n {
					owner = Undisclosed
				}
				i := Interest{Owner: owner, Subject: ID(fmt.Sprint("p", s)), Kind: kind, Low: Share(part), High: Share(part)}
				w.truth = append(w.truth, i)
				if rapid.Bool().Draw(t, "vague") {
					i.Low = Share(rapid.Int32Range(0, part).Draw(t, "low"))
					i.High = Share(rapid.Int32Range(part, int32(Whole)).Draw(t, "high"))
				}
				w.known = append(w.known, i)
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "power") == 0 {
			o := (s + 1 + rapid.IntRange(0, n-2).Draw(t, "by")) % n
			i := Interest{Owner: ID(fmt.Sprint("p", o)), Subject: ID(fmt.Sprint("p", s)), Kind: Power, Low: Whole, High: Whole}
			w.truth = append(w.truth, i)
			if rapid.Bool().Draw(t, "vague") {
				i.Low = 0
			}
			w.known = append(w.known, i)
		}
	}
	return w
}

func build(t *rapid.T, all []Interest) *Graph {
	g, err := New(Defaults, all)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const slack = 1e-9

func TestIntervalsHoldEveryCompletion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		truth, known := build(t, w.truth), build(t, w.known)
		for _, s := range truth.Parties() {
			have := map[ID]Standing{}
			for _, x := range known.Owners(s).Standings {
				have[x.Owner] = x
			}
			for _, x := range truth.Owners(s).Standings {
				y, there := have[x.Owner]
				if !there {
					t.Fatalf("%s is above %s, and not known to be able to", x.Owner, s)
				}
				if x.Effective.High-x.Effective.Low > slack {
					t.Fatalf("all shares are known, and %s of %s is %v", x.Owner, s, x.Effective)
				}
				if x.Effective.Low < y.Effective.Low-slack || x.Effective.High > y.Effective.High+slack {
					t.Fatalf("effective of %s in %s: %v is not within %v", x.Owner, s, x.Effective, y.Effective)
				}
				if x.Together.Low < y.Together.Low-slack || x.Together.High > y.Together.High+slack {
					t.Fatalf("together of %s in %s: %v is not within %v", x.Owner, s, x.Together, y.Together)
				}
				if y.Owns != Unknown && y.Owns != x.Owns || y.Controls != Unknown && y.Controls != x.Controls {
					t.Fatalf("of %s in %s known is owns %s, controls %s; true is %s, %s", x.Owner, s, y.Owns, y.Controls, x.Owns, x.Controls)
				}
			}
		}
	})
}

// The part is what walking the shares step by step comes to.
func TestEffectiveIsTheFixedPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := build(t, drawWorld(t).known)
		for o, owner := range g.ids {
			got := g.Effective(owner)
			for _, most := range []bool{false, true} {
				walked, last := make([]float64, len(g.ids)), make([]float64, len(g.ids))
				for range 600 {
					copy(last, walked)
					for s := range g.ids {
						walked[s] = value(g.shares(s, g.owners[Shares][s], last, most), last)
					}
					walked[o] = 1
				}
				for s, id := range g.ids {
					if s == o {
						continue
					}
					v := got[id].Low
					if most {
						v = got[id].High
					}
					// From below: a near circle may not have arrived yet.
					if v < walked[s]-slack || v > 1 || (v > walked[s]+slack && walked[s]-last[s] < 1e-14 && walked[s] > 0 && !slow(g)) {
						t.Fatalf("%s of %s (most %v): solved %v, walked %v", owner, id, most, v, walked[s])
					}
				}
			}
		}
	})
}

// slow reports whether a subject gives nearly all to others, so that walking
// takes longer than the test does.
func slow(g *Graph) bool {
	for _, owners := range g.owners[Shares] {
		for _, e := range owners {
			if e.high > 990_000 && e.node != 0 {
				return true
			}
		}
	}
	return false
}

// What is solved is a solution, whatever the circles.
func TestEffectiveSolvesItsEquation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := build(t, drawWorld(t).known)
		for o, owner := range g.ids {
			got := g.Effective(owner)
			for _, most := range []bool{false, true} {
				part := make([]float64, len(g.ids))
				for s, id := range g.ids {
					part[s] = got[id].Low
					if most {
						part[s] = got[id].High
					}
				}
				part[o] = 1
				for s := range g.ids {
					if v := value(g.shares(s, g.owners[Shares][s], part, most), part); s != o && (v < part[s]-slack || v > part[s]+slack) {
						t.Fatalf("%s of %s (most %v): %v, its owners make it %v", owner, g.ids[s], most, part[s], v)
					}
				}
			}
		}
	})
}

func TestKnowingMoreNarrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		if len(w.known) == 0 {
			return
		}
		vague := build(t, w.known)
		i := rapid.IntRange(0, len(w.known)-1).Draw(t, "learned")
		learned := append([]Interest{}, w.known...)
		learned[i] = w.truth[i]
		sharp := build(t, learned)
		for _, owner := range sharp.Parties() {
			was := vague.Effective(owner)
			for s, now := range sharp.Effective(owner) {
				if now.Low < was[s].Low-slack || now.High > was[s].High+slack {
					t.Fatalf("%s of %s widened from %v to %v", owner, s, was[s], now)
				}
			}
			for _, m := range vague.Group(owner, false).Members {
				if !sharp.Group(owner, false).Has(m.Party) {
					t.Fatalf("%s no longer controls %s", owner, m.Party)
				}
			}
			for _, m := range sharp.Group(owner, true).Members {
				if !vague.Group(owner, true).Has(m.Party) {
					t.Fatalf("%s may now control %s", owner, m.Party)
				}
			}
		}
	})
}

// Holding more never takes a party out of the group.
func TestGroupIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		if len(w.truth) == 0 {
			return
		}
		all := build(t, w.truth)
		i := rapid.IntRange(0, len(w.truth)-1).Draw(t, "sold")
		less := build(t, append(append([]Interest{}, w.truth[:i]...), w.truth[i+1:]...))
		for _, owner := range less.Parties() {
			more := all.Group(owner, false)
			for _, m := range less.Group(owner, false).Members {
				if !more.Has(m.Party) {
					t.Fatalf("%s controls %s only without %v", owner, m.Party, w.truth[i])
				}
			}
		}
	})
}

// Each member is there because of holders that were there before it, and
// nobody is left out whom the group holds.
func TestGroupCanBeReplayed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := build(t, drawWorld(t).known)
		for _, owner := range g.Parties() {
			group := g.Group(owner, false)
			inside := map[ID]bool{owner: true}
			for _, m := range group.Members {
				if inside[m.Party] {
					t.Fatalf("%s joins %s twice", m.Party, owner)
				}
				for _, h := range m.Holders {
					if !inside[h] {
						t.Fatalf("%s joins %s by %s, who is not in it", m.Party, owner, h)
					}
				}
				inside[m.Party] = true
			}
			for s, id := range g.ids {
				for k := range kinds {
					held := int64(0)
					for _, e := range g.owners[k][s] {
						if inside[g.ids[e.node]] {
							held += int64(e.low)
						}
					}
					if !inside[id] && (k == Power && held > 0 || held >= int64(Defaults.Cascade)) {
						t.Fatalf("%s has %d of %s, which is not in its group", owner, held, id)
					}
				}
			}
		}
	})
}

func TestOrderOfInterestsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		a := build(t, w.known)
		mixed := append([]Interest{}, w.known...)
		r := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "order")))
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		b := build(t, mixed)
		if !reflect.DeepEqual(a.Groups(), b.Groups()) {
			t.Fatal("other groups")
		}
		for _, s := range a.Parties() {
			if x, y := a.Owners(s), b.Owners(s); !reflect.DeepEqual(x, y) {
				t.Fatalf("%s: %+v and %+v", s, x, y)
			}
		}
	})
}

// Groups are the groups of all owners, less those that are part of another.
func TestGroupsLeaveNobodyOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := build(t, drawWorld(t).known)
		groups := g.Groups()
		for _, owner := range g.Parties() {
			for _, m := range g.Group(owner, false).Members {
				found := 0
				for _, x := range groups {
					if (x.Owner == owner || x.Has(owner)) && (x.Owner == m.Party || x.Has(m.Party)) {
						found++
					}
				}
				if found == 0 {
					t.Fatalf("no group has both %s and %s, whom it controls", owner, m.Party)
				}
			}
		}
	})
}
