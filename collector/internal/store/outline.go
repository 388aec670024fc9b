package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
)

// Outline says how large a database is, without a word of what is in it.
type Outline struct {
	Engine string           `json:"engine"` // and its version
	Schema int              `json:"schema"`
	Bytes  int64            `json:"bytes"`
	Rows   map[string]int64 `json:"rows"` // by table
}

// ReadOutline reads the outline of the database at path, also of one that a
// collector has open. It changes nothing.
func ReadOutline(ctx context.Context, path string) (o Outline, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return o, fmt.Errorf("outline: %w", err)
	}
	o = Outline{Bytes: info.Size(), Rows: map[string]int64{}}
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+url.Values{"mode": {"ro"}, "_busy_timeout": {"10000"}}.Encode())
	if err != nil {
		return o, fmt.Errorf("outline of %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRowContext(ctx, "SELECT 'SQLite ' || sqlite_version()").Scan(&o.Engine); err != nil {
		return o, fmt.Errorf("outline of %s: version: %w", path, err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&o.Schema); err != nil {
		return o, fmt.Errorf("outline of %s: schema: %w", path, err)
	}
	if err := o.count(ctx, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"); err != nil {
		return o, fmt.Errorf("outline of %s: %w", path, err)
	}
	return o, nil
}

// count counts the rows of the tables that a query names.
func (o *Outline) count(ctx context.Context, db *sql.DB, names string) error {
	var tables []string
	err := each(ctx, db, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		tables = append(tables, name)
		return err
	}, names)
	if err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	for _, name := range tables {
		var n int64
		// Names of tables come from the schema and not from anybody outside.
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+quote(name)).Scan(&n); err != nil {
			return fmt.Errorf("count %s: %w", name, err)
		}
		o.Rows[name] = n
	}
	return nil
}

// ReadPostgresOutline reads the outline of a PostgreSQL database. It changes nothing.
// Errors name neither the server nor the user.
func ReadPostgresOutline(ctx context.Context, url, password string) (o Outline, err error) {
	o.Rows = map[string]int64{}
	defer func() {
		if err != nil {
			err = fmt.Errorf("outline of the PostgreSQL database: %s", postgres.Blame(err))
		}
	}()
	c, err := postgres.NewConnector(url, postgres.Options{Name: "flopwatch support", Password: password, Reader: true})
	if err != nil {
		return o, err
	}
	db := sql.OpenDB(c)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := db.QueryRowContext(ctx, "SELECT 'PostgreSQL ' || current_setting('server_version'), pg_database_size(current_database())").Scan(&o.Engine, &o.Bytes); err != nil {
		return o, err
	}
	if o.Schema, err = postgresVersion(ctx, db); err != nil {
		return o, err
	}
	return o, o.count(ctx, db, `SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('`+postgres.Schema+`') AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1`)
}
