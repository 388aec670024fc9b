package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// Outline says how large a database is, without a word of what is in it.
type Outline struct {
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
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&o.Schema); err != nil {
		return o, fmt.Errorf("outline of %s: schema: %w", path, err)
	}
	var tables []string
	err = each(ctx, db, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		tables = append(tables, name)
		return err
	}, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	if err != nil {
		return o, fmt.Errorf("outline of %s: tables: %w", path, err)
	}
	for _, name := range tables {
		var n int64
		// Names of tables come from the schema and not from anybody outside.
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM "`+name+`"`).Scan(&n); err != nil {
			return o, fmt.Errorf("outline of %s: count %s: %w", path, name, err)
		}
		o.Rows[name] = n
	}
	return o, nil
}
