package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// moveYear fills a SQLite database and moves it. A year of hours on 400 devices, some
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
	m, err = MoveToPostgres(operator(t), path, Options{Postgres: url}, watchMove(t, begin))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("moved in %v", time.Since(begin).Round(time.Millisecond))
	return path, url, m
}

// watchMove logs how a move goes on.
func watchMove(t *testing.T, begin time.Time) MoveWatch {
	last := begin
	return MoveWatch{
		Table: func(m Moved) {
			if m.Rows > 0 {
				t.Logf("%7v %-20s %9d %s", time.Since(begin).Round(time.Millisecond), m.Table, m.Rows, m.Digest[:16])
			}
		},
		Step: func(s MoveStep) {
			if time.Since(last) > time.Second {
				last = time.Now()
				t.Logf("%7v %+v", time.Since(begin).Round(time.Millisecond), s)
			}
		},
	}
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
	if _, err := MoveToPostgres(operator(t), path, Options{Postgres: url}, MoveWatch{}); !errors.Is(err, ErrMoved) {
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
		begin := time.Now()
		was, err1 := read(before)
		middle := time.Now()
		is, err2 := read(after)
		t.Logf("%s: SQLite %v, PostgreSQL %v", name, middle.Sub(begin).Round(time.Millisecond), time.Since(middle).Round(time.Millisecond))
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
	again, err := MoveToPostgres(operator(t), path, Options{Postgres: url}, MoveWatch{})
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
	_, err = MoveToPostgres(operator(t), path, Options{Postgres: url}, MoveWatch{})
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

// untouched fails unless nothing of a move stayed: the new database has its schema and
// no row, and the old one goes on.
func untouched(t *testing.T, path, url, schema string) {
	t.Helper()
	db, err := storetest.RawPostgres(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, table := range rowsOf(t, db, "SELECT relname::text FROM pg_class WHERE relnamespace = 'flopwatch'::regnamespace AND relkind IN ('r', 'p') AND relname NOT IN ('meta', 'schema_version')") {
		if n := rowsOf(t, db, "SELECT count(*)::text FROM "+quote(table[0]))[0][0]; n != "0" {
			t.Errorf("%s has %s rows after a move that failed", table[0], n)
		}
	}
	if now, err := schemaDigest(t.Context(), db, postgresSchema); err != nil || now != schema {
		t.Errorf("the schema changed: %v", err)
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatalf("the old database after a move that failed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever is changed, lost or doubled between the databases is found before the commit,
// and a move can be stopped; the next one begins anew.
func TestMoveFindsDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flopwatch.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	y := storetest.Year{Hosts: 1, Days: 2, PerDay: 2}
	storetest.FillYear(t, path, y)
	url := storetest.PostgresDatabase(t, filepath.Join(dir, "to"), nil)
	if err := Migrate(t.Context(), url, ""); err != nil {
		t.Fatal(err)
	}
	db, err := storetest.RawPostgres(url)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := schemaDigest(t.Context(), db, postgresSchema)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	// The columns of a segment that are touched, by their place.
	const id, opsBest = 0, 10
	var held []any // a row that waits for the next one
	for name, c := range map[string]struct {
		table string
		alter func(row []any, put func([]any) error) error
		want  string
	}{
		"a changed row": {"segment", func(row []any, put func([]any) error) error {
			if row[id] == int64(7) {
				row[opsBest] = row[opsBest].(int64) + 1
			}
			return put(row)
		}, "segment has 32 rows with digest"},
		"a lost row": {"segment", func(row []any, put func([]any) error) error {
			if row[id] == int64(7) {
				return nil
			}
			return put(row)
		}, "and 31 with"},
		"a doubled row": {"segment", func(row []any, put func([]any) error) error {
			if err := put(row); err != nil || row[id] != int64(7) {
				return err
			}
			return put(row)
		}, "duplicate key"},
		"a doubled row with a key of its own": {"segment", func(row []any, put func([]any) error) error {
			if err := put(row); err != nil || row[id] != int64(7) {
				return err
			}
			row[id] = int64(1000)
			return put(row)
		}, "and 33 with"},
		"two rows that changed places, and add up to the same": {"segment", func(row []any, put func([]any) error) error {
			if row[id] == int64(7) {
				held = slices.Clone(row)
				return nil
			}
			if row[id] == int64(8) {
				row[id], held[id] = held[id], row[id]
				return errors.Join(put(row), put(held))
			}
			return put(row)
		}, "segment has 32 rows with digest"},
		"a byte of what a host signed": {"quarantine", func(row []any, put func([]any) error) error {
			if row[id] == int64(200) {
				row[5].([]byte)[0] ^= 1
			}
			return put(row)
		}, "quarantine has 256 rows with digest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := move(operator(t), path, Options{Postgres: url}, mover{alter: func(table string, row []any, put func([]any) error) error {
				if table != c.table {
					return put(row)
				}
				return c.alter(row, put)
			}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the move ended with %v, want %q", err, c.want)
			}
			untouched(t, path, url, schema)
		})
	}
	for _, at := range []string{"copy", "index"} {
		t.Run("stopped at "+at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(operator(t))
			defer cancel()
			watch := MoveWatch{Step: func(s MoveStep) {
				if s.Doing == at {
					cancel()
				}
			}}
			if at == "copy" {
				watch.Table = func(m Moved) {
					if m.Table == "device" {
						cancel()
					}
				}
			}
			if _, err := MoveToPostgres(ctx, path, Options{Postgres: url}, watch); !errors.Is(err, context.Canceled) {
				t.Errorf("a move that was stopped ended with %v", err)
			}
			untouched(t, path, url, schema)
		})
	}
	m, err := MoveToPostgres(operator(t), path, Options{Postgres: url}, MoveWatch{})
	if err != nil || m.Totals.Segments != y.Segments() {
		t.Errorf("after moves that failed: %+v, %v", m.Totals, err)
	}
}

// The sum of rows tells values from each other by type, length and place.
func TestRowSum(t *testing.T) {
	seen := map[string]string{}
	for name, rows := range map[string][][]any{
		"none": {}, "null": {{nil}}, "empty text": {{""}}, "empty bytes": {{[]byte{}}}, "0": {{int64(0)}}, "0.0": {{0.0}}, "text 0": {{"0"}}, "text n": {{"n"}},
		"one": {{"ab"}}, "two rows": {{"a"}, {"b"}}, "shifted": {{"a\n2 sb"}}, "negative": {{int64(-1)}}, "hex": {{[]byte("a")}}, "61": {{"61"}}, "twice": {{"a"}, {"a"}},
	} {
		s := table{name: "t", columns: []string{"c"}}.newSum()
		for _, row := range rows {
			if err := s.add(row); err != nil {
				t.Fatal(err)
			}
		}
		m := s.moved()
		if m.Rows != int64(len(rows)) {
			t.Errorf("%s: %d rows", name, m.Rows)
		}
		if other, ok := seen[m.Digest]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[m.Digest] = name
	}
	if err := (table{}).newSum().add([]any{true}); err == nil {
		t.Error("a value that neither engine has was added")
	}
}

func operator(t *testing.T) context.Context {
	return audit.With(t.Context(), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "os:tester"}})
}
