// Package party knows who the customers are and which tenants are theirs. It is
// pure. Whether a person is foreign is not decided here: the provider's verified
// answer is stored, and what is not known is undetermined, never domestic.
package party

import (
	"slices"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ForeignStatus is what the provider knows of a customer.
type ForeignStatus string

// The statuses. Undetermined alerts like Foreign.
const (
	Foreign      ForeignStatus = "foreign"
	US           ForeignStatus = "us"
	Undetermined ForeignStatus = "undetermined"
)

// Customer is a person or organisation with its tenants.
type Customer struct {
	ID            string
	Name          string
	Country       string // ISO 3166-1 alpha-2, "" if unknown
	Status        ForeignStatus
	StatusReason  string
	Demonstration bool // an invented organisation
	Tenants       []measure.TenantID
}

// Equal reports whether two customers say the same.
func (c Customer) Equal(o Customer) bool {
	return c.ID == o.ID && c.Name == o.Name && c.Country == o.Country && c.Status == o.Status &&
		c.StatusReason == o.StatusReason && c.Demonstration == o.Demonstration && slices.Equal(c.Tenants, o.Tenants)
}

// Diff is what an import changes, by customer id.
type Diff struct {
	New, Changed, Unchanged []string
}

// Compare says what importing next over current changes. Customers that the
// import does not name stay as they are.
func Compare(current map[string]Customer, next []Customer) Diff {
	var d Diff
	for _, c := range next {
		old, known := current[c.ID]
		switch {
		case !known:
			d.New = append(d.New, c.ID)
		case old.Equal(c):
			d.Unchanged = append(d.Unchanged, c.ID)
		default:
			d.Changed = append(d.Changed, c.ID)
		}
	}
	return d
}
