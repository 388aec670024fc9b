// Package sheet says how lists of the API look as CSV, to exports and to
// flopwatchctl alike, and keeps what came from outside from being a formula.
package sheet

import (
	"strings"
	"time"
	"unicode"

	"github.com/flopwatch/flopwatch/pkg/plaintext"
)

// Column is one column: its name, and what it says of a row, exactly and not rounded.
type Column[T any] struct {
	Name string
	Of   func(T) string
}

// Names are the names of columns, in their order.
func Names[T any](columns []Column[T]) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// Cells are the cells of a row, each as Cell makes it safe.
func Cells[T any](columns []Column[T], row T) []string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = Cell(c.Of(row))
	}
	return cells
}

// Cell makes a text safe for spreadsheets and terminals: one that could start a
// formula gets an apostrophe in front, and what cannot be seen is written out.
// No figure of ours is negative, so no figure is touched.
func Cell(s string) string {
	guard := s != "" && strings.ContainsRune("=+-@\t\r\n", []rune(s)[0])
	// Some spreadsheets skip leading blanks before they look for a formula.
	if t := strings.TrimLeftFunc(s, unicode.IsSpace); t != s && t != "" && strings.ContainsAny(t[:1], "=+-@") {
		guard = true
	}
	if strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") || strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠") {
		guard = true // full-width forms, which some spreadsheets fold
	}
	if strings.HasPrefix(s, "#") {
		guard = true // the last line of an export begins so, and none of its rows may
	}
	s = plaintext.Printable(s)
	if guard {
		return "'" + s
	}
	return s
}

// Moment is a time as cells hold it, empty for none.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
