package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/collector/internal/power"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// PostgreSQL keeps what grows with the fleet's time by months (ADR 14). A month's rows
// need a place before they come: the leader makes places ahead, and who is about to
// write into a month that has none makes it. Rows of a month without a place are not
// refused; they lie in the table's rest.

// byMonth are the tables that are kept by months, with the column that says which.
var byMonth = [...]struct{ table, column string }{
	{"segment", "start_ns"},
	{"event", "time_ns"},
	{"host_energy", "slot_ns"},
	{"power_reading", "start_ns"},
	{"power_slot", "slot_ns"},
}

// Months that are made on demand lie within these bounds of now; what a clock that is
// wrong, or a host that makes it up, puts outside of them goes into the rest.
const (
	oldestMonth = 10 * 365 * 24 * time.Hour
	newestMonth = 62 * 24 * time.Hour
	monthsAhead = 2
)

// How long whoever makes a month waits for locks, and when it tries again.
const (
	monthPatience = 2 * time.Second
	monthAgain    = time.Minute
)

// place is one month of a table.
type place struct{ table, month string }

func placeOf(table string, ns int64) place {
	return place{table, time.Unix(0, ns).UTC().Format("2006-01")}
}

func comparePlaces(a, b place) int {
	return cmp.Or(strings.Compare(a.table, b.table), strings.Compare(a.month, b.month))
}

// places remembers which months were made, or found, or must wait.
type places struct {
	mu    sync.Mutex
	known map[place]time.Time // when it may be asked for again; zero: it need not be
}

// missing returns those that are to be made now, in order.
func (p *places) missing(want map[place]bool, now time.Time) []place {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []place
	for at := range want {
		if again, ok := p.known[at]; !ok || !again.IsZero() && !now.Before(again) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, comparePlaces)
	return out
}

func (p *places) note(all []place, again time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[place]time.Time{}
	}
	for _, at := range all {
		p.known[at] = again
	}
}

// makeMonths makes those of the months that are not there. It waits for nobody longer
// than monthPatience: writers wait for it meanwhile.
func (s *Store) makeMonths(ctx context.Context, want map[place]bool) error {
	now := s.opts.Now()
	missing := s.places.missing(want, now)
	if len(missing) == 0 {
		return nil
	}
	err := s.impatient(ctx, func(tx *sql.Tx) error {
		for _, at := range missing {
			if _, err := makeMonth(ctx, tx, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.places.note(missing, now.Add(monthAgain))
		return fmt.Errorf("make months of tables: %w", err)
	}
	s.places.note(missing, time.Time{})
	return nil
}

// makeMonth makes one, and says what became of it: made, there, or occupied by rows in
// the rest, where they stay.
func makeMonth(ctx context.Context, tx *sql.Tx, at place) (became string, err error) {
	if err = tx.QueryRowContext(ctx, "SELECT make_month(?, ?)", at.table, at.month).Scan(&became); err != nil {
		return "", fmt.Errorf("%s of %s: %w", at.month, at.table, err)
	}
	return became, nil
}

// impatient runs f while no other transaction writes, in one that gives up where it
// would wait for a lock for long.
func (s *Store) impatient(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", monthPatience.Milliseconds()))
	if err == nil {
		err = lock(ctx, tx, lockWriters, alone)
	}
	if err == nil {
		err = f(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// monthsOf makes the months that a checkpoint writes into. Where that does not go now,
// the rows go into the rest: counting waits for no table.
func (s *Store) monthsOf(ctx context.Context, c *ledger.Changes) error {
	if s.opts.Postgres == "" {
		return nil
	}
	want := map[place]bool{}
	var last place
	need := func(table string, ns int64) {
		if at := placeOf(table, ns); at != last && s.bounded(ns) {
			want[at], last = true, at
		}
	}
	for i := range c.Opened {
		need("segment", c.Opened[i].StartNS)
	}
	for i := range c.Events {
		need("event", c.Events[i].TimeNS)
	}
	for i := range c.Energy {
		need("host_energy", c.Energy[i].SlotNS)
	}
	return s.makeMonthsNow(ctx, want)
}

// monthsOfPower is monthsOf for readings of meters.
func (s *Store) monthsOfPower(ctx context.Context, readings []power.Reading) error {
	if s.opts.Postgres == "" {
		return nil
	}
	want := map[place]bool{}
	for i := range readings {
		for _, ns := range []int64{readings[i].StartNS, readings[i].EndNS - 1} {
			if s.bounded(ns) {
				want[placeOf("power_reading", ns)], want[placeOf("power_slot", ns)] = true, true
			}
		}
	}
	return s.makeMonthsNow(ctx, want)
}

// makeMonthsNow makes months that are about to be written into, unless somebody holds a
// lock or has not given the right to: the leader tells of that when it makes them ahead.
func (s *Store) makeMonthsNow(ctx context.Context, want map[place]bool) error {
	if err := s.makeMonths(ctx, want); err != nil && !postgres.Refused(err) {
		return err
	}
	return nil
}

func (s *Store) bounded(ns int64) bool {
	now := s.opts.Now()
	return ns >= now.Add(-oldestMonth).UnixNano() && ns < now.Add(newestMonth).UnixNano()
}

// MakeMonthsAhead makes the places of this month and of those that come, so that no
// checkpoint has to. On SQLite there is nothing to do.
func (s *Store) MakeMonthsAhead(ctx context.Context, now time.Time) error {
	if s.opts.Postgres == "" {
		return nil
	}
	want := map[place]bool{}
	first := firstOfMonth(now)
	for _, t := range byMonth {
		for i := range monthsAhead + 1 {
			want[placeOf(t.table, first.AddDate(0, i, 0).UnixNano())] = true
		}
	}
	return s.makeMonths(ctx, want)
}

func firstOfMonth(t time.Time) time.Time {
	year, month, _ := t.UTC().Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// dropMonths takes the months of a table away that end before an instant, each as a
// whole, and returns how many. It reads none of their rows.
func dropMonths(ctx context.Context, tx *sql.Tx, table string, before time.Time) (dropped []place, err error) {
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		month, perr := time.Parse("2006_01", strings.TrimPrefix(name, table+"_"))
		if perr == nil && !month.AddDate(0, 1, 0).After(before) {
			dropped = append(dropped, placeOf(table, month.UnixNano()))
		}
		return err
	}, "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(? AS text)::regclass ORDER BY 1", postgres.Schema+"."+table)
	for _, at := range dropped {
		if err == nil {
			_, err = tx.ExecContext(ctx, "SELECT drop_month(?, ?)", at.table, at.month)
		}
	}
	return dropped, err
}

func (p *places) forget(all []place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range all {
		delete(p.known, at)
	}
}
