package store

import (
	"database/sql"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

var writeSteps = flag.Bool("write", false, "write the steps of PostgreSQL's schema that are missing, to be read before they are committed")

// The baseline stands for the first steps; from then on each step has both forms.
func TestEachStepHasBothForms(t *testing.T) {
	const baseline = 28
	ours, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range ours {
		if i+1 <= baseline {
			continue
		}
		other := "migrations/postgres/" + path.Base(name)
		if _, err := fs.Stat(postgresMigrations, other); err == nil {
			continue
		}
		if !*writeSteps {
			t.Errorf("%s has no form for PostgreSQL: go test -run TestEachStepHasBothForms ./collector/internal/store -args -write", name)
			continue
		}
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.FromSlash(other), []byte(translateScript(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("wrote %s: read it", other)
	}
	theirs, err := fs.Glob(postgresMigrations, "migrations/postgres/*.sql")
	if err != nil || len(theirs) != len(ours)-baseline+1 && !*writeSteps {
		t.Errorf("%d steps for PostgreSQL, %d for SQLite: %v", len(theirs), len(ours), err)
	}
}

// shape is what a schema is, without the words of an engine.
type shape struct {
	Columns  map[string]string // table.column → type, and whether it may be null
	Keys     []string          // primary and unique keys, foreign keys, indexes: the columns
	Triggers []string          // name, table, time and event
	Views    []string
}

// The schemas of the engines are the same: tables, columns, keys and triggers.
func TestSchemasAreEqual(t *testing.T) {
	dir := t.TempDir()
	one, err := Open(t.Context(), filepath.Join(dir, "sqlite", "flopwatch.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = one.Close() }()
	url := storetest.PostgresDatabase(t, filepath.Join(dir, "postgres"), nil)
	other, err := Open(t.Context(), filepath.Join(dir, "postgres", "flopwatch.db"), Options{Postgres: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	a, b := sqliteShape(t, one.read), postgresShape(t, other.read)
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("-sqlite +postgres:\n%s", d)
	}
	if len(a.Columns) < 400 || len(a.Triggers) < 150 {
		t.Errorf("%d columns, %d triggers: the test reads too little", len(a.Columns), len(a.Triggers))
	}
}

func rowsOf(t *testing.T, db *sql.DB, query string, args ...any) [][]string {
	t.Helper()
	var out [][]string
	err := each(t.Context(), db, func(rows *sql.Rows) error {
		names, err := rows.Columns()
		if err != nil {
			return err
		}
		cells, targets := make([]string, len(names)), make([]any, len(names))
		for i := range cells {
			targets[i] = &cells[i]
		}
		err = rows.Scan(targets...)
		out = append(out, cells)
		return err
	}, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

var sqliteTypes = map[string]string{"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea", "REAL": "double precision"}

func sqliteShape(t *testing.T, db *sql.DB) shape {
	s := shape{Columns: map[string]string{}}
	for _, table := range rowsOf(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
		for _, c := range rowsOf(t, db, "SELECT name, type, CASE WHEN \"notnull\" OR pk THEN 'not null' ELSE '' END FROM pragma_table_info(?)", table[0]) {
			s.Columns[table[0]+"."+c[0]] = strings.TrimSpace(sqliteTypes[c[1]] + " " + c[2])
		}
		pk := ""
		for _, c := range rowsOf(t, db, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", table[0]) {
			pk += " " + c[0]
		}
		if pk != "" {
			s.Keys = append(s.Keys, table[0]+" primary"+pk)
		}
		for _, k := range rowsOf(t, db, `SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)`, table[0]) {
			s.Keys = append(s.Keys, fmt.Sprintf("%s references %s %s %s", table[0], k[0], k[1], k[2]))
		}
		for _, x := range rowsOf(t, db, `SELECT name, "unique", origin FROM pragma_index_list(?) WHERE origin <> 'pk'`, table[0]) {
			columns := ""
			for _, c := range rowsOf(t, db, "SELECT coalesce(name, '(expression)') FROM pragma_index_info(?)", x[0]) {
				columns += " " + c[0]
			}
			switch {
			case x[2] == "u":
				s.Keys = append(s.Keys, table[0]+" unique"+columns)
			default:
				s.Keys = append(s.Keys, table[0]+" index "+x[0]+columns)
			}
		}
	}
	head := regexp.MustCompile(`(?s)^CREATE TRIGGER \w+ (BEFORE|AFTER) (INSERT|UPDATE|DELETE)`)
	for _, g := range rowsOf(t, db, "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'") {
		m := head.FindStringSubmatch(g[2])
		if m == nil {
			t.Fatalf("trigger %s: %s", g[0], g[2])
		}
		s.Triggers = append(s.Triggers, strings.Join([]string{g[0], g[1], m[1], m[2]}, " "))
	}
	for _, v := range rowsOf(t, db, "SELECT name FROM sqlite_schema WHERE type = 'view'") {
		s.Views = append(s.Views, v[0])
	}
	return sorted(s)
}

func postgresShape(t *testing.T, db *sql.DB) shape {
	s := shape{Columns: map[string]string{}}
	const tables = " c.relnamespace = 'flopwatch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'schema_version'"
	for _, c := range rowsOf(t, db, `SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' not null' ELSE '' END, coalesce(l.collname, '')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_collation l ON l.oid = a.attcollation WHERE a.attnum > 0 AND NOT a.attisdropped AND`+tables) {
		s.Columns[c[0]+"."+c[1]] = c[2] + c[3]
		if c[2] == "text" && c[4] != "C" {
			t.Errorf("%s.%s is compared by %q and not byte by byte", c[0], c[1], c[4])
		}
	}
	columns := `(SELECT string_agg(coalesce(a.attname, '(expression)'), ' ' ORDER BY k.ord) FROM unnest(%s) WITH ORDINALITY AS k(attnum, ord)
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0)`
	for _, k := range rowsOf(t, db, `SELECT c.relname, r.contype::text, `+fmt.Sprintf(columns, "r.conkey")+`, coalesce(f.relname, ''),
		coalesce((SELECT string_agg(a.attname, ' ') FROM pg_attribute a WHERE a.attrelid = f.oid AND a.attnum = ANY (r.confkey)), '')
		FROM pg_constraint r JOIN pg_class c ON c.oid = r.conrelid LEFT JOIN pg_class f ON f.oid = r.confrelid WHERE r.contype IN ('p', 'u', 'f') AND r.conparentid = 0 AND`+tables) {
		switch k[1] {
		case "p":
			// A key of a table that is kept by months holds what says which.
			if k[0] == "segment" || k[0] == "event" {
				k[2] = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(k[2], " start_ns"), " time_ns"), " ")
			}
			s.Keys = append(s.Keys, k[0]+" primary "+k[2])
		case "u":
			s.Keys = append(s.Keys, k[0]+" unique "+k[2])
		case "f":
			if k[3] == "segment" {
				k[2], k[4] = strings.TrimSuffix(k[2], " segment_start_ns"), strings.TrimSuffix(k[4], " start_ns")
			}
			s.Keys = append(s.Keys, fmt.Sprintf("%s references %s %s %s", k[0], k[2], k[3], k[4]))
		}
	}
	for _, x := range rowsOf(t, db, `SELECT c.relname, i.relname, `+fmt.Sprintf(columns, "(x.indkey::int2[])[0:x.indnkeyatts-1]")+`
		FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
		WHERE NOT EXISTS (SELECT 1 FROM pg_constraint r WHERE r.conindid = x.indexrelid AND r.contype IN ('p', 'u')) AND`+tables) {
		if x[0] == "event" {
			x[2] = strings.TrimSuffix(x[2], " id") // of which SQLite says nothing: it is there by itself
		}
		s.Keys = append(s.Keys, x[0]+" index "+x[1]+" "+x[2])
	}
	for _, g := range rowsOf(t, db, `SELECT g.tgname, c.relname, CASE WHEN g.tgtype & 2 > 0 THEN 'BEFORE' ELSE 'AFTER' END,
		CASE WHEN g.tgtype & 4 > 0 THEN 'INSERT' WHEN g.tgtype & 8 > 0 THEN 'DELETE' ELSE 'UPDATE' END
		FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgtype & 1 > 0 AND`+tables) {
		s.Triggers = append(s.Triggers, strings.Join(g, " "))
	}
	for _, v := range rowsOf(t, db, "SELECT relname FROM pg_class WHERE relnamespace = 'flopwatch'::regnamespace AND relkind = 'v'") {
		s.Views = append(s.Views, v[0])
	}
	return sorted(s)
}

func sorted(s shape) shape {
	for _, list := range [][]string{s.Keys, s.Triggers, s.Views} {
		slices.Sort(list)
	}
	return s
}

// Nothing of the schema is anywhere but in the collector's own.
func TestSchemaIsInOnePlace(t *testing.T) {
	url := storetest.PostgresDatabase(t, filepath.Join(t.TempDir(), "x"), nil)
	if err := Migrate(t.Context(), url, ""); err != nil {
		t.Fatal(err)
	}
	c, err := postgres.NewConnector(url, postgres.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(c)
	defer func() { _ = db.Close() }()
	found := map[string]bool{}
	for _, n := range rowsOf(t, db, "SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'") {
		found[n[0]] = true
	}
	if d := cmp.Diff(map[string]bool{"flopwatch": true}, found); d != "" {
		t.Error(d, maps.Keys(found))
	}
}
