package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
)

// How often a collector that does not lead asks whether it may, and one that leads
// whether it does. The server ends a session that does not ask for lostAfter, so that
// one that is frozen or cut off leads no more.
const (
	leadEvery = 500 * time.Millisecond
	askFor    = 2 * time.Second
	lostAfter = "5s"
)

// lockLeader is the lock of a session, beside those of transactions.
const lockLeader = 4

// Lead calls f while this collector is the one that derives, tells and keeps, and
// with a context that ends when it is not any more. It waits until that is so, and
// returns what f returns, or nil when ctx ends first. On SQLite there is one
// collector, which leads.
func (s *Store) Lead(ctx context.Context, f func(context.Context) error) (err error) {
	if s.opts.Postgres == "" {
		return f(ctx)
	}
	connector, err := postgres.NewConnector(s.opts.Postgres, postgres.Options{Name: "flopwatch leading", Password: s.opts.Password})
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }() // the server lets go of the lock with the session
	session, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait to lead: %w", err)
	}
	defer func() { _ = session.Close() }() // it may be gone
	if _, err := session.ExecContext(ctx, "SET idle_session_timeout = '"+lostAfter+"'"); err != nil {
		return fmt.Errorf("wait to lead: %w", err)
	}
	for {
		var leads bool
		err := session.QueryRowContext(ctx, fmt.Sprintf("SELECT pg_try_advisory_lock(%d, %d)", lockSpace, lockLeader)).Scan(&leads)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait to lead: %w", err)
		}
		if leads {
			break
		}
		select {
		case <-time.After(leadEvery):
		case <-ctx.Done():
			return nil
		}
	}
	if err := s.beginTerm(ctx); err != nil {
		return err
	}
	leading, end := context.WithCancelCause(ctx)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		s.hold(leading, session, end)
	}()
	err = f(leading)
	if cause := context.Cause(leading); ctx.Err() == nil && errors.Is(cause, ErrNotLeader) {
		err = errors.Join(err, cause)
	}
	end(nil)
	<-asked
	return err
}

// hold asks for the session until ctx ends, and ends the leading when it is gone.
func (s *Store) hold(ctx context.Context, session *sql.Conn, end context.CancelCauseFunc) {
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		asking, cancel := context.WithTimeout(ctx, askFor)
		_, err := session.ExecContext(asking, "SELECT 1")
		cancel()
		if err != nil && ctx.Err() == nil {
			end(fmt.Errorf("%w: the session that holds the lock is gone: %w", ErrNotLeader, err))
			return
		}
	}
}

// beginTerm begins a term as leader: what an earlier leader has under way is refused.
func (s *Store) beginTerm(ctx context.Context) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'leader'"); err != nil {
			return fmt.Errorf("begin to lead: %w", err)
		}
		term, err := meta(ctx, tx, "leader")
		s.term.Store(term)
		return err
	})
}

// leads refuses a transaction of a leader whose term has ended. Where nobody was
// elected there is nobody else.
func (s *Store) leads(ctx context.Context, tx *sql.Tx) error {
	term := s.term.Load()
	if term == 0 {
		return nil
	}
	now, err := meta(ctx, tx, "leader")
	if err == nil && now != term {
		err = fmt.Errorf("term %d, now %d: %w", term, now, ErrNotLeader)
	}
	return err
}
