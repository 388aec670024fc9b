package clock_test

import (
	"errors"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the release, wherever the test runs

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Deadlines worked out by hand from calendars and the zones' changes.
func TestDue(t *testing.T) {
	for name, c := range map[string]struct {
		zone, began string
		days        int
		last, over  string
	}{
		"plain":                        {"America/New_York", "2026-06-01T12:00:00Z", 15, "2026-06-16", "2026-06-17T04:00:00Z"},
		"across the end of summer":     {"America/New_York", "2026-10-25T15:00:00Z", 15, "2026-11-09", "2026-11-10T05:00:00Z"},
		"across its beginning":         {"America/New_York", "2026-03-01T15:00:00Z", 15, "2026-03-16", "2026-03-17T04:00:00Z"},
		"late evening is still today":  {"America/New_York", "2026-06-02T03:59:59Z", 15, "2026-06-16", "2026-06-17T04:00:00Z"},
		"midnight is tomorrow":         {"America/New_York", "2026-06-02T04:00:00Z", 15, "2026-06-17", "2026-06-18T04:00:00Z"},
		"over a leap day":              {"America/New_York", "2028-02-20T12:00:00Z", 15, "2028-03-06", "2028-03-07T05:00:00Z"},
		"no leap day":                  {"America/New_York", "2027-02-20T12:00:00Z", 15, "2027-03-07", "2027-03-08T05:00:00Z"},
		"a century without a leap day": {"UTC", "2100-02-20T12:00:00Z", 15, "2100-03-07", "2100-03-08T00:00:00Z"},
		"from a month of 31 days":      {"America/New_York", "2026-01-31T12:00:00Z", 30, "2026-03-02", "2026-03-03T05:00:00Z"},
		"over a year's end":            {"America/New_York", "2026-12-20T12:00:00Z", 15, "2027-01-04", "2027-01-05T05:00:00Z"},
		"a year":                       {"America/New_York", "2027-03-01T12:00:00Z", 365, "2028-02-29", "2028-03-01T05:00:00Z"},
		"due on a Sunday stays":        {"America/New_York", "2026-11-07T12:00:00Z", 15, "2026-11-22", "2026-11-23T05:00:00Z"},
		"a day that begins at one":     {"Asia/Beirut", "2026-03-13T12:00:00Z", 15, "2026-03-28", "2026-03-28T22:00:00Z"},
		"a day that is left out":       {"Pacific/Apia", "2011-12-14T12:00:00Z", 15, "2011-12-29", "2011-12-30T10:00:00Z"},
		"half an hour of zone":         {"Australia/Lord_Howe", "2026-03-25T12:00:00Z", 15, "2026-04-09", "2026-04-09T13:30:00Z"},
		"same day":                     {"Pacific/Kiritimati", "2026-06-01T12:00:00Z", 0, "2026-06-02", "2026-06-02T10:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			began := instant(t, c.began)
			k := clock.Start(clock.Obligation{Basis: clock.Known, Days: c.days, Zone: zone(t, c.zone)}, time.Time{}, began)
			due, ok := k.Due(began)
			if !ok || due.Date.String() != c.last || !due.Over.Equal(instant(t, c.over)) {
				t.Errorf("due %s, over at %s, want %s and %s", due.Date, due.Over.UTC().Format(time.RFC3339), c.last, c.over)
			}
		})
	}
}

// Day 15 at 23:59 in New York is in time also when the clocks changed in between.
func TestLastMinute(t *testing.T) {
	k := clock.Start(clock.Obligation{Basis: clock.Earlier, Days: 15, Zone: zone(t, "America/New_York")}, time.Time{}, instant(t, "2026-10-25T15:00:00Z"))
	for at, want := range map[string]clock.State{
		"2026-11-09T23:59:59-05:00": clock.MetInTime,
		"2026-11-10T00:00:00-05:00": clock.MetLate,
	} {
		k.Met = instant(t, at)
		if got := k.Standing(k.Met).State; got != want {
			t.Errorf("met at %s: %s, want %s", at, got, want)
		}
	}
}

func TestStanding(t *testing.T) {
	k := clock.Start(clock.Obligation{Basis: clock.Earlier, Days: 15, Zone: zone(t, "America/New_York")}, instant(t, "2026-06-01T12:00:00Z"), instant(t, "2026-06-03T12:00:00Z"))
	for at, want := range map[string]struct {
		state clock.State
		left  int
	}{
		"2026-06-03T12:00:00Z": {clock.Running, 13}, // it occurred before it was known
		"2026-06-16T12:00:00Z": {clock.Running, 0},
		"2026-06-17T03:59:59Z": {clock.Running, 0},
		"2026-06-17T04:00:00Z": {clock.Overdue, -1},
		"2026-07-17T04:00:00Z": {clock.Overdue, -31},
	} {
		if got := k.Standing(instant(t, at)); got.State != want.state || got.DaysLeft != want.left {
			t.Errorf("at %s: %+v, want %+v", at, got, want)
		}
	}
	if got := (clock.Clock{Obligation: k.Obligation}).Standing(instant(t, "2026-06-16T12:00:00Z")); got.State != clock.Waiting {
		t.Errorf("a clock of which nothing is known is %s", got.State)
	}
}

// What was believed on a day stays what was believed on that day.
func TestKnowledgeMoves(t *testing.T) {
	o := clock.Obligation{Basis: clock.Known, Days: 15, Zone: time.UTC}
	k := clock.Start(o, time.Time{}, instant(t, "2026-06-10T00:00:00Z"))
	day := func(s string) time.Time { return instant(t, s+"T00:00:00Z") }
	earlier, err := k.Know(clock.Knowledge{At: day("2026-06-08"), Recorded: day("2026-06-11"), By: "usr_a", Reason: "an e-mail said so"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		k    clock.Knowledge
		want error
	}{
		{"later, alone", clock.Knowledge{At: day("2026-06-12"), Recorded: day("2026-06-13"), By: "usr_a", Reason: "x"}, clock.ErrSecond},
		{"later, with oneself", clock.Knowledge{At: day("2026-06-12"), Recorded: day("2026-06-13"), By: "usr_a", Second: "usr_a", Reason: "x"}, clock.ErrSecond},
		{"without a reason", clock.Knowledge{At: day("2026-06-01"), Recorded: day("2026-06-13"), By: "usr_a"}, clock.ErrReason},
		{"by nobody", clock.Knowledge{At: day("2026-06-01"), Recorded: day("2026-06-13"), Reason: "x"}, clock.ErrReason},
	} {
		if got, err := earlier.Know(c.k); !errors.Is(err, c.want) || len(got.History) != len(earlier.History) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := earlier.Know(clock.Knowledge{At: day("2026-06-20"), Recorded: day("2026-06-13"), By: "usr_a", Second: "usr_b", Reason: "x"}); err == nil {
		t.Error("knowledge of tomorrow is taken")
	}
	later, err := earlier.Know(clock.Knowledge{At: day("2026-06-12"), Recorded: day("2026-06-13"), By: "usr_a", Second: "usr_b", Reason: "the first e-mail was about another run"})
	if err != nil {
		t.Fatal(err)
	}
	for asOf, want := range map[string]string{"2026-06-09": "", "2026-06-10": "2026-06-25", "2026-06-12": "2026-06-23", "2026-06-13": "2026-06-27", "2027-01-01": "2026-06-27"} {
		due, ok := later.Due(day(asOf))
		if ok != (want != "") || ok && due.Date.String() != want {
			t.Errorf("as of %s due %s, want %q", asOf, due.Date, want)
		}
	}
}

func TestEscalations(t *testing.T) {
	ny := zone(t, "America/New_York")
	never := func(int) bool { return false }
	k := clock.Start(clock.Obligation{Basis: clock.Known, Days: 15, Zone: ny}, time.Time{}, instant(t, "2026-06-01T12:00:00Z"))
	left := func(all []clock.Escalation) (out []int) {
		for _, e := range all {
			out = append(out, e.DaysLeft)
		}
		return out
	}
	for _, c := range []struct {
		from, to string
		want     []int
	}{
		{"2026-06-01T12:00:00Z", "2026-06-06T03:59:59Z", nil},
		{"2026-06-06T03:59:59Z", "2026-06-06T04:00:00Z", []int{10}},
		{"2026-06-06T04:00:00Z", "2026-06-11T03:59:59Z", nil},
		{"2026-06-01T12:00:00Z", "2026-06-20T00:00:00Z", []int{10, 5, 2, 0, -1}}, // after a long stop
	} {
		if got := left(k.Escalations(instant(t, c.from), instant(t, c.to), never)); !slices.Equal(got, c.want) {
			t.Errorf("from %s to %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	short := clock.Start(clock.Obligation{Basis: clock.Given, Days: 10, Zone: ny}, instant(t, "2026-06-01T12:00:00Z"), instant(t, "2026-06-01T12:00:00Z"))
	if got := left(short.Escalations(instant(t, "2026-05-01T12:00:00Z"), instant(t, "2026-06-30T12:00:00Z"), never)); !slices.Equal(got, []int{5, 2, 0, -1}) {
		t.Errorf("ten days: %v", got)
	}
	// Knowledge moves back: what should have been told by now is told, once.
	moved, err := k.Know(clock.Knowledge{At: instant(t, "2026-05-25T12:00:00Z"), Recorded: instant(t, "2026-06-05T12:00:00Z"), By: "usr_a", Reason: "x"})
	if err != nil {
		t.Fatal(err)
	}
	told := map[int]bool{}
	if got := left(moved.Escalations(instant(t, "2026-06-05T11:00:00Z"), instant(t, "2026-06-05T12:00:00Z"), func(d int) bool { return told[d] })); !slices.Equal(got, []int{10, 5}) {
		t.Errorf("after knowledge moved: %v", got)
	}
	k.Met = instant(t, "2026-06-04T00:00:00Z")
	if got := k.Escalations(instant(t, "2026-06-01T12:00:00Z"), instant(t, "2026-06-20T00:00:00Z"), never); got != nil {
		t.Errorf("a clock that is met escalates: %v", got)
	}
}

// In every zone a day ends where the next begins, and holds its own noon.
func TestDaysAbut(t *testing.T) {
	var zones []*time.Location
	for _, name := range []string{"America/New_York", "Asia/Beirut", "Pacific/Apia", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "America/Scoresbysund", "UTC"} {
		zones = append(zones, zone(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0)
		loc := rapid.SampledFrom(zones).Draw(t, "zone")
		day := clock.DateOf(at, loc)
		begin, end := day.Begin(loc), day.Add(1).Begin(loc)
		if at.Before(begin) || !at.Before(end) {
			t.Fatalf("%s is not between %s and %s", at.In(loc), begin, end)
		}
		if clock.DateOf(begin.Add(-time.Second), loc) == day {
			t.Fatalf("%s began before %s", day, begin)
		}
		back, err := clock.ParseDate(day.String())
		if err != nil || back != day {
			t.Fatalf("%s read as %s, %v", day, back, err)
		}
		n := rapid.IntRange(-5000, 5000).Draw(t, "n")
		if day.Add(n).Sub(day) != n || day.Add(n).Add(-n) != day {
			t.Fatalf("%s and %d days: %s", day, n, day.Add(n))
		}
	})
}
