package store

import (
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// why is the reason of the move in the audit log.
func (m *mover) why(tables int) string {
	return fmt.Sprintf("from SQLite to PostgreSQL: %d tables, equal row by row, SHA-256 %s", tables, m.done.Digest)
}

// reason returns it of a move that the new database has seen, "" for none.
func (m *mover) reason() (reason string, err error) {
	err = each(m.ctx, m.tx, func(rows *sql.Rows) error {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			return err
		}
		e, err := audit.ParseLeaf(leaf)
		reason = e.Reason
		return err
	}, "SELECT leaf FROM audit_leaf WHERE kind = ? AND object = ? ORDER BY seq DESC LIMIT 1", movedObject.Kind, movedObject.ID)
	return reason, err
}

// sequences lets each table that counts by itself go on after its last row.
func (m *mover) sequences() error {
	type counted struct{ table, column string }
	var all []counted
	err := each(m.ctx, m.tx, func(rows *sql.Rows) error {
		var c counted
		err := rows.Scan(&c.table, &c.column)
		all = append(all, c)
		return err
	}, `SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'flopwatch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attidentity <> '' ORDER BY 1`)
	for _, c := range all {
		if err == nil {
			_, err = m.tx.ExecContext(m.ctx, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%s.%s', '%s'), (SELECT coalesce(max(%s), 0) + 1 FROM %s), false)`,
				postgres.Schema, c.table, c.column, quote(c.column), quote(c.table)))
		}
	}
	if err != nil {
		return fmt.Errorf("go on counting: %w", err)
	}
	return nil
}

// totals holds the totals of the ledger against each other.
func (m *mover) totals() error {
	was, err := totals(m.ctx, m.old, 0, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("add up the old ledger: %w", err)
	}
	is, err := totals(m.ctx, m.tx, 0, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("add up the new ledger: %w", err)
	}
	if !reflect.DeepEqual(was, is) {
		return fmt.Errorf("the ledger adds up to %+v in SQLite and to %+v in PostgreSQL", was, is)
	}
	m.done.Totals = is
	return nil
}

// log adds to the audit log that the facts moved, and what the schema is now, and
// holds the whole log against what it protects.
func (m *mover) log() error {
	schema, err := last(m.ctx, m.tx, schemaObject)
	if err != nil {
		return err
	}
	now, err := schemaDigest(m.ctx, m.tx, postgresSchema)
	if err != nil {
		return err
	}
	act := audit.Of(m.ctx)
	act.Action, act.Reason = "store.move", m.why(len(m.done.Tables))
	moved := entryOf(act, movedObject, "", "")
	act.Action, act.Reason = "schema.migrate", "from SQLite to PostgreSQL"
	if err := m.to.append(m.ctx, m.tx, []audit.Entry{moved, entryOf(act, schemaObject, schema, now)}); err != nil {
		return err
	}
	// What did not hold before does not hold now, and nothing else.
	was, err := checkAuditIn(m.ctx, m.old, sqliteSchema)
	if err != nil {
		return err
	}
	is, err := checkAuditIn(m.ctx, m.tx, postgresSchema)
	if err != nil {
		return err
	}
	if was.Intact != is.Intact || !slices.Equal(was.Problems, is.Problems) || was.Objects != is.Objects {
		return fmt.Errorf("the audit log does not hold what was moved: %s; before: %s", strings.Join(is.Problems, "; "), strings.Join(was.Problems, "; "))
	}
	m.done.Audit = is
	return nil
}
