package eval

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
)

// rows calls f with every row of a compressed table, the cells in the order of
// the columns that are asked for. Faults name file, row and column.
func rows(path string, columns []string, f func(row *row) error) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open recording: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	zip, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	table := csv.NewReader(zip)
	table.ReuseRecord = true
	header, err := table.Read()
	if err != nil {
		return fmt.Errorf("read header of %s: %w", path, err)
	}
	r := &row{path: path, columns: columns, place: make([]int, len(columns))}
	for i, column := range columns {
		if r.place[i] = slices.Index(header, column); r.place[i] < 0 {
			return fmt.Errorf("%s has no column %s", path, column)
		}
	}
	for {
		r.cells, err = table.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		r.number++
		if err := f(r); err != nil {
			return err
		}
		if r.fault != nil {
			return r.fault
		}
	}
}

// row is one row. The first cell that cannot be read is its fault.
type row struct {
	path    string
	columns []string
	place   []int
	cells   []string
	number  int
	fault   error
}

func (r *row) text(column int) string { return r.cells[r.place[column]] }

func (r *row) float(column int) float64 {
	v, err := strconv.ParseFloat(r.text(column), 64)
	if err != nil && r.fault == nil {
		r.fault = fmt.Errorf("%s row %d, column %s: %w", r.path, r.number, r.columns[column], err)
	}
	return v
}

func (r *row) int(column int) int64 {
	v, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil && r.fault == nil {
		r.fault = fmt.Errorf("%s row %d, column %s: %w", r.path, r.number, r.columns[column], err)
	}
	return v
}
