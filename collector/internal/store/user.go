package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Errors of users.
var (
	ErrLoginTaken = errors.New("the login is taken")
	ErrNoUser     = errors.New("there is no such user")
)

// Account is a user as it is stored.
type Account struct {
	permission.User
	Password  string // what is kept of it
	CreatedNS int64
	// DropFactor takes the second factor away with the change: they enrol anew at the next
	// sign-in, and their sessions end.
	DropFactor bool
}

const userColumns = "id, login, roles, password, disabled, created_ns"

func scanUser(rows interface{ Scan(...any) error }) (a Account, err error) {
	var roles string
	err = rows.Scan(&a.ID, &a.Login, &roles, &a.Password, &a.Disabled, &a.CreatedNS)
	a.Roles = rolesOf(roles)
	return a, err
}

func rolesText(roles []permission.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, " ")
}

// AddUser makes an account, and proposes the grants of roles to it that are given. It
// wraps ErrLoginTaken if somebody has the login.
func (s *Store) AddUser(ctx context.Context, id, login string, roles []permission.Role, passwordHash string, now time.Time, grants ...permission.Grant) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO \"user\" ("+userColumns+") VALUES (?, ?, ?, ?, 0, ?)", id, login, rolesText(roles), passwordHash, now.UnixNano())
		if isTaken(err) {
			return ErrLoginTaken
		}
		for _, g := range grants {
			if err == nil {
				err = proposeGrant(ctx, tx, g)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add user: %w", err)
	}
	return nil
}

// ChangeUser changes an account with f. With a new password, without its second factor,
// and where the account is disabled, its sessions end with the change, but for the one in which it is done. It
// wraps ErrNoUser if there is none.
func (s *Store) ChangeUser(ctx context.Context, id string, f func(*Account) error) error {
	return s.ChangeUserProposing(ctx, id, func(a *Account, _ []permission.Grant) ([]permission.Grant, error) { return nil, f(a) })
}

// ChangeUserProposing is ChangeUser by an f that sees every grant of a role to the
// account so far, and returns those that it proposes.
func (s *Store) ChangeUserProposing(ctx context.Context, id string, f func(*Account, []permission.Grant) ([]permission.Grant, error)) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		a, err := scanUser(tx.QueryRowContext(ctx, "SELECT "+userColumns+" FROM \"user\" WHERE id = ?", id))
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoUser
		}
		before := a.Password
		var grants []permission.Grant
		if err == nil {
			grants, err = grantsOf(ctx, tx, "p.account = ?", id)
		}
		if err == nil {
			grants, err = f(&a, grants)
		}
		if err != nil {
			return err
		}
		for _, g := range grants {
			if err := proposeGrant(ctx, tx, g); err != nil {
				return err
			}
		}
		if a.DropFactor {
			if _, err := tx.ExecContext(ctx, "DELETE FROM second_factor WHERE account = ?", id); err != nil {
				return err
			}
		}
		if a.Password != before || a.Disabled || a.DropFactor {
			if err := endSessions(ctx, tx, id); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE \"user\" SET roles = ?, password = ?, disabled = ? WHERE id = ?", rolesText(a.Roles), a.Password, a.Disabled, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("change user %s: %w", id, err)
	}
	return nil
}

// SetPassword puts a hash in the place of what is kept of an account's password; ok is
// false, and nothing changes, if something else is kept by now or it is barred.
func (s *Store) SetPassword(ctx context.Context, account, before, after string) (ok bool, err error) {
	err = s.update(ctx, func(tx *sql.Tx) (err error) {
		ok, err = changesOne(ctx, tx, "UPDATE \"user\" SET password = ? WHERE id = ? AND password = ? AND disabled = 0", after, account, before)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("set the password of %s: %w", account, err)
	}
	return ok, nil
}

// Accounts returns every account by login.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) {
	var all []Account
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		a, err := scanUser(rows)
		all = append(all, a)
		return err
	}, "SELECT "+userColumns+" FROM \"user\" ORDER BY login")
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	return all, nil
}

// User returns the user of an id.
func (s *Store) User(ctx context.Context, id string) (permission.User, bool, error) {
	a, ok, err := s.account(ctx, "id", id)
	if err == nil && ok {
		a.Accounts, err = accountsOf(ctx, s.read, id)
	}
	return a.User, ok, err
}

// Credential returns the user of a login and the hash of their password.
func (s *Store) Credential(ctx context.Context, login string) (permission.User, string, bool, error) {
	a, ok, err := s.account(ctx, "login", login)
	return a.User, a.Password, ok, err
}

func (s *Store) account(ctx context.Context, column, value string) (Account, bool, error) {
	a, err := scanUser(s.read.QueryRowContext(ctx, "SELECT "+userColumns+" FROM \"user\" WHERE "+column+" = ?", value))
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, false, nil
	}
	if err != nil {
		return Account{}, false, fmt.Errorf("read user by %s: %w", column, err)
	}
	return a, true, nil
}

// AnyUser reports whether anybody has an account.
func (s *Store) AnyUser(ctx context.Context) (any bool, err error) {
	if err := s.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM \"user\")").Scan(&any); err != nil {
		return false, fmt.Errorf("look for users: %w", err)
	}
	return any, nil
}
