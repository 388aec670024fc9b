package desk_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

func TestEventIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := desk.EventID(rapid.Int64Min(1).Draw(t, "id"))
		if got, err := desk.ParseEventID(want.String()); err != nil || got != want {
			t.Fatalf("%s: %d, want %d (%v)", want, got, want, err)
		}
	})
	for _, bad := range []string{"", "evt_", "evt_0", "evt_-1", "evt_01", "evt_+1", "evt_1 ", "evt_9223372036854775808", "fnd_1", "1"} {
		if id, err := desk.ParseEventID(bad); err == nil {
			t.Errorf("%q passed as %d", bad, id)
		}
	}
}

func TestCorrectionIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := desk.CorrectionID(rapid.Int64Min(1).Draw(t, "id"))
		if got, err := desk.ParseCorrectionID(want.String()); err != nil || got != want {
			t.Fatalf("%s: %d, want %d (%v)", want, got, want, err)
		}
	})
	for _, bad := range []string{"", "cor_", "cor_0", "cor_-1", "cor_01", "evt_1", "1"} {
		if id, err := desk.ParseCorrectionID(bad); err == nil {
			t.Errorf("%q passed as %d", bad, id)
		}
	}
}

func TestRowsAreBounded(t *testing.T) {
	for limit, want := range map[int]int{-1: 1000, 0: 1000, 1: 1, 1000: 1000, 1001: 1000} {
		if got := (desk.EventFilter{Limit: limit}).Rows(); got != want {
			t.Errorf("limit %d: %d rows, want %d", limit, got, want)
		}
	}
}
