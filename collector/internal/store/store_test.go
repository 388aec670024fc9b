package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := openOn(t, filepath.Join(dir, "flopwatch.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	if err := s.update(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("UPDATE meta SET value = 1")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.evidence.append(time.Unix(0, 0), []byte("frame")); err != nil {
		t.Fatal(err)
	}
	seen := 0
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		seen++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	least := 6 // directory, database, wal, shm, lock, evidence/, file
	if storetest.Postgres() {
		least = 4
	}
	if seen < least {
		t.Errorf("saw %d files", seen)
	}
}

func TestSecondCollectorIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := openOn(t, filepath.Join(dir, "flopwatch.db"), Options{}); err == nil || !strings.Contains(err.Error(), "another collector") {
		t.Errorf("second store on one directory: %v", err)
	}
}

// A setting that SQLite did not take must stop the start.
func TestSettingsAreReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for name, breakIt := range map[string]func(*connector){
		"misspelt": func(c *connector) { c.dsn = strings.Replace(c.dsn, "_synchronous=FULL", "_synchronus=FULL", 1) },
		"journal":  func(c *connector) { c.dsn = strings.Replace(c.dsn, "=WAL", "=DELETE", 1) },
		"keys":     func(c *connector) { c.dsn = strings.Replace(c.dsn, "_foreign_keys=on", "_foreign_keys=off", 1) },
		"busy":     func(c *connector) { c.dsn = strings.Replace(c.dsn, "_busy_timeout=10", "_busy_timeout=20", 1) },
		"unknown":  func(c *connector) { c.want["no_such_setting"] = "1" },
	} {
		t.Run(name, func(t *testing.T) {
			c := newConnector(path, 10*time.Second, false)
			before, want := c.dsn, len(c.want)
			breakIt(c)
			if c.dsn == before && len(c.want) == want {
				t.Fatal("the test broke nothing")
			}
			// SQLite's own default is FULL; the misspelt one shows only with another.
			if name == "misspelt" {
				c.want["synchronous"] = "3"
			}
			if conn, err := c.Connect(t.Context()); err == nil {
				t.Error("the connection was taken")
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestReadersCannotWrite(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.read.Exec("UPDATE meta SET value = 7"); err == nil {
		t.Error("a reading connection wrote")
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if storetest.Postgres() {
		if _, err := s.db.Exec("UPDATE schema_version SET version = 999"); err != nil {
			t.Fatal(err)
		}
		if err := Migrate(t.Context(), s.opts.Postgres, ""); !errors.Is(err, ErrNewerSchema) {
			t.Errorf("error is %v, want ErrNewerSchema", err)
		}
		return
	}
	if _, err := s.db.Exec("PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	if _, err := migrate(t.Context(), s.db); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("error is %v, want ErrNewerSchema", err)
	}
}

// A step that fails leaves the schema as it was, and its version.
func TestMigrationStepIsAllOrNothing(t *testing.T) {
	ctx := context.Background()
	db := sql.OpenDB(newConnector(filepath.Join(t.TempDir(), "m.db"), time.Second, false))
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(1)
	steps := fstest.MapFS{
		"m/0001_a.sql": {Data: []byte("CREATE TABLE a (x);")},
		"m/0002_b.sql": {Data: []byte("CREATE TABLE b (x); CREATE TABLE a (x);")},
	}
	if _, err := migrateFrom(ctx, db, steps, "m"); err == nil {
		t.Fatal("a broken step passed")
	}
	var version, tables int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if version != 1 || tables != 1 {
		t.Errorf("version %d with %d tables, want 1 and 1", version, tables)
	}
	steps["m/0002_b.sql"].Data = []byte("CREATE TABLE b (x);")
	if _, err := migrateFrom(ctx, db, steps, "m"); err != nil {
		t.Fatal(err)
	}
	steps["m/0004_d.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE d (x);")}
	if _, err := migrateFrom(ctx, db, steps, "m"); err == nil {
		t.Error("a hole in the numbers passed")
	}
}
