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

// ErrNoGrant is what is wrapped where a grant is asked for that is not there.
var ErrNoGrant = errors.New("there is no such grant")

// grantsOf reads grants that a condition on the proposal p selects, the last proposed first.
func grantsOf(ctx context.Context, q querier, condition string, args ...any) (all []permission.Grant, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error {
		var g permission.Grant
		var roles string
		var at, decided int64
		err := rows.Scan(&g.ID, &g.Account, &roles, &g.Reason, &g.By, &at, &g.Outcome, &g.Decider, &decided, &g.Why)
		g.Roles, g.At, g.Decided = rolesOf(roles), instantOf(at), instantOf(decided)
		all = append(all, g)
		return err
	}, `SELECT p.id, p.account, p.roles, p.reason, p.by, p.at_ns, coalesce(d.state, ''), coalesce(d.by, ''), coalesce(d.at_ns, 0), coalesce(d.reason, '')
		FROM role_grant p LEFT JOIN role_grant d ON d.id = p.id AND d.no = 1 WHERE p.no = 0 AND `+condition+` ORDER BY p.at_ns DESC, p.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("read grants of roles: %w", err)
	}
	return all, nil
}

// Grants returns every grant of a role that was ever proposed, the last one first.
func (s *Store) Grants(ctx context.Context) ([]permission.Grant, error) {
	return grantsOf(ctx, s.read, "p.id <> ''")
}

// Grant returns a grant. It wraps ErrNoGrant if there is none.
func (s *Store) Grant(ctx context.Context, id string) (permission.Grant, error) {
	return oneGrant(ctx, s.read, id)
}

func oneGrant(ctx context.Context, q querier, id string) (permission.Grant, error) {
	all, err := grantsOf(ctx, q, "p.id = ?", id)
	if err != nil {
		return permission.Grant{}, err
	}
	if len(all) == 0 {
		return permission.Grant{}, fmt.Errorf("grant %s: %w", id, ErrNoGrant)
	}
	return all[0], nil
}

func proposeGrant(ctx context.Context, tx *sql.Tx, g permission.Grant) error {
	return addGrantRow(ctx, tx, g, 0, permission.GrantProposed, g.By, g.At, g.Reason)
}

func addGrantRow(ctx context.Context, tx *sql.Tx, g permission.Grant, no int, state, by string, at time.Time, reason string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO role_grant (id, no, account, state, roles, by, at_ns, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		g.ID, no, g.Account, state, rolesText(g.Roles), by, at.UnixNano(), reason)
	return err
}

// GrantPeople are the accounts that a decision about a grant is of. One that is not
// there has no id.
type GrantPeople struct{ Account, Proposer, Decider Account }

// DecideGrant decides a grant with f, which sees grant and accounts as they are in the
// transaction, and says what becomes of the grant by its outcome, and of the account by
// its roles. Without an outcome nothing changes. It wraps ErrNoGrant if there is none.
func (s *Store) DecideGrant(ctx context.Context, id, decider string, f func(*permission.Grant, *GrantPeople) error) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		g, err := oneGrant(ctx, tx, id)
		if err != nil {
			return err
		}
		var people GrantPeople
		for _, p := range []struct {
			id   string
			into *Account
		}{{g.Account, &people.Account}, {g.By, &people.Proposer}, {decider, &people.Decider}} {
			if *p.into, err = accountIn(ctx, tx, p.id); err != nil {
				return err
			}
		}
		if err := f(&g, &people); err != nil || g.Outcome == "" {
			return err
		}
		if err := addGrantRow(ctx, tx, g, 1, g.Outcome, g.Decider, g.Decided, g.Why); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE \"user\" SET roles = ? WHERE id = ?", rolesText(people.Account.Roles), g.Account)
		return err
	})
	if err != nil {
		return fmt.Errorf("decide grant %s: %w", id, err)
	}
	return nil
}

// accountIn reads an account with all accounts of the same human; it is empty if there is none.
func accountIn(ctx context.Context, q *sql.Tx, id string) (a Account, err error) {
	a, err = scanUser(q.QueryRowContext(ctx, "SELECT "+userColumns+" FROM \"user\" WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, nil
	}
	if err == nil {
		a.Accounts, err = accountsOf(ctx, q, id)
	}
	return a, err
}

// Persons returns the account that stands for the human of each account that is one of several.
func (s *Store) Persons(ctx context.Context) (map[string]string, error) {
	persons := map[string]string{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var account, person string
		err := rows.Scan(&account, &person)
		persons[account] = person
		return err
	}, "SELECT account, person FROM same_person")
	if err != nil {
		return nil, fmt.Errorf("read accounts of one human: %w", err)
	}
	return persons, nil
}

func rolesOf(text string) (roles []permission.Role) {
	for name := range strings.FieldsSeq(text) {
		roles = append(roles, permission.Role(name))
	}
	return roles
}
