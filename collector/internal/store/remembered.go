package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// An answer that took longer than dear is given again for up to staleFor times as
// long, also when the ledger has grown since: with millions of segments and a
// checkpoint each second nothing else would be computed. What people do shows at
// once.
const (
	dear     = 200 * time.Millisecond
	staleFor = 10
)

// remembered keeps an answer as long as nothing was written since, so that many
// people who look at the same list cost one reading of it. What get returns is
// shared: callers do not write to it.
type remembered[T any] struct {
	mu    sync.Mutex
	known bool
	fresh time.Duration // how long the answer holds by the clock, 0 for ever
	exact bool          // also what is dear is of the newest state
	asOf  time.Time     // of the value, by the store's clock
	value T
	state state // of the store when the value was read
	read  time.Time
	took  time.Duration
}

// get returns the answer, which compute reads where the one of before may not be
// given again. Whoever comes meanwhile waits for it.
func (m *remembered[T]) get(ctx context.Context, s *Store, compute func() (T, error)) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var none T
	now := time.Now()
	state, err := s.state(ctx)
	if err != nil {
		return none, err
	}
	asOf := s.opts.Now()
	old := m.fresh > 0 && asOf.Sub(m.asOf).Abs() > m.fresh
	if m.known && !old && (m.state == state || !m.exact && m.state.acts == state.acts && m.state.everyAct == state.everyAct && m.took > dear && now.Sub(m.read) < staleFor*m.took) {
		return m.value, nil
	}
	value, err := compute()
	if err != nil {
		return none, err
	}
	m.asOf = asOf
	m.known, m.value, m.state, m.read, m.took = true, value, state, now, time.Since(now)
	return value, nil
}

// state tells one content of the database from another: commits of this program
// are counted, and the database says whether another program wrote, and how many acts
// there were of all that write to it.
type state struct {
	changes, acts uint64
	version       string
	everyAct      int64
}

func (s *Store) state(ctx context.Context) (now state, err error) {
	now.changes, now.acts = s.changes.Load(), s.acts.Load()
	version := "(SELECT data_version FROM pragma_data_version)"
	if s.opts.Postgres != "" {
		version = "pg_current_snapshot()::text" // which transactions a reader that comes now would see
	}
	err = each(ctx, s.watch, func(rows *sql.Rows) error { return rows.Scan(&now.version, &now.everyAct) },
		"SELECT "+version+", coalesce((SELECT value FROM meta WHERE key = 'acts'), 0)")
	if err != nil {
		return now, fmt.Errorf("ask whether the database changed: %w", err)
	}
	return now, nil
}

// countAct counts what is more than growth where every program that has the database
// open sees it: what people do at another collector shows at once here too.
func countAct(ctx context.Context, tx *sql.Tx) error {
	if ctx.Value(growth{}) != nil {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('acts', 1) ON CONFLICT (key) DO UPDATE SET value = meta.value + 1"); err != nil {
		return fmt.Errorf("count an act: %w", err)
	}
	return nil
}

type growth struct{}

// growing marks a change by which the ledger grows or more is derived from it:
// nobody waits to see it.
func growing(ctx context.Context) context.Context { return context.WithValue(ctx, growth{}, true) }

// committed counts a change, also where nobody knows whether its commit holds.
func (s *Store) committed(ctx context.Context) {
	s.changes.Add(1)
	if ctx.Value(growth{}) == nil {
		s.acts.Add(1)
	}
}

// mostAlbums is how many answers of one kind are kept at once.
const mostAlbums = 32

// album keeps answers to one question about many things, the latest asked for.
type album struct {
	fresh time.Duration // how long an answer holds by the clock, 0 for ever
	mu    sync.Mutex
	pages map[string]*remembered[any]
	order []string // the longest kept first
}

// of returns where the answer about something is kept.
func (a *album) of(what string) *remembered[any] {
	a.mu.Lock()
	defer a.mu.Unlock()
	if page, ok := a.pages[what]; ok {
		return page
	}
	if a.pages == nil {
		a.pages = map[string]*remembered[any]{}
	}
	if len(a.order) == mostAlbums {
		delete(a.pages, a.order[0])
		a.order = a.order[1:]
	}
	page := &remembered[any]{fresh: a.fresh}
	a.pages[what], a.order = page, append(a.order, what)
	return page
}

// from gives the answer that an album has about something, or that compute reads.
func from[T any](ctx context.Context, s *Store, a *album, what string, compute func() (T, error)) (answer T, err error) {
	got, err := a.of(what).get(ctx, s, func() (any, error) { return compute() })
	if err == nil {
		answer = got.(T)
	}
	return answer, err
}

// Acts is how often something was written here that is more than growth of the ledger:
// what people did, who wait to see it.
func (s *Store) Acts() uint64 { return s.acts.Load() }
