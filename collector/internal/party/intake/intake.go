// Package intake reads parties and what is around them from files: CSV with one
// kind of objects, or NDJSON with any. It is pure. Every fault is told as
// "file:line: column: rule" without the value, which may be personal, and on a
// fault nothing is returned.
package intake

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// MaxBytes and MaxRows bound one import.
const (
	MaxBytes = party.MaxBytes
	MaxRows  = 500_000
)

// reader collects the changes of a file, and its faults.
type reader struct {
	table.Faults
	changes []party.Change
}

// read gives the text of a file to f. A file whose last line does not end was cut
// off: what is cut within a value looks like another value.
func read(name string, data []byte, f func(r *reader, data []byte)) ([]party.Change, error) {
	r := &reader{Faults: table.Faults{File: name}}
	switch data, ok := r.Text(data, MaxBytes); {
	case !ok:
	case len(data) > 0 && data[len(data)-1] != '\n':
		r.Add(1+bytes.Count(data, []byte("\n")), "row", "does not end: the file was cut off, or lacks its last line end")
	default:
		f(r, data)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return r.changes, nil
}

// row makes a change of the cells of one row.
func (r *reader) row(line int, k *kind, cells map[string]string) {
	if len(r.changes) >= MaxRows {
		r.Add(line, "row", fmt.Sprintf("is one too many: at most %d", MaxRows))
		return
	}
	before := r.Count()
	c := cursor{r: r, line: line, cells: cells}
	change := party.Change{Source: fmt.Sprintf("%s:%d", r.File, line), Personal: map[string]string{}}
	c.change = &change
	for _, name := range k.required {
		if cells[name] == "" {
			r.Add(line, name, "is empty")
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
	if r.Count() == before && !r.Full() {
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
