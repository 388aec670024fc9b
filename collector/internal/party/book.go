package party

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// MaxBytes and MaxCustomers bound one import.
const (
	MaxBytes     = 64 << 20
	MaxCustomers = 200_000
)

const (
	maxFaults = 100
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
	name      string
	faults    []error
	customers map[string]*Customer
	owner     map[string]string // tenant → customer
}

func newBook(name string) *book {
	return &book{name: name, customers: map[string]*Customer{}, owner: map[string]string{}}
}

func (b *book) fault(line int, column, rule string) {
	if !b.full() {
		b.faults = append(b.faults, fmt.Errorf("%s:%d: %s: %s", b.name, line, column, rule))
	}
}

// full reports whether no more faults will be told.
func (b *book) full() bool { return len(b.faults) >= maxFaults }

// text reports whether the data can be read at all, and takes off the byte
// order mark that spreadsheet programs put before it.
func (b *book) text(data []byte) ([]byte, bool) {
	if len(data) > MaxBytes {
		b.fault(1, "text", fmt.Sprintf("is longer than %d bytes", MaxBytes))
	} else if i := firstInvalid(data); i < len(data) {
		b.fault(1+bytes.Count(data[:i], []byte("\n")), "text", "is not UTF-8")
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), len(b.faults) == 0
}

// put takes a record whose customer is checked.
func (b *book) put(r record) {
	if !readable(r.tenant, maxTenant) {
		b.fault(r.line, "tenant_id", fmt.Sprintf("must be text of at most %d bytes, %s", maxTenant, plain))
		return
	}
	if r.bad || b.full() {
		return
	}
	c := r.customer
	have, known := b.customers[c.ID]
	switch {
	case !known && len(b.customers) >= MaxCustomers:
		b.fault(r.line, "customer_id", fmt.Sprintf("is one too many: at most %d customers", MaxCustomers))
		return
	case !known:
		c.Source = fmt.Sprintf("%s:%d", b.name, r.line)
		have = &c
		b.customers[c.ID] = have
	case r.tenant == "" || len(have.Tenants) == 0:
		b.fault(r.line, "customer_id", "is there before, and one of the two has no tenant")
		return
	case !have.sameBut(c):
		b.fault(r.line, "customer_id", "is there before with other details")
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
		b.fault(r.line, "tenant_id", "is there twice")
	default:
		b.fault(r.line, "tenant_id", "belongs to another customer too")
	}
}

const plain = "without control, direction or invisible characters and without spaces around it"

// check tells what is wrong with a customer by itself, and settles the status.
func (b *book) check(r *record) {
	before := len(b.faults)
	defer func() { r.bad = r.bad || len(b.faults) > before || b.full() }()
	c := &r.customer
	if !identifier(c.ID) {
		b.fault(r.line, "customer_id", "must be 1 to 64 letters, digits, '.', '_', ':' or '-'")
	}
	if c.Name == "" || !readable(c.Name, maxText) {
		b.fault(r.line, "name", fmt.Sprintf("must be text of 1 to %d bytes, %s", maxText, plain))
	}
	if !readable(c.StatusReason, maxText) {
		b.fault(r.line, "status_reason", fmt.Sprintf("must be text of at most %d bytes, %s", maxText, plain))
	}
	if n := c.Country; n != "" && (len(n) != 2 || n[0] < 'A' || n[0] > 'Z' || n[1] < 'A' || n[1] > 'Z') {
		b.fault(r.line, "country", "must be two capital letters (ISO 3166-1) or empty")
	}
	switch c.Status {
	case "":
		c.Status = Undetermined
	case Foreign, US, Undetermined:
	default:
		b.fault(r.line, "foreign_status", "must be foreign, us, undetermined or empty")
	}
}

func (b *book) finish() ([]Customer, error) {
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	out := make([]Customer, 0, len(b.customers))
	for _, c := range b.customers {
		slices.Sort(c.Tenants)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Customer) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func identifier(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:-", r)) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// readable refuses what changes how a person reads the text around it, or makes
// two texts look the same that are not. A name that begins like a formula of a
// spreadsheet is a name; exports write it as text.
func readable(s string, limit int) bool {
	if len(s) > limit || strings.TrimSpace(s) != s {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return false
		}
	}
	return true
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}
