package vault

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/sealing"
)

// AddAccess adds entries to the access log, all or none, and returns how many
// were not there before.
func (v *Vault) AddAccess(ctx context.Context, entries []Access) (added int, err error) {
	err = v.update(ctx, func(tx *sql.Tx) error {
		a, err := v.newAppender(ctx, tx)
		if err != nil {
			return err
		}
		added, err = a.all(ctx, entries)
		return errors.Join(err, a.close())
	})
	if err != nil {
		return 0, fmt.Errorf("add to the access log: %w", err)
	}
	return added, nil
}

// appender adds to the access log in one transaction. What it asks the database
// for each row is prepared once: that costs more than to run it.
type appender struct {
	v                       *Vault
	keys                    keyring
	number, insert, account *sql.Stmt
	numbers                 map[string]int64
	ciphers                 map[string]cipher.AEAD
	spans                   map[int64]span
	mac                     hash.Hash
}

// span is what a batch adds to what is known of one account.
type span struct{ first, last, n int64 }

func (v *Vault) newAppender(ctx context.Context, tx *sql.Tx) (*appender, error) {
	a := &appender{v: v, keys: keyring{v: v, tx: tx, known: map[string][]byte{}}, numbers: map[string]int64{}, ciphers: map[string]cipher.AEAD{}, spans: map[int64]span{}, mac: hmac.New(sha256.New, v.hash)}
	for text, stmt := range map[string]**sql.Stmt{
		findKey: &a.keys.find,
		"SELECT no FROM access_account WHERE account = ?":                                                                      &a.number,
		"INSERT OR IGNORE INTO access_entry (account, at_ns, ip, coarse, action, party, data) VALUES (?, ?, ?, ?, ?, ?, ?)":    &a.insert,
		"UPDATE access_account SET first_ns = min(first_ns, ?), last_ns = max(last_ns, ?), entries = entries + ? WHERE no = ?": &a.account,
	} {
		var err error
		if *stmt, err = tx.PrepareContext(ctx, text); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	return a, nil
}

func (a *appender) close() (err error) {
	for _, stmt := range []*sql.Stmt{a.keys.find, a.number, a.insert, a.account} {
		if stmt != nil {
			err = errors.Join(err, stmt.Close())
		}
	}
	return err
}

// all adds entries account by account, in the order in which the log lies on
// disk: each page is then changed once, however a feed mixes accounts.
func (a *appender) all(ctx context.Context, entries []Access) (added int, err error) {
	order := make([]placed, len(entries))
	for i := range entries {
		no, err := a.numberOf(ctx, &entries[i])
		if err != nil {
			return 0, err
		}
		order[i] = placed{no, entries[i].At.UnixNano(), &entries[i]}
	}
	slices.SortFunc(order, func(x, y placed) int { return cmp.Or(cmp.Compare(x.no, y.no), cmp.Compare(x.at, y.at)) })
	for _, p := range order {
		n, err := a.one(ctx, p)
		if err != nil {
			return 0, err
		}
		added += n
	}
	for no, s := range a.spans {
		if _, err := a.account.ExecContext(ctx, s.first, s.last, s.n, no); err != nil {
			return 0, err
		}
	}
	return added, nil
}

// placed is an entry with its place in the log.
type placed struct {
	no, at int64
	*Access
}

func (a *appender) one(ctx context.Context, p placed) (added int, err error) {
	box, err := a.cipherOf(ctx, p.Party)
	if err != nil {
		return 0, err
	}
	ip := p.IP.Unmap()
	data := sealing.With(box, ip.AsSlice(), "access", p.Party)
	result, err := a.insert.ExecContext(ctx, p.no, p.at, a.hashed("ip", ip.String()), a.hashed("ip_net", Network(ip).String()), p.Action, p.Party, data)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	if err != nil || n == 0 {
		return 0, err // it was there
	}
	s, ok := a.spans[p.no]
	if !ok {
		s.first = p.at
	}
	a.spans[p.no] = span{min(s.first, p.at), max(s.last, p.at), s.n + 1}
	return 1, nil
}

func (a *appender) hashed(kind, normal string) []byte {
	a.mac.Reset()
	return macInto(a.mac, kind, normal)
}

// cipherOf returns the cipher of a party's key: to set it up costs more than to
// seal an address with it.
func (a *appender) cipherOf(ctx context.Context, who string) (cipher.AEAD, error) {
	if c, ok := a.ciphers[who]; ok {
		return c, nil
	}
	key, err := a.keys.of(ctx, who, true)
	if err != nil {
		return nil, err
	}
	c, err := sealing.Cipher(key)
	if err == nil {
		a.ciphers[who] = c
	}
	return c, err
}

func (a *appender) numberOf(ctx context.Context, e *Access) (no int64, err error) {
	if no, ok := a.numbers[e.Account]; ok {
		return no, nil
	}
	err = a.number.QueryRowContext(ctx, e.Account).Scan(&no)
	if errors.Is(err, sql.ErrNoRows) {
		at := e.At.UnixNano()
		err = a.keys.tx.QueryRowContext(ctx, "INSERT INTO access_account (account, first_ns, last_ns, entries) VALUES (?, ?, ?, 0) RETURNING no", e.Account, at, at).Scan(&no)
	}
	if err == nil {
		a.numbers[e.Account] = no
	}
	return no, err
}
