package store

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Reader answers the desk's questions from the store. Each answer is read in
// one transaction, so its parts belong together.
type Reader struct {
	store         *Store
	version       string
	demonstration bool
	origin        string            // of the audit log
	auditKey      ed25519.PublicKey // that signs its checkpoints
	anchor        string            // file of checkpoints at a second place, "" for none
	seen          Seen              // nil: nobody knows when accounts were accessed
	library       Library

	tenants   remembered[[]desk.Tenant]
	customers remembered[[]desk.Customer]
	hosts     remembered[[]desk.Host]
	coverage  remembered[[]desk.Coverage]
	check     remembered[desk.Check]
	cases     remembered[[]desk.Case]
	now       remembered[*moment]
	timelines album
	shelf     shelf // pages and lists as they are sent
	lists     album // lists of what stands now, which many people look at
}

var _ desk.Reader = (*Reader)(nil)

// NewReader returns a reader that names the given version.
func NewReader(s *Store, version string, demonstration bool) *Reader {
	// What is valid now changes with the clock too, by days.
	return &Reader{store: s, version: version, demonstration: demonstration, now: remembered[*moment]{fresh: 10 * time.Second}, lists: album{fresh: 10 * time.Second}}
}

// VerifyAudit makes the reader hold checkpoints of the audit log against their
// name and key. Without it no checkpoint holds.
func (r *Reader) VerifyAudit(origin string, key ed25519.PublicKey) *Reader {
	r.origin, r.auditKey = origin, key
	return r
}

// WithAnchor makes the check of the audit log hold it against the checkpoints in a
// file, which is at a second place. A file that is not there yet holds none.
func (r *Reader) WithAnchor(path string) *Reader {
	r.anchor = path
	return r
}

// view runs f on one consistent state.
func (r *Reader) view(ctx context.Context, what string, f func(*sql.Tx) error) error {
	tx, err := r.store.read.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	err = f(tx)
	if rollback := tx.Rollback(); err == nil {
		err = rollback
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// Status returns the collector's own state.
func (r *Reader) Status(ctx context.Context) (desk.Status, error) {
	s := desk.Status{Version: r.version, Demonstration: r.demonstration}
	targets := map[string]*int64{"revision": &s.Revision, "watermark_ns": &s.Watermark, "batches": &s.Batches, "quarantined": &s.Quarantined}
	err := r.view(ctx, "status", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var key string
			var value int64
			err := rows.Scan(&key, &value)
			if target := targets[key]; target != nil {
				*target = value
			}
			return err
		}, "SELECT key, value FROM meta")
	})
	return s, err
}

// Tenants returns every tenant that the ledger or a customer names.
func (r *Reader) Tenants(ctx context.Context) ([]desk.Tenant, error) {
	return r.tenants.get(ctx, r.store, func() ([]desk.Tenant, error) { return r.readTenants(ctx) })
}

func (r *Reader) readTenants(ctx context.Context) ([]desk.Tenant, error) {
	found := map[measure.TenantID]*desk.Tenant{}
	err := r.view(ctx, "tenants", func(tx *sql.Tx) error {
		known, err := customers(ctx, tx)
		if err != nil {
			return err
		}
		source, err := segments(ctx, tx)
		if err != nil {
			return err
		}
		owner := holders(known)
		for id, c := range owner {
			found[id] = &desk.Tenant{ID: id, CustomerID: c.ID, CustomerName: c.Name, ForeignStatus: string(c.Status), Figure: desk.Figure{Coverage: 1}}
		}
		figures := map[measure.TenantID]*sums{}
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var id measure.TenantID
			var g group
			var first, last int64
			if err := rows.Scan(append([]any{&id, &first, &last}, g.targets()...)...); err != nil {
				return err
			}
			t := found[id]
			if t == nil {
				t = &desk.Tenant{ID: id, ForeignStatus: string(party.Undetermined)}
				found[id] = t
			}
			if figures[id] == nil {
				figures[id] = &sums{}
				t.FirstNS = first
			}
			t.FirstNS, t.LastNS = min(t.FirstNS, first), max(t.LastNS, last)
			figures[id].add(g.sums())
			t.Figure = figures[id].figure()
			return nil
		}, "SELECT t.id, min(s.start_ns), max(s.end_ns), "+groupColumns+`
			FROM `+source+` s JOIN tenant t ON t.no = s.tenant JOIN method m ON m.no = s.method
			WHERE s.state IN (1, 4) AND t.id <> '' GROUP BY t.no, s.state, m.name`)
		if err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id measure.TenantID
			var runs, devices int
			err := rows.Scan(&id, &runs, &devices)
			if t := found[id]; t != nil {
				t.Runs, t.Devices = runs, devices
			}
			return err
		}, `SELECT t.id, (SELECT count(*) FROM run r WHERE r.tenant = t.id), count(DISTINCT s.device)
			FROM `+source+` s JOIN tenant t ON t.no = s.tenant WHERE s.state IN (1, 4) AND t.id <> '' GROUP BY t.no`)
	})
	if err != nil {
		return nil, err
	}
	out := make([]desk.Tenant, 0, len(found))
	for _, t := range found {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b desk.Tenant) int { return byOperations(a.Figure, b.Figure, string(a.ID), string(b.ID)) })
	return out, nil
}

func statusOf(c party.Customer) string {
	if c.Status == "" {
		return string(party.Undetermined)
	}
	return string(c.Status)
}

func byOperations(a, b desk.Figure, idA, idB string) int {
	switch x, y := a.Combined().Best, b.Combined().Best; {
	case x > y:
		return -1
	case x < y:
		return 1
	case idA < idB:
		return -1
	case idA > idB:
		return 1
	}
	return 0
}

// Customers returns every customer.
func (r *Reader) Customers(ctx context.Context) ([]desk.Customer, error) {
	return r.customers.get(ctx, r.store, func() ([]desk.Customer, error) { return r.readCustomers(ctx) })
}

func (r *Reader) readCustomers(ctx context.Context) ([]desk.Customer, error) {
	var out []desk.Customer
	totals := map[string]compute.Operations{}
	err := r.view(ctx, "customers", func(tx *sql.Tx) error {
		known, err := customers(ctx, tx)
		if err != nil {
			return err
		}
		for _, c := range known {
			out = append(out, desk.Customer{ID: c.ID, Name: c.Name, Country: c.Country, ForeignStatus: string(c.Status),
				StatusReason: c.StatusReason, Demonstration: c.Demonstration, Tenants: c.Tenants})
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id string
			var empirical, theoretical sum
			err := rows.Scan(append(append([]any{&id}, empirical.targets()...), theoretical.targets()...)...)
			totals[id] = totals[id].Add(empirical.operations()).Add(theoretical.operations())
			return err
		}, "SELECT (SELECT customer FROM customer_tenant ct WHERE ct.tenant = run.tenant), "+halves("emp_best")+", "+halves("theo_best")+" FROM run GROUP BY tenant HAVING tenant IN (SELECT tenant FROM customer_tenant)")
	})
	slices.SortFunc(out, func(a, b desk.Customer) int {
		x, y := desk.Figure{Empirical: compute.Exactly(totals[a.ID])}, desk.Figure{Empirical: compute.Exactly(totals[b.ID])}
		return byOperations(x, y, a.ID, b.ID)
	})
	return out, err
}

// Hosts returns the reporting hosts.
func (r *Reader) Hosts(ctx context.Context) ([]desk.Host, error) {
	return r.hosts.get(ctx, r.store, func() ([]desk.Host, error) { return r.readHosts(ctx) })
}

func (r *Reader) readHosts(ctx context.Context) ([]desk.Host, error) {
	var out []desk.Host
	err := r.view(ctx, "hosts", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var h desk.Host
			var accelerators string
			err := rows.Scan(&h.ID, &h.Name, &h.AgentVersion, &h.Epoch, &h.Seq, &h.FirstNS, &h.LastNS, &h.Devices, &accelerators)
			h.Accelerators = union(accelerators, "")
			out = append(out, h)
			return err
		}, `SELECT h.id, h.name, h.agent_version, h.epoch, h.seq, h.first_ns, h.last_ns, count(d.no), coalesce(group_concat(DISTINCT d.sku), '')
			FROM host h LEFT JOIN device d ON d.host = h.no GROUP BY h.no ORDER BY h.name, h.id`)
	})
	return out, err
}

// Coverage says for each host how much of its devices' time was not observed.
func (r *Reader) Coverage(ctx context.Context) ([]desk.Coverage, error) {
	return r.coverage.get(ctx, r.store, func() ([]desk.Coverage, error) { return r.readCoverage(ctx) })
}

func (r *Reader) readCoverage(ctx context.Context) ([]desk.Coverage, error) {
	var out []desk.Coverage
	err := r.view(ctx, "coverage", func(tx *sql.Tx) (err error) {
		if out, err = readCoverage(ctx, tx); err != nil {
			return err
		}
		grades, err := gradesOf(ctx, tx, "h.id", "TRUE", 0, math.MaxInt64)
		for i := range out {
			out[i].Evidence = grades[out[i].Host]
		}
		return err
	})
	return out, err
}

func readCoverage(ctx context.Context, q querier) ([]desk.Coverage, error) {
	var out []desk.Coverage
	err := each(ctx, q, func(rows *sql.Rows) error {
		var c desk.Coverage
		var elapsed, unobserved deviceTime
		var hidden sum
		err := rows.Scan(slices.Concat([]any{&c.Host, &c.HostName, &c.LastNS, &c.Devices}, elapsed.targets(), unobserved.targets(), hidden.targets())...)
		c.Elapsed, c.Unobserved, c.Hidden = elapsed.desk(), unobserved.desk(), hidden.operations()
		c.Coverage = share(c.Elapsed-c.Unobserved, c.Elapsed)
		out = append(out, c)
		return err
	}, `WITH blind AS (SELECT device, sum(duration_ns) AS ns, sum(ops_high) AS hidden FROM segment WHERE state = 4 GROUP BY device)
		SELECT h.id, h.name, h.last_ns, count(d.no), `+seconds("d.last_ns - d.first_ns")+", "+seconds("b.ns")+", "+halves("b.hidden")+`
		FROM host h LEFT JOIN device d ON d.host = h.no LEFT JOIN blind b ON b.device = d.no GROUP BY h.no ORDER BY h.name, h.id`)
	return out, err
}
