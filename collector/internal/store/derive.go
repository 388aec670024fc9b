package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Deriver keeps runs and findings up to date with the ledger and the customers.
//
// It follows checkpoints to know which tenants changed, and derives in a
// transaction of its own soon after, so that ingest does not wait. What it
// writes follows from what is stored, so nothing is lost when it is killed in
// between: a new Deriver begins with every tenant.
type Deriver struct {
	store *Store
	packs []*policy.Pack
	now   func() time.Time

	mu    sync.Mutex
	all   bool
	dirty map[measure.TenantID]bool
}

// NewDeriver returns a deriver that has everything to do.
func NewDeriver(s *Store, packs []*policy.Pack, now func() time.Time) *Deriver {
	return &Deriver{store: s, packs: packs, now: now, all: true, dirty: map[measure.TenantID]bool{}}
}

// Follow notes the tenants of a checkpoint.
func (d *Deriver) Follow(_ context.Context, _ *sql.Tx, c Commit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range c.Segments {
		if tenant := c.Segments[i].Key.Tenant; tenant != "" {
			d.dirty[tenant] = true
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

// Run derives every interval until ctx ends, and once more then.
func (d *Deriver) Run(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := d.Derive(context.WithoutCancel(ctx)); err != nil {
				return err
			}
		case <-ctx.Done():
			return d.Derive(context.WithoutCancel(ctx))
		}
	}
}

// Derive brings runs and findings up to date. After an error the same tenants
// are due again.
func (d *Deriver) Derive(ctx context.Context) error {
	d.mu.Lock()
	all, dirty := d.all, d.dirty
	d.all, d.dirty = false, map[measure.TenantID]bool{}
	d.mu.Unlock()
	if !all && len(dirty) == 0 {
		return nil
	}
	err := d.store.update(ctx, func(tx *sql.Tx) error { return d.derive(ctx, tx, all, dirty) })
	if err != nil {
		d.mu.Lock()
		d.all = true
		d.mu.Unlock()
		return fmt.Errorf("derive runs and findings: %w", err)
	}
	return nil
}

func (d *Deriver) derive(ctx context.Context, tx *sql.Tx, all bool, dirty map[measure.TenantID]bool) error {
	if all {
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var tenant measure.TenantID
			err := rows.Scan(&tenant)
			dirty[tenant] = true
			return err
		}, "SELECT id FROM tenant WHERE id <> ''")
		if err != nil {
			return err
		}
	}
	known, err := customers(ctx, tx)
	if err != nil {
		return err
	}
	owner := holders(known)
	var watermark int64
	if err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'watermark_ns'").Scan(&watermark); err != nil {
		return err
	}
	affected := map[string]bool{}
	for tenant := range dirty {
		runs, err := d.runs(ctx, tx, tenant)
		if err != nil {
			return fmt.Errorf("tenant %s: %w", tenant, err)
		}
		customer := owner[tenant]
		if customer.ID != "" {
			affected[customer.ID] = true
		}
		for _, r := range runs {
			subject := policy.Subject{Measure: policy.RunOperations, ID: r.run.ID, Label: "run " + r.run.Label, Tenant: tenant,
				CustomerID: customer.ID, CustomerName: customer.Name, Status: customer.Status, Operations: r.sums.empirical.Add(r.sums.theoretical)}
			if err := d.findings(ctx, tx, subject, min(watermark, r.endNS)); err != nil {
				return err
			}
		}
	}
	for id := range affected {
		if err := d.customer(ctx, tx, known[id], watermark); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'revision'")
	return err
}

// member is what one workload did on one host.
type member struct {
	training.Stretch
	endNS   int64
	devices int
	sums    sums
}

// derived is one run with its figures.
type derived struct {
	run            training.Run
	startNS, endNS int64
	hosts, devices int
	sums           sums
}

// runs joins the stretches of a tenant and replaces its runs.
func (d *Deriver) runs(ctx context.Context, tx *sql.Tx, tenant measure.TenantID) ([]derived, error) {
	var members []member
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var m member
		var err error
		m.sums, err = scanFigure(rows, &m.Host, &m.Workload.Kind, &m.Workload.ID, &m.Workload.Hint, &m.Accelerator, &m.StartNS, &m.endNS, &m.devices)
		members = append(members, m)
		return err
	}, `SELECT h.id, w.kind, w.id, w.hint, d.sku, min(s.start_ns), max(s.end_ns), count(DISTINCT s.device), `+figureColumns+`
		FROM segment s JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host JOIN workload w ON w.no = s.workload JOIN method m ON m.no = s.method
		WHERE s.tenant = (SELECT no FROM tenant WHERE id = ?) AND s.state IN (1, 4)
		GROUP BY d.host, s.workload, d.sku ORDER BY h.id, w.no, d.sku`, string(tenant))
	if err != nil {
		return nil, err
	}
	stretches := make([]training.Stretch, len(members))
	for i := range members {
		stretches[i] = members[i].Stretch
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM run WHERE tenant = ?", string(tenant)); err != nil {
		return nil, err
	}
	var out []derived
	for _, run := range training.Join(tenant, stretches) {
		r := derived{run: run, startNS: members[run.Members[0]].StartNS}
		hosts, accelerators := map[string]bool{}, map[string]bool{}
		for _, i := range run.Members {
			m := &members[i]
			r.startNS, r.endNS = min(r.startNS, m.StartNS), max(r.endNS, m.endNS)
			r.devices += m.devices
			r.sums.add(m.sums)
			hosts[m.Host], accelerators[m.Accelerator] = true, true
		}
		r.hosts = len(hosts)
		out = append(out, r)
		f := r.sums
		_, err := tx.ExecContext(ctx, `INSERT INTO run (id, tenant, label, joined_by, hosts, devices, accelerators, methods, start_ns, end_ns,
			attributed_s, attributed_ns, unobserved_s, unobserved_ns, emp_low, emp_best, emp_high, theo_low, theo_best, theo_high, ceiling)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			run.ID, string(tenant), run.Label, run.JoinedBy, r.hosts, r.devices, joinSet(accelerators), f.methods, r.startNS, r.endNS,
			f.attributed.seconds, f.attributed.nanos, f.unobserved.seconds, f.unobserved.nanos, int64(f.empirical.Low), int64(f.empirical.Best), int64(f.empirical.High),
			int64(f.theoretical.Low), int64(f.theoretical.Best), int64(f.theoretical.High), int64(f.ceiling))
		if err != nil {
			return nil, fmt.Errorf("write run %s: %w", run.ID, err)
		}
	}
	return out, nil
}

func joinSet(set map[string]bool) string {
	var list []string
	for word := range set {
		list = append(list, word)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}

// customer holds the rules on a customer against all of its runs together.
func (d *Deriver) customer(ctx context.Context, tx *sql.Tx, c party.Customer, watermark int64) error {
	var total compute.Bounds
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var emp, theo compute.Bounds
		err := rows.Scan(&emp.Low, &emp.Best, &emp.High, &theo.Low, &theo.Best, &theo.High)
		total = total.Add(emp).Add(theo)
		return err
	}, `SELECT r.emp_low, r.emp_best, r.emp_high, r.theo_low, r.theo_best, r.theo_high
		FROM customer_tenant ct JOIN run r ON r.tenant = ct.tenant WHERE ct.customer = ?`, c.ID)
	if err != nil {
		return fmt.Errorf("customer %s: %w", c.ID, err)
	}
	return d.findings(ctx, tx, policy.Subject{Measure: policy.CustomerOperations, ID: c.ID, Label: "customer " + c.ID,
		CustomerID: c.ID, CustomerName: c.Name, Status: c.Status, Operations: total}, watermark)
}

// findings adds what holds and was not found before.
func (d *Deriver) findings(ctx context.Context, tx *sql.Tx, s policy.Subject, occurredNS int64) error {
	for _, p := range d.packs {
		for _, f := range policy.Evaluate(p, s) {
			status := string(f.Subject.Status)
			_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
				tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
				f.ID, p.ID, p.Version, p.Digest[:], p.Status, f.Rule, f.Citation, f.Level, f.Severity, s.ID,
				string(s.Tenant), s.CustomerID, s.CustomerName, status, int64(f.Threshold),
				int64(s.Operations.Low), int64(s.Operations.Best), int64(s.Operations.High), f.Reason, occurredNS, d.now().UnixNano())
			if err != nil {
				return fmt.Errorf("write finding %s: %w", f.ID, err)
			}
		}
	}
	return nil
}
