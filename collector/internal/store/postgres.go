package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// PostgreSQL is the store's other engine. The statements are the same, in SQLite's
// dialect (package postgres); what differs between the engines is in this file.
//
// SQLite has one writer, and much here relies on it: what a transaction has read
// still holds when it writes. In PostgreSQL a transaction that changes anything but
// the ledger takes a lock that excludes all others, which comes to the same. Those
// that only let the ledger grow, the checkpoints of several collectors, share that
// lock and run side by side: each writes the rows of its own hosts. Where one of them
// adds to the audit log, it takes a second lock, because each entry hangs on the one
// before it. They are always taken in this order, and held until the commit.

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// Locks of a transaction, in the order in which they are taken.
const (
	lockSpace   = 0x666c6f70 // "flop"
	lockSchema  = 1
	lockWriters = 2
	lockAudit   = 3
)

// sharing is how a transaction goes with others.
type sharing bool

const (
	alone    sharing = false
	together sharing = true // only lets the ledger grow
)

func lock(ctx context.Context, tx *sql.Tx, which int, how sharing) error {
	name := "pg_advisory_xact_lock"
	if how == together {
		name = "pg_advisory_xact_lock_shared"
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("SELECT %s(%d, %d)", name, lockSpace, which)); err != nil {
		return fmt.Errorf("wait for other writers: %w", err)
	}
	return nil
}

// openPostgres opens the database at the server; the directory holds the evidence.
func (s *Store) openPostgres(ctx context.Context) error {
	err := notLeftBehind(ctx, s.path)
	if err != nil {
		return err
	}
	if s.db, err = s.pool(ctx, "writing", false, 4); err != nil {
		return err
	}
	migrated, err := migratePostgres(ctx, s.db, postgresMigrations, "migrations/postgres")
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, migrated); err != nil {
		return err
	}
	return s.openReaders(ctx)
}

func (s *Store) openReaders(ctx context.Context) (err error) {
	if s.read, err = s.pool(ctx, "reading", true, s.opts.Readers); err != nil {
		return err
	}
	s.watch, err = s.pool(ctx, "watching", true, 1)
	return err
}

// pool opens connections to the server.
func (s *Store) pool(ctx context.Context, name string, reader bool, most int) (*sql.DB, error) {
	c, err := postgres.NewConnector(s.opts.Postgres, postgres.Options{Name: "flopwatch " + name, Reader: reader, Password: s.opts.Password})
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open for %s: %w", name, err), db.Close())
	}
	return db, nil
}

// notLeftBehind fails where the directory holds a SQLite database whose facts were not
// moved: beside an empty ledger they would be forgotten, and the evidence cut.
func notLeftBehind(ctx context.Context, path string) (err error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil // it is not there, or nothing is in it
	}
	db := sql.OpenDB(newConnector(path, 10*time.Second, true))
	defer func() { err = errors.Join(err, db.Close()) }()
	moved, err := wasMoved(ctx, db)
	if err != nil {
		return fmt.Errorf("look whether %s was moved: %w", path, err)
	}
	if !moved {
		return fmt.Errorf("%s holds facts that were not moved: flopwatch-collector migrate --from sqlite:%s --to the database", path, path)
	}
	return nil
}

// migratePostgres is migrate for PostgreSQL. The first of its files is the schema as
// several steps of SQLite leave it; from then on the numbers are the same.
func migratePostgres(ctx context.Context, db *sql.DB, files fs.FS, dir string) (migrated bool, err error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return false, fmt.Errorf("read migrations: %w", err)
	}
	version, err := postgresVersion(ctx, db)
	if err != nil {
		return false, err
	}
	newest := 0
	for i, entry := range entries {
		number, _, _ := strings.Cut(entry.Name(), "_")
		n, err := strconv.Atoi(number)
		if err != nil || i > 0 && n != newest+1 {
			return migrated, fmt.Errorf("migration %s: its number must be %04d", entry.Name(), newest+1)
		}
		newest = n
		if n <= version {
			continue
		}
		text, err := fs.ReadFile(files, dir+"/"+entry.Name())
		if err != nil {
			return migrated, fmt.Errorf("read migration %s: %w", entry.Name(), err)
		}
		if err := applyPostgresStep(ctx, db, string(text), n); err != nil {
			return migrated, fmt.Errorf("migration %s (it needs the role that owns the database: flopwatch-collector migrate): %w", entry.Name(), err)
		}
		migrated = true
	}
	if version > newest {
		return migrated, fmt.Errorf("schema %d, program %d: %w; the way back: start the newer program again, or put a backup from before the upgrade in its place", version, newest, ErrNewerSchema)
	}
	return migrated, nil
}

// postgresVersion returns the version of the schema, 0 where there is none.
func postgresVersion(ctx context.Context, q querier) (version int, err error) {
	var there sql.NullString
	err = each(ctx, q, func(rows *sql.Rows) error { return rows.Scan(&there) }, "SELECT to_regclass('"+postgres.Schema+".schema_version')::text")
	if err == nil && there.Valid {
		err = each(ctx, q, func(rows *sql.Rows) error { return rows.Scan(&version) }, "SELECT version FROM "+postgres.Schema+".schema_version")
	}
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return version, nil
}

func applyPostgresStep(ctx context.Context, db *sql.DB, text string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := stepPostgres(ctx, tx, text, version); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func stepPostgres(ctx context.Context, tx *sql.Tx, text string, version int) error {
	if err := lock(ctx, tx, lockSchema, alone); err != nil {
		return err
	}
	// Another collector may have taken the step meanwhile.
	if now, err := postgresVersion(ctx, tx); err != nil || now >= version {
		return err
	}
	for _, text := range []string{
		"CREATE SCHEMA IF NOT EXISTS " + postgres.Schema,
		"CREATE TABLE IF NOT EXISTS " + postgres.Schema + ".schema_version (version bigint NOT NULL)",
		text,
		"DELETE FROM " + postgres.Schema + ".schema_version",
		fmt.Sprintf("INSERT INTO %s.schema_version (version) VALUES (%d)", postgres.Schema, version),
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// postgresSchema is the text of all that makes up the schema.
const postgresSchema = `SELECT text FROM (
	SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS text
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'flopwatch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
	UNION ALL SELECT 'constraint ' || r.conrelid::regclass || ' ' || r.conname || ' ' || pg_get_constraintdef(r.oid)
		FROM pg_constraint r JOIN pg_class c ON c.oid = r.conrelid WHERE r.connamespace = 'flopwatch'::regnamespace AND NOT c.relispartition AND r.conparentid = 0
	UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'flopwatch'::regnamespace AND NOT c.relispartition
	UNION ALL SELECT 'trigger ' || pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text
		FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE c.relnamespace = 'flopwatch'::regnamespace AND NOT g.tgisinternal AND NOT c.relispartition
	UNION ALL SELECT 'view ' || c.relname || ' ' || pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = 'flopwatch'::regnamespace AND c.relkind = 'v'
	UNION ALL SELECT 'function ' || pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'flopwatch'::regnamespace AND p.prokind = 'f'
) AS schema ORDER BY text COLLATE "C"`

// lockAuditLog is taken before the log is read to be added to, by those who share
// the writers' lock.
func (s *Store) lockAuditLog(ctx context.Context, tx *sql.Tx) error {
	if s.opts.Postgres == "" {
		return nil
	}
	return lock(ctx, tx, lockAudit, alone)
}

// Migrate brings the schema of a PostgreSQL database up to date, as the role that
// owns it; the collector itself may run as one that cannot. It makes the schema where
// there is none.
func Migrate(ctx context.Context, url, password string) (err error) {
	c, err := postgres.NewConnector(url, postgres.Options{Name: "flopwatch migrate", Password: password})
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = migratePostgres(ctx, db, postgresMigrations, "migrations/postgres")
	return err
}

// defineAhead gives numbers to the words that a checkpoint will need, in a transaction
// of its own. A new word is there for all who would make the same one, and whoever
// makes it keeps them waiting until the commit: that must be soon, and all must make
// them in one order.
func (s *Store) defineAhead(ctx context.Context, c *ledger.Changes) error {
	if s.opts.Postgres == "" {
		return nil
	}
	workloads, tenants, methods := map[measure.Workload]bool{}, map[measure.TenantID]bool{}, map[measure.Method]bool{}
	for i := range c.Opened {
		k := &c.Opened[i].Key
		workloads[k.Workload], tenants[k.Tenant], methods[k.Method] = true, true, true
		if k.Claim.State != 0 {
			tenants[k.Claim.Tenant] = true
		}
	}
	for i := range c.Traffic {
		workloads[c.Traffic[i].Workload] = true
	}
	maps.DeleteFunc(workloads, func(w measure.Workload, _ bool) bool { _, known := s.words.workloads[w]; return known })
	maps.DeleteFunc(tenants, func(t measure.TenantID, _ bool) bool { _, known := s.words.tenants[t]; return known })
	maps.DeleteFunc(methods, func(m measure.Method, _ bool) bool { _, known := s.words.methods[m]; return known })
	if len(workloads)+len(tenants)+len(methods) == 0 {
		return nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("define words: begin: %w", err)
	}
	insert := func(query, what string, rows [][]any) {
		if err != nil || len(rows) == 0 {
			return
		}
		slices.SortFunc(rows, func(a, b []any) int { return strings.Compare(fmt.Sprint(a...), fmt.Sprint(b...)) })
		for _, row := range rows {
			if _, err = tx.ExecContext(ctx, query, row...); err != nil {
				err = fmt.Errorf("define %s: %w", what, err)
				return
			}
		}
	}
	var rows [3][][]any
	for m := range methods {
		rows[0] = append(rows[0], []any{string(m.Name), m.Version, m.Precision, m.Reason, m.Grade})
	}
	for t := range tenants {
		rows[1] = append(rows[1], []any{string(t)})
	}
	for w := range workloads {
		rows[2] = append(rows[2], []any{string(w.Kind), w.ID, w.Hint})
	}
	insert("INSERT INTO method (name, version, precision, reason, grade) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", "method", rows[0])
	insert("INSERT INTO tenant (id) VALUES (?) ON CONFLICT DO NOTHING", "tenant", rows[1])
	insert("INSERT INTO workload (kind, id, hint) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", "workload", rows[2])
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("define words: %w", err)
	}
	return nil
}
