package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// The collector works as the role that deploy/postgres makes for it, and that role can
// neither change the schema nor what is only ever added to; who reads sees no secrets.
func TestRolesHaveWhatTheyNeed(t *testing.T) {
	dir := t.TempDir()
	url := storetest.PostgresDatabase(t, dir, nil)
	script := func(url, name string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("../../../deploy/postgres", name))
		if err != nil {
			t.Fatal(err)
		}
		db, err := storetest.RawPostgres(url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := db.Exec(string(text)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	as := func(role string) string { return strings.Replace(url, "//owner@", "//"+role+"@", 1) }
	script(url, "roles.sql")
	if err := Migrate(t.Context(), as("flopwatch_owner"), ""); err != nil {
		t.Fatal(err)
	}
	script(as("flopwatch_owner"), "grants.sql")
	script(as("flopwatch_owner"), "grants.sql") // again, as after each migration

	s, err := Open(t.Context(), filepath.Join(dir, "flopwatch.db"), Options{Postgres: as("flopwatch")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := s.Checkpoint(t.Context(), ofHost(1, "hosta")); err != nil {
		t.Error(err)
	}
	if err := s.AddUser(t.Context(), "usr_a", "ana", []permission.Role{permission.Analyst}, "x", noon); err != nil {
		t.Error(err)
	}
	if err := s.ChangeUser(t.Context(), "usr_a", func(a *Account) error { a.Password = "y"; return nil }); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.MakeMonthsAhead(t.Context(), noon), s.PruneEnergy(t.Context(), noon)); err != nil {
		t.Errorf("months: %v", err)
	}
	for statement, want := range map[string]string{
		"SELECT make_month('finding', '2026-01')": "not kept by months", "SELECT make_month('segment', '2026-13')": "not a month", "SELECT make_month('segment', '2026-01-01')": "not a month",
		"SELECT drop_month('segment', '2026-03')": "kept for ever", "SELECT drop_month('host_energy', 'rest')": "kept for ever", "DROP TABLE segment_2026_03": "must be owner",
	} {
		if _, err := s.db.Exec(statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	sign(t, s)
	if c := checkAudit(t, s); !c.Intact {
		t.Errorf("audit log: %+v", c)
	}
	for _, statement := range []string{
		"UPDATE audit_leaf SET actor = 'x'", "DELETE FROM audit_leaf", "TRUNCATE audit_leaf", "UPDATE finding SET reason = 'x'", "DELETE FROM allocation", "DELETE FROM \"user\"",
		"ALTER TABLE audit_leaf DISABLE TRIGGER ALL", "DROP TRIGGER finding_no_update ON finding", "CREATE TABLE flopwatch.x (y bigint)", "UPDATE schema_version SET version = 1",
		"SET session_replication_role = replica",
	} {
		if _, err := s.db.Exec(statement); err == nil || !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), "must be owner") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	reader, err := storetest.RawPostgres(as("flopwatch_reader"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	read := func(db *sql.DB, table string) error {
		var n int
		return db.QueryRowContext(context.Background(), "SELECT count(*) FROM "+table).Scan(&n)
	}
	if err := read(reader, "segment_full"); err != nil {
		t.Error(err)
	}
	for _, table := range []string{`"user"`, "api_token", "second_factor", "calendar_link"} {
		if err := read(reader, table); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("who reads sees %s: %v", table, err)
		}
	}
	if _, err := reader.Exec("SELECT make_month('segment', '2031-01')"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("who reads made a month: %v", err)
	}
	if _, err := reader.Exec("INSERT INTO tenant (id) VALUES ('x')"); err == nil {
		t.Error("who reads wrote")
	}
}
