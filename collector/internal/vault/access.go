package vault

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Access is one access to an account or act of its administration. The address
// is personal.
type Access struct {
	Account string
	Party   string // of the customer, under whose key the address is sealed
	At      time.Time
	IP      netip.Addr
	Action  string // "sign-in", "api", …
}

// AddAccess adds entries to the access log, all or none, and returns how many
// were not there before.
func (v *Vault) AddAccess(ctx context.Context, entries []Access) (added int, err error) {
	err = v.update(ctx, func(tx *sql.Tx) (err error) {
		keys := keyring{v: v, tx: tx, known: map[string][]byte{}}
		numbers, ciphers := map[string]int64{}, map[string]cipher.AEAD{}
		insert, err := tx.PrepareContext(ctx, "INSERT OR IGNORE INTO access_entry (account, at_ns, ip, coarse, action, party, data) VALUES (?, ?, ?, ?, ?, ?, ?)")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, insert.Close()) }()
		type span struct{ first, last, n int64 }
		spans := map[int64]span{}
		for _, e := range entries {
			no, ok := numbers[e.Account]
			if !ok {
				if no, err = accountNo(ctx, tx, e); err != nil {
					return err
				}
				numbers[e.Account] = no
			}
			// Setting a cipher up costs more than sealing an address with it.
			sealing, ok := ciphers[e.Party]
			if !ok {
				key, err := keys.of(ctx, e.Party, true)
				if err != nil {
					return err
				}
				if sealing, err = gcm(key); err != nil {
					return err
				}
				ciphers[e.Party] = sealing
			}
			ip := e.IP.Unmap()
			data := sealWith(sealing, ip.AsSlice(), "access", e.Party)
			at := e.At.UnixNano()
			result, err := insert.ExecContext(ctx, no, at, v.mac("ip", ip.String()), v.mac("ip_net", Network(ip).String()), e.Action, e.Party, data)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil || n == 0 {
				continue // it was there
			}
			added++
			s, ok := spans[no]
			if !ok {
				s.first = at
			}
			spans[no] = span{min(s.first, at), max(s.last, at), s.n + 1}
		}
		for no, s := range spans {
			_, err := tx.ExecContext(ctx, "UPDATE access_account SET first_ns = min(first_ns, ?), last_ns = max(last_ns, ?), entries = entries + ? WHERE no = ?", s.first, s.last, s.n, no)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("add to the access log: %w", err)
	}
	return added, nil
}

func accountNo(ctx context.Context, tx *sql.Tx, e Access) (no int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT no FROM access_account WHERE account = ?", e.Account).Scan(&no)
	if errors.Is(err, sql.ErrNoRows) {
		at := e.At.UnixNano()
		err = tx.QueryRowContext(ctx, "INSERT INTO access_account (account, first_ns, last_ns, entries) VALUES (?, ?, ?, 0) RETURNING no", e.Account, at, at).Scan(&no)
	}
	return no, err
}

// Network returns the /24 or /48 around an address.
func Network(ip netip.Addr) netip.Prefix {
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// Seen is when an account was accessed.
type Seen struct {
	First, Last time.Time
	Entries     int64
}

// Seen returns when each account was accessed, of those that were.
func (v *Vault) Seen(ctx context.Context) (out map[string]Seen, err error) {
	out = map[string]Seen{}
	rows, err := v.db.QueryContext(ctx, "SELECT account, first_ns, last_ns, entries FROM access_account")
	if err != nil {
		return nil, fmt.Errorf("read the access log: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var account string
		var first, last, entries int64
		if err := rows.Scan(&account, &first, &last, &entries); err != nil {
			return nil, fmt.Errorf("read the access log: %w", err)
		}
		out[account] = Seen{time.Unix(0, first).UTC(), time.Unix(0, last).UTC(), entries}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the access log: %w", err)
	}
	return out, nil
}

// Accesses returns the newest entries of an account with their addresses.
func (v *Vault) Accesses(ctx context.Context, account string, limit int) (out []Access, err error) {
	err = v.update(ctx, func(tx *sql.Tx) (err error) {
		keys := keyring{v: v, tx: tx, known: map[string][]byte{}}
		rows, err := tx.QueryContext(ctx, `SELECT e.at_ns, e.action, e.party, e.data FROM access_entry e JOIN access_account a ON a.no = e.account
			WHERE a.account = ? ORDER BY e.at_ns DESC LIMIT ?`, account, limit)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		type row struct {
			Access
			data []byte
		}
		var all []row
		for rows.Next() {
			var at int64
			r := row{Access: Access{Account: account}}
			if err := rows.Scan(&at, &r.Action, &r.Party, &r.data); err != nil {
				return err
			}
			r.At = time.Unix(0, at).UTC()
			all = append(all, r)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, r := range all {
			key, err := keys.of(ctx, r.Party, false)
			if err != nil {
				return err
			}
			data, err := unseal(key, r.data, "access", r.Party)
			if err != nil {
				return err
			}
			r.IP, _ = netip.AddrFromSlice(data)
			out = append(out, r.Access)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the access log of %s: %w", account, err)
	}
	return out, nil
}
