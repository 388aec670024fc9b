package party

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"

	"github.com/flopwatch/flopwatch/pkg/table"
)

var columns = []string{"customer_id", "name", "country", "foreign_status", "status_reason", "demonstration", "tenant_id"}

// ReadCSV reads customers, one row per tenant; the rows of one customer must
// agree. All faults are told, at most a hundred, each as "name:line: column:
// rule" and without the value, which may be personal. On an error no customer
// is returned.
func ReadCSV(name string, data []byte) ([]Customer, error) {
	b := newBook(name)
	data, ok := b.text(data)
	if !ok {
		return b.finish()
	}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if err != nil {
		b.fault(1, "header", "is missing or not CSV")
		return b.finish()
	}
	if !b.header(header) {
		return b.finish()
	}
	rows := table.Reader{Name: name, Width: len(header), Full: b.full, Fault: b.fault, Row: func(line int, cells []string) { b.row(line, header, cells) }}
	if err := rows.Read(reader); err != nil {
		return nil, err
	}
	return b.finish()
}

// header reports whether the columns are known, there once, and enough.
func (b *book) header(header []string) bool {
	if len(header) > len(columns) {
		b.fault(1, "header", fmt.Sprintf("has %d columns, at most %d are known", len(header), len(columns)))
		return false
	}
	good := true
	for i, column := range header {
		at := fmt.Sprintf("column %d", i+1)
		if !slices.Contains(columns, column) {
			b.fault(1, at, fmt.Sprintf("is not known; the columns are %v", columns))
			good = false
		} else if slices.Index(header, column) != i {
			b.fault(1, at, column+" is there twice")
			good = false
		}
	}
	for _, column := range columns[:2] {
		if !slices.Contains(header, column) {
			b.fault(1, column, "is missing")
			good = false
		}
	}
	return good
}

func (b *book) row(line int, header, cells []string) {
	r := record{line: line}
	c := &r.customer
	for i, column := range header {
		switch cell := cells[i]; column {
		case "customer_id":
			c.ID = cell
		case "name":
			c.Name = cell
		case "country":
			c.Country = cell
		case "foreign_status":
			c.Status = ForeignStatus(cell)
		case "status_reason":
			c.StatusReason = cell
		case "tenant_id":
			r.tenant = cell
		case "demonstration":
			yes, err := strconv.ParseBool(cell)
			if err != nil && cell != "" {
				b.fault(line, column, "must be true or false")
				r.bad = true
			}
			c.Demonstration = yes
		}
	}
	b.check(&r)
	b.put(r)
}
