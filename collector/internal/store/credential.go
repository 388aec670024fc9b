package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Errors of credentials.
var (
	ErrNoToken    = errors.New("there is no such token")
	ErrNoIdentity = errors.New("nobody is known by that identity")
)

// SecondFactor returns the second factor of an account; ok is false if it has none.
func (s *Store) SecondFactor(ctx context.Context, account string) (f permission.SecondFactor, ok bool, err error) {
	var recovery string
	var made int64
	err = s.read.QueryRowContext(ctx, "SELECT sealed, step, recovery, made_ns FROM second_factor WHERE account = ?", account).Scan(&f.Sealed, &f.Step, &recovery, &made)
	if errors.Is(err, sql.ErrNoRows) {
		return permission.SecondFactor{}, false, nil
	}
	if err != nil {
		return permission.SecondFactor{}, false, fmt.Errorf("read second factor: %w", err)
	}
	f.Recovery, f.Made = strings.Fields(recovery), time.Unix(0, made)
	return f, true, nil
}

// PutSecondFactor gives an account a second factor in place of the one that it has.
func (s *Store) PutSecondFactor(ctx context.Context, account string, f permission.SecondFactor) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO second_factor (account, sealed, step, recovery, made_ns) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed, step = excluded.step, recovery = excluded.recovery, made_ns = excluded.made_ns`,
			account, f.Sealed, f.Step, strings.Join(f.Recovery, " "), f.Made.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep second factor: %w", err)
	}
	return nil
}

// AddSecondFactor gives an account that has no second factor one; ok is false, and
// nothing changes, if it has one.
func (s *Store) AddSecondFactor(ctx context.Context, account string, f permission.SecondFactor) (ok bool, err error) {
	err = s.update(ctx, func(tx *sql.Tx) (err error) {
		ok, err = changesOne(ctx, tx, "INSERT INTO second_factor (account, sealed, step, recovery, made_ns) VALUES (?, ?, ?, ?, ?) ON CONFLICT (account) DO NOTHING",
			account, f.Sealed, f.Step, strings.Join(f.Recovery, " "), f.Made.UnixNano())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("keep second factor: %w", err)
	}
	return ok, nil
}

// NoteEnrolment tells in the audit log, as the act of the context, that somebody began
// to enrol: what is kept of the account stays as it is.
func (s *Store) NoteEnrolment(ctx context.Context, account string) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		return s.note(ctx, tx, audit.Of(ctx), audit.Object{Kind: "user", ID: account})
	})
	if err != nil {
		return fmt.Errorf("note that %s enrols: %w", account, err)
	}
	return nil
}

// DroppedBy returns who took the second factor of an account away, "" if it has one or
// never had one.
func (s *Store) DroppedBy(ctx context.Context, account string) (by string, err error) {
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			return err
		}
		e, err := audit.ParseLeaf(leaf)
		if err == nil && e.After == "" {
			by = e.Actor.ID
		}
		return err
	}, "SELECT leaf FROM audit_leaf WHERE kind = 'second_factor' AND object = ? ORDER BY seq DESC LIMIT 1", account)
	if err != nil {
		return "", fmt.Errorf("who took the second factor of %s away: %w", account, err)
	}
	return by, nil
}

// UseStep uses up the code of a step; ok is false if it or a later one was used
// before, wherever that was.
func (s *Store) UseStep(ctx context.Context, account string, step int64) (ok bool, err error) {
	err = s.update(ctx, func(tx *sql.Tx) (err error) {
		ok, err = changesOne(ctx, tx, "UPDATE second_factor SET step = ? WHERE account = ? AND step < ?", step, account, step)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("use a code: %w", err)
	}
	return ok, nil
}

// UseRecovery uses up a recovery code by its hash; ok is false if it is none that is left.
func (s *Store) UseRecovery(ctx context.Context, account, hash string) (ok bool, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		var text string
		err := tx.QueryRowContext(ctx, "SELECT recovery FROM second_factor WHERE account = ?", account).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		left := strings.Fields(text)
		at := slices.Index(left, hash)
		if ok = at >= 0; !ok {
			return nil
		}
		_, err = tx.ExecContext(ctx, "UPDATE second_factor SET recovery = ? WHERE account = ?", strings.Join(slices.Delete(left, at, at+1), " "), account)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("use a recovery code: %w", err)
	}
	return ok, nil
}

// accountsOf returns the accounts of the human who has an account, none where it is
// the only one.
func accountsOf(ctx context.Context, q querier, account string) (ids []string, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT o.account FROM same_person m JOIN same_person o ON o.person = m.person WHERE m.account = ? ORDER BY o.account", account)
	if err != nil {
		return nil, fmt.Errorf("read accounts of one human: %w", err)
	}
	return ids, nil
}

// SamePerson notes that two accounts are of one human, with all that are known to be
// of either. It wraps ErrNoUser if one of them is not there.
func (s *Store) SamePerson(ctx context.Context, a, b string) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		var persons [2]string
		for i, id := range []string{a, b} {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM \"user\" WHERE id = ?", id).Scan(&n); err != nil {
				return err
			}
			if n == 0 {
				return ErrNoUser
			}
			err := tx.QueryRowContext(ctx, "SELECT person FROM same_person WHERE account = ?", id).Scan(&persons[i])
			if errors.Is(err, sql.ErrNoRows) {
				persons[i] = id
				_, err = tx.ExecContext(ctx, "INSERT INTO same_person (account, person) VALUES (?, ?)", id, id)
			}
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "UPDATE same_person SET person = ? WHERE person = ?", persons[1], persons[0])
		return err
	})
	if err != nil {
		return fmt.Errorf("accounts of one human: %w", err)
	}
	return nil
}

// Identity returns the account of whom an identity provider knows by subject. It
// wraps ErrNoIdentity for nobody.
func (s *Store) Identity(ctx context.Context, issuer, subject string) (account string, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT account FROM outside_identity WHERE issuer = ? AND subject = ?", issuer, subject).Scan(&account)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoIdentity
	}
	if err != nil {
		return "", fmt.Errorf("look up an identity: %w", err)
	}
	return account, nil
}

// AddIdentity makes an account for whom an identity provider knows. It has no
// password, so nobody signs in with one. It wraps ErrLoginTaken.
func (s *Store) AddIdentity(ctx context.Context, id, login, issuer, subject string, roles []permission.Role, now time.Time) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		var taken int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM \"user\" WHERE login = ?", login).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return ErrLoginTaken
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO \"user\" ("+userColumns+") VALUES (?, ?, ?, ?, 0, ?)", id, login, rolesText(roles), "", now.UnixNano()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO outside_identity (account, issuer, subject, made_ns) VALUES (?, ?, ?, ?)", id, issuer, subject, now.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("add an identity: %w", err)
	}
	return nil
}

const tokenColumns = "t.id, t.account, t.name, t.service, t.scope, t.made_ns, t.expires_ns, t.revoked_ns, coalesce(u.used_ns, 0), coalesce(n.networks, ''), coalesce(e.tries, 0), coalesce(e.last_ns, 0)"

const tokenTables = " FROM api_token t LEFT JOIN api_token_use u ON u.token = t.id LEFT JOIN api_token_network n ON n.token = t.id LEFT JOIN api_token_elsewhere e ON e.token = t.id"

func scanToken(row interface{ Scan(...any) error }) (t permission.Token, err error) {
	var scope, networks string
	var made, expires, revoked, used, elsewhere int64
	if err := row.Scan(&t.ID, &t.User, &t.Name, &t.Service, &scope, &made, &expires, &revoked, &used, &networks, &t.Elsewhere, &elsewhere); err != nil {
		return t, err
	}
	for a := range strings.SplitSeq(scope, ",") {
		t.Scope = append(t.Scope, permission.Action(a))
	}
	t.Made, t.Expires, t.Revoked, t.Used = instantOf(made), instantOf(expires), instantOf(revoked), instantOf(used)
	t.ElsewhereLast = instantOf(elsewhere)
	if networks != "" {
		// Networks that cannot be read are not everywhere: the token is not taken at all.
		if t.From, err = permission.ParseNetworks(strings.Split(networks, ",")); err != nil {
			return t, fmt.Errorf("networks of %s: %w", t.ID, err)
		}
	}
	return t, nil
}

func instantOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// AddToken keeps a token by the hash of its text.
func (s *Store) AddToken(ctx context.Context, t permission.Token, hash string) error {
	scope := make([]string, len(t.Scope))
	for i, a := range t.Scope {
		scope[i] = string(a)
	}
	err := s.update(audit.Because(ctx, "api_token.make", t.Name), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO api_token (id, hash, account, name, service, scope, made_ns, expires_ns, revoked_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
			t.ID, hash, t.User, t.Name, t.Service, strings.Join(scope, ","), t.Made.UnixNano(), t.Expires.UnixNano())
		if err != nil || len(t.From) == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO api_token_network (token, networks) VALUES (?, ?)", t.ID, strings.Join(t.From.Texts(), ","))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	return nil
}

// Token returns the token of a hash; ok is false if there is none.
func (s *Store) Token(ctx context.Context, hash string) (t permission.Token, ok bool, err error) {
	t, err = scanToken(s.read.QueryRowContext(ctx, "SELECT "+tokenColumns+tokenTables+" WHERE t.hash = ?", hash))
	if errors.Is(err, sql.ErrNoRows) {
		return permission.Token{}, false, nil
	}
	if err != nil {
		return permission.Token{}, false, fmt.Errorf("look up a token: %w", err)
	}
	return t, true, nil
}

// Tokens returns the tokens of an account, the last made first, or of everybody for "".
func (s *Store) Tokens(ctx context.Context, account string) (all []permission.Token, err error) {
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		t, err := scanToken(rows)
		all = append(all, t)
		return err
	}, "SELECT "+tokenColumns+tokenTables+" WHERE ? IN ('', t.account) ORDER BY t.made_ns DESC, t.id", account)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	return all, nil
}

// RevokeToken ends a token at once, of an account or of anybody for "". One that
// was ended before stays as it was. It wraps ErrNoToken.
func (s *Store) RevokeToken(ctx context.Context, id, account string, now time.Time) error {
	err := s.update(audit.Because(ctx, "api_token.revoke", ""), func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM api_token WHERE id = ? AND ? IN ('', account)", id, account).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return ErrNoToken
		}
		_, err := tx.ExecContext(ctx, "UPDATE api_token SET revoked_ns = ? WHERE id = ? AND revoked_ns = 0", now.UnixNano(), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// TokenElsewhere counts that a token was tried from outside its networks. Where tell is
// set, that is an entry of the audit log too, which says nothing of where that was.
func (s *Store) TokenElsewhere(ctx context.Context, id string, at time.Time, tell bool) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO api_token_elsewhere (token, tries, last_ns) VALUES (?, 1, ?)
			ON CONFLICT (token) DO UPDATE SET tries = api_token_elsewhere.tries + 1, last_ns = excluded.last_ns`, id, at.UnixNano())
		if err != nil || !tell {
			return err
		}
		act := audit.Of(ctx)
		act.Action, act.Reason = "api_token.elsewhere", "tried from outside its networks, and refused"
		return s.note(ctx, tx, act, audit.Object{Kind: "api_token", ID: id})
	})
	if err != nil {
		return fmt.Errorf("note that a token was tried from elsewhere: %w", err)
	}
	return nil
}

// TokenUsed notes when a token was used.
func (s *Store) TokenUsed(ctx context.Context, id string, at time.Time) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO api_token_use (token, used_ns) VALUES (?, ?) ON CONFLICT (token) DO UPDATE SET used_ns = excluded.used_ns", id, at.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("note the use of a token: %w", err)
	}
	return nil
}
