package store

import (
	"database/sql"
	"fmt"
	"strings"
)

// taken is an index or a foreign key that a move takes off and puts back.
type taken struct{ name, off, on string }

// takeOff takes every foreign key and every index that is no key off the new tables.
// Each of them would be looked up or kept for every row: to make them of all rows at
// once takes a fraction of the time. What it takes off it returns with the statements
// that make it as it was, by the server's own words. All of it happens in the
// transaction of the move, so nobody sees a table without them.
func (m *mover) takeOff() ([]taken, error) {
	var all []taken
	err := each(m.ctx, m.tx, func(rows *sql.Rows) error {
		var t taken
		err := rows.Scan(&t.name, &t.off, &t.on)
		all = append(all, t)
		return err
	}, `SELECT indexrelid::regclass::text, 'DROP INDEX ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		WHERE c.relnamespace = 'flopwatch'::regnamespace AND NOT c.relispartition AND NOT i.indisunique
		UNION ALL
		SELECT r.conname, format('ALTER TABLE %s DROP CONSTRAINT %I', r.conrelid::regclass, r.conname), format('ALTER TABLE %s ADD CONSTRAINT %I %s', r.conrelid::regclass, r.conname, pg_get_constraintdef(r.oid))
		FROM pg_constraint r JOIN pg_class c ON c.oid = r.conrelid
		WHERE r.connamespace = 'flopwatch'::regnamespace AND r.contype = 'f' AND NOT c.relispartition AND r.conparentid = 0
		ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("read indexes and foreign keys: %w", err)
	}
	for _, t := range all {
		if _, err := m.tx.ExecContext(m.ctx, t.off); err != nil {
			return nil, fmt.Errorf("take %s off: %w", t.name, err)
		}
	}
	return all, nil
}

// putBack makes them again. A foreign key is checked for every row then. Before that the
// server counts what is in the tables, without which it would choose its ways badly.
func (m *mover) putBack(all []taken) error {
	// Of the sort that makes an index; the server's own setting is for a busy one.
	if _, err := m.tx.ExecContext(m.ctx, "SET LOCAL maintenance_work_mem = '256MB'"); err != nil {
		return fmt.Errorf("ask for memory: %w", err)
	}
	for _, t := range m.done.Tables {
		m.step("index", t.Table, 0, 0)
		if _, err := m.tx.ExecContext(m.ctx, "ANALYZE "+quote(t.Table)); err != nil {
			return fmt.Errorf("analyze %s: %w", t.Table, err)
		}
	}
	for _, t := range all {
		m.step("index", t.name, 0, 0)
		// The index of a table with partitions is said to be of the table ONLY, and would be
		// made without those of the partitions.
		if _, err := m.tx.ExecContext(m.ctx, strings.Replace(t.on, " ON ONLY ", " ON ", 1)); err != nil {
			return fmt.Errorf("put %s back: %w", t.name, err)
		}
	}
	return nil
}

// months makes the places of all rows that come, while nobody refers to them yet.
func (m *mover) months() error {
	now := m.from.opts.Now()
	for _, t := range byMonth {
		var months []string
		err := each(m.ctx, m.old, func(rows *sql.Rows) error {
			var month string
			err := rows.Scan(&month)
			months = append(months, month)
			return err
		}, fmt.Sprintf("SELECT DISTINCT strftime('%%Y-%%m', %s / 1000000000, 'unixepoch') FROM %s WHERE %s >= ? AND %s < ? ORDER BY 1", t.column, t.table, t.column, t.column),
			now.Add(-oldestMonth).UnixNano(), now.Add(newestMonth).UnixNano())
		if err != nil {
			return fmt.Errorf("read months of %s: %w", t.table, err)
		}
		for _, month := range months {
			if _, err := makeMonth(m.ctx, m.tx, place{t.table, month}); err != nil {
				return fmt.Errorf("make months of tables: %w", err)
			}
		}
	}
	return nil
}
