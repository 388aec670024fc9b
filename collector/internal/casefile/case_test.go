package casefile_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func opened() casefile.Case {
	return casefile.Open("cas_1", "cus_1", "initial report", "fnd_1", []clock.Clock{clock.Start(clock.Obligation{Name: "initial report", Basis: clock.Earlier, Days: 15, Zone: time.UTC}, time.Time{}, noon)})
}

// must takes what an act returns and fails if it was refused.
func must(t *testing.T) func(casefile.Case, error) casefile.Case {
	return func(c casefile.Case, err error) casefile.Case {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func fresh(id string) approval.Approver { return approval.Approver{ID: id, SignedIn: noon} }

func TestLifeOfACase(t *testing.T) {
	c := opened()
	c = must(t)(c.Assign("usr_a"))
	c = must(t)(c.Propose("usr_a", casefile.Reportable, "CROSSED", "best is above the threshold", noon))
	if _, err := c.Approve(fresh("usr_a"), c.Proposal.Digest, noon); !errors.Is(err, approval.ErrSelf) {
		t.Errorf("the author approves: %v", err)
	}
	shown := c.Proposal.Digest
	c = must(t)(c.Approve(fresh("usr_b"), shown, noon))
	if c.State != casefile.CaseReportable || c.Approval.By != "usr_b" {
		t.Fatalf("after approval: %+v", c)
	}
	if _, err := c.Close(noon.AddDate(0, 0, 40)); !errors.Is(err, casefile.ErrClocks) {
		t.Errorf("closed without a report: %v", err)
	}
	c.Clocks[0].Met = noon.AddDate(0, 0, 20) // late, but met
	c = must(t)(c.Close(noon.AddDate(0, 0, 40)))
	if !c.State.Ended() || c.Version != 5 {
		t.Fatalf("after the end: %+v", c)
	}
	c = must(t)(c.Attach("fnd_2"))
	if c.State != casefile.CaseReopened || c.Approval.By != "" {
		t.Errorf("a finding on a closed case: %+v", c)
	}
}

// A finding that comes while a decision waits makes the decision void.
func TestDecisionKnowsItsFindings(t *testing.T) {
	c := must(t)(opened().Assign("usr_a"))
	c = must(t)(c.Propose("usr_a", casefile.NotReportable, "EXEMPT", "x", noon))
	shown := c.Proposal.Digest
	c = must(t)(c.Attach("fnd_2"))
	if c.State != casefile.CaseInvestigating {
		t.Fatalf("state is %s", c.State)
	}
	c = must(t)(c.Propose("usr_a", casefile.NotReportable, "EXEMPT", "x", noon))
	if _, err := c.Approve(fresh("usr_b"), shown, noon); !errors.Is(err, approval.ErrEdited) {
		t.Errorf("approved what was shown before: %v", err)
	}
	if again := must(t)(c.Attach("fnd_2")); again.Version != c.Version {
		t.Error("the same finding once more is a change")
	}
}

func TestRefusals(t *testing.T) {
	investigated := must(t)(opened().Assign("usr_a"))
	for name, act := range map[string]func() error{
		"propose on a new case": func() error {
			_, err := opened().Propose("usr_a", casefile.Reportable, "C", "r", noon)
			return err
		},
		"propose without a reason":  func() error { _, err := investigated.Propose("usr_a", casefile.Reportable, "C", "", noon); return err },
		"an unknown outcome":        func() error { _, err := investigated.Propose("usr_a", "perhaps", "C", "r", noon); return err },
		"approve nothing":           func() error { _, err := investigated.Approve(fresh("usr_b"), approval.Digest{}, noon); return err },
		"return nothing":            func() error { _, err := investigated.Return("usr_b", "r"); return err },
		"close what is not decided": func() error { _, err := investigated.Close(noon); return err },
		"reopen what is open":       func() error { _, err := investigated.Reopen("usr_b", "r"); return err },
		"assign to nobody":          func() error { _, err := investigated.Assign(""); return err },
		"an old version":            func() error { return investigated.At(1) },
	} {
		if err := act(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := investigated.At(2); err != nil {
		t.Error(err)
	}
}

func TestSuppression(t *testing.T) {
	month := casefile.Suppression{Owner: "usr_a", Reason: "known benchmark", From: noon, Until: noon.Add(casefile.LongSuppression), Level: 80, At: 1_000_000}
	proposal := approval.Proposal{Digest: approval.Digest{1}, Authors: []string{"usr_a"}}
	for name, c := range map[string]struct {
		change func(*casefile.Suppression)
		want   error
	}{
		"a month":       {func(*casefile.Suppression) {}, nil},
		"longer, alone": {func(s *casefile.Suppression) { s.Until = s.Until.Add(1) }, casefile.ErrSecond},
		"longer, by two": {func(s *casefile.Suppression) {
			s.Until = s.Until.Add(1)
			s.Second = approval.Approval{Digest: approval.Digest{1}, By: "usr_b"}
		}, nil},
		"longer, by itself": {func(s *casefile.Suppression) {
			s.Until = s.Until.Add(1)
			s.Second = approval.Approval{Digest: approval.Digest{1}, By: "usr_a"}
		}, casefile.ErrSecond},
		"at the threshold":    {func(s *casefile.Suppression) { s.Level = 100 }, casefile.ErrCrossing},
		"without a reason":    {func(s *casefile.Suppression) { s.Reason = "" }, casefile.ErrReason},
		"without who answers": {func(s *casefile.Suppression) { s.Owner = "" }, casefile.ErrReason},
	} {
		s := month
		c.change(&s)
		if err := s.Suppress(proposal); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		after time.Duration
		level int
		ops   int64
		shows bool
	}{
		"nothing happened": {time.Hour, 80, 1_000_000, false},
		"grew a little":    {time.Hour, 80, 1_199_899, false},
		"grew by a fifth":  {time.Hour, 80, 1_200_000, true},
		"the next level":   {time.Hour, 95, 1_000_000, true},
		"shrank":           {time.Hour, 50, 600_000, false},
		"the last instant": {casefile.LongSuppression - 1, 80, 1_000_000, false},
		"its time is over": {casefile.LongSuppression, 80, 1_000_000, true},
	} {
		if why := month.Reopens(noon.Add(c.after), c.level, compute.Operations(c.ops)); (why != "") != c.shows {
			t.Errorf("%s: %q", name, why)
		}
	}
	for want, err := range map[error]error{casefile.ErrCrossing: casefile.Dismiss(100, "C", "r"), casefile.ErrReason: casefile.Dismiss(50, "", "r"), nil: casefile.Dismiss(95, "C", "r")} {
		if !errors.Is(err, want) {
			t.Errorf("dismiss: %v, want %v", err, want)
		}
	}
}

// Whatever people do in whatever order: a decision in force has two people, and
// nothing that was attached is lost.
func TestCasesNeverForget(t *testing.T) {
	people := []string{"usr_a", "usr_b", "usr_c"}
	rapid.Check(t, func(t *rapid.T) {
		c := opened()
		attached := []string{"fnd_1"}
		for i := range rapid.IntRange(1, 25).Draw(t, "acts") {
			who := rapid.SampledFrom(people).Draw(t, "who")
			var next casefile.Case
			var err error
			switch rapid.IntRange(0, 6).Draw(t, "act") {
			case 0:
				next, err = c.Assign(who)
			case 1:
				id := "fnd_" + string(rune('a'+i))
				if next, err = c.Attach(id); err == nil {
					attached = append(attached, id)
				}
			case 2:
				next, err = c.Propose(who, rapid.SampledFrom([]casefile.Outcome{casefile.Reportable, casefile.NotReportable}).Draw(t, "outcome"), "C", "r", noon)
			case 3:
				next, err = c.Approve(fresh(who), c.Proposal.Digest, noon)
			case 4:
				next, err = c.Return(who, "r")
			case 5:
				next, err = c.Close(noon)
			case 6:
				next, err = c.Reopen(who, "r")
			}
			if err != nil {
				if next.Version != c.Version || next.State != c.State {
					t.Fatalf("a refused act changed the case: %v", err)
				}
				continue
			}
			if next.Version <= c.Version {
				t.Fatalf("version went from %d to %d", c.Version, next.Version)
			}
			c = next
			if !slices.Equal(c.Findings, attached) {
				t.Fatalf("findings are %v, attached were %v", c.Findings, attached)
			}
			decided := c.State == casefile.CaseReportable || c.State == casefile.CaseNotReportable || c.State == casefile.CaseClosed
			if decided && (!c.Approval.Holds(c.Proposal) || len(c.Decision.Findings) != len(c.Findings)) {
				t.Fatalf("decided without two people or without all findings: %+v", c)
			}
		}
	})
}

// Knowledge moves earlier by one person, later by two, and what was believed stays.
func TestKnowledgeOfACase(t *testing.T) {
	const name = "initial report"
	c := opened()
	day := 24 * time.Hour
	c = must(t)(c.Know(name, noon.Add(-day), "usr_a", "an e-mail of the day before", noon.Add(time.Hour)))
	if due, _ := c.Clocks[0].Due(noon.Add(time.Hour)); due.Date.String() != "2026-12-07" {
		t.Fatalf("due %s", due.Date)
	}
	c = must(t)(c.Know(name, noon.Add(-2*time.Hour), "usr_a", "the e-mail was about another run", noon.Add(2*time.Hour)))
	if due, _ := c.Clocks[0].Due(noon.Add(2 * time.Hour)); due.Date.String() != "2026-12-07" || c.Move.Clock == "" {
		t.Fatalf("due %s before a second person agreed", due.Date)
	}
	if _, err := c.ApproveMove(approval.Approver{ID: "usr_a", SignedIn: noon.Add(2 * time.Hour)}, c.MoveProposal.Digest, noon.Add(2*time.Hour)); !errors.Is(err, approval.ErrSelf) {
		t.Errorf("by oneself: %v", err)
	}
	if _, err := c.ApproveMove(approval.Approver{ID: "usr_b", SignedIn: noon.Add(2 * time.Hour)}, approval.Digest{}, noon.Add(2*time.Hour)); !errors.Is(err, approval.ErrEdited) {
		t.Errorf("of something else: %v", err)
	}
	c = must(t)(c.ApproveMove(approval.Approver{ID: "usr_b", SignedIn: noon.Add(2 * time.Hour)}, c.MoveProposal.Digest, noon.Add(2*time.Hour)))
	if due, _ := c.Clocks[0].Due(noon.Add(2 * time.Hour)); due.Date.String() != "2026-12-08" || c.Move.Clock != "" {
		t.Errorf("due %s, %+v", due.Date, c.Move)
	}
	if due, _ := c.Clocks[0].Due(noon.Add(time.Hour)); due.Date.String() != "2026-12-07" {
		t.Errorf("what was believed was rewritten: %s", due.Date)
	}
	for what, err := range map[string]error{
		"no such clock":   second(c.Know("other", noon, "usr_a", "r", noon)),
		"no reason":       second(c.Know(name, noon.Add(day), "usr_a", "", noon.Add(2*day))),
		"of tomorrow":     second(c.Know(name, noon.Add(3*day), "usr_a", "r", noon.Add(2*day))),
		"no move":         second(c.ApproveMove(fresh("usr_b"), approval.Digest{}, noon)),
		"clock of a name": second(c.StartClock(c.Clocks[0].Obligation, noon, noon)),
		"clock to come":   second(c.StartClock(clock.Obligation{Name: "request", Zone: time.UTC}, noon.Add(day), noon)),
	} {
		if err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	c = must(t)(c.StartClock(clock.Obligation{Name: "request", Basis: clock.Given, Days: 15, Zone: time.UTC}, noon, noon))
	c = must(t)(c.Meet("request", noon.Add(day)))
	if s := c.Clocks[1].Standing(noon.Add(2 * day)); s.State != clock.MetInTime {
		t.Errorf("%+v", s)
	}
	if _, err := c.Meet("request", noon); !errors.Is(err, casefile.ErrTransition) {
		t.Errorf("met twice: %v", err)
	}
}

func second(_ casefile.Case, err error) error { return err }

// A second crossing runs under the clock that runs; after that was met it starts its own.
func TestSignal(t *testing.T) {
	k := func(at time.Time) clock.Clock {
		return clock.Start(clock.Obligation{Name: "initial report", Basis: clock.Known, Days: 15, Zone: time.UTC}, time.Time{}, at)
	}
	c := must(t)(opened().Signal("fnd_2", k(noon.Add(time.Hour))))
	if len(c.Clocks) != 1 || len(c.Findings) != 2 {
		t.Fatalf("%+v", c)
	}
	c = must(t)(c.Meet("initial report", noon.Add(2*time.Hour)))
	c = must(t)(c.Signal("fnd_3", k(noon.Add(3*time.Hour))))
	if len(c.Clocks) != 2 || c.Clocks[1].Name != "initial report 2" {
		t.Fatalf("%+v", c.Clocks)
	}
	if again := must(t)(c.Signal("fnd_3", k(noon.Add(4*time.Hour)))); len(again.Clocks) != 2 {
		t.Error("the same finding starts a clock twice")
	}
	bare := must(t)(casefile.Open("cas_2", "cus_1", "pack", "fnd_1", nil).Signal("fnd_2", k(noon)))
	if len(bare.Clocks) != 1 {
		t.Error("a case without a clock starts none")
	}
}
