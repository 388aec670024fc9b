// Package table reads the tables that people send, as CSV or as one JSON object a
// line. Each fault is told with its line and column and without the value, which may
// be personal; the rows behind it are read all the same. It is pure.
package table

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxLine bounds one object of NDJSON, in bytes.
const maxLine = 8 << 10

// Sheet is a kind of table.
type Sheet struct {
	Columns  []string
	Required int // how many of the columns, the first ones, each file must have
}

// CSV reads the rows under a header that names columns of the sheet in any order,
// and gives them with the names of their columns.
func (s Sheet) CSV(data []byte, faults *Faults, row func(line int, cells map[string]string)) {
	CSV(data, faults, func(header []string) bool { return s.header(header, faults) }, row)
}

// header reports whether the columns are known, there once, and enough.
func (s Sheet) header(header []string, faults *Faults) bool {
	before := faults.Count()
	for i, column := range header[:min(len(header), 2*len(s.Columns))] {
		at := fmt.Sprintf("column %d", i+1)
		if !slices.Contains(s.Columns, column) {
			faults.Add(1, at, fmt.Sprintf("is not known; the columns are %v", s.Columns))
		} else if slices.Index(header, column) != i {
			faults.Add(1, at, column+" is there twice")
		}
	}
	for _, column := range s.Columns[:s.Required] {
		if !slices.Contains(header, column) {
			faults.Add(1, column, "is missing")
		}
	}
	return faults.Count() == before
}

// CSV reads rows under a header that header accepts, having told what is wrong with
// it, and gives them with the names of their columns.
func CSV(data []byte, faults *Faults, header func([]string) bool, row func(line int, cells map[string]string)) {
	in := csv.NewReader(bytes.NewReader(data))
	in.FieldsPerRecord = -1
	columns, err := in.Read()
	if err != nil {
		faults.Add(1, "header", "is missing or not CSV")
		return
	}
	if !header(columns) {
		return
	}
	for !faults.Full() {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			line := 1
			if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
				line = bad.StartLine
			}
			faults.Add(line, "row", "is not CSV") // the reader goes on after it
			continue
		}
		// Of a row that could not be read the reader knows no place, and panics.
		line, _ := in.FieldPos(0)
		if len(cells) != len(columns) {
			faults.Add(line, "row", fmt.Sprintf("has %d cells, the header has %d", len(cells), len(columns)))
			continue
		}
		named := make(map[string]string, len(cells))
		for i, column := range columns {
			named[column] = cells[i]
		}
		row(line, named)
	}
}

// NDJSON reads an object a line, with the columns of the sheet as keys and texts as
// values. Lines with nothing on them are passed over.
func (s Sheet) NDJSON(data []byte, faults *Faults, row func(line int, cells map[string]string)) {
	line := 0
	for text := range bytes.Lines(data) {
		if line++; faults.Full() {
			return
		}
		switch text = bytes.TrimSpace(text); {
		case len(text) == 0:
		case len(text) > maxLine:
			faults.Add(line, "line", fmt.Sprintf("is longer than %d bytes", maxLine))
		default:
			if cells, ok := s.object(line, text, faults); ok {
				row(line, cells)
			}
		}
	}
}

// object reads one line and reports whether it can be used.
func (s Sheet) object(line int, text []byte, faults *Faults) (map[string]string, bool) {
	if !json.Valid(text) || text[0] != '{' {
		faults.Add(line, "line", "must be a JSON object")
		return nil, false
	}
	before := faults.Count()
	in := json.NewDecoder(bytes.NewReader(text))
	cells := map[string]string{}
	_, err := in.Token()
	for err == nil && in.More() {
		var token json.Token
		if token, err = in.Token(); err != nil {
			break
		}
		key, _ := token.(string)
		var raw json.RawMessage
		if err = in.Decode(&raw); err != nil {
			break
		}
		_, twice := cells[key]
		var value *string
		switch {
		case !slices.Contains(s.Columns, key):
			faults.Add(line, "line", fmt.Sprintf("has a key that is not known; the keys are %v", s.Columns))
		case twice:
			faults.Add(line, key, "is there twice")
		case json.Unmarshal(raw, &value) != nil || value == nil:
			faults.Add(line, key, "must be a text")
		default:
			cells[key] = *value
		}
	}
	if err != nil {
		faults.Add(line, "line", "is not JSON")
	}
	return cells, faults.Count() == before
}
