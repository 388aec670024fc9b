package store

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Two batches of one number are a critical finding, once, however often the
// second one comes and whatever else is refused.
func TestEquivocationIsACriticalFinding(t *testing.T) {
	s, err := openOn(t, filepath.Join(t.TempDir(), "e.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	twin := Quarantine{Host: "h", Reason: RuleEquivocation, Detail: "batch 3/7 differs from the one that was counted", Received: noon, Envelope: []byte("twin")}
	for _, rows := range [][]Quarantine{
		{twin, {Host: "h", Reason: "signature", Received: noon, Envelope: []byte("x")}, {Host: "h", Reason: "chain_break", Received: noon}},
		{twin},
		{{Host: "other", Reason: RuleEquivocation, Detail: "batch 1/1", Received: noon, Envelope: []byte("twin")}},
	} {
		if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Quarantine: rows}); err != nil {
			t.Fatal(err)
		}
	}
	findings, err := NewReader(s, "", false).Findings(t.Context(), desk.FindingQuery{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	// The broken chain is a finding of its own, and so is what no agent sends.
	if len(findings) != 4 {
		t.Fatalf("%d findings, want one for each host, the broken chain and the bad signature", len(findings))
	}
	findings = slices.DeleteFunc(findings, func(f desk.Finding) bool { return f.Rule != RuleEquivocation })
	if len(findings) != 2 {
		t.Fatalf("%d findings of two batches under one number, want one for each host", len(findings))
	}
	for _, f := range findings {
		if f.Severity != "critical" || f.Rule != RuleEquivocation || !strings.HasPrefix(f.Reason, "The key of this host signed two different batches") {
			t.Errorf("finding %+v", f)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A broken chain and missing batches are one finding for each host and day.
func TestChainsBecomeFindings(t *testing.T) {
	s := open(t, t.TempDir())
	for _, at := range []time.Time{noon, noon.Add(time.Hour), noon.AddDate(0, 0, 1)} {
		_, err := s.Checkpoint(t.Context(), Checkpoint{At: at, Quarantine: []Quarantine{
			{Host: "a", Reason: "chain_break", Detail: "batch 2/1 follows a batch that was not counted", Received: at},
			{Host: "a", Reason: "missing", Detail: "batch 2/9 came", Received: at},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := NewReader(s, "", false).Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]int{}
	for _, f := range all {
		rules[f.Rule]++
	}
	if rules[RuleChainBreak] != 2 || rules[RuleSeqGap] != 2 || len(all) != 4 {
		t.Errorf("findings %v", rules)
	}
}
