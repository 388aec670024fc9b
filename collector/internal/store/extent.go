package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// Extent is what a database says of its evidence at one instant: how far each
// file is committed, and how far the chain of each host is counted.
type Extent struct {
	Days    []EvidenceDay // oldest first, so that batches of a host are in their order
	Counted map[ledger.HostID]ledger.Position
}

// EvidenceDay is the committed part of the file of one day.
type EvidenceDay struct {
	Day    string // YYYY-MM-DD, and number and collector behind it where there are several
	Bytes  int64
	Frames int64
}

// File returns the name of the day's file.
func (d EvidenceDay) File() string { return d.Day + fileSuffix }

// Bytes returns the bytes of all files together.
func (e Extent) Bytes() (n int64) {
	for _, d := range e.Days {
		n += d.Bytes
	}
	return n
}

// EvidenceDir returns the folder of the evidence files.
func (s *Store) EvidenceDir() string {
	if s.opts.Evidence != "" {
		return s.opts.Evidence
	}
	return evidenceDir(s.path)
}

func evidenceDir(database string) string { return filepath.Join(filepath.Dir(database), "evidence") }

// Extent returns how far evidence and chains go now.
func (s *Store) Extent(ctx context.Context) (Extent, error) { return readExtent(ctx, s.read) }

// FileExtent returns it of the database in a file that nobody writes.
func FileExtent(ctx context.Context, path string) (e Extent, err error) {
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro&immutable=1")
	if err != nil {
		return e, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return readExtent(ctx, db)
}

func readExtent(ctx context.Context, db *sql.DB) (Extent, error) {
	e := Extent{Counted: map[ledger.HostID]ledger.Position{}}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return e, fmt.Errorf("read extent of evidence: %w", err)
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var d EvidenceDay
		err := rows.Scan(&d.Day, &d.Bytes, &d.Frames)
		e.Days = append(e.Days, d)
		return err
	}, "SELECT day, bytes, frames FROM evidence ORDER BY no, day")
	if err == nil {
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var id ledger.HostID
			var p ledger.Position
			var hash []byte
			err := rows.Scan(&id, &p.Epoch, &p.Seq, &hash)
			copy(p.Hash[:], hash)
			e.Counted[id] = p
			return err
		}, "SELECT id, epoch, seq, hash FROM host")
	}
	if err == nil {
		// In a large fleet the row of a host is written later than its evidence.
		err = each(ctx, tx, func(rows *sql.Rows) (err error) {
			var id ledger.HostID
			var c ledger.Carried
			if err = rows.Scan(&id, &c.State); err == nil {
				e.Counted[id], err = c.Position()
			}
			return err
		}, "SELECT h.id, c.state FROM carried c JOIN host h ON h.no = c.host")
	}
	if err = errors.Join(err, tx.Rollback()); err != nil {
		return e, fmt.Errorf("read extent of evidence: %w", err)
	}
	return e, nil
}

// CopyDatabase writes the database as of one instant, in its smallest form, to a
// new file and syncs it. Another process may go on writing the database.
func CopyDatabase(ctx context.Context, from, to string) (err error) {
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("copy database: %w", err) // SQLite would make an empty one
	}
	db := sql.OpenDB(newConnector(from, 10*time.Second, false))
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy database %s to %s: %w", from, to, err)
	}
	file, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("sync copy: %w", err)
	}
	if err := errors.Join(file.Chmod(0o600), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("sync copy: %w", err)
	}
	return nil
}

// Integrity lets SQLite check its file: pages, indexes, types and references. It
// returns one line per problem, at most 100 of each kind.
func (s *Store) Integrity(ctx context.Context) ([]string, error) {
	if s.opts.Postgres != "" {
		return s.postgresIntegrity(ctx)
	}
	var problems []string
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		if err == nil && line != "ok" {
			problems = append(problems, "database: "+line)
		}
		return err
	}, "PRAGMA integrity_check(100)")
	if err == nil {
		n := 0
		err = each(ctx, s.read, func(rows *sql.Rows) error {
			var table, parent string
			var row sql.NullInt64
			var key int64
			err := rows.Scan(&table, &row, &parent, &key)
			if n++; n <= 100 {
				problems = append(problems, fmt.Sprintf("database: row %d of %s refers to a row of %s that is not there", row.Int64, table, parent))
			}
			return err
		}, "PRAGMA foreign_key_check")
	}
	if err != nil {
		return problems, fmt.Errorf("check database: %w", err)
	}
	return problems, nil
}

// RecordRestore adds to the audit log that the store was restored from a backup, and
// ends the sessions that were in it.
func (s *Store) RecordRestore(ctx context.Context, backup, reason string) error {
	act := audit.Of(ctx)
	act.Action, act.Reason = "store.restore", reason
	return s.transact(ctx, func(tx *sql.Tx) error {
		// A session that was ended since the backup must not come to life again.
		if _, err := tx.ExecContext(ctx, "DELETE FROM desk_session"); err != nil {
			return fmt.Errorf("end the sessions of the backup: %w", err)
		}
		return s.append(ctx, tx, []audit.Entry{entryOf(act, audit.Object{Kind: "backup", ID: backup}, "", "")})
	})
}

// Scrubbed notes when a pass over all evidence ended.
func (s *Store) Scrubbed(ctx context.Context, at time.Time) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('scrubbed_ns', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1", at.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("note the end of a check of the evidence: %w", err)
	}
	return nil
}

// LastScrub returns when the last pass over all evidence ended, zero for never.
func (s *Store) LastScrub(ctx context.Context) (time.Time, error) {
	var ns int64
	err := s.read.QueryRowContext(ctx, "SELECT coalesce(max(value), 0) FROM meta WHERE key = 'scrubbed_ns'").Scan(&ns)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when the evidence was checked: %w", err)
	}
	if ns == 0 {
		return time.Time{}, nil
	}
	return time.Unix(0, ns), nil
}
