package approval_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestApprove(t *testing.T) {
	p := approval.Proposal{Digest: approval.Digest{1}, Authors: []string{"usr_a", "usr_b"}, At: noon, Lapses: noon.AddDate(0, 0, 14)}
	for name, c := range map[string]struct {
		by    approval.Approver
		shown approval.Digest
		at    time.Time
		want  error
	}{
		"another person":        {approval.Approver{ID: "usr_c", SignedIn: noon}, approval.Digest{1}, noon.Add(time.Minute), nil},
		"the author":            {approval.Approver{ID: "usr_a", SignedIn: noon}, approval.Digest{1}, noon, approval.ErrSelf},
		"an editor":             {approval.Approver{ID: "usr_b", SignedIn: noon}, approval.Digest{1}, noon, approval.ErrSelf},
		"something else":        {approval.Approver{ID: "usr_c", SignedIn: noon}, approval.Digest{2}, noon, approval.ErrEdited},
		"just fresh":            {approval.Approver{ID: "usr_c", SignedIn: noon}, approval.Digest{1}, noon.Add(approval.FreshSignIn), nil},
		"signed in long ago":    {approval.Approver{ID: "usr_c", SignedIn: noon}, approval.Digest{1}, noon.Add(approval.FreshSignIn + 1), approval.ErrSignIn},
		"signed in tomorrow":    {approval.Approver{ID: "usr_c", SignedIn: noon.Add(time.Hour)}, approval.Digest{1}, noon, approval.ErrSignIn},
		"on the last instant":   {approval.Approver{ID: "usr_c", SignedIn: p.Lapses}, approval.Digest{1}, p.Lapses.Add(-1), approval.ErrSignIn},
		"just before it lapses": {approval.Approver{ID: "usr_c", SignedIn: p.Lapses.Add(-time.Minute)}, approval.Digest{1}, p.Lapses.Add(-1), nil},
		"when it lapses":        {approval.Approver{ID: "usr_c", SignedIn: p.Lapses.Add(-time.Minute)}, approval.Digest{1}, p.Lapses, approval.ErrLapsed},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := p.Approve(c.by, c.shown, c.at)
			if !errors.Is(err, c.want) || (err == nil) != a.Holds(p) {
				t.Errorf("Approve = %+v, %v, want %v", a, err, c.want)
			}
		})
	}
	for _, nobody := range []approval.Proposal{{Digest: p.Digest}, p} {
		if _, err := nobody.Approve(approval.Approver{SignedIn: noon}, p.Digest, noon); err == nil {
			t.Error("nobody approves")
		}
	}
}

// Whatever is edited by whom and approved by whom, what holds was approved as it
// is by somebody who never touched it.
func TestFourEyes(t *testing.T) {
	people := []string{"usr_a", "usr_b", "usr_c", "usr_d"}
	rapid.Check(t, func(t *rapid.T) {
		p := approval.Proposal{Digest: approval.Digest{0}, Authors: []string{people[0]}, At: noon}
		touched := map[string]bool{people[0]: true}
		var given []approval.Approval
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			who := rapid.SampledFrom(people).Draw(t, "who")
			if rapid.Bool().Draw(t, "edit") {
				p = p.Edit(who, approval.Digest{rapid.Byte().Draw(t, "digest")})
				touched[who] = true
			} else if a, err := p.Approve(approval.Approver{ID: who, SignedIn: noon}, p.Digest, noon); err == nil {
				if touched[who] {
					t.Fatalf("%s approved what they touched", who)
				}
				given = append(given, a)
			}
			for _, a := range given {
				if a.Holds(p) && (a.Digest != p.Digest || touched[a.By]) {
					t.Fatalf("%+v holds of %+v", a, p)
				}
			}
		}
	})
}
