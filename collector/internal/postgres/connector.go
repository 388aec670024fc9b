// Package postgres lets the collector keep its databases in PostgreSQL: it is a
// connector of database/sql that takes the statements of the collector's dialect.
package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Schema holds all that is the collector's.
const Schema = "flopwatch"

// IsURL says whether a text names a PostgreSQL database.
func IsURL(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// Options of a Connector.
type Options struct {
	Name     string // by which the server shows the connection
	Reader   bool   // only reads
	Password string // "" for that of the URL, PGPASSWORD or the password file
}

// Connector opens connections, and refuses a server whose settings do not keep
// what it says is committed.
type Connector struct {
	inner driver.Connector
	texts *texts
	want  []setting
}

// setting is one that the server must have.
type setting struct {
	name string
	good []string
	why  string
}

var settings = []setting{
	{"synchronous_commit", []string{"on", "remote_apply"}, "a commit must be on disk before it is told"},
	{"fsync", []string{"on"}, "a commit must survive a power cut"},
	{"full_page_writes", []string{"on"}, "a page must survive a power cut"},
	{"data_checksums", []string{"on"}, "damage on disk must be seen: pg_checksums --enable turns them on while the server is stopped"},
	{"server_encoding", []string{"UTF8"}, "texts are UTF-8"},
	{"standard_conforming_strings", []string{"on"}, "texts are written as they are"},
}

// Oldest is the oldest version of the server that is tested, as server_version_num
// says it.
const Oldest = 150000

// NewConnector returns a connector to the database that a postgres:// URL names.
func NewConnector(address string, o Options) (*Connector, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("read the address of the database: %w", err)
	}
	if o.Password != "" {
		config.Password = o.Password
	}
	params := config.RuntimeParams
	params["application_name"] = o.Name
	params["search_path"] = Schema + ",pg_catalog"
	if params["synchronous_commit"] == "" {
		params["synchronous_commit"] = "on"
	}
	params["timezone"] = "UTC"
	params["random_page_cost"] = "1.1" // of disks without heads
	params["jit"] = "off"              // compiling takes longer than what the desk asks
	if o.Reader {
		params["default_transaction_read_only"] = "on"
	}
	return &Connector{inner: stdlib.GetConnector(*config), texts: &texts{reader: o.Reader}, want: settings}, nil
}

// Driver returns pgx's driver.
func (c *Connector) Driver() driver.Driver { return c.inner.Driver() }

// Connect opens one connection and reads its settings back.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.inner.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	std := inner.(*stdlib.Conn)
	if err := check(ctx, std.Conn(), c.want); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return &conn{inner: std, texts: c.texts}, nil
}

func check(ctx context.Context, conn *pgx.Conn, want []setting) error {
	// A pooler that gives every transaction another session would lose settings and
	// locks, and says nothing: what was set must be there.
	names := []string{"server_version_num", "search_path"}
	for _, s := range want {
		names = append(names, s.name)
	}
	rows, err := conn.Query(ctx, "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1)", names)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	got := map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { got[name] = value; return nil }); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if n, err := strconv.Atoi(got["server_version_num"]); err != nil || n < Oldest {
		return fmt.Errorf("%w has version %q of PostgreSQL and must have %d or newer", ErrSetting, got["server_version_num"], Oldest/10000)
	}
	if got["search_path"] != Schema+",pg_catalog" {
		return fmt.Errorf("%w has search_path %q: it did not take what the collector asked for", ErrSetting, got["search_path"])
	}
	for _, s := range want {
		good := false
		for _, g := range s.good {
			good = good || got[s.name] == g
		}
		if !good {
			return fmt.Errorf("%w: setting %s is %q and must be %q: %s", ErrSetting, s.name, got[s.name], s.good[0], s.why)
		}
	}
	return nil
}

// HasPassword says whether an address holds a password, where others can read it.
func HasPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return strings.Contains(address, "password")
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password") || u.Query().Has("sslpassword")
}
