package calendar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/calendar"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
)

// component is what a reader makes of RFC 5545: properties and components in them.
type component struct {
	name       string
	properties map[string][]string
	parts      []*component
}

// parse reads a calendar by the letter of RFC 5545: lines of at most 75 bytes that
// end in CRLF, folded ones put together, each a property, components balanced.
func parse(text string) (*component, error) {
	if !strings.HasSuffix(text, "\r\n") {
		return nil, fmt.Errorf("the last line has no end")
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		switch {
		case len(line) > 75 || strings.ContainsAny(line, "\r\n") || !utf8.ValidString(line):
			return nil, fmt.Errorf("line %q is too long, or not one", line)
		case strings.HasPrefix(line, " ") && len(lines) > 0:
			lines[len(lines)-1] += line[1:]
		default:
			lines = append(lines, line)
		}
	}
	root := &component{}
	open := []*component{root}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("line %q is no property", line)
		}
		now := open[len(open)-1]
		switch name {
		case "BEGIN":
			next := &component{name: value, properties: map[string][]string{}}
			now.parts = append(now.parts, next)
			open = append(open, next)
		case "END":
			if now.name != value {
				return nil, fmt.Errorf("%s ends in %s", value, now.name)
			}
			open = open[:len(open)-1]
		default:
			if now == root {
				return nil, fmt.Errorf("%q is in no component", line)
			}
			now.properties[name] = append(now.properties[name], value)
		}
	}
	if len(open) != 1 || len(root.parts) != 1 || root.parts[0].name != "VCALENDAR" {
		return nil, fmt.Errorf("it is not one calendar")
	}
	return root.parts[0], nil
}

func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\;`, ";", `\,`, ",", `\n`, "\n", `\N`, "\n").Replace(s)
}

func TestCalendar(t *testing.T) {
	now := time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)
	text := calendar.Write([]calendar.Entry{
		{Case: "cas_a", Clock: "initial-report", Due: clock.Date{Year: 2026, Month: 11, Day: 30}, Today: clock.Date{Year: 2026, Month: 11, Day: 10}, Zone: "America/New_York", Changed: now.Add(-time.Hour)},
		{Case: "cas_b", Clock: "request 2", Due: clock.Date{Year: 2026, Month: 11, Day: 7}, Today: clock.Date{Year: 2026, Month: 11, Day: 10}, Zone: "America/New_York", Overdue: true, Changed: now},
	}, now)
	c, err := parse(string(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, want := range map[string]string{"VERSION": "2.0", "PRODID": "-//flopwatch//deadlines//EN", "METHOD": "PUBLISH"} {
		if got := c.properties[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if len(c.parts) != 2 {
		t.Fatalf("%d events", len(c.parts))
	}
	for i, want := range []map[string]string{
		{"UID": "cas_a.initial-report@flopwatch.invalid", "DTSTAMP": "20261110T120000Z", "DTSTART;VALUE=DATE": "20261130", "DTEND;VALUE=DATE": "20261201", "SUMMARY": "initial-report due, case cas_a"},
		{"UID": "cas_b.request-2@flopwatch.invalid", "DTSTAMP": "20261110T120000Z", "DTSTART;VALUE=DATE": "20261107", "DTEND;VALUE=DATE": "20261111", "SUMMARY": "OVERDUE: request 2 due, case cas_b"},
	} {
		for name, value := range want {
			if got := c.parts[i].properties[name]; len(got) != 1 || unescape(got[0]) != value {
				t.Errorf("event %d: %s is %q, not %q", i, name, got, value)
			}
		}
	}
	if n := len(c.parts[0].parts); n != 4 {
		t.Errorf("%d alarms, not one each for 10, 5, 2 and 0 days", n)
	}
}

// Whatever a clock is called, the calendar is one that reads back as it was meant.
func TestAnyTextIsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "clock")
		text := calendar.Write([]calendar.Entry{{Case: "cas_a", Clock: name, Due: clock.Date{Year: 2028, Month: 2, Day: 29}, Zone: "UTC"}}, time.Unix(0, 0))
		c, err := parse(string(text))
		if err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		if len(c.parts) != 1 || len(c.parts[0].parts) != 4 || len(c.parts[0].properties["SUMMARY"]) != 1 {
			t.Fatalf("%q broke out", name)
		}
		printable := !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' && r != '\n' || r == utf8.RuneError })
		if got := unescape(c.parts[0].properties["SUMMARY"][0]); printable && !strings.Contains(name, `\`) && got != name+" due, case cas_a" {
			t.Errorf("%q reads as %q", name, got)
		}
		if c.parts[0].properties["DTEND;VALUE=DATE"][0] != "20280301" {
			t.Errorf("ends %q", c.parts[0].properties["DTEND;VALUE=DATE"])
		}
	})
}
