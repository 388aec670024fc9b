package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

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

// MoveStep is how far a move is in what it does now.
type MoveStep struct {
	Doing    string // "copy", "read back", "index" or "check"
	Table    string // or index or constraint; "" for all of it
	Rows, Of int64  // done, and in all; 0 where rows are not counted
}

// MoveWatch is told how a move goes on. What is nil is not told.
type MoveWatch struct {
	Table func(Moved)    // a table is equal on both sides
	Step  func(MoveStep) // often, and fast
}

// MoveToPostgres copies every row of the SQLite database at path, which no collector
// may have open, into an empty PostgreSQL database, whose owner o.Postgres must be. It
// holds each table, the totals of the ledger and the audit log of one against the
// other before it commits: all of it is there then, or nothing, also when the context
// ends. The old database is kept and marked, so that no collector counts on in it.
// Evidence stays where it is.
func MoveToPostgres(ctx context.Context, path string, o Options, watch MoveWatch) (Move, error) {
	return move(ctx, path, o, mover{watch: watch})
}

func move(ctx context.Context, path string, o Options, mover mover) (m Move, err error) {
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
			mover.ctx, mover.old, mover.tx, mover.from, mover.to = ctx, old, tx, from, to
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
	watch    MoveWatch
	// alter, where it is not nil, stands between the old rows and the new ones: by it
	// tests damage what is moved.
	alter func(table string, row []any, put func([]any) error) error
	done  Move
}

func (m *mover) step(doing, table string, rows, of int64) {
	if m.watch.Step != nil {
		m.watch.Step(MoveStep{Doing: doing, Table: table, Rows: rows, Of: of})
	}
}

func (m *mover) run() error {
	tables, err := m.tables()
	if err != nil {
		return err
	}
	before, err := m.reason()
	if err != nil {
		return err
	}
	if before != "" {
		return m.again(tables, before)
	}
	if err := m.empty(tables); err != nil {
		return err
	}
	// Keys of other tables are looked up and indexes kept once for all rows, instead of
	// row by row.
	schema, err := schemaDigest(m.ctx, m.tx, postgresSchema)
	if err != nil {
		return err
	}
	off, err := m.takeOff()
	if err != nil {
		return err
	}
	if err := m.months(); err != nil {
		return err
	}
	for _, t := range tables {
		was, err := m.copy(t)
		if err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
		// Read back, since what was written is not what was stored.
		is, err := t.digest(m.ctx, m.tx, func(rows int64) { m.step("read back", t.name, rows, t.rows) })
		if err != nil {
			return err
		}
		if is != was {
			return fmt.Errorf("%s has %d rows with digest %s in SQLite, and %d with %s in PostgreSQL", t.name, was.Rows, was.Digest, is.Rows, is.Digest)
		}
		m.done.Tables = append(m.done.Tables, is)
		if m.watch.Table != nil {
			m.watch.Table(is)
		}
	}
	m.done.Digest = digestOfAll(m.done.Tables)
	if err := m.sequences(); err != nil {
		return err
	}
	if err := m.putBack(off); err != nil {
		return err
	}
	if now, err := schemaDigest(m.ctx, m.tx, postgresSchema); err != nil || now != schema {
		return errors.Join(err, errors.New("the schema is not what it was before the copy"))
	}
	m.step("check", "", 0, 0)
	return errors.Join(m.totals(), m.log())
}

// again is for a database into which something was moved before, for the reason that
// its log has: it must be all of this one.
func (m *mover) again(tables []table, before string) error {
	for _, t := range tables {
		sum, err := t.digest(m.ctx, m.old, func(rows int64) { m.step("read back", t.name, rows, t.rows) })
		if err != nil {
			return err
		}
		m.done.Tables = append(m.done.Tables, sum)
	}
	m.done.Digest = digestOfAll(m.done.Tables)
	if m.done.Before = before == m.why(len(tables)); m.done.Before {
		return nil
	}
	return m.empty(tables)
}

// digestOfAll is the digest of all tables together.
func digestOfAll(tables []Moved) string {
	all := sha256.New()
	for _, sum := range tables {
		fmt.Fprintf(all, "%s %d %s\n", sum.Table, sum.Rows, sum.Digest)
	}
	return hex.EncodeToString(all.Sum(nil))
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

// copy copies a table and returns what was read. Its triggers do not see it: what they
// would write is copied too. They are back before the transaction ends.
func (m *mover) copy(t table) (Moved, error) {
	if _, err := m.tx.ExecContext(m.ctx, "ALTER TABLE "+quote(t.name)+" DISABLE TRIGGER USER"); err != nil {
		return Moved{}, err
	}
	sum := t.newSum()
	source := postgres.Copy{Table: t.name, Columns: t.names(), Rows: func(put func([]any) error) error {
		return t.each(m.ctx, m.old, func(row []any) error {
			if err := sum.add(row); err != nil {
				return err
			}
			if sum.rows%stepRows == 0 {
				m.step("copy", t.name, sum.rows, t.rows)
			}
			if m.alter != nil {
				return m.alter(t.name, row, put)
			}
			return put(row)
		})
	}}
	if _, err := m.tx.ExecContext(m.ctx, "COPY", source); err != nil {
		return Moved{}, err
	}
	_, err := m.tx.ExecContext(m.ctx, "ALTER TABLE "+quote(t.name)+" ENABLE TRIGGER USER")
	return sum.moved(), err
}
