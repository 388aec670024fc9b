// Package store keeps the collector's facts in SQLite or in PostgreSQL: the ledger, the files of
// signed evidence beside it, and what the desk derives from them.
//
// In SQLite one connection writes, a pool reads. Every promise of durability rests on
// settings of the database, so they are read back on each connection, and a
// connection that does not have them is refused.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Options of a Store. The zero value is good.
type Options struct {
	Readers     int           // connections that read, 4 if 0
	BusyTimeout time.Duration // wait for a lock before giving up, 10 s if 0

	QuarantineRows  int   // refused batches kept, 10,000 if 0
	QuarantineBytes int64 // bytes of refused batches kept, 64 MiB if 0

	// Postgres is the address of the PostgreSQL database that holds the facts, such as
	// postgres://flopwatch@db.example/flopwatch; "" for SQLite. Password is for it; ""
	// for that of the password file.
	Postgres, Password string

	// Evidence is the folder of evidence files, "" for one beside the database. Collector
	// names this one among several, each of which writes files of its own there; "" where
	// there is one.
	Evidence, Collector string

	Files Files // that hold evidence, those of the disk if nil

	Now func() time.Time // the clock of audit entries, time.Now if nil
}

// Store is the collector's database and evidence. Its methods may be called
// from many goroutines.
type Store struct {
	db       *sql.DB   // the one writing connection; never used inside a transaction of it
	conn     *sql.Conn // of db on SQLite, while a transaction has it; used by that alone
	read     *sql.DB
	watch    *sql.DB       // one connection for short questions that also a reader may ask who holds one of read
	changes  atomic.Uint64 // commits
	acts     atomic.Uint64 // commits by which the ledger did not only grow
	lock     *os.File
	term     atomic.Int64 // as leader, 0 where nobody was elected
	words    *words
	places   places
	evidence *evidence
	path     string
	opts     Options
	records  records
	seats    seats
	// One checkpoint at a time: the file of evidence and the words are shared.
	checkpointing sync.Mutex
	unknown       bool // what the last checkpoint left behind; used by Checkpoint alone
}

// Open opens the database at path, in a directory that it creates and keeps
// for its own user, and brings its schema up to date. It fails when another
// process has the directory, when the schema is newer than the program, and
// when SQLite does not take a setting that durability needs.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	if opts.Readers <= 0 {
		opts.Readers = 4
	}
	if opts.BusyTimeout <= 0 {
		opts.BusyTimeout = 10 * time.Second
	}
	if opts.QuarantineRows <= 0 {
		opts.QuarantineRows = 10_000
	}
	if opts.QuarantineBytes <= 0 {
		opts.QuarantineBytes = 64 << 20
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	dir := filepath.Dir(path)
	s := &Store{path: path, opts: opts, words: newWords()}
	err := s.open(ctx, dir, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("keep directory private: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open lock: %w", err)
	}
	s.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("lock (is another collector running on it?): %w", err)
	}
	if s.opts.Postgres != "" {
		err = s.openPostgres(ctx)
	} else {
		err = s.openSQLite(ctx, path)
	}
	if err != nil {
		return err
	}
	s.evidence, err = openEvidence(ctx, s.db, s.EvidenceDir(), s.opts.Collector, s.opts.Files)
	return err
}

func (s *Store) openSQLite(ctx context.Context, path string) error {
	// SQLite gives its companion files the mode of the database file.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return fmt.Errorf("keep database private: %w", err)
	}
	s.db = sql.OpenDB(newConnector(path, s.opts.BusyTimeout, false))
	s.db.SetMaxOpenConns(1)
	if err := s.db.PingContext(ctx); err != nil {
		return fmt.Errorf("open for writing: %w", err)
	}
	migrated, err := migrate(ctx, s.db)
	if err != nil {
		return err
	}
	if moved, err := wasMoved(ctx, s.db); err != nil || moved {
		if err == nil {
			err = ErrMoved
		}
		return err
	}
	if err := s.adopt(ctx, migrated); err != nil {
		return err
	}
	if err := s.spreadHosts(ctx); err != nil {
		return err
	}
	s.read = sql.OpenDB(newConnector(path, s.opts.BusyTimeout, true))
	s.read.SetMaxOpenConns(s.opts.Readers)
	s.read.SetMaxIdleConns(s.opts.Readers)
	if err := s.read.PingContext(ctx); err != nil {
		return fmt.Errorf("open for reading: %w", err)
	}
	s.watch = sql.OpenDB(newConnector(path, s.opts.BusyTimeout, true))
	s.watch.SetMaxOpenConns(1)
	return nil
}

// Close closes the database and lets go of the directory.
func (s *Store) Close() error {
	var errs []error
	if s.evidence != nil {
		errs = append(errs, s.evidence.close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.watch != nil {
		errs = append(errs, s.watch.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// update runs f in one transaction of the writing connection. What f changes of
// the objects that the audit log protects becomes entries of it there, done by
// whom the context names.
func (s *Store) update(ctx context.Context, f func(*sql.Tx) error) error {
	return s.updateWith(ctx, alone, f)
}

func (s *Store) updateWith(ctx context.Context, how sharing, f func(*sql.Tx) error) error {
	return s.transactWith(ctx, how, func(tx *sql.Tx) error {
		// What is pending before was left by another program.
		if err := s.record(ctx, tx, outside); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		if err := countAct(ctx, tx); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Of(ctx))
	})
}

func (s *Store) transact(ctx context.Context, f func(*sql.Tx) error) error {
	return s.transactWith(ctx, alone, f)
}

func (s *Store) transactWith(ctx context.Context, how sharing, f func(*sql.Tx) error) error {
	if s.opts.Postgres == "" {
		return s.transactOn(ctx, f)
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := lock(ctx, tx, lockWriters, how); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return s.finish(ctx, tx, f)
}

// transactOn runs f in one transaction of the writing connection of SQLite, which is
// at hand meanwhile for statements that run for many rows.
func (s *Store) transactOn(ctx context.Context, f func(*sql.Tx) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	s.conn = conn
	tx, err := conn.BeginTx(ctx, nil)
	if err == nil {
		err = s.finish(ctx, tx, f)
	} else {
		err = fmt.Errorf("begin: %w", err)
	}
	s.conn = nil
	return errors.Join(err, conn.Close())
}

// finish runs f and commits, or rolls back what f did.
func (s *Store) finish(ctx context.Context, tx *sql.Tx, f func(*sql.Tx) error) error {
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	err := tx.Commit()
	s.committed(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errOutcome, err)
	}
	return nil
}

// changesOne runs a statement and reports whether it changed one row.
func changesOne(ctx context.Context, tx *sql.Tx, query string, args ...any) (bool, error) {
	done, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// errOutcome means that nobody knows whether a transaction is durable: its commit
// failed, and may be found all the same when the database is opened again.
var errOutcome = errors.New("commit")

// ErrReopen means that the store must be opened again, because the outcome of a
// checkpoint is not known.
var ErrReopen = errors.New("an earlier checkpoint failed with an unknown outcome: the store must be opened again")

// connector opens connections and refuses one whose settings SQLite did not
// take: an unknown key of the connection string is ignored without a word.
type connector struct {
	driver sqlite3.SQLiteDriver
	dsn    string
	want   map[string]string
}

func newConnector(path string, busy time.Duration, reader bool) *connector {
	ms := fmt.Sprint(busy.Milliseconds())
	q := url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"on"},
		"_busy_timeout": {ms},
		"_txlock":       {"immediate"},
		// Each connection has one user at a time (package database/sql sees to it), and a
		// lock for each argument and column was a fifth of what a row took.
		"_mutex": {"no"},
		// Deriving asks the same questions for each tenant: to compile them anew took a
		// third of its time.
		"_stmt_cache_size": {"256"},
		"_cache_size":      {"-32768"}, // 32 MiB: the pages that a checkpoint of a large fleet touches
	}
	c := &connector{want: map[string]string{
		"journal_mode": "wal",
		"synchronous":  "2",
		"foreign_keys": "1",
		"busy_timeout": ms,
		"query_only":   "0",
	}}
	if reader {
		q.Set("_query_only", "1")
		q.Set("_cache_size", "-8192")
		q.Set("_txlock", "deferred")
		c.want["query_only"] = "1"
	}
	c.dsn = "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	return c
}

// Driver returns the SQLite driver.
func (c *connector) Driver() driver.Driver { return &c.driver }

// Connect opens one connection and reads its settings back.
func (c *connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	for name, want := range c.want {
		got, err := pragma(conn, name)
		if err == nil && !strings.EqualFold(got, want) {
			err = fmt.Errorf("setting %s is %q and must be %q", name, got, want)
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

func pragma(conn driver.Conn, name string) (value string, err error) {
	stmt, err := conn.Prepare("PRAGMA " + name)
	if err != nil {
		return "", fmt.Errorf("read setting %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	rows, err := stmt.(*sqlite3.SQLiteStmt).Query(nil)
	if err != nil {
		return "", fmt.Errorf("read setting %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	cell := make([]driver.Value, 1)
	if err := rows.Next(cell); errors.Is(err, io.EOF) {
		return "", fmt.Errorf("setting %s is not known to this SQLite", name)
	} else if err != nil {
		return "", fmt.Errorf("read setting %s: %w", name, err)
	}
	return fmt.Sprint(cell[0]), nil
}
