package party

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// MaxBytes and MaxCustomers bound one import.
const (
	MaxBytes     = 64 << 20
	MaxCustomers = 200_000
)

const (
	maxText   = 300 // bytes of a name or reason
	maxTenant = 200 // bytes of a tenant's id
)

// record is one row: one tenant of one customer, or a customer without any.
type record struct {
	line     int
	customer Customer
	tenant   string
	bad      bool // a fault of it is told already
}

// book collects records into customers, and their faults.
type book struct {
	table.Faults
	customers map[string]*Customer
	owner     map[string]string // tenant → customer
}

func newBook(name string) *book {
	return &book{Faults: table.Faults{File: name}, customers: map[string]*Customer{}, owner: map[string]string{}}
}

// put takes a record whose customer is checked.
func (b *book) put(r record) {
	if !table.Readable(r.tenant, maxTenant) {
		b.Add(r.line, "tenant_id", fmt.Sprintf("must be text of at most %d bytes, %s", maxTenant, table.Plain))
		return
	}
	if r.bad || b.Full() {
		return
	}
	c := r.customer
	have, known := b.customers[c.ID]
	switch {
	case !known && len(b.customers) >= MaxCustomers:
		b.Add(r.line, "customer_id", fmt.Sprintf("is one too many: at most %d customers", MaxCustomers))
		return
	case !known:
		c.Source = fmt.Sprintf("%s:%d", b.File, r.line)
		have = &c
		b.customers[c.ID] = have
	case r.tenant == "" || len(have.Tenants) == 0:
		b.Add(r.line, "customer_id", "is there before, and one of the two has no tenant")
		return
	case !have.sameBut(c):
		b.Add(r.line, "customer_id", "is there before with other details")
		return
	}
	if r.tenant == "" {
		return
	}
	switch other := b.owner[r.tenant]; other {
	case "":
		b.owner[r.tenant] = c.ID
		have.Tenants = append(have.Tenants, measure.TenantID(r.tenant))
	case c.ID:
		b.Add(r.line, "tenant_id", "is there twice")
	default:
		b.Add(r.line, "tenant_id", "belongs to another customer too")
	}
}

// check tells what is wrong with a customer by itself, and settles the status.
func (b *book) check(r *record) {
	before := b.Count()
	defer func() { r.bad = r.bad || b.Count() > before || b.Full() }()
	c := &r.customer
	if !table.Identifier(c.ID) {
		b.Add(r.line, "customer_id", "must be 1 to 64 letters, digits, '.', '_', ':' or '-'")
	}
	if c.Name == "" || !table.Readable(c.Name, maxText) {
		b.Add(r.line, "name", fmt.Sprintf("must be text of 1 to %d bytes, %s", maxText, table.Plain))
	}
	if !table.Readable(c.StatusReason, maxText) {
		b.Add(r.line, "status_reason", fmt.Sprintf("must be text of at most %d bytes, %s", maxText, table.Plain))
	}
	if n := c.Country; n != "" && (len(n) != 2 || n[0] < 'A' || n[0] > 'Z' || n[1] < 'A' || n[1] > 'Z') {
		b.Add(r.line, "country", "must be two capital letters (ISO 3166-1) or empty")
	}
	switch c.Status {
	case "":
		c.Status = Undetermined
	case Foreign, US, Undetermined:
	default:
		b.Add(r.line, "foreign_status", "must be foreign, us, undetermined or empty")
	}
}

func (b *book) finish() ([]Customer, error) {
	if err := b.Err(); err != nil {
		return nil, err
	}
	out := make([]Customer, 0, len(b.customers))
	for _, c := range b.customers {
		slices.Sort(c.Tenants)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Customer) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}
