package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// postgresPlan returns how the server would run a query.
func postgresPlan(t *testing.T, q querier, query string, args ...any) string {
	t.Helper()
	var plan []string
	err := each(t.Context(), q, func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		plan = append(plan, line)
		return err
	}, "EXPLAIN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// largeScanRE finds the reading of all of a table that grows with the fleet.
var largeScanRE = regexp.MustCompile(`Seq Scan on (run|finding|finding_standing|finding_work|run_\w+|(?:segment|event)(?:_\d{4}_\d\d|_rest)?|host|device)\b`)

// twoStores are two collectors on one PostgreSQL database.
func twoStores(t *testing.T) [2]*Store {
	t.Helper()
	dir := t.TempDir()
	url := storetest.PostgresDatabase(t, dir, nil)
	var out [2]*Store
	for i, name := range []string{"a", "b"} {
		s, err := Open(t.Context(), filepath.Join(dir, name, "flopwatch.db"), Options{Postgres: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		out[i] = s
	}
	return out
}

func ofHost(no int64, id string) Checkpoint {
	return Checkpoint{At: noon, Changes: ledger.Changes{Batches: 1, Hosts: []ledger.Host{{No: no, ID: ledger.HostID(id), PublicKey: []byte{1}, FirstNS: 1, LastNS: 2, Batches: 1}}}}
}

// Checkpoints of different hosts do not wait for each other; what changes anything
// but the ledger waits for them, and they for it.
func TestCheckpointsRunSideBySide(t *testing.T) {
	s := twoStores(t)
	for i, id := range []string{"hosta", "hostb"} {
		if _, err := s[i].Checkpoint(t.Context(), ofHost(int64(i+1), id)); err != nil {
			t.Fatal(err)
		}
	}
	// A checkpoint of the first that has written its host and has not committed.
	tx, err := s[0].db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(t.Context(), tx, lockWriters, together); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE host SET seq = seq + 1 WHERE id = 'hosta'"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := s[1].Checkpoint(ctx, ofHost(2, "hostb")); err != nil {
		t.Errorf("a checkpoint of another host waited: %v", err)
	}
	changed := make(chan error, 1)
	go func() {
		changed <- s[1].update(ctx, func(tx *sql.Tx) error {
			var seq int64
			if err := tx.QueryRow("SELECT seq FROM host WHERE id = 'hosta'").Scan(&seq); err != nil || seq != 1 {
				return errors.Join(err, errors.New("a change did not see the checkpoint before it"))
			}
			return nil
		})
	}()
	for waiting := 0; waiting == 0; {
		if err := s[0].read.QueryRowContext(ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-changed:
		t.Errorf("a change did not wait for a checkpoint: %v", err)
	default:
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-changed; err != nil {
		t.Error(err)
	}
}

// What one collector writes, the other sees in what it remembered.
func TestOthersChangesAreSeen(t *testing.T) {
	s := twoStores(t)
	before, err := s[1].state(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s[1].state(t.Context()); err != nil || again != before {
		t.Errorf("nothing happened, and %+v became %+v: %v", before, again, err)
	}
	if _, err := s[0].Checkpoint(t.Context(), ofHost(1, "hosta")); err != nil {
		t.Fatal(err)
	}
	if after, err := s[1].state(t.Context()); err != nil || after == before {
		t.Errorf("the other collector committed, and this one does not see it: %v", err)
	}
}

// Settings without which a commit may be lost are refused.
func TestServerThatForgetsIsRefused(t *testing.T) {
	dir := t.TempDir()
	url := storetest.PostgresDatabase(t, dir, nil)
	_, err := Open(t.Context(), filepath.Join(dir, "flopwatch.db"), Options{Postgres: url + "&synchronous_commit=off"})
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("a server that answers before it has written: %v", err)
	}
}

// Beside facts in SQLite that were not moved nothing is begun.
func TestFactsAreNotLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flopwatch.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	url := storetest.PostgresDatabase(t, path, nil)
	if _, err := Open(t.Context(), path, Options{Postgres: url}); err == nil || !strings.Contains(err.Error(), "holds facts that were not moved") {
		t.Errorf("a new ledger beside an old one: %v", err)
	}
}

// What is only ever added to is not emptied in PostgreSQL either.
func TestTablesAreNotEmptied(t *testing.T) {
	s := twoStores(t)[0]
	for _, table := range []string{"finding", "allocation", "audit_leaf", "case_change"} {
		if _, err := s.db.Exec("TRUNCATE " + table + " CASCADE"); err == nil || !strings.Contains(err.Error(), "never deleted") {
			t.Errorf("%s: %v", table, err)
		}
	}
}
