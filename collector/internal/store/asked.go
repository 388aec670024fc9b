package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Asked is a request that is done once, as it stands.
type Asked struct {
	Request string // digest of what was asked
	Status  int    // of the answer, 0 where it is not known
	Sealed  []byte // the answer, empty where none is kept
}

// BeginOnce notes that a request with a key is begun, and forgets what was begun
// before forget. First is false where one with the key was begun already; then before
// says how that stands.
func (s *Store) BeginOnce(ctx context.Context, key, request string, now, forget time.Time) (before Asked, first bool, err error) {
	err = s.update(growing(ctx), func(tx *sql.Tx) (err error) {
		if _, err := tx.ExecContext(ctx, "DELETE FROM asked_once WHERE begun_ns < ?", forget.UnixNano()); err != nil {
			return err
		}
		first, err = changesOne(ctx, tx, "INSERT INTO asked_once (key, request, begun_ns, status, sealed) VALUES (?, ?, ?, 0, ?) ON CONFLICT (key) DO NOTHING", key, request, now.UnixNano(), []byte{})
		if first || err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT request, status, sealed FROM asked_once WHERE key = ?", key).Scan(&before.Request, &before.Status, &before.Sealed)
	})
	if err != nil {
		return Asked{}, false, fmt.Errorf("begin a request that is done once: %w", err)
	}
	return before, first, nil
}

// EndOnce notes how a request with a key ended.
func (s *Store) EndOnce(ctx context.Context, key string, status int, sealed []byte) error {
	if sealed == nil {
		sealed = []byte{}
	}
	err := s.update(growing(ctx), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE asked_once SET status = ?, sealed = ? WHERE key = ?", status, sealed, key)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the answer to a request that is done once: %w", err)
	}
	return nil
}

// ForgetOnce forgets a request that did nothing.
func (s *Store) ForgetOnce(ctx context.Context, key string) error {
	err := s.update(growing(ctx), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM asked_once WHERE key = ?", key)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget a request that did nothing: %w", err)
	}
	return nil
}
