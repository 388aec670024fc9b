package draft_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func text(number int, s string) draft.Text {
	return draft.Text{Kind: draft.Pack, Name: "lines", Number: number, Text: s, Digest: sha256.Sum256([]byte(s))}
}

func ben(now time.Time) approval.Approver { return approval.Approver{ID: "usr_ben", SignedIn: now} }

// proposed is a policy that waits for Ben.
func proposed(t testing.TB) draft.Policy {
	t.Helper()
	p := draft.New("pol_1", "usr_ana", text(2, "two"))
	p, err := p.Simulate(draft.Simulation{ID: "sim_1", Digest: "d", Pinned: noon})
	if err == nil {
		p, err = p.Propose("usr_ana", "because", noon.Add(time.Hour), noon, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTwoPeoplePutInForce(t *testing.T) {
	p := proposed(t)
	if _, err := p.Approve(approval.Approver{ID: "usr_ana", SignedIn: noon}, p.Proposal.Digest, noon); !errors.Is(err, approval.ErrSelf) {
		t.Errorf("the author: %v", err)
	}
	if _, err := p.Approve(ben(noon), approval.Digest{}, noon); !errors.Is(err, approval.ErrEdited) {
		t.Errorf("another digest: %v", err)
	}
	late := noon.Add(draft.SnapshotLife)
	if _, err := p.Approve(ben(late), p.Proposal.Digest, late); !errors.Is(err, approval.ErrLapsed) {
		t.Errorf("14 days later: %v", err)
	}
	a, err := p.Approve(ben(noon), p.Proposal.Digest, noon)
	if err != nil {
		t.Fatal(err)
	}
	all := []draft.Policy{a}
	for at, want := range map[time.Time]draft.State{noon: draft.Scheduled, noon.Add(time.Hour): draft.InForce} {
		if got := a.Standing(all, at); got != want {
			t.Errorf("at %s %s, want %s", at, got, want)
		}
	}
	if next := draft.Next(all, noon); !next.Equal(noon.Add(time.Hour)) {
		t.Errorf("next %s", next)
	}
	if _, err := a.Withdraw("no", noon.Add(time.Hour)); !errors.Is(err, draft.ErrState) {
		t.Errorf("withdrawn in force: %v", err)
	}
}

func TestAnEditIsAnotherText(t *testing.T) {
	p := proposed(t)
	shown := p.Proposal.Digest
	p, err := p.Edit("usr_cai", text(2, "another two"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Approve(ben(noon), shown, noon); !errors.Is(err, draft.ErrState) {
		t.Errorf("approved after an edit: %v", err)
	}
	if _, err := p.Propose("usr_ana", "because", noon, noon, 1); !errors.Is(err, draft.ErrUntested) {
		t.Errorf("proposed without a simulation: %v", err)
	}
	p, err = p.Simulate(draft.Simulation{ID: "sim_2", Pinned: noon})
	if err == nil {
		p, err = p.Propose("usr_ana", "because", noon, noon, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Approve(approval.Approver{ID: "usr_cai", SignedIn: noon}, p.Proposal.Digest, noon); !errors.Is(err, approval.ErrSelf) {
		t.Errorf("an editor: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	p := proposed(t)
	if _, err := p.Reject("usr_ana", "no"); !errors.Is(err, approval.ErrSelf) {
		t.Errorf("the author rejects: %v", err)
	}
	if _, err := p.Reject("usr_ben", ""); !errors.Is(err, draft.ErrReason) {
		t.Errorf("no reason: %v", err)
	}
	r, err := p.Reject("usr_ben", "too low")
	if err != nil || r.State != draft.Rejected {
		t.Errorf("%s, %v", r.State, err)
	}
	old := draft.New("pol_2", "usr_ana", text(1, "one"))
	old, err = old.Simulate(draft.Simulation{ID: "sim_1", Pinned: noon})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Propose("usr_ana", "back", noon, noon, 1); !errors.Is(err, draft.ErrOlder) {
		t.Errorf("an older version: %v", err)
	}
}

// A version that was scheduled for later never comes into force over a higher one that
// was approved after it and came before it; it is superseded as soon as it is overtaken.
func TestAScheduledVersionIsOvertaken(t *testing.T) {
	approved := func(id string, number int, approvedAt, from time.Duration) draft.Policy {
		p := draft.New(id, "usr_ana", text(number, id))
		p.State, p.Approval, p.Planned = draft.Approved, approval.Approval{By: "usr_ben", At: noon.Add(approvedAt)}, noon.Add(from)
		return p
	}
	first, scheduled := approved("pol_1", 13, 0, 0), approved("pol_2", 14, 0, 3*time.Hour)
	before := []draft.Policy{first, scheduled}
	if s, next := scheduled.Standing(before, noon), draft.Next(before, noon); s != draft.Scheduled || !next.Equal(scheduled.From()) {
		t.Errorf("before it is overtaken: %s, next %s", s, next)
	}
	for name, q := range map[string]draft.Policy{"a higher version": approved("pol_3", 15, time.Hour, 0), "another text of the same version": approved("pol_3", 14, time.Hour, 0)} {
		all := []draft.Policy{first, q, scheduled}
		for _, after := range []time.Duration{2 * time.Hour, 3 * time.Hour, 100 * time.Hour} {
			now := noon.Add(after)
			if in := draft.Current(all, draft.Pack, now); len(in) != 1 || in[0].ID != q.ID {
				t.Errorf("%s, after %s: %+v is in force", name, after, in)
			}
			if s := scheduled.Standing(all, now); s != draft.Superseded {
				t.Errorf("%s, after %s: the overtaken one is %s", name, after, s)
			}
			if next := draft.Next(all, now); !next.IsZero() {
				t.Errorf("%s, after %s: another one comes at %s", name, after, next)
			}
		}
		if in := draft.Current(all, draft.Pack, noon.Add(30*time.Minute)); len(in) != 1 || in[0].ID != first.ID {
			t.Errorf("%s: before it was approved %+v was in force", name, in)
		}
	}
	// A lower version that comes before it overtakes nothing.
	all := []draft.Policy{approved("pol_1", 12, 0, 0), approved("pol_3", 13, time.Hour, 2*time.Hour), scheduled}
	if in := draft.Current(all, draft.Pack, noon.Add(4*time.Hour)); len(in) != 1 || in[0].ID != scheduled.ID {
		t.Errorf("%+v is in force", in)
	}
}

// At any instant at most one policy of a name is in force, and approving one
// later never changes what was in force before it.
func TestOneInForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []draft.Policy
		at := noon
		for i := range rapid.IntRange(1, 6).Draw(t, "policies") {
			at = at.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "hours")) * time.Hour)
			p := draft.New(string(rune('a'+i)), "usr_ana", text(i+1, "x"))
			p.State, p.Approval, p.Planned = draft.Approved, approval.Approval{By: "usr_ben", At: at}, at.Add(time.Duration(rapid.IntRange(-3, 9).Draw(t, "planned"))*time.Hour)
			before := draft.Current(all, draft.Pack, p.From().Add(-time.Nanosecond))
			all = append(all, p)
			after := draft.Current(all, draft.Pack, p.From().Add(-time.Nanosecond))
			if len(before) != len(after) || len(before) > 0 && before[0].ID != after[0].ID {
				t.Fatalf("%v in force before, %v after", before, after)
			}
			if got := draft.Current(all, draft.Pack, p.From()); len(got) != 1 {
				t.Fatalf("%d in force", len(got))
			}
			if p.From().Before(at) {
				t.Fatalf("in force from %s, approved %s", p.From(), at)
			}
		}
	})
}
