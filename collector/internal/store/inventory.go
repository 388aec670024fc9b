package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// ChangeHost records one change of a host, if the host's state allows it, and
// returns the host as it is then. What is refused wraps inventory.ErrRefused and
// changes nothing.
func (s *Store) ChangeHost(ctx context.Context, c inventory.Change) (inventory.Host, error) {
	var host inventory.Host
	err := s.update(ctx, func(tx *sql.Tx) error {
		history, err := inventoryChanges(ctx, tx, c.Host)
		if err != nil {
			return err
		}
		for _, past := range history {
			if host, err = host.Apply(past); err != nil {
				return fmt.Errorf("change %d: %w", past.No, err)
			}
		}
		if host, err = host.Apply(c); err != nil {
			return err
		}
		if err := bindKeys(ctx, tx, c); err != nil {
			return err
		}
		says, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO inventory_change (host, at_ns, by, act, reason, says) VALUES (?, ?, ?, ?, ?, ?)",
			string(c.Host), c.AtNS, c.By, string(c.Act), c.Reason, string(says))
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'revision'"); err != nil {
			return fmt.Errorf("write meta: %w", err)
		}
		return nil
	})
	if err != nil {
		return inventory.Host{}, fmt.Errorf("change inventory: %w", err)
	}
	return host, nil
}

// bindKeys takes the keys of a change for its host, for ever.
func bindKeys(ctx context.Context, tx *sql.Tx, c inventory.Change) error {
	if c.Key == nil {
		return nil
	}
	for _, key := range []string{hex.EncodeToString(c.Key.Signing), c.Key.Broker} {
		result, err := tx.ExecContext(ctx, "INSERT INTO inventory_key (key, host) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", key, string(c.Host))
		if err != nil {
			return fmt.Errorf("bind key: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("bind key: %w", err)
		} else if n == 0 {
			return fmt.Errorf("%s host %s: %w: the key was bound before", c.Act, c.Host, inventory.ErrRefused)
		}
	}
	return nil
}

// inventoryChanges returns the changes of one host, or of all hosts for "", in
// the order in which they were made.
func inventoryChanges(ctx context.Context, q querier, host ledger.HostID) ([]inventory.Change, error) {
	query, args := "SELECT no, host, at_ns, by, act, reason, says FROM inventory_change", []any(nil)
	if host != "" {
		query, args = query+" WHERE host = ?", append(args, string(host))
	}
	var all []inventory.Change
	err := each(ctx, q, func(rows *sql.Rows) error {
		var c inventory.Change
		var says []byte
		if err := rows.Scan(&c.No, &c.Host, &c.AtNS, &c.By, &c.Act, &c.Reason, &says); err != nil {
			return err
		}
		if err := json.Unmarshal(says, &c); err != nil {
			return fmt.Errorf("change %d: %w", c.No, err)
		}
		all = append(all, c)
		return nil
	}, query+" ORDER BY no", args...)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	return all, nil
}

// LoadInventory returns the inventory as it stands: hosts, keys, and with
// Expected who should report what and when.
func (s *Store) LoadInventory(ctx context.Context) (*inventory.Inventory, error) {
	return readInventory(ctx, s.read)
}

func readInventory(ctx context.Context, q querier) (*inventory.Inventory, error) {
	changes, err := inventoryChanges(ctx, q, "")
	if err != nil {
		return nil, err
	}
	return inventory.Restore(changes)
}

// HostHistory returns the changes of one host, first made first, nil for a host
// that is not in the inventory.
func (s *Store) HostHistory(ctx context.Context, host ledger.HostID) ([]inventory.Change, error) {
	return inventoryChanges(ctx, s.read, host)
}
