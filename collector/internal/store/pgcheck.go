package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
)

// OpenReading opens the PostgreSQL database of o to be read alone, also beside
// collectors that run: it takes no lock, changes neither schema nor rows, and touches
// no file of evidence. The folder of evidence is o.Evidence. Only what reads may be
// called on the store.
func OpenReading(ctx context.Context, o Options) (*Store, error) {
	o.Readers = max(o.Readers, 1)
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{path: filepath.Join(o.Evidence, "none"), opts: o, words: newWords()}
	err := s.openReaders(ctx)
	if err == nil {
		err = s.isNewest(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database to read it: %w", err), s.Close())
	}
	return s, nil
}

// Damage returns what PostgreSQL says of data that it cannot read, and whether an error
// is that.
func Damage(err error) (message string, damaged bool) { return postgres.Damage(err) }

// isNewest fails unless the schema is the one that this program knows.
func (s *Store) isNewest(ctx context.Context) error {
	version, err := postgresVersion(ctx, s.read)
	if err != nil {
		return err
	}
	entries, err := postgresMigrations.ReadDir("migrations/postgres")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	newest, err := strconv.Atoi(entries[len(entries)-1].Name()[:4])
	switch {
	case err != nil:
		return fmt.Errorf("read migrations: %w", err)
	case version == 0:
		return errors.New("no collector has worked with this database: it has no schema")
	case version > newest:
		return fmt.Errorf("schema %d, program %d: %w", version, newest, ErrNewerSchema)
	case version < newest:
		return fmt.Errorf("the database has schema %d and this program %d: bring it up to date with flopwatch-collector migrate first", version, newest)
	}
	return nil
}

// postgresIntegrity returns what is damaged: what the server itself found, rows that
// cannot be read whole, and rows that refer to what is not there, which the server
// checks only when they are written. A number of a table that is kept by months is
// unique within a month for the server, and here within all.
func (s *Store) postgresIntegrity(ctx context.Context) ([]string, error) {
	var problems []string
	tell := func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		problems = append(problems, "database: "+line)
		return err
	}
	err := each(ctx, s.read, tell, `SELECT checksum_failures || ' pages failed their checksum' FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0
		UNION ALL SELECT 'index ' || i.indexrelid::regclass || ' is not valid' FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
			WHERE c.relnamespace = 'flopwatch'::regnamespace AND NOT i.indisvalid
		UNION ALL SELECT 'constraint ' || conname || ' was not checked' FROM pg_constraint WHERE connamespace = 'flopwatch'::regnamespace AND NOT convalidated`)
	if err != nil {
		return problems, fmt.Errorf("check database: %w", err)
	}
	// Each statement makes one line where something is wrong.
	var checks []string
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		checks = append(checks, text)
		return err
	}, `SELECT format('SELECT ''%1$s'' FROM (SELECT count(hashtext(t::text)) AS n FROM %2$s t) AS all_rows WHERE n < 0', c.relname, c.oid::regclass)
			FROM pg_class c WHERE c.relnamespace = 'flopwatch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
				AND has_table_privilege(c.oid, 'SELECT')
		UNION ALL
		SELECT format('SELECT n || '' rows of %1$s refer to rows of %2$s that are not there'' FROM (SELECT count(*) AS n FROM %3$s c WHERE %4$s AND NOT EXISTS (SELECT 1 FROM %5$s p WHERE %6$s)) AS broken WHERE n > 0',
				child.relname, parent.relname, child.oid::regclass,
				string_agg(format('c.%I IS NOT NULL', a.attname), ' AND '), parent.oid::regclass, string_agg(format('p.%I = c.%I', b.attname, a.attname), ' AND '))
			FROM pg_constraint r JOIN pg_class child ON child.oid = r.conrelid JOIN pg_class parent ON parent.oid = r.confrelid
				JOIN LATERAL unnest(r.conkey, r.confkey) AS k (ours, theirs) ON true
				JOIN pg_attribute a ON a.attrelid = child.oid AND a.attnum = k.ours JOIN pg_attribute b ON b.attrelid = parent.oid AND b.attnum = k.theirs
			WHERE r.connamespace = 'flopwatch'::regnamespace AND r.contype = 'f' AND r.conparentid = 0
				AND has_table_privilege(child.oid, 'SELECT') AND has_table_privilege(parent.oid, 'SELECT')
			GROUP BY r.oid, child.oid, child.relname, parent.oid, parent.relname
		UNION ALL
		SELECT format('SELECT count(*) || '' numbers of %1$s are of more than one row'' FROM (SELECT id FROM %2$s GROUP BY id HAVING count(*) > 1) AS twice HAVING count(*) > 0', c.relname, c.oid::regclass)
			FROM pg_class c WHERE c.relnamespace = 'flopwatch'::regnamespace AND c.relname IN ('segment', 'event') AND has_table_privilege(c.oid, 'SELECT')`)
	if err != nil {
		return problems, fmt.Errorf("check database: %w", err)
	}
	for _, text := range checks {
		err := each(ctx, s.read, tell, text)
		if message, damaged := Damage(err); damaged {
			problems, err = append(problems, "database: "+message), nil
		}
		if err != nil {
			return problems, fmt.Errorf("check database: %w", err)
		}
	}
	return problems, nil
}
