package party_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
)

func day(s string) time.Time {
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return at
}

// The four answers to one question: what was so, by what was known.
func TestTwoTimes(t *testing.T) {
	records := []party.Record{
		{No: 1, From: day("2026-01-01"), Recorded: day("2026-01-02"), Object: party.Party{ID: "p", Headquarters: party.Is("US")}},
		{No: 2, From: day("2026-02-01"), Recorded: day("2026-05-01"), Object: party.Party{ID: "p", Headquarters: party.Is("CN")}}, // found out in May
		{No: 3, From: day("2026-06-01"), Recorded: day("2026-06-01"), Object: party.Interest{ID: "i", Subject: "p", Owner: party.Is("o")}},
		{No: 4, From: day("2026-07-01"), Recorded: day("2026-07-02"), Object: party.Interest{ID: "i", Subject: "p", Owner: party.Is("o"), Ended: true}},
		{No: 5, From: day("2026-03-01"), To: day("2026-03-11"), Recorded: day("2026-08-01"), Object: party.Party{ID: "p", Headquarters: party.Is("SG")}},
	}
	for _, c := range []struct {
		valid, known, headquarters string
		interests                  int
	}{
		{"2025-12-31", "2026-12-01", "", 0},
		{"2026-01-01", "2026-01-01", "", 0}, // not recorded yet
		{"2026-03-05", "2026-03-05", "US", 0},
		{"2026-03-05", "2026-05-01", "CN", 0},
		{"2026-03-05", "2026-12-01", "SG", 0},
		{"2026-03-11", "2026-12-01", "CN", 0},
		{"2026-06-15", "2026-06-15", "CN", 1},
		{"2026-07-01", "2026-07-01", "CN", 1}, // that it ended was not known
		{"2026-07-01", "2026-07-02", "CN", 0},
	} {
		s := party.At(records, day(c.valid), day(c.known))
		if got := s.Parties["p"].Headquarters.Value; got != c.headquarters || len(s.Interests) != c.interests {
			t.Errorf("at %s as known on %s: headquarters %q and %d interests, want %q and %d", c.valid, c.known, got, len(s.Interests), c.headquarters, c.interests)
		}
	}
}

func TestObjectsReadWhatTheyWrite(t *testing.T) {
	for _, want := range []party.Object{
		party.Party{ID: "p", Form: party.Person, Citizenship: []party.Stated{party.Is("US"), party.NotKnown("not asked")}, Location: party.NotKnown("travels"), Holds: []string{"name"}},
		party.Interest{ID: "i", Subject: "p", Owner: party.NotKnown("refuses"), What: party.InShares, High: control.Whole, Unknown: "refuses"},
		party.Contract{ID: "c", Party: "p"}, party.Account{ID: "a", Customer: "c", Opened: day("2026-01-01")},
		party.Identifier{ID: "d", Party: "p", Type: party.LEI, Hash: "00"}, party.Verification{ID: "v", Party: "p", Outcome: party.Verified, USPerson: control.Yes, At: day("2026-01-01")},
		party.Restriction{ID: "r", Customer: "c"}, party.Reseller{ID: "r", Party: "p"}, party.Exemption{ID: "e", Approvals: []party.Approval{{By: "usr_a"}}},
		party.ListHit{ID: "h"}, party.Hold{ID: "h"}, party.Erasure{ID: "p"}, party.Review{ID: "r"},
	} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := party.Decode(want.Kind(), text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", text, d)
		}
	}
	if _, err := party.Decode("other", []byte("{}")); err == nil {
		t.Error("a kind that there is not is read")
	}
	var s party.Stated
	if err := json.Unmarshal([]byte(`{"unknown":""}`), &s); err == nil {
		t.Error("unknown without a reason is read")
	}
}
