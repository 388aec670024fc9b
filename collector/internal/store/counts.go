package store

import (
	"context"
	"database/sql"
)

// FindingCounts returns how many findings there are of each severity.
func (r *Reader) FindingCounts(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	err := r.view(ctx, "counts of findings", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var severity string
			var n int64
			err := rows.Scan(&severity, &n)
			counts[severity] = n
			return err
		}, "SELECT severity, count(*) FROM finding GROUP BY severity")
	})
	return counts, err
}
