// Package intake reads parties and what is around them from files: CSV with one
// kind of objects, or NDJSON with any. It is pure. Every fault is told as
// "file:line: column: rule" without the value, which may be personal, and on a
// fault nothing is returned.
package intake

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/collector/internal/party"
)

// MaxBytes and MaxRows bound one import.
const (
	MaxBytes = party.MaxBytes
	MaxRows  = 500_000
)

const maxFaults = 100

// reader collects the changes of a file, and its faults.
type reader struct {
	name    string
	faults  []error
	changes []party.Change
}

func (r *reader) fault(line int, column, rule string) {
	if !r.full() {
		r.faults = append(r.faults, fmt.Errorf("%s:%d: %s: %s", r.name, line, column, rule))
	}
}

func (r *reader) full() bool { return len(r.faults) >= maxFaults }

func (r *reader) finish() ([]party.Change, error) {
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	return r.changes, nil
}

// text reports whether the data can be read at all, and takes off the byte order
// mark that spreadsheet programs put before it. A file whose last line does not
// end was cut off: what is cut within a value looks like another value.
func (r *reader) text(data []byte) ([]byte, bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > MaxBytes:
		r.fault(1+bytes.Count(data[:MaxBytes], []byte("\n")), "row", fmt.Sprintf("is beyond the first %d bytes, which are as many as one import may have", MaxBytes))
	case !utf8.Valid(data):
		valid := 0
		for valid < len(data) {
			c, n := utf8.DecodeRune(data[valid:])
			if c == utf8.RuneError && n == 1 {
				break
			}
			valid += n
		}
		r.fault(1+bytes.Count(data[:valid], []byte("\n")), "row", "is not UTF-8")
	case len(data) > 0 && data[len(data)-1] != '\n':
		r.fault(1+bytes.Count(data, []byte("\n")), "row", "does not end: the file was cut off, or lacks its last line end")
	}
	return data, len(r.faults) == 0
}

// row makes a change of the cells of one row.
func (r *reader) row(line int, k *kind, cells map[string]string) {
	if len(r.changes) >= MaxRows {
		r.fault(line, "row", fmt.Sprintf("is one too many: at most %d", MaxRows))
		return
	}
	before := len(r.faults)
	c := cursor{r: r, line: line, cells: cells}
	change := party.Change{Source: fmt.Sprintf("%s:%d", r.name, line), Personal: map[string]string{}}
	c.change = &change
	for _, name := range k.required {
		if cells[name] == "" {
			r.fault(line, name, "is empty")
		}
	}
	change.Object = k.build(&c)
	change.From, change.To = c.time("valid_from"), c.time("valid_to")
	if !change.To.IsZero() && !change.From.Before(change.To) {
		c.wrong("valid_to", "is not after valid_from")
	}
	if len(change.Personal) == 0 {
		change.Personal = nil
	}
	if len(r.faults) == before && !r.full() {
		r.changes = append(r.changes, change)
	}
}

// columns are those that a kind of rows may have.
func (k *kind) columns() []string { return slices.Concat(k.required, k.optional, everywhere) }

var everywhere = []string{"valid_from", "valid_to"}

// kindOf returns the kind whose id is the first column that ends the header.
func kindOf(header []string) *kind {
	for i := range kinds {
		if slices.Contains(header, kinds[i].required[0]) && !slices.ContainsFunc(header, func(column string) bool {
			return !slices.Contains(kinds[i].columns(), column)
		}) {
			return &kinds[i]
		}
	}
	// None fits: the one whose id comes first tells which columns it lacks.
	for _, column := range header {
		for i := range kinds {
			if kinds[i].required[0] == column {
				return &kinds[i]
			}
		}
	}
	return nil
}

func names() string {
	all := make([]string, len(kinds))
	for i, k := range kinds {
		all[i] = k.name
	}
	return strings.Join(all, ", ")
}
