package control

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// interests reads "owner>subject 40", "a>b 10..30", "a>b votes 60", "a>b power"
// and "a>b power?" (possible only), in percent.
func interests(t testing.TB, lines ...string) (all []Interest) {
	t.Helper()
	for _, line := range lines {
		words := strings.Fields(line)
		owner, subject, _ := strings.Cut(words[0], ">")
		n := Interest{Source: line, Owner: ID(owner), Subject: ID(subject)}
		switch words[1] {
		case "power":
			n.Kind, n.Low, n.High = Power, Whole, Whole
		case "power?":
			n.Kind, n.High = Power, Whole
		case "votes":
			n.Kind = Votes
		}
		if n.Kind != Power {
			low, high, ranged := strings.Cut(words[len(words)-1], "..")
			if !ranged {
				high = low
			}
			n.Low, n.High = percent(t, low), percent(t, high)
		}
		all = append(all, n)
	}
	return all
}

func percent(t testing.TB, s string) Share {
	t.Helper()
	whole, part, _ := strings.Cut(s, ".")
	n := Share(0)
	for _, r := range whole + (part + "0000")[:4] {
		n = n*10 + Share(r-'0')
	}
	return n
}

func graph(t testing.TB, lines ...string) *Graph {
	t.Helper()
	g, err := New(Defaults, interests(t, lines...))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestEffectiveShare(t *testing.T) {
	for _, c := range []struct {
		name      string
		lines     []string
		owner, of ID
		low, high float64
	}{
		{"direct", []string{"a>s 30"}, "a", "s", .3, .3},
		{"two steps", []string{"a>b 60", "b>s 50"}, "a", "s", .3, .3},
		{"two paths", []string{"a>b 60", "b>s 50", "a>s 10"}, "a", "s", .4, .4},
		{"nothing", []string{"a>b 60", "c>s 50"}, "a", "s", 0, 0},
		{"unknown share", []string{"a>s 0..100"}, "a", "s", 0, 1},
		{"unknown beside known", []string{"a>s 0..100", "b>s 60"}, "a", "s", 0, .4},
		{"unknown above", []string{"a>b 0..100", "b>s 50"}, "a", "s", 0, .5},
		{"lots add up", []string{"a>s 10", "a>s 15"}, "a", "s", .25, .25},
		{"circle below", []string{"a>b 50", "c>b 50", "b>c 50"}, "a", "c", 1. / 3, 1. / 3},
		{"through a circle", []string{"a>b 50", "c>b 50", "b>c 50"}, "a", "b", 2. / 3, 2. / 3},
		{"three of a circle", []string{"a>x 10", "x>y 90", "y>z 90", "z>x 90"}, "a", "z", .081 / (1 - .729), .081 / (1 - .729)},
		{"circle that owns itself", []string{"b>c 100", "c>b 100"}, "b", "c", 1, 1},
		{"outside a closed circle", []string{"b>c 100", "c>b 100", "a>d 10", "b>d 90"}, "a", "c", 0, 0},
		{"almost closed circle", []string{"a>b 0.0001", "c>b 99.9999", "b>c 100"}, "a", "c", 1, 1},
		{"circle of unknown shares", []string{"a>b 0..50", "c>b 0..100", "b>c 0..100"}, "a", "c", 0, 1},
		{"equal ways out of a circle", []string{"o>x 50", "x>a 0..100", "b>a 0..100", "a>b 0..100", "x>b 0..100"}, "o", "a", 0, .5},
		{"does not pass through itself", []string{"a>b 50", "b>a 50", "b>s 100"}, "a", "s", .5, .5},
		{"more than all", []string{"a>s 70", "b>s 60"}, "a", "s", 0, .7},
		{"power is no share", []string{"a>b power", "b>s 50"}, "a", "s", 0, 0},
		{"rest is of nobody named", []string{"a>b 60", "b>s 50"}, Undisclosed, "s", .7, .7},
		{"unknown owner", []string{">s 20..50", "a>s 40"}, Undisclosed, "s", .6, .6},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := graph(t, c.lines...).Effective(c.owner)[c.of]
			if !near(got.Low, c.low) || !near(got.High, c.high) {
				t.Errorf("got %v to %v, want %v to %v", got.Low, got.High, c.low, c.high)
			}
		})
	}
}

func TestGroup(t *testing.T) {
	for _, c := range []struct {
		name              string
		lines             []string
		certain, possible []ID
	}{
		{"half", []string{"a>s 50"}, []ID{"s"}, []ID{"s"}},
		{"just below half", []string{"a>s 49.9999"}, nil, nil},
		{"cascade", []string{"a>b 50", "b>s 50"}, []ID{"b", "s"}, []ID{"b", "s"}},
		{"aggregate", []string{"a>b 60", "a>c 60", "b>s 30", "c>s 20"}, []ID{"b", "c", "s"}, []ID{"b", "c", "s"}},
		{"votes", []string{"a>s votes 51", "b>s 100"}, []ID{"s"}, []ID{"s"}},
		{"power", []string{"a>s power"}, []ID{"s"}, []ID{"s"}},
		{"possible power", []string{"a>s power?"}, nil, []ID{"s"}},
		{"unknown share", []string{"a>s 0..100"}, nil, []ID{"s"}},
		{"others have too much", []string{"a>s 0..100", "b>s 50.0001"}, nil, nil},
		{"others leave half", []string{"a>s 0..100", "b>s 50"}, nil, []ID{"s"}},
		{"others leave too little to all", []string{"a>b 100", "a>c 100", "b>s 0..40", "c>s 0..40", "d>s 60"}, []ID{"b", "c"}, []ID{"b", "c"}},
		{"circle lifts nobody", []string{"a>b 40", "c>b 60", "b>c 60"}, nil, nil},
		{"circle entered", []string{"a>b 50", "c>b 50", "b>c 50"}, []ID{"b", "c"}, []ID{"b", "c"}},
		{"unknown owner is no step", []string{">b 100", "b>s 60"}, nil, nil},
		{"shares and votes do not add up", []string{"a>s 30", "a>s votes 30"}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph(t, c.lines...)
			for _, want := range []struct {
				possible bool
				ids      []ID
			}{{false, c.certain}, {true, c.possible}} {
				var got []ID
				for _, m := range g.Group("a", want.possible).Members {
					got = append(got, m.Party)
				}
				if !slices.Equal(got, want.ids) {
					t.Errorf("possible %v: got %v, want %v", want.possible, got, want.ids)
				}
			}
		})
	}
}

func TestGroupTellsWhy(t *testing.T) {
	got := graph(t, "a>b 60", "a>c power", "b>s 30", "c>s 25", "d>s 45").Group("a", false)
	want := Group{Owner: "a", Members: []Member{
		{"b", Shares, []ID{"a"}, Interval{.6, .6}},
		{"c", Power, []ID{"a"}, Interval{1, 1}},
		{"s", Shares, []ID{"b", "c"}, Interval{.55, .55}},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestGroupsOfTheHighestOwners(t *testing.T) {
	g := graph(t, "a>b 60", "b>s 70", "x>y 60", "y>x 60", "j>v 50", "k>v 50", "m>n 10")
	got := map[ID][]ID{}
	for _, group := range g.Groups() {
		for _, m := range group.Members {
			got[group.Owner] = append(got[group.Owner], m.Party)
		}
	}
	if d := cmp.Diff(map[ID][]ID{"a": {"b", "s"}, "x": {"y"}, "j": {"v"}, "k": {"v"}}, got); d != "" {
		t.Error(d)
	}
}

func TestOwnersByBothLimbs(t *testing.T) {
	for _, c := range []struct {
		name           string
		lines          []string
		owns, controls Answer
		beneficial     Answer
		ultimate, more bool
	}{
		{"a quarter", []string{"p>s 25", "q>s 75"}, Yes, No, Yes, true, false},
		{"below a quarter", []string{"p>s 24.9999", "q>s 75.0001"}, No, No, No, true, false},
		{"room for another owner", []string{"p>s 25", "q>s 50"}, Yes, No, Yes, true, true},
		{"control alone", []string{"p>s power", "q>s 100"}, No, Yes, Yes, true, false},
		{"not known", []string{"p>s 0..100", "q>s 40"}, Unknown, Unknown, Unknown, true, true},
		{"a quarter through what it controls", []string{"p>h 51", "x>h 49", "h>s 30", "q>s 70"}, Yes, No, Yes, true, false},
		{"a quarter through what it does not control", []string{"p>h 49", "x>h 51", "h>s 50", "q>s 50"}, No, No, No, true, false},
		{"not ultimate", []string{"z>p 100", "p>s 60", "q>s 40"}, Yes, Yes, Yes, false, false},
		{"circle at the top", []string{"z>p 100", "p>z 100", "p>s 60", "q>s 40"}, Yes, Yes, Yes, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := graph(t, c.lines...).Owners("s")
			i := slices.IndexFunc(r.Standings, func(s Standing) bool { return s.Owner == "p" })
			if i < 0 {
				t.Fatal("p is not above s")
			}
			s := r.Standings[i]
			if s.Owns != c.owns || s.Controls != c.controls || s.Beneficial() != c.beneficial || s.Ultimate != c.ultimate || r.More != c.more {
				t.Errorf("got %+v, more %v", s, r.More)
			}
		})
	}
}

func TestWhatIsNoInterest(t *testing.T) {
	for _, c := range []struct {
		name string
		n    Interest
		want string
	}{
		{"own owner", Interest{Source: "r1", Owner: "a", Subject: "a", High: 1}, "interest 2 (r1): a cannot own itself"},
		{"above the whole", Interest{Source: "r1", Owner: "a", Subject: "s", High: Whole + 1}, "interest 2 (r1): share 0 to 1000001 is not within 0 to 1000000"},
		{"below nothing", Interest{Source: "r1", Owner: "a", Subject: "s", Low: -1}, "interest 2 (r1): share -1 to 0 is not within 0 to 1000000"},
		{"low above high", Interest{Source: "r1", Owner: "a", Subject: "s", Low: 2, High: 1}, "interest 2 (r1): share 2 to 1 is not within 0 to 1000000"},
		{"no subject", Interest{Source: "r1", Owner: "a"}, "interest 2 (r1): has no subject"},
		{"no kind", Interest{Source: "r1", Owner: "a", Subject: "s", Kind: kinds}, "interest 2 (r1): kind 3 is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(Defaults, []Interest{{Owner: "x", Subject: "y"}, c.n})
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestContradiction(t *testing.T) {
	g := graph(t, "a>s 70", "b>s 60", "a>s votes 50")
	got := g.Contradictions()
	if len(got) != 1 || got[0].Error() != "shares of s: at least 130.0000 % are stated, more than there are" {
		t.Errorf("got %v", got)
	}
	if r := g.Owners("s"); r.Standings[0].Controls != Yes { // by the votes
		t.Errorf("got %+v", r.Standings[0])
	}
}

func TestPaths(t *testing.T) {
	g := graph(t, "a>b 60", "b>s 50", "a>s 10", "a>c power", "c>s 40", "b>a 30")
	got, more := g.Paths("a", "s", 2)
	want := []Path{
		{[]ID{"a", "c", "s"}, Interval{0, .4}, true},
		{[]ID{"a", "b", "s"}, Interval{.3, .3}, false},
	}
	if d := cmp.Diff(want, got); d != "" || !more {
		t.Errorf("more %v %s", more, d)
	}
	if all, more := g.Paths("a", "s", 10); len(all) != 3 || more {
		t.Errorf("got %v, more %v", all, more)
	}
}
