package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/sealing"
)

// keyring unwraps the keys of parties in one transaction.
type keyring struct {
	v     *Vault
	tx    *sql.Tx
	known map[string][]byte
	find  *sql.Stmt // wrapped key and time of destruction by party; nil: asked for each time
}

const findKey = "SELECT wrapped, destroyed_ns FROM party_key WHERE party = ?"

// of returns the key of a party, and makes one if it may.
func (k *keyring) of(ctx context.Context, who string, make bool) ([]byte, error) {
	if key, ok := k.known[who]; ok {
		return key, nil
	}
	var wrapped []byte
	var destroyed int64
	var row *sql.Row
	if k.find != nil {
		row = k.find.QueryRowContext(ctx, who)
	} else {
		row = k.tx.QueryRowContext(ctx, findKey, who)
	}
	err := row.Scan(&wrapped, &destroyed)
	switch {
	case errors.Is(err, sql.ErrNoRows) && make:
		return k.add(ctx, who)
	case err != nil:
		return nil, fmt.Errorf("key of %s: %w", who, err)
	case destroyed != 0:
		return nil, fmt.Errorf("key of %s: %w", who, ErrErased)
	}
	key, err := sealing.Open(k.v.wrap, wrapped, "key", who)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", who, err)
	}
	k.known[who] = key
	return key, nil
}

func (k *keyring) add(ctx context.Context, who string) ([]byte, error) {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails
	wrapped, err := sealing.Seal(k.v.wrap, key, "key", who)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(key)
	_, err = k.tx.ExecContext(ctx, "INSERT INTO party_key (party, wrapped, digest, made_ns) VALUES (?, ?, ?, ?)", who, wrapped, hex.EncodeToString(sum[:]), k.v.now().UnixNano())
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", who, err)
	}
	k.known[who] = key
	return key, nil
}
