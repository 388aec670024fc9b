package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/foreign"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Sealer keeps personal data apart. Seal is all or nothing; Discard takes back
// what was sealed for records that could not be written.
type Sealer interface {
	Seal(ctx context.Context, all []Personal) error
	Discard(ctx context.Context, ids []string) error
}

// Personal are personal data of a party, by field, under a new id.
type Personal struct {
	ID, Party string
	Fields    map[string]string
}

// ErrNoSealer means that personal data came and there is nowhere to keep them.
var ErrNoSealer = errors.New("this collector keeps no personal data")

// records holds the records that were read, so that each is read once. They are
// only ever added.
type records struct {
	mu  sync.Mutex
	all []party.Record
}

// Records returns all records of parties and what is around them, in the order
// in which they were recorded.
//
// They are read over a connection that nothing holds on to: who asks may hold one
// of the few for reading, and all others may be held by who waits here.
func (s *Store) Records(ctx context.Context) ([]party.Record, error) {
	return s.recordsOf(ctx, s.watch)
}

func (s *Store) recordsOf(ctx context.Context, q querier) ([]party.Record, error) {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	last := int64(0)
	if n := len(s.records.all); n > 0 {
		last = s.records.all[n-1].No
	}
	fresh, err := readRecords(ctx, q, last)
	if err != nil {
		return nil, err
	}
	if _, uncommitted := q.(*sql.Tx); uncommitted {
		return append(slices.Clip(s.records.all), fresh...), nil
	}
	s.records.all = append(s.records.all, fresh...)
	return slices.Clip(s.records.all), nil
}

func readRecords(ctx context.Context, q querier, after int64) ([]party.Record, error) {
	var out []party.Record
	err := each(ctx, q, func(rows *sql.Rows) error {
		var r party.Record
		var kind party.Kind
		var from, to, recorded int64
		var body []byte
		err := rows.Scan(&r.No, &kind, &from, &to, &recorded, &r.By, &r.Source, &body)
		if err != nil {
			return err
		}
		r.From, r.Recorded = time.Unix(0, from).UTC(), time.Unix(0, recorded).UTC()
		if to != 0 {
			r.To = time.Unix(0, to).UTC()
		}
		if r.Object, err = party.Decode(kind, body); err != nil {
			return fmt.Errorf("record %d: %w", r.No, err)
		}
		out = append(out, r)
		return nil
	}, "SELECT no, kind, from_ns, to_ns, recorded_ns, by, source, body FROM party_record WHERE no > ? ORDER BY no", after)
	if err != nil {
		return nil, fmt.Errorf("read records of parties: %w", err)
	}
	return out, nil
}

// Parties returns how parties and what is around them were at an instant, by
// what was recorded up to another one.
func (s *Store) Parties(ctx context.Context, valid, known time.Time) (party.Snapshot, error) {
	all, err := s.Records(ctx)
	if err != nil {
		return party.Snapshot{}, err
	}
	return party.At(all, valid, known), nil
}

// RecordParties records changes, all or none, and says what they change. The
// faults of the changes are told as party.Check tells them. A dry run changes
// nothing and finds the same faults. Personal data go to the sealer before the
// records that name them are written.
func (s *Store) RecordParties(ctx context.Context, changes []party.Change, sealer Sealer, dryRun bool) (party.Diff, error) {
	return s.DecideParties(ctx, func(party.Snapshot) ([]party.Change, error) { return changes, nil }, sealer, dryRun)
}

// DecideParties records the changes that f makes of how it is now, in one
// transaction with looking at it. It returns the error of f wrapped.
func (s *Store) DecideParties(ctx context.Context, f func(now party.Snapshot) ([]party.Change, error), sealer Sealer, dryRun bool) (diff party.Diff, err error) {
	var sealed []string
	var faults error
	err = s.update(ctx, func(tx *sql.Tx) error {
		now := s.opts.Now().UTC()
		all, err := s.recordsOf(ctx, tx)
		if err != nil {
			return err
		}
		snapshot := party.At(all, now, now)
		changes, err := f(snapshot)
		if err != nil {
			return err
		}
		if faults = party.Check(snapshot, changes); faults != nil {
			return faults
		}
		var moved []party.Change
		diff, moved = party.Differences(snapshot, changes)
		if dryRun || len(moved) == 0 {
			return nil
		}
		if sealed, err = seal(ctx, snapshot, moved, sealer); err != nil {
			return err
		}
		if err := writeRecords(ctx, tx, moved, now); err != nil {
			return err
		}
		return s.project(ctx, tx, moved, now)
	})
	switch {
	case err == nil:
		return diff, nil
	case len(sealed) > 0:
		err = errors.Join(err, sealer.Discard(context.WithoutCancel(ctx), sealed))
	}
	if faults != nil {
		return party.Diff{}, faults
	}
	return party.Diff{}, fmt.Errorf("record parties: %w", err)
}

// seal seals what is personal in changes and puts the ids into them. What is
// sealed already stays where it is.
func seal(ctx context.Context, now party.Snapshot, moved []party.Change, sealer Sealer) (ids []string, err error) {
	var all []Personal
	for i, c := range moved {
		id, digest := "", ""
		if old, known := now.Current(c.Object.Kind(), c.Object.Key()); known {
			id, digest = party.Sealed(old)
		}
		_, next := party.Sealed(c.Object)
		if len(c.Personal) > 0 && (id == "" || digest != next) {
			id = NewID("sld_")
			all = append(all, Personal{id, party.Subject(c.Object), c.Personal})
			ids = append(ids, id)
		}
		moved[i].Object = party.Seal(c.Object, id)
	}
	if len(all) == 0 {
		return nil, nil
	}
	if sealer == nil {
		return nil, ErrNoSealer
	}
	return ids, sealer.Seal(ctx, all)
}

func writeRecords(ctx context.Context, tx *sql.Tx, moved []party.Change, now time.Time) error {
	by := audit.Of(ctx).Actor.ID
	w := &writer{ctx: ctx, tx: tx}
	bodies := make([]string, len(moved))
	for i, c := range moved {
		body, err := json.Marshal(c.Object)
		if err != nil {
			return fmt.Errorf("write %s %s: %w", c.Object.Kind(), c.Object.Key(), err)
		}
		bodies[i] = string(body)
	}
	err := w.each("INSERT INTO party_record (object, kind, from_ns, to_ns, recorded_ns, by, source, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "record of a party", len(moved), func(i int, row []any) []any {
		c := moved[i]
		to := int64(0)
		if !c.To.IsZero() {
			to = c.To.UnixNano()
		}
		kind := string(c.Object.Kind())
		return append(row, kind+"/"+c.Object.Key(), kind, c.From.UnixNano(), to, now.UnixNano(), by, c.Source, bodies[i])
	})
	if err != nil {
		return err
	}
	return bump(ctx, tx)
}

// RefreshStatuses works the foreign status of every customer out anew and writes
// those that changed: with time alone verifications expire. It reports whether
// any did.
func (s *Store) RefreshStatuses(ctx context.Context) (changed bool, err error) {
	ctx = audit.Because(ctx, "customer.status", "worked out anew")
	err = s.update(ctx, func(tx *sql.Tx) error {
		if changed, err = s.projectStatuses(ctx, tx, nil, s.opts.Now().UTC()); err != nil || !changed {
			return err
		}
		return customersChanged(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("refresh foreign statuses: %w", err)
	}
	return changed, nil
}

// project brings what is said of customers now up to date with the records.
func (s *Store) project(ctx context.Context, tx *sql.Tx, moved []party.Change, now time.Time) error {
	names := map[string]string{}
	customersMoved, facts := false, false
	for _, c := range moved {
		switch c.Object.(type) {
		case party.Contract:
			names[c.Object.Key()] = c.Name
		case party.Party:
			facts = true // where its headquarters are decides rules, whatever its status
		case party.Account, party.Interest, party.Verification:
		default:
			continue
		}
		customersMoved = true
	}
	if !customersMoved {
		return nil
	}
	changed, err := s.projectStatuses(ctx, tx, names, now)
	if err != nil {
		return err
	}
	again, err := s.projectTenants(ctx, tx, now)
	if err != nil || !changed && !again && !facts {
		return err
	}
	return customersChanged(ctx, tx)
}

func customersChanged(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key IN ('revision', 'customers')"); err != nil {
		return fmt.Errorf("write meta: %w", err)
	}
	return nil
}

// snapshotIn reads the snapshot with what the transaction wrote.
func (s *Store) snapshotIn(ctx context.Context, tx *sql.Tx, now time.Time) (party.Snapshot, error) {
	all, err := s.recordsOf(ctx, tx)
	if err != nil {
		return party.Snapshot{}, err
	}
	return party.At(all, now, now), nil
}

func (s *Store) projectStatuses(ctx context.Context, tx *sql.Tx, names map[string]string, now time.Time) (changed bool, err error) {
	snapshot, err := s.snapshotIn(ctx, tx, now)
	if err != nil {
		return false, err
	}
	book, err := foreign.New(snapshot, foreign.Defaults)
	if err != nil {
		return false, err
	}
	current, err := customers(ctx, tx)
	if err != nil {
		return false, err
	}
	for id, contract := range snapshot.Contracts {
		old, known := current[id]
		if contract.Party == "" && known {
			continue // the provider's own declaration
		}
		d := book.Customer(id)
		c := party.Customer{ID: id, Name: old.Name, Country: snapshot.Parties[contract.Party].Country(), Status: d.Status, StatusReason: short(d.Text()), Demonstration: contract.Demonstration}
		if name, named := names[id]; named {
			c.Name = name
		}
		if c.Name == "" {
			c.Name = id
		}
		c.Tenants = old.Tenants
		if known && old.Equal(c) {
			continue
		}
		changed = true
		_, err := tx.ExecContext(ctx, `INSERT INTO customer (id, name, country, status, status_reason, demonstration) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, country = excluded.country, status = excluded.status,
			status_reason = excluded.status_reason, demonstration = excluded.demonstration`,
			c.ID, c.Name, c.Country, string(c.Status), c.StatusReason, c.Demonstration)
		if err != nil {
			return false, fmt.Errorf("customer %s: %w", id, err)
		}
	}
	return changed, nil
}

const maxStatusReason = 1000

func short(s string) string {
	if len(s) > maxStatusReason {
		return strings.ToValidUTF8(s[:maxStatusReason], "") + "…"
	}
	return s
}

// projectTenants gives the tenants of open accounts to their customers, and lets
// go of those that no account holds.
func (s *Store) projectTenants(ctx context.Context, tx *sql.Tx, now time.Time) (changed bool, err error) {
	snapshot, err := s.snapshotIn(ctx, tx, now)
	if err != nil {
		return false, err
	}
	want := map[string]string{}
	for _, a := range snapshot.Accounts {
		for _, t := range a.Tenants {
			if a.Closed.IsZero() || a.Closed.After(now) {
				want[string(t)] = a.Customer
			}
		}
	}
	have := map[string]string{}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var tenant, customer string
		err := rows.Scan(&tenant, &customer)
		have[tenant] = customer
		return err
	}, "SELECT tenant, customer FROM customer_tenant")
	if err != nil {
		return false, fmt.Errorf("read customers' tenants: %w", err)
	}
	for tenant, customer := range have {
		if want[tenant] == customer {
			continue
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM customer_tenant WHERE tenant = ?", tenant); err != nil {
			return false, fmt.Errorf("tenant %s: %w", tenant, err)
		}
		delete(have, tenant)
		changed = true
	}
	for tenant, customer := range want {
		if have[tenant] == customer {
			continue
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO customer_tenant (tenant, customer) VALUES (?, ?)", tenant, customer); err != nil {
			return false, fmt.Errorf("tenant %s: %w", tenant, err)
		}
		changed = true
	}
	return changed, nil
}

// LogReveal records that somebody reads personal data of a party, before they
// are told. Fields names which.
func (s *Store) LogReveal(ctx context.Context, who string, fields []string, reason string) error {
	err := s.update(audit.Because(ctx, "personal_data.reveal", reason), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO personal_access (id, at_ns, actor, party, fields, reason) VALUES (?, ?, ?, ?, ?, ?)",
			NewID("rvl_"), s.opts.Now().UnixNano(), audit.Of(ctx).Actor.ID, who, strings.Join(fields, " "), reason)
		return err
	})
	if err != nil {
		return fmt.Errorf("log a reveal of %s: %w", who, err)
	}
	return nil
}

// LogFeed records that something came from outside; it reports false if it came before.
func (s *Store) LogFeed(ctx context.Context, id string, entries int, digest string) (fresh bool, err error) {
	err = s.update(ctx, func(tx *sql.Tx) (err error) {
		fresh, err = changesOne(ctx, tx, "INSERT INTO party_feed (id, at_ns, actor, entries, digest) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
			id, s.opts.Now().UnixNano(), audit.Of(ctx).Actor.ID, entries, digest)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("log what came as %s: %w", id, err)
	}
	return fresh, nil
}
