package resolve

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

func owners(customers ...string) (out []Owner) {
	for _, c := range customers {
		out = append(out, Owner{Account: "acc-" + c, Customer: "cus_" + c, Party: ID(c)})
	}
	return out
}

func link(class Class, state State, a, b ID, at int64, evidence ...string) Link {
	return Link{Found: found(class, a, b, false, evidence...), State: state, RecordedNS: at}
}

func accounts(sets []Set) (out [][]string) {
	for _, s := range sets {
		out = append(out, s.Accounts)
	}
	slices.SortFunc(out, slices.Compare)
	return out
}

// Three shells at 40 % each share a card: together they are at 120 % for review,
// and in law only once somebody accepts the links. Without the card they fall
// apart.
func TestThreeShells(t *testing.T) {
	var links []Link
	for _, p := range [][2]ID{{"a", "b"}, {"a", "c"}, {"b", "c"}} {
		links = append(links, link(Coordination, Automatic, p[0], p[1], 1, "card"), link(Control, Proposed, p[0], p[1], 1, "card"))
	}
	totals := map[string]compute.Bounds{"acc-a": compute.Exactly(40), "acc-b": compute.Exactly(40), "acc-c": compute.Exactly(40)}
	best := func(g *Grouping, level Level) (most compute.Operations) {
		for _, s := range g.Sets(level) {
			most = max(most, s.Sum(totals).Best)
		}
		return most
	}
	before := NewGrouping(owners("a", "b", "c"), At(links, 2, 2))
	if best(before, ByIdentity) != 40 || best(before, ByControl) != 40 || best(before, ByMeans) != 120 {
		t.Errorf("before: %d, %d, %d", best(before, ByIdentity), best(before, ByControl), best(before, ByMeans))
	}
	for i, l := range links {
		if l.Class == Control && i < 4 { // two of the three are enough
			next, err := Decide(l, Accept, "usr_s", "one director signs for all", 0, false, 3)
			if err != nil {
				t.Fatal(err)
			}
			links = append(links, next)
		}
	}
	after := NewGrouping(owners("a", "b", "c"), At(links, 4, 4))
	if best(after, ByIdentity) != 40 || best(after, ByControl) != 120 {
		t.Errorf("after: %d, %d", best(after, ByIdentity), best(after, ByControl))
	}
	set := after.Sets(ByControl)[0]
	w, more := after.Counterfactuals(set, totals)
	if more || len(w) != 3 {
		t.Fatalf("counterfactuals %+v", w)
	}
	if w[0].Evidence != "card card" || w[0].Left.Best != 40 || len(w[0].Parts) != 3 || w[1].Left.Best != 80 {
		t.Errorf("without the card and without a link: %+v", w)
	}
	// What was known before can be asked still.
	then := NewGrouping(owners("a", "b", "c"), At(links, 4, 2))
	if best(then, ByControl) != 40 {
		t.Error("the past has changed")
	}
}

// A joint venture counts with both its owners, who are not taken together for it.
func TestJointVenture(t *testing.T) {
	stakes := []Stake{}
	for _, s := range []string{"p jv", "q jv", "p x", "q y"} {
		var o, sub string
		_, err := fmt.Sscan(s, &o, &sub)
		if err != nil {
			t.Fatal(err)
		}
		stakes = append(stakes, Stake{control.Interest{Source: s, Owner: control.ID(o), Subject: control.ID(sub), Low: 500_000, High: 500_000}, true})
	}
	s, err := NewStructure(control.Defaults, stakes, nil)
	if err != nil {
		t.Fatal(err)
	}
	links := Advance(nil, s.Links(), nil, "", 1)
	g := NewGrouping(owners("p", "q", "jv", "x", "y"), At(links, 2, 2))
	want := [][]string{{"acc-jv", "acc-p", "acc-x"}, {"acc-jv", "acc-q", "acc-y"}}
	if d := cmp.Diff(want, accounts(g.Sets(ByControl))); d != "" {
		t.Errorf("control (-want +got):\n%s", d)
	}
	ids := map[string]bool{}
	for _, s := range g.Sets(ByControl) {
		ids[s.ID] = true
	}
	if len(ids) != 2 || len(g.Of("acc-jv", ByControl)) != 2 {
		t.Errorf("sets %v, of the venture %d", ids, len(g.Of("acc-jv", ByControl)))
	}
}

func stake(owner, subject string, percent int, verified bool) Stake {
	n := control.Share(percent * 10_000)
	return Stake{control.Interest{Source: owner + ">" + subject, Owner: control.ID(owner), Subject: control.ID(subject), Low: n, High: n}, verified}
}

func TestOwnershipLinks(t *testing.T) {
	one := []Link{link(Identity, Automatic, "boss", "boss2", 1, "document"), link(Identity, Automatic, "s1", "s1b", 1, "tax_id")}
	for name, c := range map[string]struct {
		stakes   []Stake
		identity []Link
		want     []string
	}{
		"a majority":                      {[]Stake{stake("boss", "s1", 60, true)}, nil, []string{"boss>s1 automatic"}},
		"a majority that is only stated":  {[]Stake{stake("boss", "s1", 60, false)}, nil, []string{"boss>s1"}},
		"a minority":                      {[]Stake{stake("boss", "s1", 49, true)}, nil, nil},
		"down two steps":                  {[]Stake{stake("boss", "s1", 60, true), stake("s1", "s2", 51, true)}, nil, []string{"boss>s1 automatic", "boss>s2 automatic"}},
		"held together":                   {[]Stake{stake("boss", "s1", 60, true), stake("s1", "s2", 30, true), stake("boss", "s2", 30, true)}, nil, []string{"boss>s1 automatic", "boss>s2 automatic"}},
		"in a circle":                     {[]Stake{stake("s1", "s2", 60, true), stake("s2", "s1", 30, true), stake("boss", "s1", 60, true)}, nil, []string{"boss>s1 automatic", "boss>s2 automatic"}},
		"two names of one owner":          {[]Stake{stake("boss", "s1", 30, true), stake("boss2", "s1", 30, true)}, one, []string{"boss>s1 automatic"}},
		"two names of two owners":         {[]Stake{stake("boss", "s1", 30, true), stake("boss2", "s1", 30, true)}, nil, nil},
		"two records of one subject":      {[]Stake{stake("boss", "s1", 60, true), stake("boss", "s1b", 60, true)}, one, []string{"boss>s1 automatic"}},
		"two records are not added up":    {[]Stake{stake("boss", "s1", 30, true), stake("boss", "s1b", 30, true)}, one, nil},
		"one that is one with its owner":  {[]Stake{stake("s1", "s1b", 100, true)}, one, nil},
		"partly verified is partly known": {[]Stake{stake("boss", "s1", 30, true), stake("boss", "s1", 30, false)}, nil, []string{"boss>s1"}},
	} {
		s, err := NewStructure(control.Defaults, c.stakes, c.identity)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range s.Links() {
			word := string(f.A) + ">" + string(f.B)
			if f.Automatic {
				word += " automatic"
			}
			got = append(got, word)
		}
		slices.Sort(got)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// RAND's worked case in small: twelve accounts, five of one owner, all with one
// payer and image. The owner's five count together; all twelve are for review.
func TestTwelveAccounts(t *testing.T) {
	r := NewRegister(DefaultWeights())
	h := NewHasher(make([]byte, 32))
	var stakes []Stake
	var names []string
	for i := range 12 {
		id := fmt.Sprintf("shell%02d", i)
		names = append(names, id)
		rec := Record{Party: ID(id), Customer: "cus_" + id, Names: h.Names("Made up "+id, false), Countries: []string{"SG"}}
		for _, v := range [][2]string{{"card", "4000111122223339"}, {"image", "sha256:7c1e"}} {
			x, ok := h.Identifier(Kind(v[0]), "", v[1], "")
			if !ok {
				t.Fatal(v)
			}
			rec.Identifiers = append(rec.Identifiers, x)
		}
		r.Put(rec)
		if i < 5 {
			stakes = append(stakes, stake("boss", id, 75, true))
		}
	}
	s, err := NewStructure(control.Defaults, stakes, nil)
	if err != nil {
		t.Fatal(err)
	}
	links := Advance(nil, append(r.Links(), s.Links()...), nil, "", 1)
	g := NewGrouping(owners(names...), At(links, 2, 2))
	five, twelve := g.Of("acc-shell03", ByControl), g.Of("acc-shell03", ByMeans)
	if len(five) != 1 || len(five[0].Accounts) != 5 || five[0].Root != "boss" {
		t.Errorf("by owner: %+v", five)
	}
	if len(twelve) != 1 || len(twelve[0].Accounts) != 12 {
		t.Fatalf("by means: %+v", twelve)
	}
	l, ok := g.Link(twelve[0].Links[0])
	if !ok || len(l.Evidence) == 0 {
		t.Errorf("link %+v", l)
	}
}

// How a set grew, replayed, gives the set, at any past time; and a counterfactual
// never gives more than there is.
func TestClustersReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "e", "f"}
		totals := map[string]compute.Bounds{}
		for _, n := range names {
			totals["acc-"+n] = compute.Exactly(compute.Operations(rapid.Int64Range(0, 50).Draw(t, "operations")))
		}
		var history []Link
		for now := range rapid.Int64Range(1, 15).Draw(t, "records") {
			a, b := rapid.SampledFrom(names).Draw(t, "a"), rapid.SampledFrom(names).Draw(t, "b")
			if a == b {
				continue
			}
			l := link(rapid.SampledFrom(Classes).Draw(t, "class"), rapid.SampledFrom([]State{Automatic, Accepted, Proposed, Split}).Draw(t, "state"), ID(min(a, b)), ID(max(a, b)), now+1, rapid.SampledFrom([]string{"card", "email"}).Draw(t, "evidence"))
			if l.Directed = l.Class == Control && rapid.Bool().Draw(t, "directed"); l.Directed {
				l.ID += "d"
			}
			history = append(history, l)
		}
		at := rapid.Int64Range(0, 16).Draw(t, "at")
		g := NewGrouping(owners(names...), At(history, at, at))
		for _, level := range Levels {
			covered := map[string]bool{}
			for _, s := range g.Sets(level) {
				for _, account := range s.Accounts {
					covered[account] = true
				}
				merged := newSets()
				for _, m := range g.Merges(s) {
					if merged.find(m.A[0]) == merged.find(m.B[0]) {
						t.Fatalf("a step that joins nothing: %+v", m)
					}
					merged.join(m.A[0], m.B[0])
				}
				for _, p := range s.Parties {
					if merged.find(p) != merged.find(s.Parties[0]) && level != ByReseller {
						t.Fatalf("%s: %v is not joined by %v", level, s.Parties, g.Merges(s))
					}
				}
				whole := s.Sum(totals)
				all, _ := g.Counterfactuals(s, totals)
				for _, w := range all {
					if w.Left.Best > whole.Best || len(w.Parts) < 1 {
						t.Fatalf("without %s%s: %d of %d", w.Link, w.Evidence, w.Left.Best, whole.Best)
					}
				}
			}
			if level != ByReseller && len(covered) != len(names) {
				t.Fatalf("%s leaves out accounts: %v", level, covered)
			}
		}
		// Wider levels take more together.
		for _, s := range g.Sets(ByIdentity) {
			if s.Many() && len(g.Of(s.Accounts[0], ByMeans)[0].Accounts) < len(s.Accounts) {
				t.Fatal("coordination is narrower than identity")
			}
		}
	})
}
