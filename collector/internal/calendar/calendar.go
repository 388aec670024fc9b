// Package calendar writes deadlines as a calendar that other programs subscribe to
// (RFC 5545). Its entries name cases by their ids alone. It is pure.
package calendar

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
)

// Entry is a deadline that stands.
type Entry struct {
	Case    string     // cas_…
	Clock   string     // "initial-report"
	Due     clock.Date // the last day
	Today   clock.Date // in the clock's zone
	Zone    string
	Overdue bool
	Changed time.Time // when the case last changed
}

// lineBytes is the longest line without its end.
const lineBytes = 75

// Write returns the calendar. What is overdue lasts from its last day until today,
// so that it never scrolls out of sight.
func Write(entries []Entry, now time.Time) []byte {
	w := &writer{}
	w.line("BEGIN:VCALENDAR")
	w.line("VERSION:2.0")
	w.line("PRODID:-//flopwatch//deadlines//EN")
	w.line("METHOD:PUBLISH")
	w.text("X-WR-CALNAME", "flopwatch deadlines")
	w.line("REFRESH-INTERVAL;VALUE=DURATION:PT1H")
	w.line("X-PUBLISHED-TTL:PT1H")
	for _, e := range entries {
		w.entry(e, now)
	}
	w.line("END:VCALENDAR")
	return []byte(w.b.String())
}

type writer struct{ b strings.Builder }

func (w *writer) entry(e Entry, now time.Time) {
	summary, last := e.Clock+" due, case "+e.Case, e.Due
	if e.Overdue {
		summary, last = "OVERDUE: "+summary, e.Today
	}
	w.line("BEGIN:VEVENT")
	w.text("UID", e.Case+"."+strings.ReplaceAll(e.Clock, " ", "-")+"@flopwatch.invalid")
	w.line("DTSTAMP:" + stamp(now))
	w.line("LAST-MODIFIED:" + stamp(e.Changed))
	w.line("DTSTART;VALUE=DATE:" + compact(e.Due))
	w.line("DTEND;VALUE=DATE:" + compact(last.Add(1))) // the day after, which is not in it
	w.text("SUMMARY", summary)
	w.text("DESCRIPTION", "The last day is "+e.Due.String()+" and ends at midnight in "+e.Zone+".")
	w.line("TRANSP:TRANSPARENT")
	w.text("CATEGORIES", "flopwatch")
	if !e.Overdue {
		for _, days := range clock.Steps {
			if days < 0 {
				continue
			}
			w.line("BEGIN:VALARM")
			w.line("ACTION:DISPLAY")
			w.text("DESCRIPTION", summary)
			w.line("TRIGGER:-P" + strconv.Itoa(days) + "D")
			w.line("END:VALARM")
		}
	}
	w.line("END:VEVENT")
}

func stamp(t time.Time) string    { return t.UTC().Format("20060102T150405Z") }
func compact(d clock.Date) string { return strings.ReplaceAll(d.String(), "-", "") }

// text writes a property whose value is text.
func (w *writer) text(name, value string) {
	value = strings.Map(func(r rune) rune {
		if r == '\r' || r < ' ' && r != '\n' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, "\uFFFD"))
	w.line(name + ":" + strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\n", `\n`).Replace(value))
}

// line writes a line, folded where it is too long and never within a character.
func (w *writer) line(text string) {
	room := lineBytes
	for len(text) > room {
		cut := room
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		w.b.WriteString(text[:cut] + "\r\n ")
		text, room = text[cut:], lineBytes-1
	}
	w.b.WriteString(text + "\r\n")
}
