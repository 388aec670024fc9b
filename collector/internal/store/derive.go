package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Deriver keeps runs and findings up to date with the ledger and the customers.
//
// It follows checkpoints to know which tenants changed, and soon after reads
// what they did on a connection of its own and writes what follows in one short
// transaction, so that ingest does not wait. What it writes follows from what is
// stored, so nothing is lost when it is killed in between: a new Deriver begins
// with every tenant.
type Deriver struct {
	// Derived, if set before Run, is called after each derivation that succeeded.
	Derived func()

	store  *Store
	packs  []*policy.Pack // in force where no approved version replaces them
	linker *linker
	now    func() time.Time

	mu     sync.Mutex
	all    bool
	dirty  map[measure.TenantID]int64 // tenant → newest revision that changed it
	asked  map[measure.TenantID]bool  // tenants that are due whatever the revision
	behind bool                       // rows of the last checkpoint are behind what was counted

	// Used by Derive alone.
	known   *known                     // of the last derivation
	rules   *enforced                  // likewise
	waiting map[measure.TenantID]int64 // tenant → when what it runs will have ended, if nothing more comes of it
	shared  bool                       // with other collectors
	heard   int64                      // revision up to which tenants were heard of from others
	entry   int64                      // of the audit log up to which others' changes are known
}

// NewDeriver returns a deriver that has everything to do.
func NewDeriver(s *Store, packs []*policy.Pack, now func() time.Time) *Deriver {
	return &Deriver{store: s, packs: packs, linker: newLinker(s, packs), now: now, all: true, dirty: map[measure.TenantID]int64{}, asked: map[measure.TenantID]bool{}, waiting: map[measure.TenantID]int64{}}
}

// Blinds makes it compare parties by their sealed data too, in keyed hashes. It is
// to be called before the first Derive, and returns d.
func (d *Deriver) Blinds(b Blinder) *Deriver {
	d.linker.blinder = b
	return d
}

// Follow notes the tenants of a checkpoint.
func (d *Deriver) Follow(_ context.Context, _ *sql.Tx, c Commit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behind = c.Behind
	for i := range c.Segments {
		if tenant := c.Segments[i].Key.Tenant; tenant != "" {
			d.dirty[tenant] = c.Revision
		}
	}
	return nil
}

// CustomersChanged makes the next Derive look at every tenant.
func (d *Deriver) CustomersChanged() {
	d.mu.Lock()
	d.all = true
	d.mu.Unlock()
}

// AllocationsChanged makes the next Derive look at every tenant: corrections may
// have given what was counted to another one.
func (d *Deriver) AllocationsChanged() { d.CustomersChanged() }

// JoinsChanged makes the next Derive look at a tenant: somebody said something of
// its joins.
func (d *Deriver) JoinsChanged(tenant measure.TenantID) {
	d.mu.Lock()
	d.asked[tenant] = true
	d.mu.Unlock()
}

// A derivation is followed by a rest of restFactor times its length, so that it takes
// a fifth of one core, but of a second at most where it was shorter: a crossing is to
// be found within two. A longer one rests as long as it took. In a fleet so large that
// rows are a minute and more behind what was counted, a crossing waits for those, and
// not for the rest, which is a fifth of a core then whatever the length.
const (
	restFactor = 4
	restMost   = time.Second
	restBehind = 30 * time.Second
)

// rest is how long to wait after a derivation.
func rest(interval, took time.Duration, behind bool) time.Duration {
	if behind {
		return max(interval, took, min(restFactor*took, restBehind))
	}
	return max(interval, min(restFactor*took, max(restMost, took)))
}

// late reports whether rows are behind what was counted.
func (d *Deriver) late() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.behind
}

// Run derives until ctx ends, and once more then. It waits for interval in
// between, and longer when the fleet is so large that a derivation is long.
func (d *Deriver) Run(ctx context.Context, interval time.Duration) error {
	wait := interval
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			began := time.Now()
			if err := d.Derive(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			if d.Derived != nil {
				d.Derived()
			}
			wait = rest(interval, time.Since(began), d.late())
		case <-ctx.Done():
			timer.Stop()
			return d.Derive(context.WithoutCancel(ctx))
		}
	}
}

// errStale means that the customers changed while a derivation read.
var errStale = errors.New("the customers changed meanwhile")

// Derive brings runs and findings up to date with what is committed when it
// begins. After an error everything is due again. It may be called from one
// goroutine at a time.
func (d *Deriver) Derive(ctx context.Context) error {
	for {
		changed, err := d.linker.link(ctx)
		if changed {
			d.CustomersChanged()
		}
		if err == nil {
			err = d.derive(ctx)
		}
		if err == nil {
			return nil
		}
		d.CustomersChanged()
		d.rules = nil // what looked back in a transaction that failed must look again
		if !errors.Is(err, errStale) {
			return fmt.Errorf("derive runs and findings: %w", err)
		}
	}
}

func (d *Deriver) derive(ctx context.Context) error {
	tenants, findings, err := d.read(ctx)
	if err != nil || len(tenants) == 0 && (d.rules == nil || !d.rules.fresh()) {
		return err
	}
	return d.store.update(growing(ctx), func(tx *sql.Tx) error {
		if err := d.store.leads(ctx, tx); err != nil {
			return err
		}
		if now, err := meta(ctx, tx, "customers"); err != nil {
			return err
		} else if d.known != nil && now != d.known.revision {
			return errStale
		}
		moved, err := writeRuns(ctx, tx, tenants, d.now())
		if err != nil {
			return err
		}
		added, err := writeFindings(ctx, tx, findings, d.now())
		if err != nil {
			return err
		}
		looked, err := d.rules.lookedBack(ctx, tx, added, d.now())
		if err != nil || !(moved || looked || len(added) > 0) {
			return err
		}
		if err := openCases(ctx, tx, added, d.now()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'revision'")
		return err
	})
}

// read works out what follows from one committed state.
func (d *Deriver) read(ctx context.Context) (tenants []tenantRuns, findings []found, err error) {
	tx, err := d.store.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("begin: %w", err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	revision, err := meta(ctx, tx, "revision") // the first read fixes the state
	if err != nil {
		return nil, nil, err
	}
	watermark, err := meta(ctx, tx, "watermark_ns")
	if err != nil {
		return nil, nil, err
	}
	if err := d.enforce(ctx, tx); err != nil {
		return nil, nil, err
	}
	if err := d.elsewhere(ctx, tx); err != nil {
		return nil, nil, err
	}
	due, all := d.take(revision, watermark)
	if len(due) == 0 && !all {
		return nil, nil, nil
	}
	if all {
		if due, err = everyTenant(ctx, tx); err != nil {
			return nil, nil, err
		}
	}
	if err := d.learn(ctx, tx); err != nil {
		return nil, nil, err
	}
	for _, tenant := range due {
		t, err := readRuns(ctx, tx, tenant, watermark, judgement{d.rules.weights, d.rules.card})
		if err != nil {
			return nil, nil, err
		}
		d.wait(&t, watermark)
		tenants = append(tenants, t)
	}
	beside, err := readAside(ctx, tx, d.rules.packsOf())
	if err != nil {
		return nil, nil, err
	}
	findings, err = evaluate(d.rules, d.known, &beside, tenants, func(tenant measure.TenantID) (map[string][]lab.Day, total, error) {
		t, err := readTotal(ctx, tx, tenant)
		if err != nil {
			return nil, t, err
		}
		days, err := readRunDays(ctx, tx, tenant)
		return days, t, err
	})
	return tenants, findings, err
}

// wait makes a tenant due again when what it runs has ended: how long something
// took is evidence only then, and the tenant itself may do nothing any more. That
// is soon where its hosts go on to report, and later where they are silent.
func (d *Deriver) wait(t *tenantRuns, watermark int64) {
	delete(d.waiting, t.tenant)
	if t.total.endNS == 0 {
		return
	}
	space := &d.rules.weights.Space
	for _, after := range []int64{int64(space.Settled), int64(space.Silent)} {
		if ends := t.total.endNS + after; ends >= watermark {
			d.waiting[t.tenant] = ends
			return
		}
	}
}

// take returns the tenants that are due up to the revision and the watermark, in
// order, or that all are. A checkpoint is followed before it is committed, so
// what is newer than the revision stays due.
func (d *Deriver) take(revision, watermark int64) (due []measure.TenantID, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, d.all = d.all, false
	for tenant, changed := range d.dirty {
		if changed <= revision {
			due = append(due, tenant)
			delete(d.dirty, tenant)
		}
	}
	for tenant := range d.asked {
		due = append(due, tenant)
	}
	clear(d.asked)
	for tenant, ends := range d.waiting {
		if ends < watermark {
			due = append(due, tenant)
		}
	}
	slices.Sort(due)
	return slices.Compact(due), all
}

// learn reads the customers if they changed.
func (d *Deriver) learn(ctx context.Context, tx *sql.Tx) error {
	revision, err := meta(ctx, tx, "customers")
	if err != nil || (d.known != nil && d.known.revision == revision) {
		return err
	}
	all, err := customers(ctx, tx)
	if err != nil {
		return err
	}
	next := &known{revision: revision, customers: all, owner: holders(all)}
	if next.facts, err = d.store.headquarters(ctx, tx); err != nil {
		return err
	}
	if next.together, err = d.store.together(ctx, tx, all); err != nil {
		return err
	}
	d.known = next
	return nil
}

func everyTenant(ctx context.Context, q querier) ([]measure.TenantID, error) {
	var all []measure.TenantID
	err := each(ctx, q, func(rows *sql.Rows) error {
		var tenant measure.TenantID
		err := rows.Scan(&tenant)
		all = append(all, tenant)
		return err
	}, "SELECT id FROM tenant WHERE id <> '' ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	return all, nil
}

// meta returns a value of the table meta.
func meta(ctx context.Context, tx *sql.Tx, key string) (int64, error) {
	var value int64
	if err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&value); err != nil {
		return 0, fmt.Errorf("read meta %s: %w", key, err)
	}
	return value, nil
}
