package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// RevenueRow is a price or a billed total of a customer.
type RevenueRow struct {
	Customer           string
	FromDay, ToDay     string // of a total; empty for a price
	Currency           string
	BilledCents        int64
	CentsPerDeviceHour int64
}

// PutRevenue keeps what was imported from billing, all or none. The newest price
// of a customer holds, and totals of different days add up; a total of the same
// days replaces the one before.
func (s *Store) PutRevenue(ctx context.Context, rows []RevenueRow) error {
	err := s.update(audit.Because(ctx, "revenue.import", ""), func(tx *sql.Tx) error {
		for _, r := range rows {
			_, err := tx.ExecContext(ctx, "INSERT INTO revenue (customer, from_day, to_day, currency, billed_cents, cents_per_device_hour, recorded_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
				r.Customer, r.FromDay, r.ToDay, r.Currency, r.BilledCents, r.CentsPerDeviceHour, s.opts.Now().UnixNano())
			if err != nil {
				return err
			}
		}
		return bump(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("import revenue: %w", err)
	}
	return nil
}

// revenues returns what is known of each customer's money. Of several currencies
// the last imported one counts.
func revenues(ctx context.Context, q querier) (map[string]lab.Revenue, error) {
	out := map[string]lab.Revenue{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var customer, currency string
		var billed, price int64
		if err := rows.Scan(&customer, &currency, &billed, &price); err != nil {
			return err
		}
		r := out[customer]
		if r.Currency != currency {
			r = lab.Revenue{Currency: currency}
		}
		r.BilledCents += billed
		if price > 0 {
			r.CentsPerDeviceHour = price
		}
		out[customer] = r
		return nil
	}, `SELECT customer, currency, billed_cents, cents_per_device_hour FROM revenue r
		WHERE no = (SELECT max(no) FROM revenue WHERE customer = r.customer AND from_day = r.from_day AND to_day = r.to_day) ORDER BY no`)
	if err != nil {
		return nil, fmt.Errorf("read revenue: %w", err)
	}
	return out, nil
}
