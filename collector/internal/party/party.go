// Package party knows who the customers are and which tenants are theirs. It is
// pure. Whether a person is foreign is not decided here: the provider's verified
// answer is stored, and what is not known is undetermined, never domestic.
package party

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
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
	Source        string // "file:line" of the import that names it, "" when read back; no part of what it says
}

// Equal reports whether two customers say the same.
func (c Customer) Equal(o Customer) bool {
	return c.sameBut(o) && slices.Equal(c.Tenants, o.Tenants)
}

// sameBut reports whether they say the same but for their tenants.
func (c Customer) sameBut(o Customer) bool {
	return c.ID == o.ID && c.Name == o.Name && c.Country == o.Country && c.Status == o.Status &&
		c.StatusReason == o.StatusReason && c.Demonstration == o.Demonstration
}

// Conflicts tells which tenants of next another customer would hold too, once
// next is laid over current: one line "file:line: tenant_id: rule" each, at
// most a hundred, ordered by customer. A tenant that moves between customers
// that next names is no conflict.
func Conflicts(current map[string]Customer, next []Customer) error {
	named := map[string]bool{}
	for _, c := range next {
		named[c.ID] = true
	}
	owner := map[measure.TenantID]string{}
	for _, c := range current {
		for _, tenant := range c.Tenants {
			if !named[c.ID] {
				owner[tenant] = c.ID
			}
		}
	}
	var faults []error
	for _, c := range next {
		for _, tenant := range c.Tenants {
			if other := owner[tenant]; other != "" && other != c.ID && len(faults) < table.MaxFaults {
				faults = append(faults, fmt.Errorf("%s: tenant_id: one of the customer's tenants belongs to another customer already", cmp.Or(c.Source, "customers:0")))
			}
			owner[tenant] = c.ID
		}
	}
	return errors.Join(faults...)
}

// Diff is what an import changes, by id.
type Diff = table.Diff

// Compare says what importing next over current changes. Customers that the
// import does not name stay as they are.
func Compare(current map[string]Customer, next []Customer) Diff {
	return table.Compare(current, next, func(c Customer) string { return c.ID }, Customer.Equal)
}

// Recorded tells which customers have a recorded party: what is known of them
// comes from its facts, and no list overrides that.
func Recorded(now Snapshot, next []Customer) error {
	var faults []error
	for _, c := range next {
		if now.Contracts[c.ID].Party != "" && len(faults) < table.MaxFaults {
			faults = append(faults, fmt.Errorf("%s: customer_id: has a recorded party; its status follows from its facts", cmp.Or(c.Source, "customers:0")))
		}
	}
	return errors.Join(faults...)
}

// Changes returns the records of customers of whom only a list tells: a contract
// without a party, and one account with the tenants.
func Changes(list []Customer) []Change {
	var out []Change
	for _, c := range list {
		out = append(out,
			Change{Object: Contract{ID: c.ID, Declared: c.Status, Reason: c.StatusReason, Demonstration: c.Demonstration}, Source: c.Source, Name: c.Name},
			Change{Object: Account{ID: c.ID, Customer: c.ID, Tenants: c.Tenants}, Source: c.Source})
	}
	return out
}
