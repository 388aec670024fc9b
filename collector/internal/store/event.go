package store

import (
	"context"
	"database/sql"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Events returns what hosts reported beside figures, last come first.
func (r *Reader) Events(ctx context.Context, filter desk.EventFilter) ([]desk.Event, error) {
	var out []desk.Event
	err := r.view(ctx, "events", func(tx *sql.Tx) error {
		query, args := eventQuery(filter)
		return each(ctx, tx, func(rows *sql.Rows) error {
			var e desk.Event
			err := rows.Scan(&e.ID, &e.Host, &e.HostName, &e.Device, &e.TimeNS, &e.Kind, &e.Code, &e.Detail)
			out = append(out, e)
			return err
		}, query, args...)
	})
	return out, err
}

// eventQuery names only the conditions that are set, so that SQLite goes down an
// index from the cursor and stops at the limit. CROSS keeps it from beginning at
// the hosts, whose events it would have to sort.
func eventQuery(filter desk.EventFilter) (query string, args []any) {
	query = `SELECT e.id, h.id, h.name, e.device, e.time_ns, e.kind, e.code, e.detail
		FROM event e CROSS JOIN host h ON h.no = e.host WHERE true`
	if filter.Host != "" {
		query, args = query+" AND e.host = (SELECT no FROM host WHERE id = ?)", append(args, filter.Host)
	}
	if filter.Kind != "" {
		query, args = query+" AND e.kind = ?", append(args, filter.Kind)
	}
	if filter.AfterID != 0 {
		query, args = query+" AND e.id < ?", append(args, filter.AfterID)
	}
	return query + " ORDER BY e.id DESC LIMIT ?", append(args, filter.Rows())
}
