package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// moveYear fills a SQLite database and moves it. A year of hours on 1,600 devices, some
// millions of rows, takes FLOPWATCH_LONG.
func moveYear(t *testing.T, y storetest.Year) (path, url string, m Move) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "flopwatch.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	url = storetest.PostgresDatabase(t, filepath.Join(t.TempDir(), "to"), nil)
	begin := time.Now()
	storetest.FillYear(t, path, y)
	t.Logf("%d segments filled in %v", y.Segments(), time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	m, err = MoveToPostgres(operator(t), path, Options{Postgres: url}, func(m Moved) { t.Logf("%-20s %9d %s", m.Table, m.Rows, m.Digest[:16]) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("moved in %v", time.Since(begin).Round(time.Millisecond))
	return path, url, m
}

func TestMove(t *testing.T) {
	y := storetest.Year{Hosts: 3, Days: 20, PerDay: 4}
	if os.Getenv("FLOPWATCH_LONG") != "" {
		y = storetest.Year{Hosts: 50, Days: 365, PerDay: 24}
	}
	path, url, m := moveYear(t, y)
	if m.Totals.Segments != y.Segments() || m.Totals.Devices != y.Hosts*8 || m.Before || len(m.Tables) < 60 {
		t.Errorf("moved %d tables, totals %+v", len(m.Tables), m.Totals)
	}
	// Who counts on in the old one is refused.
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrMoved) {
		t.Errorf("the old database: %v", err)
	}
	if _, err := MoveToPostgres(operator(t), path, Options{Postgres: url}, func(Moved) {}); !errors.Is(err, ErrMoved) {
		t.Errorf("moved twice: %v", err)
	}
	// What the desk says is what it said.
	unmark(t, path)
	old, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	now, err := Open(t.Context(), filepath.Join(t.TempDir(), "new", "flopwatch.db"), Options{Postgres: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(old.Close(), now.Close()); err != nil {
			t.Error(err)
		}
	}()
	before, after := NewReader(old, "", false), NewReader(now, "", false)
	for name, read := range map[string]func(*Reader) (any, error){
		"totals":    func(r *Reader) (any, error) { return r.Totals(t.Context(), 0, 0) },
		"check":     func(r *Reader) (any, error) { return r.Check(t.Context()) },
		"hosts":     func(r *Reader) (any, error) { return r.Hosts(t.Context()) },
		"coverage":  func(r *Reader) (any, error) { return r.Coverage(t.Context()) },
		"tenants":   func(r *Reader) (any, error) { return r.Tenants(t.Context()) },
		"customers": func(r *Reader) (any, error) { return r.Customers(t.Context()) },
		"runs":      func(r *Reader) (any, error) { return r.Runs(t.Context(), desk.RunQuery{}) },
		"findings":  func(r *Reader) (any, error) { return r.Findings(t.Context(), desk.FindingQuery{}) },
		"events":    func(r *Reader) (any, error) { return r.Events(t.Context(), desk.EventFilter{}) },
	} {
		was, err1 := read(before)
		is, err2 := read(after)
		if err := errors.Join(err1, err2); err != nil || !reflect.DeepEqual(was, is) {
			t.Errorf("%s: %v\nwas %+v\nis  %+v", name, err, was, is)
		}
	}
	c, err := after.CheckAudit(t.Context())
	if err != nil || !c.Intact {
		t.Errorf("audit log: %+v, %v", c, err)
	}
	entries, err := after.AuditEntries(t.Context(), 0, 2)
	if err != nil || len(entries) != 2 || entries[1].Action != "store.move" || !strings.HasSuffix(entries[1].Reason, m.Digest) || entries[1].Actor.ID != "os:tester" {
		t.Errorf("last entries %+v, %v", entries, err)
	}
	// Counting goes on after the last row.
	if err := now.update(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO allocation (id, host, device, workload_kind, workload, tenant, from_ns, to_ns, recorded_ns) VALUES ('all_new', '', '', '', '', 't', 1, 0, 1)")
		return err
	}); err != nil {
		t.Error(err)
	}
}

// unmark takes from a database the mark that it was moved.
func unmark(t *testing.T, path string) {
	t.Helper()
	raw, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("DELETE FROM meta WHERE key = 'moved_ns'"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
}

// A move that was committed and whose mark was lost ends when it is run again.
func TestMoveIsMarkedLater(t *testing.T) {
	path, url, m := moveYear(t, storetest.Year{Hosts: 1, Days: 1, PerDay: 1})
	unmark(t, path)
	again, err := MoveToPostgres(operator(t), path, Options{Postgres: url}, func(Moved) {})
	if err != nil || !again.Before || again.Digest != m.Digest {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrMoved) {
		t.Errorf("the old database: %v", err)
	}
}

// Nothing is moved into a database that has something, and nothing of a move stays
// that did not hold.
func TestMoveIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flopwatch.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.FillYear(t, path, storetest.Year{Hosts: 1, Days: 2, PerDay: 1})
	url := storetest.PostgresDatabase(t, filepath.Join(dir, "to"), nil)
	if err := Migrate(t.Context(), url, ""); err != nil {
		t.Fatal(err)
	}
	db, err := storetest.RawPostgres(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// A column that does not keep what it is given: the comparison must see it.
	if _, err := db.Exec("ALTER TABLE flopwatch.party_link ALTER COLUMN bits TYPE real"); err != nil {
		t.Fatal(err)
	}
	_, err = MoveToPostgres(operator(t), path, Options{Postgres: url}, func(Moved) {})
	if err == nil || !strings.Contains(err.Error(), "party_link has 2 rows with digest") {
		t.Errorf("into a column that is too small: %v", err)
	}
	s, err = Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatalf("the old database after a move that failed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func operator(t *testing.T) context.Context {
	return audit.With(t.Context(), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "os:tester"}})
}
