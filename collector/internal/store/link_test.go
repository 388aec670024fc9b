package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// controlled has one rule about customers, which takes together what one controls,
// and whose crossing starts a clock. t1 does 1,390 and t2 1,000 giga-operations.
func controlled(t testing.TB) []*policy.Pack {
	t.Helper()
	p, err := policy.Read("clocked.yaml", []byte(`id: clocked
version: 1
title: Clocked
effective: always
citation: made up
status: internal
clocks: [{id: report, title: Report, citation: made up, basis: known, days: 15, zone: UTC}]
rules:
  - {id: customer, title: A customer, citation: line 2, measure: customer_operations, threshold: "2e12", warn_percent: [], applies_to: [foreign, undetermined], aggregate: control, clock: report}
`))
	if err != nil {
		t.Fatal(err)
	}
	return []*policy.Pack{p}
}

func shell(id string, tenants ...measure.TenantID) []party.Change {
	return []party.Change{
		{Object: party.Party{ID: "p-" + id, Form: party.Organisation, Incorporation: party.Is("HK")}},
		{Object: party.Contract{ID: "cus_" + id, Party: "p-" + id}, Name: "Shell " + id},
		{Object: party.Account{ID: "acc_" + id, Customer: "cus_" + id, Tenants: tenants}},
	}
}

func card(id, hash string) party.Change {
	return party.Change{Object: party.Identifier{ID: "idf-" + id, Party: "p-" + id, Type: party.Card, Hash: hash}}
}

func record(t testing.TB, s *Store, changes ...party.Change) {
	t.Helper()
	if _, err := s.RecordParties(t.Context(), changes, nil, false); err != nil {
		t.Fatal(err)
	}
}

func linksOf(t testing.TB, s *Store, class resolve.Class) []desk.Link {
	t.Helper()
	all := must(t, func(ctx context.Context) ([]desk.Link, error) {
		return NewReader(s, "", false).Links(ctx, time.Time{}, time.Time{})
	})
	return slices.DeleteFunc(all, func(l desk.Link) bool { return l.Class != class })
}

func levelsOf(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	for _, f := range findings(t, s) {
		out = append(out, f.Level+" of "+f.Subject[:4])
	}
	slices.Sort(out)
	return out
}

// Two shells with one card could have crossed together: that is for review. Once
// somebody accepts the link the total counts and the clock runs, with who said
// so and why.
func TestAcceptedLinkStartsTheClock(t *testing.T) {
	clock := noon
	s := openAt(t, func() time.Time { return clock })
	record(t, s, slices.Concat(shell("a", "t1"), shell("b", "t2"), []party.Change{card("a", "h1"), card("b", "h1")})...)
	d := NewDeriver(s, controlled(t), s.opts.Now)
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	proposed := linksOf(t, s, resolve.Control)
	if len(proposed) != 1 || proposed[0].State != resolve.Proposed || proposed[0].Evidence[0].Name != "card" || proposed[0].Bridge {
		t.Fatalf("control links %+v", proposed)
	}
	if got := linksOf(t, s, resolve.Coordination); len(got) != 1 || got[0].State != resolve.Automatic {
		t.Errorf("coordination links %+v", got)
	}
	// High is far above the line for each alone, best is for neither.
	alone := []string{"possible crossing of cus_", "possible crossing of cus_", "review of clu_"}
	if d := cmp.Diff(alone, levelsOf(t, s)); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	cases := func() []desk.Case {
		return must(t, func(ctx context.Context) ([]desk.Case, error) { return NewReader(s, "", false).Cases(ctx) })
	}
	if got := cases(); len(got) != 0 {
		t.Errorf("a review opened %+v", got)
	}

	clock = noon.Add(time.Hour)
	if _, err := s.DecideLinks(t.Context(), []string{proposed[0].ID}, resolve.Accept, "usr_s", "one director signs for both", 0); err != nil {
		t.Fatal(err)
	}
	derive(t, d)
	if d := cmp.Diff(slices.Concat([]string{"crossing of clu_", "possible crossing of clu_"}, alone), levelsOf(t, s)); d != "" {
		t.Errorf("after (-want +got):\n%s", d)
	}
	if got := cases(); len(got) != 1 || !strings.HasPrefix(got[0].Subject, "clu_") || len(got[0].Clocks) != 1 {
		t.Errorf("cases %+v", got)
	}
	r := NewReader(s, "", false)
	total := func(valid, known time.Time) (out []compute.Operations) {
		u, ok, err := r.UltimateCustomer(t.Context(), "cus_a", valid, known)
		if err != nil || !ok {
			t.Fatal(err)
		}
		for _, l := range u.Levels {
			if l.Level == resolve.ByControl {
				out = append(out, l.Operations.Best)
				for _, w := range l.Without {
					out = append(out, w.Left.Best)
				}
			}
		}
		return out
	}
	if d := cmp.Diff([]compute.Operations{2390, 1390}, total(time.Time{}, time.Time{})); d != "" {
		t.Errorf("together, and without the link (-want +got):\n%s", d)
	}
	// As recorded before the decision, and as known now of that moment.
	if d := cmp.Diff([]compute.Operations{1390}, total(noon, noon)); d != "" {
		t.Errorf("as recorded then (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]compute.Operations{2390, 1390}, total(noon, clock)); d != "" {
		t.Errorf("as known now (-want +got):\n%s", d)
	}
	history := must(t, func(ctx context.Context) ([]desk.Link, error) { return r.LinkHistory(ctx, proposed[0].ID) })
	if len(history) != 2 || history[1].By != "usr_s" || history[1].Reason != "one director signs for both" {
		t.Errorf("history %+v", history)
	}
	if c := must(t, r.CheckAudit); !c.Intact {
		t.Errorf("audit log: %v", c.Problems)
	}

	// Taken apart, the total falls, and no finding is erased.
	if _, err := s.DecideLinks(t.Context(), []string{proposed[0].ID}, resolve.TakeOut, "usr_s", "the director left", 0); err != nil {
		t.Fatal(err)
	}
	clock = noon.Add(2 * time.Hour)
	derive(t, d)
	if got := len(levelsOf(t, s)); got != 5 {
		t.Errorf("%d findings are left", got)
	}
	if d := cmp.Diff([]compute.Operations{1390}, total(time.Time{}, time.Time{})); d != "" {
		t.Errorf("after the split (-want +got):\n%s", d)
	}
	if _, err := s.DecideLinks(t.Context(), []string{"lnk_none"}, resolve.Accept, "usr_s", "why", 0); !errors.Is(err, ErrNoLink) {
		t.Errorf("a link that is not there: %v", err)
	}
	if _, err := s.DecideLinks(t.Context(), []string{proposed[0].ID}, resolve.TakeOut, "usr_s", "again", 0); !errors.Is(err, ErrLinkState) {
		t.Errorf("apart twice: %v", err)
	}
	if _, err := s.db.ExecContext(t.Context(), "UPDATE party_link SET state = 'accepted'"); err == nil {
		t.Error("links can be changed")
	}
}

// A verified majority owner's companies count together without anybody's word,
// unless that lifts the total over a level.
func TestOwnershipCountsTogether(t *testing.T) {
	for name, c := range map[string]struct {
		verified bool
		pack     []*policy.Pack
		want     resolve.State
	}{
		"verified":                  {true, lines(t), resolve.Automatic},
		"only stated":               {false, lines(t), resolve.Proposed},
		"lifts the total to a line": {true, controlled(t), resolve.Proposed},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			d := NewDeriver(s, c.pack, atNoon)
			count(t, s, []Follower{d}, fleet()...)
			changes := slices.Concat(shell("a", "t1"), shell("b", "t2"), []party.Change{{Object: party.Party{ID: "boss", Form: party.Person, Citizenship: []party.Stated{party.Is("CN")}}}})
			for _, of := range []string{"a", "b"} {
				changes = append(changes, party.Change{Object: party.Interest{ID: "i-" + of, Subject: "p-" + of, Owner: party.Is("boss"), What: party.InShares, Low: 600_000, High: 600_000, Direct: true}})
				if c.verified {
					changes = append(changes, party.Change{Object: party.Verification{ID: "v-" + of, Party: "p-" + of, Method: party.Documentary, Outcome: party.Verified, Verifier: "usr_a", At: noon.Add(-time.Hour)}})
				}
			}
			record(t, s, changes...)
			derive(t, d)
			states := map[resolve.State]int{}
			for _, l := range linksOf(t, s, resolve.Control) {
				states[l.State]++
				if !l.Directed || l.A != "boss" {
					t.Errorf("link %+v", l)
				}
			}
			if states[c.want] == 0 {
				t.Errorf("states %v, want %s", states, c.want)
			}
			u := must(t, func(ctx context.Context) (desk.Ultimate, error) {
				u, _, err := NewReader(s, "", false).UltimateCustomer(ctx, "cus_a", time.Time{}, time.Time{})
				return u, err
			})
			i := slices.IndexFunc(u.Owners, func(o desk.Ownership) bool { return o.Owner == "boss" && o.Subject == "p-a" })
			if i < 0 || u.Owners[i].Effective != (control.Interval{Low: 0.6, High: 0.6}) || u.Owners[i].Controls != control.Yes {
				t.Errorf("owners %+v", u.Owners)
			}
		})
	}
}

// Who accepts a bridge cannot approve it; whoever approves has signed in freshly
// and approves what was shown.
func TestBridgeNeedsTwo(t *testing.T) {
	s := open(t, t.TempDir())
	var changes []party.Change
	for _, id := range []string{"a", "b", "c", "d"} {
		changes = append(changes, shell(id)...)
	}
	changes = append(changes, card("a", "h1"), card("b", "h1"), card("c", "h2"), card("d", "h2"))
	for _, id := range []string{"b", "c"} {
		changes = append(changes, party.Change{Object: party.Identifier{ID: "mail-" + id, Party: "p-" + id, Type: party.Email, Hash: "m"}})
	}
	record(t, s, changes...)
	derive(t, NewDeriver(s, nil, atNoon))
	id := map[string]string{}
	for _, l := range linksOf(t, s, resolve.Control) {
		id[string(l.A)+string(l.B)] = l.ID
	}
	decide := func(pair string) resolve.Link {
		out, err := s.DecideLinks(t.Context(), []string{id[pair]}, resolve.Accept, "usr_s", "why", 0)
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	if a, b := decide("p-ap-b"), decide("p-cp-d"); a.State != resolve.Accepted || b.State != resolve.Accepted {
		t.Fatalf("%s, %s", a.State, b.State)
	}
	bridge := decide("p-bp-c")
	if bridge.State != resolve.Pending {
		t.Fatalf("the bridge is %s", bridge.State)
	}
	digest, err := LinkDigest(bridge)
	if err != nil {
		t.Fatal(err)
	}
	approve := func(by string, signedIn time.Time, shown approval.Digest) error {
		_, err := s.ApproveLink(t.Context(), bridge.ID, approval.Approver{ID: by, SignedIn: signedIn}, shown, "looked")
		return err
	}
	now := s.opts.Now()
	for want, err := range map[error]error{approval.ErrSelf: approve("usr_s", now, digest), approval.ErrEdited: approve("usr_r", now, approval.Digest{}), approval.ErrSignIn: approve("usr_r", now.Add(-time.Hour), digest)} {
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := approve("usr_r", now, digest); err != nil {
		t.Fatal(err)
	}
	if got := linksOf(t, s, resolve.Control); !slices.ContainsFunc(got, func(l desk.Link) bool { return l.ID == bridge.ID && l.State == resolve.Accepted && l.By == "usr_r" }) {
		t.Errorf("links %+v", got)
	}
	if err := approve("usr_r", now, digest); !errors.Is(err, ErrLinkState) {
		t.Errorf("approved twice: %v", err)
	}
}

// Several links that are accepted with one request and join two groups together
// need a second person as one would, also where they make a ring.
func TestBridgesOfOneRequestNeedTwo(t *testing.T) {
	for name, pairs := range map[string][]string{"between the same two": {"p-bp-c"}, "in a ring": {"p-bp-c", "p-ap-d"}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			var changes []party.Change
			for _, id := range []string{"a", "b", "c", "d"} {
				changes = append(changes, shell(id)...)
			}
			changes = append(changes, card("a", "h1"), card("b", "h1"), card("c", "h2"), card("d", "h2"))
			for _, pair := range pairs {
				for _, id := range []string{pair[2:3], pair[5:6]} {
					// One card proposes a link of identity and one of control.
					changes = append(changes, party.Change{Object: party.Identifier{ID: "card-" + id + pair, Party: "p-" + id, Type: party.Card, Hash: pair}})
				}
			}
			record(t, s, changes...)
			derive(t, NewDeriver(s, nil, atNoon))
			var groups, bridges []string
			for _, l := range must(t, func(ctx context.Context) ([]desk.Link, error) {
				return NewReader(s, "", false).Links(ctx, time.Time{}, time.Time{})
			}) {
				pair := string(l.A) + string(l.B)
				switch {
				case l.State != resolve.Proposed || l.Class == resolve.Coordination:
				case pair == "p-ap-b" || pair == "p-cp-d":
					groups = append(groups, l.ID)
				case slices.Contains(pairs, pair):
					bridges = append(bridges, l.ID)
				}
			}
			if len(groups) < 2 || len(bridges) < 2 {
				t.Fatalf("links of groups %v, between them %v", groups, bridges)
			}
			decide := func(ids []string, want resolve.State) {
				t.Helper()
				out, err := s.DecideLinks(t.Context(), ids, resolve.Accept, "usr_s", "why", 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range out {
					if l.State != want {
						t.Errorf("%s link of %s and %s is %s, want %s", l.Class, l.A, l.B, l.State, want)
					}
				}
			}
			decide(groups, resolve.Accepted)
			decide(bridges, resolve.Pending)
		})
	}
}

// A chain that is accepted one party at a time needs a second person for what would
// make two groups of it, as it does in one request.
func TestAChainGrownByOnePartyNeedsTwo(t *testing.T) {
	s := open(t, t.TempDir())
	var changes []party.Change
	for _, id := range []string{"a", "b", "c", "d"} {
		changes = append(changes, shell(id)...)
	}
	for _, pair := range []string{"ab", "bc", "cd"} {
		for _, id := range []string{pair[:1], pair[1:]} {
			changes = append(changes, party.Change{Object: party.Identifier{ID: "card-" + id + pair, Party: "p-" + id, Type: party.Card, Hash: pair}})
		}
	}
	record(t, s, changes...)
	derive(t, NewDeriver(s, nil, atNoon))
	all := linksOf(t, s, resolve.Control)
	for _, step := range []struct {
		pair string
		want resolve.State
	}{{"p-ap-b", resolve.Accepted}, {"p-bp-c", resolve.Accepted}, {"p-cp-d", resolve.Pending}} {
		at := slices.IndexFunc(all, func(l desk.Link) bool { return string(l.A)+string(l.B) == step.pair })
		if at < 0 {
			t.Fatalf("there is no link %s", step.pair)
		}
		out, err := s.DecideLinks(t.Context(), []string{all[at].ID}, resolve.Accept, "usr_s", "why", 0)
		if err != nil || out[0].State != step.want {
			t.Errorf("%s: %+v, want %s: %v", step.pair, out, step.want, err)
		}
	}
}

func openAt(t testing.TB, now func() time.Time) *Store {
	t.Helper()
	s, err := openOn(t, t.TempDir()+"/flopwatch.db", Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
