package intake

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// ReadCSV reads rows of one kind, which the header tells: the column of its id
// (party_id, interest_id, …) names it.
func ReadCSV(name string, data []byte) ([]party.Change, error) {
	r := &reader{name: name}
	data, ok := r.text(data)
	if !ok {
		return r.finish()
	}
	rows := csv.NewReader(bytes.NewReader(data))
	rows.FieldsPerRecord = -1
	header, err := rows.Read()
	if err != nil {
		r.fault(1, "header", "is missing or not CSV")
		return r.finish()
	}
	k := r.header(header)
	if k == nil {
		return r.finish()
	}
	below := table.Reader{Name: name, Width: len(header), Full: r.full, Fault: r.fault, Row: func(line int, cells []string) { r.row(line, k, table.Named(header, cells)) }}
	if err := below.Read(rows); err != nil {
		return nil, err
	}
	return r.finish()
}

// header returns the kind of the rows, nil if the columns do not fit it.
func (r *reader) header(header []string) *kind {
	k := kindOf(header)
	if k == nil {
		r.fault(1, "header", "has no column of an id, such as party_id or interest_id; there are "+names())
		return nil
	}
	for i, column := range header {
		at := fmt.Sprintf("column %d", i+1)
		if !slices.Contains(k.columns(), column) {
			r.fault(1, at, fmt.Sprintf("is not known of kind %s; its columns are %v", k.name, k.columns()))
		} else if slices.Index(header, column) != i {
			r.fault(1, at, column+" is there twice")
		}
	}
	for _, column := range k.required {
		if !slices.Contains(header, column) {
			r.fault(1, column, "is missing")
		}
	}
	if len(r.faults) > 0 {
		return nil
	}
	return k
}
