package intake

import (
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// ReadCSV reads rows of one kind, which the header tells: the column of its id
// (party_id, interest_id, …) names it.
func ReadCSV(name string, data []byte) ([]party.Change, error) {
	return read(name, data, func(r *reader, data []byte) {
		var k *kind
		table.CSV(data, &r.Faults, func(header []string) bool {
			k = r.header(header)
			return k != nil
		}, func(line int, cells map[string]string) { r.row(line, k, cells) })
	})
}

// header returns the kind of the rows, nil if the columns do not fit it.
func (r *reader) header(header []string) *kind {
	k := kindOf(header)
	if k == nil {
		r.Add(1, "header", "has no column of an id, such as party_id or interest_id; there are "+names())
		return nil
	}
	for i, column := range header {
		at := fmt.Sprintf("column %d", i+1)
		if !slices.Contains(k.columns(), column) {
			r.Add(1, at, fmt.Sprintf("is not known of kind %s; its columns are %v", k.name, k.columns()))
		} else if slices.Index(header, column) != i {
			r.Add(1, at, column+" is there twice")
		}
	}
	for _, column := range k.required {
		if !slices.Contains(header, column) {
			r.Add(1, column, "is missing")
		}
	}
	if r.Count() > 0 {
		return nil
	}
	return k
}
