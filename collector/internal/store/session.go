package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

const sessionColumns = "hash, account, door, made_ns, used_ns, proved_ns, strong, outside, sign_out"

func scanSession(row interface{ Scan(...any) error }) (s permission.Session, err error) {
	var made, used, proved int64
	err = row.Scan(&s.Hash, &s.User, &s.Door, &made, &used, &proved, &s.Strong, &s.Outside, &s.SignOut)
	s.Made, s.Used, s.Proved = instantOf(made), instantOf(used), instantOf(proved)
	return s, err
}

// OpenSession keeps a session. Of the person's sessions the most lately used stay, at
// most own with this one, and of everybody's those that were used since idle and made
// since ended, at most all.
func (s *Store) OpenSession(ctx context.Context, n permission.Session, own, all int, idle, ended time.Time) error {
	err := s.update(growing(ctx), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM desk_session WHERE used_ns <= ? OR made_ns <= ?", idle.UnixNano(), ended.UnixNano()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM desk_session WHERE hash IN (SELECT hash FROM desk_session WHERE account = ? ORDER BY used_ns DESC, hash LIMIT ? OFFSET ?)", n.User, rowLimit(0), own-1); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM desk_session WHERE hash IN (SELECT hash FROM desk_session ORDER BY used_ns DESC, hash LIMIT ? OFFSET ?)", rowLimit(0), all-1); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO desk_session ("+sessionColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			n.Hash, n.User, n.Door, n.Made.UnixNano(), n.Used.UnixNano(), n.Proved.UnixNano(), n.Strong, n.Outside, n.SignOut)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a session of %s: %w", n.User, err)
	}
	return nil
}

// Session returns the session of a hash; ok is false if there is none. Whether it
// still holds by the clock is for the caller to say.
func (s *Store) Session(ctx context.Context, hash string) (n permission.Session, ok bool, err error) {
	n, err = scanSession(s.read.QueryRowContext(ctx, "SELECT "+sessionColumns+" FROM desk_session WHERE hash = ?", hash))
	if errors.Is(err, sql.ErrNoRows) {
		return permission.Session{}, false, nil
	}
	if err != nil {
		return permission.Session{}, false, fmt.Errorf("look up a session: %w", err)
	}
	return n, true, nil
}

// SessionUsed notes that a session was used, if it is there and was not used later.
func (s *Store) SessionUsed(ctx context.Context, hash string, at time.Time) error {
	err := s.update(growing(ctx), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE desk_session SET used_ns = ? WHERE hash = ? AND used_ns < ?", at.UnixNano(), hash, at.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("note the use of a session: %w", err)
	}
	return nil
}

// SessionsOf returns the sessions of a person, also those that are over by the clock.
func (s *Store) SessionsOf(ctx context.Context, account string) (all []permission.Session, err error) {
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		n, err := scanSession(rows)
		all = append(all, n)
		return err
	}, "SELECT "+sessionColumns+" FROM desk_session WHERE account = ? ORDER BY used_ns DESC, hash", account)
	if err != nil {
		return nil, fmt.Errorf("read sessions of %s: %w", account, err)
	}
	return all, nil
}

// EndSession ends the sessions of these hashes, at once and for every collector, and
// returns how many there were.
func (s *Store) EndSession(ctx context.Context, hashes ...string) (ended int, err error) {
	err = s.update(growing(ctx), func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, "DELETE FROM desk_session WHERE hash IN (SELECT value FROM json_each(?))", jsonList(hashes))
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		ended = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	return ended, nil
}

// endSessions ends the sessions of an account but the one in which that is done.
func endSessions(ctx context.Context, tx *sql.Tx, account string) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM desk_session WHERE account = ? AND 'ses_' || substr(hash, 1, 16) <> ?", account, permission.Of(ctx).Session)
	if err != nil {
		return fmt.Errorf("end sessions of %s: %w", account, err)
	}
	return nil
}
