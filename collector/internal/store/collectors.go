package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Sharer is a collector that shares the work, as the database has it.
type Sharer struct {
	ID   string // of the process
	Name string
	Beat int64 // grows while it lives
}

// Held is who counts a partition.
type Held struct {
	Owner     string // Sharer.ID, "" for nobody
	Fence     int64
	RenewedNS int64 // by the owner's clock
}

// forgetAfter is how long a collector is remembered that does not beat.
const forgetAfter = 24 * time.Hour

// Beat says that a collector lives, and returns all that are known and who counts
// which partition.
func (s *Store) Beat(ctx context.Context, id, name string) ([]Sharer, []Held, error) {
	err := s.transact(growing(ctx), func(tx *sql.Tx) error {
		now := s.opts.Now()
		_, err := tx.ExecContext(ctx, `INSERT INTO collector (id, name, beat, beat_ns) VALUES (?, ?, 1, ?)
			ON CONFLICT (id) DO UPDATE SET beat = collector.beat + 1, beat_ns = excluded.beat_ns`, id, name, now.UnixNano())
		if err == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM collector WHERE beat_ns < ?", now.Add(-forgetAfter).UnixNano())
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("say that this collector lives: %w", err)
	}
	var all []Sharer
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var c Sharer
		err := rows.Scan(&c.ID, &c.Name, &c.Beat)
		all = append(all, c)
		return err
	}, "SELECT id, name, beat FROM collector ORDER BY id")
	var held []Held
	if err == nil {
		err = each(ctx, s.read, func(rows *sql.Rows) error {
			var h Held
			err := rows.Scan(&h.Owner, &h.Fence, &h.RenewedNS)
			held = append(held, h)
			return err
		}, "SELECT owner, fence, renewed_ns FROM partition_lease ORDER BY no")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read who shares the work: %w", err)
	}
	return all, held, nil
}

// Leave says that a collector ends.
func (s *Store) Leave(ctx context.Context, id string) error {
	err := s.transact(growing(ctx), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM collector WHERE id = ?", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("say that this collector ends: %w", err)
	}
	return nil
}

// ErrNotLeader means that another collector derives, tells and keeps now.
var ErrNotLeader = errors.New("another collector leads")

// ChangedSince reports whether entries about objects of some kinds came to the audit
// log after an entry, and returns the newest entry of all.
func (s *Store) ChangedSince(ctx context.Context, seq int64, kinds ...string) (newest int64, changed bool, err error) {
	return changedSince(ctx, s.read, seq, kinds)
}

func changedSince(ctx context.Context, q querier, seq int64, kinds []string) (newest int64, changed bool, err error) {
	newest = seq
	err = each(ctx, q, func(rows *sql.Rows) error {
		var kind string
		var last int64
		err := rows.Scan(&kind, &last)
		newest = max(newest, last)
		changed = changed || slices.Contains(kinds, kind)
		return err
	}, "SELECT kind, max(seq) FROM audit_leaf WHERE seq > ? GROUP BY kind", seq)
	if err != nil {
		return seq, false, fmt.Errorf("read what changed: %w", err)
	}
	return newest, changed, nil
}

// noteTenants notes of whom something was counted, for who derives elsewhere.
func noteTenants(ctx context.Context, tx *sql.Tx, c Commit) error {
	var tenants []string
	for i := range c.Segments {
		if t := c.Segments[i].Key.Tenant; t != "" {
			tenants = append(tenants, string(t))
		}
	}
	slices.Sort(tenants)
	for _, t := range slices.Compact(tenants) {
		_, err := tx.ExecContext(ctx, "INSERT INTO tenant_change (tenant, revision) VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET revision = excluded.revision", t, c.Revision)
		if err != nil {
			return fmt.Errorf("note tenant %s: %w", t, err)
		}
	}
	return nil
}

// changedBy are the kinds of objects that people change and runs and findings
// follow from.
var changedBy = []string{"customer", "party_record", "party_link", "join_decision", "allocation"}

// elsewhere takes up what other collectors counted and changed.
func (d *Deriver) elsewhere(ctx context.Context, tx *sql.Tx) error {
	if !d.shared {
		return nil
	}
	newest := d.heard
	changed := map[measure.TenantID]int64{}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var tenant measure.TenantID
		var revision int64
		err := rows.Scan(&tenant, &revision)
		changed[tenant], newest = revision, max(newest, revision)
		return err
	}, "SELECT tenant, revision FROM tenant_change WHERE revision > ?", d.heard)
	if err != nil {
		return fmt.Errorf("read what other collectors counted: %w", err)
	}
	entry, acted, err := changedSince(ctx, tx, d.entry, changedBy)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for tenant, revision := range changed {
		d.dirty[tenant] = max(d.dirty[tenant], revision)
	}
	d.all = d.all || acted && d.entry > 0
	d.heard, d.entry = newest, entry
	return nil
}

// Shared makes it heed what other collectors count and change, and refuses its
// writing while another one leads. It is to be called before the first Derive, and
// returns d.
func (d *Deriver) Shared() *Deriver {
	d.shared = true
	return d
}

// HostNewest is how far a host and its devices are counted.
type HostNewest struct {
	LastNS  int64 // end of its newest window
	Devices map[measure.DeviceID]int64
}

// NewestOfHosts returns how far every host is counted, whoever counts it.
func (s *Store) NewestOfHosts(ctx context.Context) (map[ledger.HostID]HostNewest, error) {
	out := map[ledger.HostID]HostNewest{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var host ledger.HostID
		var device sql.NullString
		var last int64
		var deviceLast sql.NullInt64
		if err := rows.Scan(&host, &last, &device, &deviceLast); err != nil {
			return err
		}
		h, ok := out[host]
		if !ok {
			h = HostNewest{LastNS: last, Devices: map[measure.DeviceID]int64{}}
			out[host] = h
		}
		if device.Valid {
			h.Devices[measure.DeviceID(device.String)] = deviceLast.Int64
		}
		return nil
	}, "SELECT h.id, h.last_ns, d.id, d.last_ns FROM host h LEFT JOIN device d ON d.host = h.no")
	if err != nil {
		return nil, fmt.Errorf("read how far hosts are counted: %w", err)
	}
	return out, nil
}
