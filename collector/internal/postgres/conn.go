package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Rows of a Batch are sent in one go: one argument of a statement that is run
// once for each.
type Rows [][]any

// conn is one connection. It takes the statements of the collector's dialect, and
// lets a statement run while the rows of another are still being read, as SQLite
// does: what is unread then moves into memory.
type conn struct {
	inner *stdlib.Conn
	texts *texts
	open  *rows // that still hold the connection
}

var (
	_ driver.ExecerContext     = (*conn)(nil)
	_ driver.QueryerContext    = (*conn)(nil)
	_ driver.ConnBeginTx       = (*conn)(nil)
	_ driver.Pinger            = (*conn)(nil)
	_ driver.SessionResetter   = (*conn)(nil)
	_ driver.NamedValueChecker = (*conn)(nil)
	_ driver.Validator         = (*conn)(nil)
)

func (c *conn) Prepare(query string) (driver.Stmt, error) { return &stmt{c, query}, nil }
func (c *conn) Close() error                              { return c.inner.Close() }
func (c *conn) Ping(ctx context.Context) error            { return c.inner.Ping(ctx) }
func (c *conn) IsValid() bool                             { return !c.inner.Conn().IsClosed() }

func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx begins a transaction. One of a connection that only reads sees one state
// of the database from its first statement to its end, as it does in SQLite.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.texts.reader {
		opts = driver.TxOptions{Isolation: driver.IsolationLevel(sql.LevelRepeatableRead), ReadOnly: true}
	}
	if err := c.drain(); err != nil {
		return nil, err
	}
	t, err := c.inner.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &tx{c, t}, nil
}

func (c *conn) ResetSession(ctx context.Context) error {
	c.open = nil
	return c.inner.ResetSession(ctx)
}

// CheckNamedValue brings an argument to a type that SQLite has: truth is a number.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	switch v.Value.(type) {
	case Rows, Copy:
		return nil
	}
	value, err := plain(v.Value)
	v.Value = value
	return err
}

func plain(v any) (any, error) {
	out, err := driver.DefaultParameterConverter.ConvertValue(v)
	if truth, ok := out.(bool); ok {
		out = int64(0)
		if truth {
			out = int64(1)
		}
	}
	return Storable(out), err
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.drain(); err != nil {
		return nil, err
	}
	if len(args) == 1 {
		switch v := args[0].Value.(type) {
		case Rows:
			return c.batch(ctx, query, v)
		case Copy:
			return c.copyFrom(ctx, v)
		}
	}
	return c.inner.ExecContext(ctx, c.texts.get(query, args), args)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.drain(); err != nil {
		return nil, err
	}
	inner, err := c.inner.QueryContext(ctx, c.texts.get(query, args), args)
	if err != nil {
		return nil, err
	}
	c.open = &rows{conn: c, inner: inner, width: len(inner.Columns())}
	return c.open, nil
}

// drain reads what is left of the open rows into memory.
func (c *conn) drain() error {
	r := c.open
	if r == nil {
		return nil
	}
	c.open = nil
	for {
		row := make([]driver.Value, r.width)
		err := r.inner.Next(row)
		if err != nil {
			r.end = err
			break
		}
		for i := range row {
			if b, ok := row[i].([]byte); ok {
				row[i] = append(make([]byte, 0, len(b)), b...)
			}
		}
		r.rest = append(r.rest, row)
	}
	r.drained = true
	if err := r.inner.Close(); err != nil && errors.Is(r.end, io.EOF) {
		return err
	}
	return nil
}

// batch runs the statement once for each row, all of them on their way before the
// first answer, and expects each to change one row.
func (c *conn) batch(ctx context.Context, query string, batch Rows) (driver.Result, error) {
	const most = 4096 // rows on their way at once
	var total int64
	for len(batch) > 0 {
		part := batch[:min(most, len(batch))]
		batch = batch[len(part):]
		var queue pgx.Batch
		for _, row := range part {
			args := make([]any, len(row))
			named := make([]driver.NamedValue, len(row))
			for i, v := range row {
				value, err := plain(v)
				if err != nil {
					return nil, err
				}
				args[i], named[i].Value = value, value
			}
			queue.Queue(c.texts.get(query, named), args...)
		}
		results := c.inner.Conn().SendBatch(ctx, &queue)
		for i := range part {
			tag, err := results.Exec()
			if err == nil && tag.RowsAffected() != 1 {
				err = fmt.Errorf("%d rows changed instead of one", tag.RowsAffected())
			}
			if err != nil {
				return nil, errors.Join(fmt.Errorf("row of %v: %w", part[i][0], err), ignoreRepeated(results.Close(), err))
			}
			total++
		}
		if err := results.Close(); err != nil {
			return nil, err
		}
	}
	return driver.RowsAffected(total), nil
}

// ignoreRepeated leaves out what only says first again.
func ignoreRepeated(err, first error) error {
	if err != nil && strings.Contains(first.Error(), err.Error()) {
		return nil
	}
	return err
}

// rows are read from the connection, or from memory once it is needed for more.
type rows struct {
	conn    *conn
	inner   driver.Rows
	width   int
	drained bool
	rest    [][]driver.Value
	end     error // after rest
}

func (r *rows) Columns() []string { return r.inner.Columns() }

func (r *rows) Next(dest []driver.Value) error {
	if !r.drained {
		return r.inner.Next(dest)
	}
	if len(r.rest) == 0 {
		return r.end
	}
	copy(dest, r.rest[0])
	r.rest = r.rest[1:]
	return nil
}

func (r *rows) Close() error {
	if r.drained {
		r.rest, r.end = nil, io.EOF
		return nil
	}
	if r.conn.open == r {
		r.conn.open = nil
	}
	return r.inner.Close()
}

// stmt is only a text: the server's statements are kept by pgx.
type stmt struct {
	conn  *conn
	query string
}

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return -1 }

func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }
func (s *stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, driver.ErrSkip }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.ExecContext(ctx, s.query, args)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.QueryContext(ctx, s.query, args)
}

type tx struct {
	conn  *conn
	inner driver.Tx
}

func (t *tx) Commit() error {
	if err := t.conn.drain(); err != nil {
		return err
	}
	return t.inner.Commit()
}

func (t *tx) Rollback() error {
	if err := t.conn.drain(); err != nil {
		return err
	}
	return t.inner.Rollback()
}

// texts are the statements as PostgreSQL takes them, by text and types.
type texts struct {
	reader bool
	mu     sync.Mutex
	known  map[string]string
}

const maxTexts = 4096

func (t *texts) get(query string, args []driver.NamedValue) string {
	types := make([]string, len(args))
	key := make([]byte, 0, len(query)+len(args)+1)
	key = append(key, query...)
	for i := range args {
		var mark byte
		switch args[i].Value.(type) {
		case int64:
			types[i], mark = "bigint", 'i'
		case string:
			types[i], mark = "text", 't'
		case []byte:
			types[i], mark = "bytea", 'b'
		case float64:
			types[i], mark = "double precision", 'f'
		default:
			mark = '0' // null: the server knows
		}
		key = append(key, mark)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if text, ok := t.known[string(key)]; ok {
		return text
	}
	if t.known == nil || len(t.known) >= maxTexts {
		t.known = map[string]string{}
	}
	text := Rewrite(query, types)
	t.known[string(key)] = text
	return text
}

// IsUnique says whether an error is that a row with such a key is there already.
func IsUnique(err error) bool {
	var fault *pgconn.PgError
	return errors.As(err, &fault) && fault.Code == "23505"
}

// Refused says whether an error is that the server did not do something because others
// hold a lock, or because the role may not; the connection is as good as before.
func Refused(err error) bool {
	var fault *pgconn.PgError
	return errors.As(err, &fault) && (fault.Code == "55P03" || fault.Code == "40P01" || fault.Code == "42501")
}

// Damage returns what the server says of data that it cannot read, and whether an error
// is that.
func Damage(err error) (message string, damaged bool) {
	var fault *pgconn.PgError
	if errors.As(err, &fault) && (fault.Code == "XX001" || fault.Code == "XX002") {
		return fault.Message, true
	}
	return "", false
}

// Storable returns a value as a text of PostgreSQL can hold it: it has no zero byte.
// Hosts may send one in what is only shown, and what they signed is kept as it came,
// in the evidence.
func Storable(v any) any {
	if text, ok := v.(string); ok && strings.IndexByte(text, 0) >= 0 {
		return strings.ReplaceAll(text, "\x00", "\u2400")
	}
	return v
}

// Copy as the argument of a statement, whatever its text is, fills a table from rows.
type Copy struct {
	Table   string
	Columns []string
	Rows    func(put func(row []any) error) error // put is done with the row when it returns
}

func (c *conn) copyFrom(ctx context.Context, from Copy) (driver.Result, error) {
	var failed error
	stopped := errors.New("stopped")
	next, stop := iter.Pull(func(yield func([]any) bool) {
		err := from.Rows(func(row []any) error {
			if !yield(row) {
				return stopped
			}
			return nil
		})
		if !errors.Is(err, stopped) {
			failed = err
		}
	})
	n, err := c.inner.Conn().CopyFrom(ctx, pgx.Identifier{Schema, from.Table}, from.Columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, ok := next()
		if !ok {
			return nil, failed
		}
		return row, nil
	}))
	stop()
	return driver.RowsAffected(n), errors.Join(err, failed)
}
