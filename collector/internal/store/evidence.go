package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	framing "github.com/flopwatch/flopwatch/pkg/evidence"
)

// Evidence files hold the signed envelopes that were counted, as they came: one
// append-only file of frames (package evidence) per UTC day of receipt,
// YYYY-MM-DD.fwe. A file is synced before the transaction that commits its new
// length; what lies beyond the committed length was never counted.

const fileSuffix = ".fwe"

// ErrDamaged means that a file of evidence does not hold what was written.
var ErrDamaged = framing.ErrDamaged

// Files is the part of the file system that holds evidence, so that a test can make
// each call fail. Names are full paths.
type Files interface {
	MkdirAll(dir string) error
	ReadDir(dir string) ([]os.DirEntry, error)
	// Open opens a file for reading and writing, and makes it if it is not there.
	Open(name string) (File, error)
	Truncate(name string, size int64) error
	// SyncDir makes the creation of names in dir durable.
	SyncDir(dir string) error
}

// File is one open file of evidence.
type File interface {
	io.WriterAt
	io.Seeker
	io.Closer
	Sync() error
	Truncate(size int64) error
}

type diskFiles struct{}

func (diskFiles) MkdirAll(dir string) error                 { return os.MkdirAll(dir, 0o700) }
func (diskFiles) ReadDir(dir string) ([]os.DirEntry, error) { return os.ReadDir(dir) }
func (diskFiles) Truncate(name string, size int64) error    { return os.Truncate(name, size) }

func (diskFiles) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err // a typed nil inside the interface would look like a file
	}
	return f, nil
}

func (diskFiles) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// evidence appends to the file of the day.
type evidence struct {
	files Files
	dir   string
	day   string
	file  File
	bytes int64 // length of file

	// Where several collectors write, or did, files have numbers.
	numbered  bool
	collector string // whose files are written, "" where there is one
	no        int64  // of the file, 0 before the first
	taken     bool   // hosts were taken over since the file was begun
}

// openEvidence brings the files back to what the database has committed: it
// cuts what a crash left behind, and refuses a file that is shorter, because
// evidence is then lost and a person must know.
func openEvidence(ctx context.Context, db *sql.DB, dir, collector string, files Files) (*evidence, error) {
	if files == nil {
		files = diskFiles{}
	}
	if err := files.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("create evidence directory: %w", err)
	}
	committed, err := committedEvidence(ctx, db, collector)
	if err != nil {
		return nil, err
	}
	entries, err := files.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list evidence: %w", err)
	}
	if len(committed) == 0 {
		if err := foreignEvidence(dir, collector, entries); err != nil {
			return nil, err
		}
	}
	for _, entry := range entries {
		day, ok := strings.CutSuffix(entry.Name(), fileSuffix)
		if !ok || collector != "" && !strings.HasSuffix(day, "-"+collector) {
			continue // no evidence, or another collector's, which may be writing it
		}
		info, err := entry.Info()
		if err != nil {
			return nil, fmt.Errorf("inspect evidence %s: %w", day, err)
		}
		want := committed[day]
		delete(committed, day)
		switch {
		case info.Size() < want:
			return nil, fmt.Errorf("evidence of %s: %d bytes of %d: %w", day, info.Size(), want, ErrDamaged)
		case info.Size() > want:
			if err := files.Truncate(filepath.Join(dir, entry.Name()), want); err != nil {
				return nil, fmt.Errorf("cut evidence of %s: %w", day, err)
			}
		}
	}
	for day, want := range committed {
		if want > 0 {
			return nil, fmt.Errorf("evidence of %s: the file is missing: %w", day, ErrDamaged)
		}
	}
	e := &evidence{dir: dir, files: files, collector: collector}
	err = db.QueryRowContext(ctx, "SELECT value > 0 FROM meta WHERE key = 'evidence_files'").Scan(&e.numbered)
	e.numbered = e.numbered || collector != ""
	return e, err
}

// firstCheckpoint bounds what a crash before the first commit of a database leaves
// behind: one checkpoint, on two days at most, with room to spare.
const (
	firstCheckpointBytes = 64 << 20
	firstCheckpointDays  = 2
)

// foreignEvidence refuses evidence that a database which knows of none cannot have
// left behind: it is another database's, and cutting it would destroy that.
func foreignEvidence(dir, collector string, entries []os.DirEntry) error {
	var total int64
	days := map[string]bool{}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), fileSuffix)
		if !ok || collector != "" && !strings.HasSuffix(name, "-"+collector) {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("inspect evidence %s: %w", name, err)
		}
		total += info.Size()
		days[name[:min(len(name), len(time.DateOnly))]] = true
	}
	if len(days) > firstCheckpointDays || total > firstCheckpointBytes {
		return fmt.Errorf("%s holds %d bytes of evidence of %d days, and the database knows of none: is it the database of this folder? Nothing was changed", dir, total, len(days))
	}
	return nil
}

func committedEvidence(ctx context.Context, db *sql.DB, collector string) (map[string]int64, error) {
	rows, err := db.QueryContext(ctx, "SELECT day, bytes FROM evidence WHERE collector = ?1 OR ?1 = ''", collector)
	if err != nil {
		return nil, fmt.Errorf("read evidence lengths: %w", err)
	}
	committed := map[string]int64{}
	for rows.Next() {
		var day string
		var n int64
		if err := rows.Scan(&day, &n); err != nil {
			return nil, errors.Join(fmt.Errorf("read evidence lengths: %w", err), rows.Close())
		}
		committed[day] = n
	}
	return committed, rows.Err()
}

// append writes frames to the file of the day of now and syncs it.
func (e *evidence) append(now time.Time, frames []byte) error {
	day := now.UTC().Format(time.DateOnly)
	if e.numbered {
		day = strings.TrimSuffix(fmt.Sprintf("%s-%09d-%s", day, e.no, e.collector), "-")
	}
	if e.file == nil || e.day != day {
		if err := e.turn(day); err != nil {
			return fmt.Errorf("open evidence of %s: %w", day, err)
		}
	}
	if _, err := e.file.WriteAt(frames, e.bytes); err != nil {
		return fmt.Errorf("append evidence of %s: %w", day, err)
	}
	if err := e.file.Sync(); err != nil {
		return fmt.Errorf("sync evidence of %s: %w", day, err)
	}
	e.bytes += int64(len(frames))
	return nil
}

// undo takes back the last append, whose transaction failed.
func (e *evidence) undo(frames []byte) error {
	e.bytes -= int64(len(frames))
	if err := e.file.Truncate(e.bytes); err != nil {
		return fmt.Errorf("cut evidence of %s: %w", e.day, err)
	}
	return nil
}

func (e *evidence) turn(day string) error {
	if err := e.close(); err != nil {
		return err
	}
	file, err := e.files.Open(filepath.Join(e.dir, day+fileSuffix))
	if err != nil {
		return err
	}
	at, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		// The name of a new file must be as durable as its bytes.
		err = e.files.SyncDir(e.dir)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	e.file, e.day, e.bytes = file, day, at
	return nil
}

func (e *evidence) close() error {
	if e.file == nil {
		return nil
	}
	err := e.file.Close()
	e.file = nil
	return err
}

// commit writes the length into the transaction that counts the frames.
func (e *evidence) commit(ctx context.Context, tx *sql.Tx, count int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO evidence (day, bytes, frames, no, collector) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (day) DO UPDATE SET bytes = excluded.bytes, frames = evidence.frames + excluded.frames`, e.day, e.bytes, count, e.no, e.collector)
	if err != nil {
		return fmt.Errorf("commit length of evidence of %s: %w", e.day, err)
	}
	return nil
}

// numberEvidence gives the next number to a file, where several collectors write and
// this one took hosts over since it wrote last: behind the files that others wrote of
// them.
func (s *Store) numberEvidence(ctx context.Context, now time.Time) error {
	e := s.evidence
	if !e.numbered || e.no > 0 && !e.taken && strings.HasPrefix(e.day, now.UTC().Format(time.DateOnly)) {
		return nil
	}
	err := s.transact(growing(ctx), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'evidence_files'"); err != nil {
			return err
		}
		var err error
		e.no, err = meta(ctx, tx, "evidence_files")
		return err
	})
	if err != nil {
		return fmt.Errorf("number the next file of evidence: %w", err)
	}
	e.taken = false
	return nil
}
