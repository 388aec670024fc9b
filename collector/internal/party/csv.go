package party

import (
	"strconv"

	"github.com/flopwatch/flopwatch/pkg/table"
)

var sheet = table.Sheet{Columns: []string{"customer_id", "name", "country", "foreign_status", "status_reason", "demonstration", "tenant_id"}, Required: 2}

// ReadCSV reads customers, one row per tenant; the rows of one customer must
// agree. All faults are told, at most a hundred, each as "name:line: column:
// rule" and without the value, which may be personal. On an error no customer
// is returned.
func ReadCSV(name string, data []byte) ([]Customer, error) {
	b := newBook(name)
	if data, ok := b.Text(data, MaxBytes); ok {
		sheet.CSV(data, &b.Faults, b.row)
	}
	return b.finish()
}

func (b *book) row(line int, cells map[string]string) {
	r := record{line: line, tenant: cells["tenant_id"], customer: Customer{
		ID: cells["customer_id"], Name: cells["name"], Country: cells["country"],
		Status: ForeignStatus(cells["foreign_status"]), StatusReason: cells["status_reason"],
	}}
	if yes := cells["demonstration"]; yes != "" {
		var err error
		if r.customer.Demonstration, err = strconv.ParseBool(yes); err != nil {
			b.Add(line, "demonstration", "must be true or false")
			r.bad = true
		}
	}
	b.check(&r)
	b.put(r)
}
