package storetest

import (
	"database/sql"
	"os"
	"sync"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/pkg/pgtest"
)

// Postgres says whether the tests run on PostgreSQL: FLOPWATCH_STORE=postgres.
func Postgres() bool { return os.Getenv("FLOPWATCH_STORE") == "postgres" }

var databases struct {
	sync.Mutex
	of map[string]string // by path
}

// Database returns the address of the database that belongs to a path in tests on
// PostgreSQL, the same each time it is asked, and "" in tests on SQLite. The first
// time it is a copy of what migrate makes of an empty one.
func Database(t testing.TB, path string, migrate func(url string) error) string {
	t.Helper()
	if !Postgres() {
		return ""
	}
	return PostgresDatabase(t, path, migrate)
}

// PostgresDatabase is Database for a test that runs on PostgreSQL always.
func PostgresDatabase(t testing.TB, path string, migrate func(url string) error) string {
	t.Helper()
	pgtest.Start(t)
	databases.Lock()
	defer databases.Unlock()
	if url, ok := databases.of[path]; ok {
		return url
	}
	url := pgtest.Database(t, "store", migrate)
	if databases.of == nil {
		databases.of = map[string]string{}
	}
	databases.of[path] = url
	t.Cleanup(func() {
		databases.Lock()
		defer databases.Unlock()
		delete(databases.of, path)
	})
	return url
}

// Raw opens the database that belongs to a path as another program does, past the
// store.
func Raw(t testing.TB, path string) (*sql.DB, error) {
	t.Helper()
	url := Database(t, path, nil)
	if url == "" {
		return sql.Open("sqlite3", "file:"+path+"?_busy_timeout=60000&_txlock=immediate")
	}
	return RawPostgres(url)
}

// Edit runs a statement once with each row of arguments, as another program does; without
// rows it runs once.
func Edit(t testing.TB, path, statement string, rows ...[]any) {
	t.Helper()
	db, err := Raw(t, path)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		rows = [][]any{nil}
	}
	for _, row := range rows {
		if _, err := db.Exec(statement, row...); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// RawPostgres opens a PostgreSQL database past the store.
func RawPostgres(url string) (*sql.DB, error) {
	c, err := postgres.NewConnector(url, postgres.Options{Name: "flopwatch test"})
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}
