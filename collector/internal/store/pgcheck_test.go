package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// What reads beside a collector that runs sees its facts and can change nothing.
func TestOpenReading(t *testing.T) {
	dir := t.TempDir()
	url := storetest.PostgresDatabase(t, dir, nil)
	if _, err := OpenReading(t.Context(), Options{Postgres: url, Evidence: dir}); err == nil || !strings.Contains(err.Error(), "has no schema") {
		t.Errorf("a database that nobody used: %v", err)
	}
	s, err := Open(t.Context(), filepath.Join(dir, "flopwatch.db"), Options{Postgres: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Checkpoint(t.Context(), ofHost(1, "hosta")); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReading(t.Context(), Options{Postgres: url, Evidence: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	if problems, err := r.Integrity(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("integrity: %v, %v", problems, err)
	}
	if hosts, err := NewReader(r, "", false).Hosts(t.Context()); err != nil || len(hosts) != 1 {
		t.Errorf("hosts %v, %v", hosts, err)
	}
	if _, err := r.read.Exec("UPDATE host SET seq = 9"); err == nil {
		t.Error("what reads wrote")
	}
	for version, want := range map[int]string{9999: "newer schema", 28: "flopwatch-collector migrate"} {
		if _, err := s.db.Exec(fmt.Sprintf("UPDATE schema_version SET version = %d", version)); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReading(t.Context(), Options{Postgres: url, Evidence: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("schema %d: %v", version, err)
		}
	}
}

// A reference to a row that is not there is named, whoever wrote it past the checks.
func TestBrokenReferencesAreNamed(t *testing.T) {
	s := twoStores(t)[0]
	if _, err := s.db.Exec(`SET session_replication_role = replica; INSERT INTO customer_tenant (tenant, customer) VALUES ('t', 'cus_nobody'), ('u', 'cus_nobody'); RESET session_replication_role`); err != nil {
		t.Fatal(err)
	}
	problems, err := s.Integrity(t.Context())
	if err != nil || len(problems) != 1 || problems[0] != "database: 2 rows of customer_tenant refer to rows of customer that are not there" {
		t.Errorf("problems %q, %v", problems, err)
	}
}

// A byte that changed on the server's disk is found by reading every value.
func TestDamagedPagesAreNamed(t *testing.T) {
	s := twoStores(t)[0]
	if _, err := s.Checkpoint(t.Context(), ofHost(1, "hosta")); err != nil {
		t.Fatal(err)
	}
	one := func(query string) string { return rowsOf(t, s.read, query)[0][0] }
	database, data, file := one("SELECT current_database()::text"), one("SELECT current_setting('data_directory')"), one("SELECT pg_relation_filepath('host')")
	url := s.opts.Postgres
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.db, s.read, s.watch, s.lock, s.evidence = nil, nil, nil, nil, nil // it is closed again at the end
	// The pages of a database that was copied file by file are not in the server's memory.
	admin, err := storetest.RawPostgres(strings.Replace(url, "/"+database+"?", "/postgres?", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	damaged := database + "_damaged"
	// The other store of the test has connections, and a template must have none.
	for _, statement := range []string{
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + database + "'",
		"ALTER DATABASE " + database + " ALLOW_CONNECTIONS false",
		"CREATE DATABASE " + damaged + " TEMPLATE " + database + " STRATEGY FILE_COPY",
		"ALTER DATABASE " + database + " ALLOW_CONNECTIONS true",
	} {
		if _, err := admin.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	defer func() {
		if _, err := admin.Exec("DROP DATABASE " + damaged + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	}()
	oid := rowsOf(t, admin, "SELECT oid::text FROM pg_database WHERE datname = '"+damaged+"'")[0][0]
	path := filepath.Join(data, "base", oid, filepath.Base(file))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[8000] ^= 1 // in the row, which lies at the end of its page
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReading(t.Context(), Options{Postgres: strings.Replace(url, "/"+database+"?", "/"+damaged+"?", 1), Evidence: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	problems, err := r.Integrity(t.Context())
	if err != nil || !strings.Contains(strings.Join(problems, "\n"), "invalid page in block 0") {
		t.Errorf("problems %q, %v", problems, err)
	}
	if _, err := NewReader(r, "", false).Check(t.Context()); err == nil {
		t.Error("a damaged page was read")
	} else if _, known := Damage(err); !known {
		t.Errorf("not known as damage: %v", err)
	}
}

// What cannot be read of a database is said without where it is and who asks.
func TestOutlineOfPostgres(t *testing.T) {
	dir := t.TempDir()
	url := storetest.PostgresDatabase(t, dir, nil)
	o, err := ReadPostgresOutline(t.Context(), url, "")
	if err != nil || o.Schema != 0 || len(o.Rows) != 0 {
		t.Errorf("an empty database: %+v, %v", o, err)
	}
	if err := Migrate(t.Context(), url, ""); err != nil {
		t.Fatal(err)
	}
	o, err = ReadPostgresOutline(t.Context(), url, "")
	if err != nil || !strings.HasPrefix(o.Engine, "PostgreSQL ") || o.Schema < 34 || o.Bytes < 1<<20 || len(o.Rows) < 60 || o.Rows["meta"] == 0 {
		t.Errorf("outline %+v, %v", o, err)
	}
	for name, address := range map[string]string{
		"another user":     strings.Replace(url, "//owner@", "//hidden@", 1),
		"another database": strings.Replace(url, "/test_", "/hidden_", 1),
		"nobody there":     "postgres://hidden@127.0.0.1:1/hidden?connect_timeout=20",
		"no address":       "postgres://hidden@127.0.0.1:hidden/hidden",
		"no such setting":  url + "&synchronous_commit=hidden",
	} {
		_, err := ReadPostgresOutline(t.Context(), address, "hidden")
		if err == nil || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "127.0.0.1") || errors.Unwrap(err) != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
