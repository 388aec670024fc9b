package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrNewerSchema means that a newer program has written the database.
var ErrNewerSchema = errors.New("the database has a newer schema than this program knows")

// migrate brings the schema from its version to the newest. Each file runs in
// one transaction with the new version, so a kill leaves the old or the new
// schema and nothing between. It reports whether there was a step to take.
func migrate(ctx context.Context, db *sql.DB) (migrated bool, err error) {
	return migrateFrom(ctx, db, migrations, "migrations")
}

func migrateFrom(ctx context.Context, db *sql.DB, files fs.FS, dir string) (migrated bool, err error) {
	steps, err := fs.ReadDir(files, dir)
	if err != nil {
		return migrated, fmt.Errorf("read migrations: %w", err)
	}
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return migrated, fmt.Errorf("read schema version: %w", err)
	}
	if version > len(steps) {
		return migrated, fmt.Errorf("schema %d, program %d: %w; the way back: start the newer program again, or put a backup from before the upgrade in its place (flopwatch-collector restore)", version, len(steps), ErrNewerSchema)
	}
	for i, step := range steps {
		name := step.Name()
		number, _, _ := strings.Cut(name, "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return migrated, fmt.Errorf("migration %s: its number must be %04d", name, i+1)
		}
		if i < version {
			continue
		}
		text, err := fs.ReadFile(files, dir+"/"+name)
		if err != nil {
			return migrated, fmt.Errorf("read migration %s: %w", name, err)
		}
		if err := applyStep(ctx, db, string(text), i+1); err != nil {
			return migrated, fmt.Errorf("migration %s: %w", name, err)
		}
		migrated = true
	}
	return migrated, nil
}

func applyStep(ctx context.Context, db *sql.DB, text string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	_, err = tx.ExecContext(ctx, text)
	if err == nil {
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
