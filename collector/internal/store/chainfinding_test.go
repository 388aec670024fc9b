package store

import (
	"path/filepath"
	"strings"
	"testing"
)

// Two batches of one number are a critical finding, once, however often the
// second one comes and whatever else is refused.
func TestEquivocationIsACriticalFinding(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "e.db"), Options{})
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
	findings, err := NewReader(s, "", false).Findings(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) != 2 {
		t.Fatalf("%d findings, want one for each host", len(findings))
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
