// Package table reads the rows of CSV files that people send: each fault is told
// with its line, and the rows behind it are read all the same.
package table

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// Reader takes the rows of a file, and the faults of those that are none.
type Reader struct {
	Name  string // of the file
	Width int    // cells that each row must have, those of the header
	Full  func() bool
	Fault func(line int, column, rule string)
	Row   func(line int, cells []string)
}

// Read reads rows until the file ends or Full says that no more is wanted. in must
// take rows of any width, and stands behind the header. Its error is one of reading
// itself, not of what is in the file.
func (r Reader) Read(in *csv.Reader) error {
	for !r.Full() {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			var bad *csv.ParseError
			if !errors.As(err, &bad) {
				return fmt.Errorf("%s: read: %w", r.Name, err)
			}
			r.Fault(bad.StartLine, "row", "is not CSV") // the reader goes on after it
			continue
		}
		// Of a row that could not be read the reader knows no place, and panics.
		line, _ := in.FieldPos(0)
		if len(cells) != r.Width {
			r.Fault(line, "row", fmt.Sprintf("has %d cells, the header has %d", len(cells), r.Width))
			continue
		}
		r.Row(line, cells)
	}
	return nil
}

// Named returns cells by the names of their columns.
func Named(header, cells []string) map[string]string {
	named := make(map[string]string, len(cells))
	for i, column := range header {
		named[column] = cells[i]
	}
	return named
}
