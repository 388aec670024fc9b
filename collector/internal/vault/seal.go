package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// gcm returns the cipher of a key. Nonces are random; a key seals far fewer than
// the 2^32 items up to which that is safe.
func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal seals a text to its place: what it is and whose. Moved elsewhere it does
// not open.
func seal(key, text []byte, place ...string) ([]byte, error) {
	c, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return sealWith(c, text, place...), nil
}

func sealWith(c cipher.AEAD, text []byte, place ...string) []byte {
	return c.Seal(nil, nil, text, []byte(strings.Join(place, "\x00")))
}

func unseal(key, data []byte, place ...string) ([]byte, error) {
	c, err := gcm(key)
	if err != nil {
		return nil, err
	}
	text, err := c.Open(nil, nil, data, []byte(strings.Join(place, "\x00")))
	if err != nil {
		return nil, errors.New("it does not open: it was changed or belongs elsewhere")
	}
	return text, nil
}

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
	key, err := unseal(k.v.wrap, wrapped, "key", who)
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", who, err)
	}
	k.known[who] = key
	return key, nil
}

func (k *keyring) add(ctx context.Context, who string) ([]byte, error) {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails
	wrapped, err := seal(k.v.wrap, key, "key", who)
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
