package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/sealing"
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
			data, err := sealing.Open(key, r.data, "access", r.Party)
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
