package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/cli"
)

// storeFlags say where the facts are.
type storeFlags struct {
	Store         string `help:"PostgreSQL database of the facts, such as postgres://flopwatch@db.example/flopwatch; SQLite in the data directory by default. It may name no password: that comes from a file." placeholder:"URL"`
	StorePassword string `help:"File with the password of that database; the password file of PostgreSQL (PGPASSFILE) by default." placeholder:"FILE" type:"path"`
}

// options returns the store's options for the database that the flags name.
func (f storeFlags) options() (store.Options, error) {
	if f.Store == "" {
		return store.Options{}, nil
	}
	address, err := databaseAddress(f.Store)
	if err != nil {
		return store.Options{}, err
	}
	password, err := databasePassword(f.StorePassword)
	return store.Options{Postgres: address, Password: password}, err
}

func databaseAddress(url string) (string, error) {
	if !postgres.IsURL(url) {
		return "", fmt.Errorf("the database %q is not named as postgres://user@host/name", url)
	}
	if postgres.HasPassword(url) {
		// Other users of the machine see the command line.
		return "", errors.New("the address of the database holds a password: put it into a file and name that with --store-password, or into PostgreSQL's password file")
	}
	return url, nil
}

func databasePassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the password of the database: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// migrateCommand makes the schema of a PostgreSQL database, and moves the facts of a
// SQLite database into it.
type migrateCommand struct {
	From          string `help:"Database to move from: sqlite: and the path of its file. Its collector must be stopped; the file stays and is marked. Without it only the schema is made or brought up to date." placeholder:"sqlite:PATH"`
	To            string `help:"PostgreSQL database, as the role that owns it, such as postgres://flopwatch_owner@db.example/flopwatch." required:"" placeholder:"URL"`
	StorePassword string `help:"File with the password of that role; the password file of PostgreSQL (PGPASSFILE) by default." placeholder:"FILE" type:"path"`
}

// Run migrates and tells what was compared.
func (c migrateCommand) Run(ctx context.Context, s cli.Streams) error {
	address, err := databaseAddress(c.To)
	if err != nil {
		return err
	}
	password, err := databasePassword(c.StorePassword)
	if err != nil {
		return err
	}
	if c.From == "" {
		if err := store.Migrate(ctx, address, password); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		fmt.Fprintln(s.Out, "the schema is up to date")
		return nil
	}
	path, ok := strings.CutPrefix(c.From, "sqlite:")
	if !ok || path == "" {
		return fmt.Errorf("the database to move from is %q and must be sqlite: and the path of its file", c.From)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("migrate: %w", err) // it would be made
	}
	ctx = asOperator(ctx)
	begin := time.Now()
	move, err := store.MoveToPostgres(ctx, path, store.Options{Postgres: address, Password: password}, store.MoveWatch{
		Table: func(m store.Moved) { fmt.Fprintf(s.Out, "%-22s %12d rows  %s\n", m.Table, m.Rows, m.Digest[:16]) },
		Step:  progress(s.Err, begin, time.Now),
	})
	if err != nil {
		return err
	}
	if move.Before {
		fmt.Fprintf(s.Out, "all of it was moved before, with digest %s; the old database is marked now\n", move.Digest)
		return nil
	}
	t, log := move.Totals, move.Audit
	fmt.Fprintf(s.Out, "%d tables are equal row by row, digest %s\n", len(move.Tables), move.Digest)
	fmt.Fprintf(s.Out, "the ledger adds up to the same: %d devices, %d segments, %d windows, operations %s\n", t.Devices, t.Segments, t.Windows, t.Figure.Empirical)
	fmt.Fprintf(s.Out, "the audit log holds the same: %d entries, %d objects, %d problems; %s\n", log.Entries, log.Objects, len(log.Problems), time.Since(begin).Round(time.Millisecond))
	fmt.Fprintf(s.Out, "Start the collector with --data %s --store and this database: evidence, keys and personal data stay in that directory. %s is kept and no longer written.\n", filepath.Dir(path), path)
	return nil
}

// progress returns a watcher that says every few seconds how far a move is.
func progress(out io.Writer, begin time.Time, now func() time.Time) func(store.MoveStep) {
	const every = 5 * time.Second
	last := begin
	return func(step store.MoveStep) {
		at := now()
		if at.Sub(last) < every {
			return
		}
		last = at
		text := step.Doing
		if step.Table != "" {
			text += " " + step.Table
		}
		if step.Of > 0 {
			text += fmt.Sprintf(": %d of %d rows", step.Rows, step.Of)
		}
		fmt.Fprintf(out, "%v: %s\n", at.Sub(begin).Round(time.Second), text)
	}
}
