package party

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// MaxCustomers bounds one import; maxFaults what it tells.
const (
	MaxCustomers = 200_000
	maxFaults    = 100
	maxText      = 300
)

var columns = []string{"customer_id", "name", "country", "foreign_status", "status_reason", "demonstration", "tenant_id"}

// record is one row: one tenant of one customer.
type record struct {
	line     int
	customer Customer
	tenant   string
}

// ReadCSV reads customers, one row per tenant; the rows of one customer must
// agree. All faults are told, each as "name:line: column: rule", without the
// value, which may be personal.
func ReadCSV(name string, data []byte) ([]Customer, error) {
	if !utf8.Valid(data) {
		line := 1 + bytes.Count(data[:firstInvalid(data)], []byte("\n"))
		return nil, fmt.Errorf("%s:%d: text: is not UTF-8", name, line)
	}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("%s:1: header: is missing or not CSV", name)
	}
	b := newBook(name)
	for i, column := range header {
		if !slices.Contains(columns, column) {
			b.fault(1, column, "unknown column")
		} else if slices.Index(header, column) != i {
			b.fault(1, column, "is there twice")
		}
	}
	for _, column := range columns[:2] {
		if !slices.Contains(header, column) {
			b.fault(1, column, "is missing")
		}
	}
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	for len(b.faults) < maxFaults {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			b.fault(bad.Line, "row", "is not CSV")
			break
		}
		line, _ := reader.FieldPos(0)
		if len(cells) != len(header) {
			b.fault(line, "row", fmt.Sprintf("has %d cells, the header has %d", len(cells), len(header)))
			continue
		}
		cell := func(column string) string {
			if i := slices.Index(header, column); i >= 0 {
				return cells[i]
			}
			return ""
		}
		demonstration := false
		if text := cell("demonstration"); text != "" {
			if demonstration, err = strconv.ParseBool(text); err != nil {
				b.fault(line, "demonstration", "must be true or false")
			}
		}
		b.add(record{line: line, tenant: cell("tenant_id"), customer: Customer{
			ID: cell("customer_id"), Name: cell("name"), Country: cell("country"), Status: ForeignStatus(cell("foreign_status")),
			StatusReason: cell("status_reason"), Demonstration: demonstration,
		}})
	}
	return b.finish()
}

type document struct {
	CustomerID    string   `json:"customer_id"`
	Name          string   `json:"name"`
	Country       string   `json:"country"`
	ForeignStatus string   `json:"foreign_status"`
	StatusReason  string   `json:"status_reason"`
	Demonstration bool     `json:"demonstration"`
	TenantIDs     []string `json:"tenant_ids"`
}

// ReadJSON reads an array of customers. Faults name the element's line.
func ReadJSON(name string, data []byte) ([]Customer, error) {
	b := newBook(name)
	if !utf8.Valid(data) {
		b.fault(1+bytes.Count(data[:firstInvalid(data)], []byte("\n")), "text", "is not UTF-8")
		return b.finish()
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	line := func() int { return 1 + bytes.Count(data[:min(int(dec.InputOffset()), len(data))], []byte("\n")) }
	if token, err := dec.Token(); err != nil || token != json.Delim('[') {
		b.fault(1, "document", "must be an array of customers")
		return b.finish()
	}
	for dec.More() && len(b.faults) < maxFaults {
		var d document
		if err := dec.Decode(&d); err != nil {
			b.fault(line(), "customer", "is not JSON, or has an unknown key or a value of another type")
			return b.finish()
		}
		c := Customer{ID: d.CustomerID, Name: d.Name, Country: d.Country, Status: ForeignStatus(d.ForeignStatus), StatusReason: d.StatusReason, Demonstration: d.Demonstration}
		if len(d.TenantIDs) == 0 {
			b.add(record{line: line(), customer: c})
		}
		for _, tenant := range d.TenantIDs {
			b.add(record{line: line(), customer: c, tenant: tenant})
		}
	}
	if _, err := dec.Token(); err != nil && len(b.faults) == 0 {
		b.fault(line(), "document", "does not end")
	} else if _, err := dec.Token(); !errors.Is(err, io.EOF) && len(b.faults) == 0 {
		b.fault(line(), "document", "goes on after its end")
	}
	return b.finish()
}

// book collects records into customers.
type book struct {
	name      string
	faults    []error
	customers map[string]*Customer
	order     []string
	owner     map[string]string // tenant → customer
}

func newBook(name string) *book {
	return &book{name: name, customers: map[string]*Customer{}, owner: map[string]string{}}
}

func (b *book) fault(line int, column, rule string) {
	b.faults = append(b.faults, fmt.Errorf("%s:%d: %s: %s", b.name, line, column, rule))
}

func (b *book) add(r record) {
	c := r.customer
	before := len(b.faults)
	if c.ID == "" || len(c.ID) > 64 || !identifier(c.ID) {
		b.fault(r.line, "customer_id", "must be 1 to 64 letters, digits, '.', '_', ':' or '-'")
	}
	if c.Name == "" || !readable(c.Name) {
		b.fault(r.line, "name", "must be readable text of at most 300 bytes, without control, direction or zero-width characters")
	}
	if !readable(c.StatusReason) {
		b.fault(r.line, "status_reason", "must be readable text of at most 300 bytes, without control, direction or zero-width characters")
	}
	if c.Country != "" && (len(c.Country) != 2 || c.Country[0] < 'A' || c.Country[0] > 'Z' || c.Country[1] < 'A' || c.Country[1] > 'Z') {
		b.fault(r.line, "country", "must be two capital letters (ISO 3166-1) or empty")
	}
	switch c.Status {
	case "":
		c.Status = Undetermined
	case Foreign, US, Undetermined:
	default:
		b.fault(r.line, "foreign_status", "must be foreign, us, undetermined or empty")
	}
	if r.tenant != "" && (len(r.tenant) > 200 || !readable(r.tenant)) {
		b.fault(r.line, "tenant_id", "must be readable text of at most 200 bytes")
	}
	if len(b.faults) > before {
		return
	}
	have, known := b.customers[c.ID]
	if !known {
		if len(b.customers) >= MaxCustomers {
			b.fault(r.line, "customer_id", fmt.Sprintf("is one too many: at most %d customers", MaxCustomers))
			return
		}
		have = &c
		b.customers[c.ID], b.order = have, append(b.order, c.ID)
	} else if r.tenant == "" || !sameBut(*have, c) {
		b.fault(r.line, "customer_id", "is there before with other details, or again without a tenant")
		return
	}
	if r.tenant == "" {
		return
	}
	if other, taken := b.owner[r.tenant]; taken {
		if other == c.ID {
			b.fault(r.line, "tenant_id", "is there twice")
		} else {
			b.fault(r.line, "tenant_id", "belongs to another customer too")
		}
		return
	}
	b.owner[r.tenant] = c.ID
	have.Tenants = append(have.Tenants, measure.TenantID(r.tenant))
}

func sameBut(have, c Customer) bool {
	c.Tenants = have.Tenants
	return have.Equal(c)
}

func (b *book) finish() ([]Customer, error) {
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	out := make([]Customer, 0, len(b.order))
	for _, id := range b.order {
		c := *b.customers[id]
		slices.Sort(c.Tenants)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Customer) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func identifier(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == ':' || r == '-') {
			return false
		}
	}
	return true
}

// readable refuses what changes how a person reads the text around it.
func readable(s string) bool {
	if len(s) > maxText {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
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
