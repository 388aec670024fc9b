package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// PutCustomers imports customers, all or none, and says what that changes. A dry
// run changes nothing but finds the same faults. A tenant that a customer not
// named holds already is a fault, told as party.Conflicts tells it. Customers
// that are not named stay as they are.
func (s *Store) PutCustomers(ctx context.Context, next []party.Customer, dryRun bool) (party.Diff, error) {
	var diff party.Diff
	var conflicts error
	err := s.update(ctx, func(tx *sql.Tx) error {
		current, err := customers(ctx, tx)
		if err != nil {
			return err
		}
		if conflicts = party.Conflicts(current, next); conflicts != nil {
			return conflicts
		}
		now := s.opts.Now().UTC()
		snapshot, err := s.snapshotIn(ctx, tx, now)
		if err != nil {
			return err
		}
		if conflicts = party.Recorded(snapshot, next); conflicts != nil {
			return conflicts
		}
		diff = party.Compare(current, next)
		changed := len(diff.New)+len(diff.Changed) > 0
		if dryRun || !changed {
			return nil
		}
		var moved []party.Customer
		for _, c := range next {
			if old, known := current[c.ID]; !known || !old.Equal(c) {
				moved = append(moved, c)
			}
		}
		if err := putCustomers(ctx, tx, moved); err != nil {
			return err
		}
		_, records := party.Differences(snapshot, party.Changes(moved))
		if err := writeRecords(ctx, tx, records, now); err != nil {
			return err
		}
		return customersChanged(ctx, tx)
	})
	switch {
	case conflicts != nil:
		return party.Diff{}, conflicts
	case err != nil:
		return party.Diff{}, fmt.Errorf("import customers: %w", err)
	}
	return diff, nil
}

// putCustomers lets go of the tenants of all customers before it gives any, so
// that tenants can change hands.
func putCustomers(ctx context.Context, tx *sql.Tx, all []party.Customer) error {
	for _, c := range all {
		if _, err := tx.ExecContext(ctx, "DELETE FROM customer_tenant WHERE customer = ?", c.ID); err != nil {
			return fmt.Errorf("customer %s: %w", c.ID, err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO customer (id, name, country, status, status_reason, demonstration) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, country = excluded.country, status = excluded.status,
			status_reason = excluded.status_reason, demonstration = excluded.demonstration`,
			c.ID, c.Name, c.Country, string(c.Status), c.StatusReason, c.Demonstration)
		if err != nil {
			return fmt.Errorf("customer %s: %w", c.ID, err)
		}
	}
	for _, c := range all {
		for _, tenant := range c.Tenants {
			if _, err := tx.ExecContext(ctx, "INSERT INTO customer_tenant (tenant, customer) VALUES (?, ?)", string(tenant), c.ID); err != nil {
				return fmt.Errorf("customer %s: tenant %s: %w", c.ID, tenant, err)
			}
		}
	}
	return nil
}

// querier is a database or a transaction of it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls scan for every row of a query.
func each(ctx context.Context, q querier, scan func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr
		}
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// customers returns all customers with their tenants in order.
func customers(ctx context.Context, q querier) (map[string]party.Customer, error) {
	all := map[string]party.Customer{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var c party.Customer
		err := rows.Scan(&c.ID, &c.Name, &c.Country, &c.Status, &c.StatusReason, &c.Demonstration)
		all[c.ID] = c
		return err
	}, "SELECT id, name, country, status, status_reason, demonstration FROM customer")
	if err != nil {
		return nil, fmt.Errorf("read customers: %w", err)
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var tenant measure.TenantID
		var id string
		err := rows.Scan(&tenant, &id)
		c := all[id]
		c.Tenants = append(c.Tenants, tenant)
		all[id] = c
		return err
	}, "SELECT tenant, customer FROM customer_tenant ORDER BY tenant")
	if err != nil {
		return nil, fmt.Errorf("read customers' tenants: %w", err)
	}
	return all, nil
}

// holders returns the customer of each tenant that one claims.
func holders(all map[string]party.Customer) map[measure.TenantID]party.Customer {
	out := map[measure.TenantID]party.Customer{}
	for _, c := range all {
		for _, tenant := range c.Tenants {
			out[tenant] = c
		}
	}
	return out
}
