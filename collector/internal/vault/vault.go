// Package vault keeps personal data apart from everything else the collector
// keeps: in a database of its own, sealed with AES-256-GCM under a key for each
// party. Those keys are wrapped by a key that follows from the master key, which
// is in no database. What is kept elsewhere names sealed data by opaque ids.
//
// Who reads is recorded by the caller before it reads. A party's data are erased
// by destroying its key; the rows stay, and nobody can read them.
package vault

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/sealing"
	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
)

// Errors of a Vault.
var (
	ErrErased   = errors.New("the personal data were erased")
	ErrNoSealed = errors.New("there are no such sealed data")
	ErrKey      = errors.New("the master key is not the one of this vault")
)

// KeySize is the length of the master key in bytes.
const KeySize = 32

// Vault is the store of personal data. Its methods may be called from many
// goroutines.
type Vault struct {
	db   *sql.DB
	wrap []byte // wraps keys of parties
	hash []byte // of identifiers and digests
	own  []byte // seals secrets of the collector itself
	root []byte // the first master key, from which keys outside follow
	now  func() time.Time

	check []byte // sealed, as it was when this was opened
}

const schema = `
CREATE TABLE IF NOT EXISTS party_key (
  party        TEXT PRIMARY KEY,
  wrapped      BLOB,              -- NULL once it is destroyed
  digest       TEXT NOT NULL,     -- of the key
  made_ns      INTEGER NOT NULL,
  destroyed_ns INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sealed (
  id    TEXT PRIMARY KEY,
  party TEXT NOT NULL REFERENCES party_key (party),
  at_ns INTEGER NOT NULL,
  data  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sealed_party ON sealed (party);
CREATE TABLE IF NOT EXISTS secret (
  name TEXT PRIMARY KEY,
  data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS access_account (
  no       INTEGER PRIMARY KEY,
  account  TEXT NOT NULL UNIQUE,
  first_ns INTEGER NOT NULL,
  last_ns  INTEGER NOT NULL,
  entries  INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS access_entry (
  account INTEGER NOT NULL REFERENCES access_account (no),
  at_ns   INTEGER NOT NULL,
  ip      BLOB NOT NULL,          -- keyed hash
  coarse  BLOB NOT NULL,          -- keyed hash of the /24 or /48
  action  TEXT NOT NULL,
  party   TEXT NOT NULL,
  data    BLOB NOT NULL,          -- the address, sealed
  PRIMARY KEY (account, at_ns, ip, action)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS sealed_no_update BEFORE UPDATE ON sealed BEGIN SELECT RAISE(ABORT, 'sealed data are never changed'); END;
CREATE TRIGGER IF NOT EXISTS access_entry_no_update BEFORE UPDATE ON access_entry BEGIN SELECT RAISE(ABORT, 'the access log is never changed'); END;
CREATE TRIGGER IF NOT EXISTS access_entry_no_delete BEFORE DELETE ON access_entry BEGIN SELECT RAISE(ABORT, 'the access log is never deleted'); END;
`

// version of the schema; a vault of a newer one is refused.
const version = 1

// Open opens the vault at path with its master key.
func Open(ctx context.Context, path string, master []byte, now func() time.Time) (*Vault, error) {
	v, err := open(ctx, path, master, now)
	if err != nil {
		return nil, fmt.Errorf("open vault %s: %w", path, err)
	}
	return v, nil
}

func open(ctx context.Context, path string, master []byte, now func() time.Time) (*Vault, error) {
	if len(master) != KeySize {
		return nil, fmt.Errorf("the master key has %d bytes, not %d", len(master), KeySize)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return nil, err
	}
	v := &Vault{now: now}
	if err := v.derive(master); err != nil {
		return nil, err
	}
	// secure_delete overwrites what is destroyed.
	q := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_foreign_keys": {"on"}, "_busy_timeout": {"10000"}, "_txlock": {"immediate"}, "_secure_delete": {"on"}}
	if v.db, err = sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode()); err != nil {
		return nil, err
	}
	v.db.SetMaxOpenConns(1)
	if err := v.prepare(ctx); err != nil {
		return nil, errors.Join(err, v.db.Close())
	}
	return v, nil
}

func (v *Vault) prepare(ctx context.Context) error {
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "foreign_keys": "1"} {
		var got string
		if err := v.db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			return errors.Join(fmt.Errorf("setting %s is %q and must be %q", pragma, got, want), err)
		}
	}
	var have int
	if err := v.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > version {
		return fmt.Errorf("it has schema %d, this program knows %d; the way back: start the newer program again, or put a backup from before the upgrade in its place (flopwatch-collector restore)", have, version)
	}
	if _, err := v.db.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA user_version = %d;", version)); err != nil {
		return err
	}
	// A wrong master key would seal new data beside data that it cannot open.
	check, err := v.Secret(ctx, checkSecret)
	switch {
	case errors.Is(err, ErrNoSealed):
		if err := v.PutSecret(ctx, checkSecret, []byte("flopwatch")); err != nil {
			return err
		}
	case err != nil || string(check) != "flopwatch":
		return ErrKey
	}
	if err := v.recall(ctx); err != nil {
		return err
	}
	return v.remember(ctx)
}

// Close closes the vault.
func (v *Vault) Close() error { return v.db.Close() }

// Item are personal data of one party, by field.
type Item struct {
	ID     string // opaque, new
	Party  string
	Fields map[string]string
}

// Key returns a key for a purpose outside the vault, which follows from the master
// key: the same at every start.
func (v *Vault) Key(purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, v.root, nil, "flopwatch vault 1: outside: "+purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("key for %s: %w", purpose, err)
	}
	return key, nil
}

// Seal stores items, all or none.
func (v *Vault) Seal(ctx context.Context, items []Item) error {
	if len(items) == 0 {
		return nil
	}
	err := v.update(ctx, func(tx *sql.Tx) (err error) {
		keys := keyring{v: v, tx: tx, known: map[string][]byte{}}
		insert, err := tx.PrepareContext(ctx, "INSERT INTO sealed (id, party, at_ns, data) VALUES (?, ?, ?, ?)")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, insert.Close()) }()
		for _, item := range items {
			key, err := keys.of(ctx, item.Party, true)
			if err != nil {
				return err
			}
			text, err := json.Marshal(item.Fields)
			if err != nil {
				return err
			}
			data, err := sealing.Seal(key, text, "sealed", item.Party, item.ID)
			if err != nil {
				return err
			}
			if _, err := insert.ExecContext(ctx, item.ID, item.Party, v.now().UnixNano(), data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seal personal data: %w", err)
	}
	return nil
}

// Discard deletes items that were sealed for records that could not be written.
func (v *Vault) Discard(ctx context.Context, ids []string) error {
	err := v.update(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "DELETE FROM sealed WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("discard sealed data: %w", err)
	}
	return nil
}

// Unseal returns items by id. Those of parties that were erased and those that
// there are not are left out and told in missing.
func (v *Vault) Unseal(ctx context.Context, ids []string) (items map[string]map[string]string, missing map[string]error, err error) {
	items = map[string]map[string]string{}
	missing, err = v.Visit(ctx, ids, func(id string, fields map[string]string) { items[id] = fields })
	if err != nil {
		return nil, nil, err
	}
	return items, missing, nil
}

// Visit calls f with each item by id, for what follows from personal data and is
// not personal itself. f must keep nothing of what it is given, and must not call
// the vault. What is missing is told as Unseal tells it.
func (v *Vault) Visit(ctx context.Context, ids []string, f func(id string, fields map[string]string)) (missing map[string]error, err error) {
	missing = map[string]error{}
	err = v.update(ctx, func(tx *sql.Tx) (err error) {
		keys := keyring{v: v, tx: tx, known: map[string][]byte{}}
		find, err := tx.PrepareContext(ctx, "SELECT party, data FROM sealed WHERE id = ?")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, find.Close()) }()
		for _, id := range ids {
			fields, err := openItem(ctx, find, &keys, id)
			switch {
			case errors.Is(err, ErrNoSealed):
				missing[id] = ErrNoSealed
			case errors.Is(err, ErrErased):
				missing[id] = ErrErased
			case err != nil:
				return err
			default:
				f(id, fields)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("unseal personal data: %w", err)
	}
	return missing, nil
}

func openItem(ctx context.Context, find *sql.Stmt, keys *keyring, id string) (map[string]string, error) {
	var who string
	var data []byte
	err := find.QueryRowContext(ctx, id).Scan(&who, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoSealed
	}
	if err != nil {
		return nil, err
	}
	key, err := keys.of(ctx, who, false)
	if err != nil {
		return nil, err
	}
	text, err := sealing.Open(key, data, "sealed", who, id)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	return fields, json.Unmarshal(text, &fields)
}

// Hash returns the keyed hash of a normal form under its type, by which
// identifiers are compared without being known.
func (v *Vault) Hash(kind, normal string) string {
	return hex.EncodeToString(v.mac(kind, normal))
}

func (v *Vault) mac(kind, normal string) []byte {
	return macInto(hmac.New(sha256.New, v.hash), kind, normal)
}

func macInto(m hash.Hash, kind, normal string) []byte {
	fmt.Fprintf(m, "%d:%s%s", len(kind), kind, normal)
	return m.Sum(nil)[:16]
}

// Digest returns a keyed digest of personal data of a party, which tells whether
// two say the same.
func (v *Vault) Digest(who string, fields map[string]string) (string, error) {
	text, err := json.Marshal(fields) // maps are written in the order of their keys
	if err != nil {
		return "", fmt.Errorf("digest of personal data: %w", err)
	}
	return v.Hash("digest:"+who, string(text)), nil
}

// Erasure is what an erasure did.
type Erasure struct {
	KeyDigest string // SHA-256 of the key that was destroyed; "" if the party never had one
	Sealed    int    // items that became unreadable, entries of the access log among them
	Before    bool   // it was destroyed before
}

// Erase destroys the key of a party. It is harmless to do it again, as after a
// restore from a backup that still has the key.
func (v *Vault) Erase(ctx context.Context, who string) (Erasure, error) {
	var e Erasure
	err := v.update(ctx, func(tx *sql.Tx) error {
		var destroyed int64
		err := tx.QueryRowContext(ctx, "SELECT digest, destroyed_ns FROM party_key WHERE party = ?", who).Scan(&e.KeyDigest, &destroyed)
		if errors.Is(err, sql.ErrNoRows) {
			// Data that come later must not be sealed for one who was erased.
			_, err = tx.ExecContext(ctx, "INSERT INTO party_key (party, wrapped, digest, made_ns, destroyed_ns) VALUES (?, NULL, '', ?, ?)", who, v.now().UnixNano(), v.now().UnixNano())
			return err
		}
		if err != nil {
			return err
		}
		if e.Before = destroyed != 0; e.Before {
			return nil
		}
		err = tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM sealed WHERE party = ?) + (SELECT count(*) FROM access_entry WHERE party = ?)", who, who).Scan(&e.Sealed)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE party_key SET wrapped = NULL, destroyed_ns = ? WHERE party = ?", v.now().UnixNano(), who)
		return err
	})
	if err == nil {
		// The log of SQLite still has the page as it was.
		_, err = v.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if err != nil {
		return Erasure{}, fmt.Errorf("erase personal data of %s: %w", who, err)
	}
	return e, nil
}

// PutSecret stores a secret of the collector itself, such as that of a vendor.
func (v *Vault) PutSecret(ctx context.Context, name string, value []byte) error {
	data, err := sealing.Seal(v.own, value, "secret", name)
	if err == nil {
		err = v.update(ctx, func(tx *sql.Tx) error { return putSecret(ctx, tx, name, data) })
	}
	if err != nil {
		return fmt.Errorf("store secret %s: %w", name, err)
	}
	return nil
}

func putSecret(ctx context.Context, tx *sql.Tx, name string, data []byte) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO secret (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data", name, data)
	return err
}

// Secret returns a secret, ErrNoSealed if there is none.
func (v *Vault) Secret(ctx context.Context, name string) ([]byte, error) {
	var data []byte
	err := v.db.QueryRowContext(ctx, "SELECT data FROM secret WHERE name = ?", name).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read secret %s: %w", name, ErrNoSealed)
	}
	if err == nil {
		data, err = sealing.Open(v.own, data, "secret", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	return data, nil
}

func (v *Vault) update(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = v.unrotated(ctx, tx)
	if err == nil {
		err = f(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
