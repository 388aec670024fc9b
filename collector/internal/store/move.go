package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// ErrMoved means that the facts of a SQLite database were moved to PostgreSQL: who
// counted on in it would have two ledgers of one fleet.
var ErrMoved = errors.New("its facts were moved to PostgreSQL; start the collector with --store")

// movedObject stands for the database that the facts came from.
var movedObject = audit.Object{Kind: "store", ID: "sqlite"}

// Moved is one table that was copied, or found equal.
type Moved struct {
	Table  string
	Rows   int64
	Digest string // SHA-256 of the rows in the order of their key, the same on both engines
}

// Move is what MoveToPostgres did.
type Move struct {
	Tables []Moved
	Totals desk.Totals // of the whole ledger, the same on both engines
	Audit  desk.AuditCheck
	Digest string // of all tables together
	Before bool   // it had been copied already, and only the old database was not marked
}

// MoveToPostgres copies every row of the SQLite database at path, which no collector
// may have open, into an empty PostgreSQL database, whose owner o.Postgres must be. It
// holds each table, the totals of the ledger and the audit log of one against the
// other before it commits: all of it is there then, or nothing. The old database is
// kept and marked, so that no collector counts on in it. Evidence stays where it is.
func MoveToPostgres(ctx context.Context, path string, o Options, tell func(Moved)) (m Move, err error) {
	url := o.Postgres
	o.Postgres = ""
	from, err := Open(ctx, path, o)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := Migrate(ctx, url, o.Password); err != nil {
		return m, fmt.Errorf("make the schema: %w", err)
	}
	c, err := postgres.NewConnector(url, postgres.Options{Name: "flopwatch migrate", Password: o.Password})
	if err != nil {
		return m, err
	}
	db := sql.OpenDB(c)
	defer func() { err = errors.Join(err, db.Close()) }()
	to := &Store{db: db, opts: from.opts}
	to.opts.Postgres = url
	err = from.view(ctx, func(old *sql.Tx) error {
		return to.transact(ctx, func(tx *sql.Tx) error {
			mover := mover{ctx: ctx, old: old, tx: tx, from: from, to: to, tell: tell}
			err := mover.run()
			m = mover.done
			return err
		})
	})
	if err != nil {
		return m, fmt.Errorf("move to PostgreSQL: %w", err)
	}
	err = from.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('moved_ns', ?) ON CONFLICT (key) DO NOTHING", from.opts.Now().UnixNano())
		return err
	})
	if err != nil {
		return m, fmt.Errorf("mark the old database: %w; all of it is in PostgreSQL: run this again", err)
	}
	return m, nil
}

// view runs f in a transaction that sees one state.
func (s *Store) view(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return errors.Join(f(tx), tx.Rollback())
}

// wasMoved says whether a SQLite database was moved.
func wasMoved(ctx context.Context, q querier) (moved bool, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error { return rows.Scan(&moved) }, "SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'moved_ns')")
	return moved, err
}

type mover struct {
	ctx      context.Context
	old, tx  *sql.Tx
	from, to *Store
	tell     func(Moved)
	done     Move
}

// table is a table with its columns, in an order in which it can be filled.
type table struct {
	name    string
	columns []string
	order   string   // its key, or all columns where it has none
	needs   []string // tables that it refers to
}

func (m *mover) run() error {
	tables, err := m.tables()
	if err != nil {
		return err
	}
	all := sha256.New()
	var sums []Moved
	for _, t := range tables {
		sum, err := t.digest(m.ctx, m.old)
		if err != nil {
			return err
		}
		fmt.Fprintf(all, "%s %d %s\n", sum.Table, sum.Rows, sum.Digest)
		sums = append(sums, sum)
	}
	m.done.Digest = hex.EncodeToString(all.Sum(nil))
	before, err := m.reason()
	if err != nil {
		return err
	}
	if before == m.why(len(tables)) {
		m.done.Before, m.done.Tables = true, sums
		return nil
	}
	if err := m.empty(tables); err != nil {
		return err
	}
	for i, t := range tables {
		if err := m.copy(t); err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
		// Read back, since what was written is not what was stored.
		sum, err := t.digest(m.ctx, m.tx)
		if err != nil {
			return err
		}
		if sum != sums[i] {
			return fmt.Errorf("%s has %d rows with digest %s in SQLite, and %d with %s in PostgreSQL", t.name, sums[i].Rows, sums[i].Digest, sum.Rows, sum.Digest)
		}
		m.done.Tables = append(m.done.Tables, sum)
		m.tell(sum)
	}
	if err := m.sequences(); err != nil {
		return err
	}
	if _, err := m.tx.ExecContext(m.ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return err
	}
	return errors.Join(m.totals(), m.log())
}

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

// tables returns the tables of the old database, those that others refer to first.
func (m *mover) tables() ([]table, error) {
	var found []table
	err := each(m.ctx, m.old, func(rows *sql.Rows) error {
		var t table
		err := rows.Scan(&t.name)
		found = append(found, t)
		return err
	}, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	for i := range found {
		t := &found[i]
		var key []string
		err := each(m.ctx, m.old, func(rows *sql.Rows) error {
			var name string
			var pk int
			err := rows.Scan(&name, &pk)
			t.columns = append(t.columns, quote(name))
			return err
		}, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", t.name)
		if err == nil {
			err = each(m.ctx, m.old, func(rows *sql.Rows) error {
				var name string
				err := rows.Scan(&name)
				key = append(key, quote(name))
				return err
			}, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", t.name)
		}
		if err == nil {
			err = each(m.ctx, m.old, func(rows *sql.Rows) error {
				var name string
				err := rows.Scan(&name)
				t.needs = append(t.needs, name)
				return err
			}, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)`, t.name)
		}
		if err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", t.name, err)
		}
		if key == nil {
			key = t.columns
		}
		t.order = strings.Join(key, ", ")
	}
	var sorted []table
	for len(found) > 0 {
		i := slices.IndexFunc(found, func(t table) bool {
			return !slices.ContainsFunc(t.needs, func(name string) bool {
				return name != t.name && slices.ContainsFunc(found, func(o table) bool { return o.name == name })
			})
		})
		if i < 0 {
			return nil, errors.New("tables refer to each other in a circle")
		}
		sorted = append(sorted, found[i])
		found = slices.Delete(found, i, i+1)
	}
	return sorted, nil
}

func quote(name string) string { return `"` + name + `"` }

// selection is the query of all rows, in an order that both engines have.
func (t table) selection() string {
	return "SELECT " + strings.Join(t.columns, ", ") + " FROM " + quote(t.name) + " ORDER BY " + t.order
}

// rows calls f with each row, which f may keep no longer than the call.
func (t table) rows(ctx context.Context, q querier, f func(row []any) error) error {
	cells, targets := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	err := each(ctx, q, func(rows *sql.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i, c := range cells {
			cells[i] = postgres.Storable(c)
		}
		return f(cells)
	}, t.selection())
	if err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	return nil
}

func (t table) digest(ctx context.Context, q querier) (Moved, error) {
	sum := Moved{Table: t.name}
	h := sha256.New()
	fmt.Fprintf(h, "%s (%s)\n", t.name, strings.Join(t.columns, ", "))
	err := t.rows(ctx, q, func(row []any) error {
		sum.Rows++
		return hashRow(h, row)
	})
	sum.Digest = hex.EncodeToString(h.Sum(nil))
	return sum, err
}

// hashRow adds a row: each value by type and, where it has one, length.
func hashRow(h hash.Hash, row []any) error {
	for _, v := range row {
		c, err := cell(v)
		if err != nil {
			return err
		}
		text, _ := c.(string) // a null is no text
		if c == nil {
			text = "n"
		}
		fmt.Fprintf(h, "%d %s\n", len(text), text)
	}
	return nil
}

// empty fails unless the new database has nothing but what its schema begins with,
// and takes that away.
func (m *mover) empty(tables []table) error {
	for _, t := range tables {
		if t.name == "meta" {
			continue
		}
		var there bool
		if err := m.tx.QueryRowContext(m.ctx, "SELECT EXISTS (SELECT 1 FROM "+quote(t.name)+")").Scan(&there); err != nil {
			return err
		}
		if there {
			return fmt.Errorf("the PostgreSQL database is not empty: %s has rows; drop its schema %s, if nobody needs them, or name another database", t.name, postgres.Schema)
		}
	}
	_, err := m.tx.ExecContext(m.ctx, "DELETE FROM meta")
	return err
}

// copy copies a table. Its triggers do not see it: what they would write is copied
// too. They are back before the transaction ends.
func (m *mover) copy(t table) error {
	if _, err := m.tx.ExecContext(m.ctx, "ALTER TABLE "+quote(t.name)+" DISABLE TRIGGER USER"); err != nil {
		return err
	}
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = strings.Trim(c, `"`)
	}
	source := postgres.Copy{Table: t.name, Columns: names, Rows: func(put func([]any) error) error {
		return t.rows(m.ctx, m.old, put)
	}}
	if _, err := m.tx.ExecContext(m.ctx, "COPY", source); err != nil {
		return err
	}
	_, err := m.tx.ExecContext(m.ctx, "ALTER TABLE "+quote(t.name)+" ENABLE TRIGGER USER")
	return err
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
