package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/forecast"
)

// RunDays returns what a run did on each of its last days, at most
// forecast.MaxDays, as it was derived with the run.
func (r *Reader) RunDays(ctx context.Context, id string) ([]desk.RunDay, error) {
	var out []desk.RunDay
	err := r.view(ctx, "days of a run", func(tx *sql.Tx) error {
		watermark, err := meta(ctx, tx, "watermark_ns")
		if err != nil {
			return err
		}
		var recent string
		err = tx.QueryRowContext(ctx, "SELECT recent FROM run WHERE id = ?", id).Scan(&recent)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		days, err := daysOf(recent, watermark)
		if err != nil {
			return fmt.Errorf("run %s: %w", id, err)
		}
		days = days[max(0, len(days)-forecast.MaxDays):]
		for i, best := range days {
			out = append(out, desk.RunDay{ToNS: watermark - int64(len(days)-1-i)*int64(forecast.Day), Best: best})
		}
		return nil
	})
	return out, err
}

// customerDaysQuery goes along the days of each tenant.
const customerDaysQuery = `SELECT day, sum(ops_low), sum(ops_best), sum(ops_high) FROM run_day
	WHERE tenant IN (SELECT tenant FROM customer_tenant WHERE customer = ?) GROUP BY day ORDER BY day`

// CustomerDays returns what a customer's own tenants did on each day.
func (r *Reader) CustomerDays(ctx context.Context, customer string) ([]desk.CustomerDay, error) {
	var out []desk.CustomerDay
	err := r.view(ctx, "days of a customer", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var day int64
			var d desk.CustomerDay
			err := rows.Scan(&day, &d.Operations.Low, &d.Operations.Best, &d.Operations.High)
			d.ToNS = (day + 1) * dayNS
			out = append(out, d)
			return err
		}, customerDaysQuery, customer)
	})
	return out, err
}
