package store

import (
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/notice"
)

func notices(t *testing.T, s *Store, after int64) (out []notice.Notice) {
	t.Helper()
	out, err := s.Notices(t.Context(), after, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func kinds(all []notice.Notice) (out []string) {
	for _, n := range all {
		out = append(out, n.Kind)
	}
	return out
}

// What happens is noted in its transaction: also what the deriver does by itself,
// and nothing of what failed.
func TestNoticesComeWithTheChange(t *testing.T) {
	s, r := crossedStore(t)
	all := notices(t, s, 0)
	c := must(t, r.Cases)[0]
	if got := kinds(all); !slices.Contains(got, notice.CaseOpened) || !slices.Contains(got, notice.FindingCritical) {
		t.Errorf("a crossing is noted as %v", got)
	}
	last := all[len(all)-1].No
	if _, err := s.ActOnCase(by(t, "usr_a"), c.ID, 0, "propose decision", "no", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Propose("usr_a", casefile.Reportable, "", "", now)
	}); err == nil {
		t.Fatal("a proposal without a reason was taken")
	}
	if got := notices(t, s, last); len(got) != 0 {
		t.Errorf("what failed is noted: %+v", got)
	}
	act := func(name string, f func(casefile.Case, time.Time) (casefile.Case, error)) {
		t.Helper()
		if _, err := s.ActOnCase(by(t, "usr_a"), c.ID, 0, name, "r", f); err != nil {
			t.Fatal(err)
		}
	}
	act("assign", func(c casefile.Case, _ time.Time) (casefile.Case, error) { return c.Assign("usr_a") })
	act("propose decision", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Propose("usr_a", casefile.Reportable, "C", "r", now)
	})
	act("know", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Know("report", now.Add(-time.Hour), "usr_a", "an e-mail", now)
	})
	act("know", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Know("report", now, "usr_a", "it was read later", now)
	})
	if got := kinds(notices(t, s, last)); !slices.Equal(got, []string{notice.DecisionWaits, notice.KnowledgeWaits}) {
		t.Errorf("noted are %v", got)
	}
}

// Each step before a deadline is told once: after a stop the one that counts, after
// another determination those of the new deadline, and nothing once it is met.
func TestEscalate(t *testing.T) {
	s := open(t, t.TempDir())
	zone := mustZone(t, "America/New_York")
	began := time.Date(2026, 10, 24, 12, 0, 0, 0, zone) // due 8 November, in winter time
	s.opts.Now = func() time.Time { return began }
	c := casefile.Open("cas_a", "f", "pack", "fnd_a", []clock.Clock{clock.Start(clock.Obligation{Name: "report", Basis: clock.Known, Days: 15, Zone: zone}, time.Time{}, began)})
	if err := s.update(t.Context(), func(tx *sql.Tx) error { return writeCase(t.Context(), tx, c, "open", "", began) }); err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for _, n := range notices(t, s, 0) {
		last = n.No
	}
	look := func(at string, want ...string) {
		t.Helper()
		now, err := time.ParseInLocation("2006-01-02 15:04:05", at, zone)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second look tells nothing
			if _, err := s.Escalate(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, n := range notices(t, s, last) {
			got, last = append(got, n.Text()), n.No
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("at %s: %s", at, d)
		}
	}
	text := func(left, due string) string {
		return "case cas_a: report is " + left + " (last day " + due + ", America/New_York)"
	}
	look("2026-10-28 23:59:59")
	look("2026-10-29 00:00:00", text("due in 10 days", "2026-11-08"))
	look("2026-11-02 23:59:59") // the clocks went back on the first
	look("2026-11-03 00:00:00", text("due in 5 days", "2026-11-08"))
	look("2026-11-08 10:00:00", text("due today", "2026-11-08")) // after a stop of five days
	look("2026-11-08 23:59:59")
	look("2026-11-09 00:00:00", text("OVERDUE by a day", "2026-11-08"))
	look("2026-12-01 00:00:00") // it is shown; nobody is told twice

	// Known earlier than was thought: the new deadline is told of.
	moved := time.Date(2026, 12, 2, 0, 0, 0, 0, zone)
	s.opts.Now = func() time.Time { return moved }
	if _, err := s.ActOnCase(by(t, "usr_a"), "cas_a", 0, "know", "a letter", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Know("report", began.Add(-48*time.Hour), "usr_a", "a letter", now)
	}); err != nil {
		t.Fatal(err)
	}
	look("2026-12-02 00:00:01", text("OVERDUE by 26 days", "2026-11-06"))
	if _, err := s.ActOnCase(by(t, "usr_a"), "cas_a", 0, "meet", "", func(c casefile.Case, now time.Time) (casefile.Case, error) { return c.Meet("report", now) }); err != nil {
		t.Fatal(err)
	}
	look("2027-01-01 00:00:00")
}

// Known later than was determined needs a reason and a second person, whoever asks.
func TestKnowledgeMovesLaterByTwo(t *testing.T) {
	s, r := crossedStore(t)
	c := must(t, r.Cases)[0]
	act := func(who string, f func(casefile.Case, time.Time) (casefile.Case, error)) (casefile.Case, error) {
		return s.ActOnCase(by(t, who), c.ID, 0, "know", "r", f)
	}
	earlier := noon.Add(-72 * time.Hour)
	if _, err := act("usr_a", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Know("report", earlier, "usr_a", "a letter of that day", now)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := act("usr_a", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Know("report", earlier.Add(time.Hour), "usr_a", "", now)
	}); err == nil {
		t.Error("it moved without a reason")
	}
	waits, err := act("usr_a", func(c casefile.Case, now time.Time) (casefile.Case, error) {
		return c.Know("report", earlier.Add(24*time.Hour), "usr_a", "it was read a day later", now)
	})
	if err != nil || !waits.Clocks[0].KnownAt(noon).Equal(earlier) {
		t.Fatalf("%v, known %s", err, waits.Clocks[0].KnownAt(noon))
	}
	approve := func(who string) (casefile.Case, error) {
		return act(who, func(c casefile.Case, now time.Time) (casefile.Case, error) {
			return c.ApproveMove(approval.Approver{ID: who, SignedIn: now}, waits.MoveProposal.Digest, now)
		})
	}
	if _, err := approve("usr_a"); err == nil {
		t.Error("who proposed it approved it")
	}
	done, err := approve("usr_b")
	if err != nil || !done.Clocks[0].KnownAt(noon).Equal(earlier.Add(24*time.Hour)) {
		t.Errorf("%v, known %s", err, done.Clocks[0].KnownAt(noon))
	}
	if got := len(done.Clocks[0].History); got != 3 {
		t.Errorf("%d determinations are kept, not all 3", got)
	}
}
