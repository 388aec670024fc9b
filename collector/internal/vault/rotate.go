package vault

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/sealing"
)

// Secrets of the vault itself. What follows from the first master key and is
// written elsewhere must not change with the key: identifiers would not be
// compared any more, and cursors of clients would end.
const (
	checkSecret   = "check"
	hashSecret    = "kept/hash"
	outsideSecret = "kept/outside"
)

// ErrRotated means that the master key was rotated while the vault was open.
var ErrRotated = errors.New("the master key was rotated: open the vault again with the new one")

// derive sets the keys that follow from a master key.
func (v *Vault) derive(master []byte) (err error) {
	for purpose, key := range map[string]*[]byte{"wrap party keys": &v.wrap, "hash identifiers": &v.hash, "seal secrets": &v.own} {
		if *key, err = hkdf.Key(sha256.New, master, nil, "flopwatch vault 1: "+purpose, KeySize); err != nil {
			return err
		}
	}
	v.root = bytes.Clone(master)
	return nil
}

// recall takes up the keys that outlive rotations, if there was one.
func (v *Vault) recall(ctx context.Context) error {
	for name, key := range map[string]*[]byte{hashSecret: &v.hash, outsideSecret: &v.root} {
		kept, err := v.Secret(ctx, name)
		switch {
		case errors.Is(err, ErrNoSealed):
		case err != nil:
			return err
		default:
			*key = kept
		}
	}
	return nil
}

// Rotate wraps all keys of parties and seals all secrets under what follows from
// another master key, in one transaction: before it the old key opens the vault,
// after it only the new one. Sealed data, hashes and erasures stay as they are;
// whoever holds the old key and an old copy of the vault can still read that copy.
// Other processes that have the vault open get ErrRotated.
func (v *Vault) Rotate(ctx context.Context, master []byte) error {
	next := &Vault{}
	err := func() error {
		if len(master) != KeySize {
			return fmt.Errorf("the new master key has %d bytes, not %d", len(master), KeySize)
		}
		if err := next.derive(master); err != nil {
			return err
		}
		if bytes.Equal(next.wrap, v.wrap) {
			return errors.New("the new master key is the old one")
		}
		if err := v.update(ctx, func(tx *sql.Tx) error {
			return errors.Join(v.rewrap(ctx, tx, next), v.reseal(ctx, tx, next))
		}); err != nil {
			return err
		}
		v.wrap, v.own = next.wrap, next.own
		if err := v.remember(ctx); err != nil {
			return err
		}
		// The log of SQLite still has the pages as they were.
		_, err := v.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		return err
	}()
	if err != nil {
		return fmt.Errorf("rotate the master key of the vault: %w", err)
	}
	return nil
}

// Generation names the master key among those that the vault has had, without
// telling it; "" while it is the first one.
func (v *Vault) Generation(ctx context.Context) (string, error) {
	if _, err := v.Secret(ctx, hashSecret); errors.Is(err, ErrNoSealed) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	sum := sha256.Sum256(v.check)
	return hex.EncodeToString(sum[:]), nil
}

func (v *Vault) rewrap(ctx context.Context, tx *sql.Tx, next *Vault) error {
	wrapped := map[string][]byte{}
	if err := collect(ctx, tx, wrapped, "SELECT party, wrapped FROM party_key WHERE wrapped IS NOT NULL"); err != nil {
		return err
	}
	for who, data := range wrapped {
		key, err := sealing.Open(v.wrap, data, "key", who)
		if err != nil {
			return fmt.Errorf("key of %s: %w", who, err)
		}
		if data, err = sealing.Seal(next.wrap, key, "key", who); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE party_key SET wrapped = ? WHERE party = ?", data, who); err != nil {
			return err
		}
	}
	return nil
}

// reseal seals the secrets anew, and with them the keys that must not change.
func (v *Vault) reseal(ctx context.Context, tx *sql.Tx, next *Vault) error {
	sealed := map[string][]byte{}
	if err := collect(ctx, tx, sealed, "SELECT name, data FROM secret"); err != nil {
		return err
	}
	clear := map[string][]byte{hashSecret: v.hash, outsideSecret: v.root}
	for name, data := range sealed {
		value, err := sealing.Open(v.own, data, "secret", name)
		if err != nil {
			return fmt.Errorf("secret %s: %w", name, err)
		}
		clear[name] = value
	}
	for name, value := range clear {
		data, err := sealing.Seal(next.own, value, "secret", name)
		if err != nil {
			return err
		}
		if err := putSecret(ctx, tx, name, data); err != nil {
			return err
		}
	}
	return nil
}

func collect(ctx context.Context, tx *sql.Tx, into map[string][]byte, query string) (err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		var data []byte
		if err := rows.Scan(&name, &data); err != nil {
			return err
		}
		into[name] = data
	}
	return rows.Err()
}

// remember notes the sealed check, which changes with each rotation.
func (v *Vault) remember(ctx context.Context) error {
	return v.db.QueryRowContext(ctx, "SELECT data FROM secret WHERE name = ?", checkSecret).Scan(&v.check)
}

// unrotated reports an error if another process rotated the master key: what this
// one would wrap nobody could open.
func (v *Vault) unrotated(ctx context.Context, tx *sql.Tx) error {
	if v.check == nil {
		return nil // it is being opened
	}
	var is []byte
	if err := tx.QueryRowContext(ctx, "SELECT data FROM secret WHERE name = ?", checkSecret).Scan(&is); err != nil {
		return err
	}
	if !bytes.Equal(is, v.check) {
		return ErrRotated
	}
	return nil
}
