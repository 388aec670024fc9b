package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// found is a finding with the end of the newest window that it rests on.
type found struct {
	policy.Finding
	occurredNS int64
}

// known are the customers as one derivation sees them.
type known struct {
	revision  int64 // of the customers
	customers map[string]party.Customer
	owner     map[measure.TenantID]party.Customer
	together  map[string][]resolve.Set // customer → sets of several customers that it is in, see together
}

// evaluate holds the packs against the runs of the tenants and against what
// their customers did altogether. totals returns the total of a tenant that is
// not among them.
func evaluate(packs []*policy.Pack, k *known, tenants []tenantRuns, totals func(measure.TenantID) (total, error)) ([]found, error) {
	var all []found
	hold := func(s policy.Subject, endNS int64) {
		for _, p := range packs {
			for _, f := range policy.Evaluate(p, s) {
				all = append(all, found{f, endNS})
			}
		}
	}
	fresh := map[measure.TenantID]total{}
	affected := map[string]bool{}
	for i := range tenants {
		t := &tenants[i]
		fresh[t.tenant] = t.total
		c := k.owner[t.tenant]
		for _, r := range t.runs {
			hold(policy.Subject{Measure: policy.RunOperations, ID: r.id, Label: "run " + r.label, Tenant: t.tenant,
				CustomerID: c.ID, CustomerName: c.Name, Status: c.Status, Operations: r.sums.combined()}, r.endNS)
		}
		if c.ID != "" {
			affected[c.ID] = true
			continue
		}
		// A tenant that nobody claims is a customer of whom nothing is known.
		hold(policy.Subject{Measure: policy.CustomerOperations, ID: "tenant:" + string(t.tenant), Label: "tenant " + string(t.tenant) + ", which no customer claims",
			Tenant: t.tenant, Operations: t.total.sums.combined()}, t.total.endNS)
	}
	of := func(id string) (sum total, err error) {
		for _, tenant := range k.customers[id].Tenants {
			t, ok := fresh[tenant]
			if !ok {
				if t, err = totals(tenant); err != nil {
					return sum, fmt.Errorf("customer %s: %w", id, err)
				}
				fresh[tenant] = t
			}
			sum.add(t)
		}
		return sum, nil
	}
	done := map[string]bool{}
	for id := range affected {
		c := k.customers[id]
		sum, err := of(id)
		if err != nil {
			return nil, err
		}
		for _, set := range k.together[id] {
			if done[set.ID] {
				continue
			}
			done[set.ID] = true
			s, endNS, err := k.setSubject(set, of)
			if err != nil {
				return nil, err
			}
			hold(s, endNS)
		}
		hold(policy.Subject{Measure: policy.CustomerOperations, ID: c.ID, Label: "customer " + c.ID,
			CustomerID: c.ID, CustomerName: c.Name, Status: c.Status, Operations: sum.sums.combined()}, sum.endNS)
	}
	return all, nil
}

// writeFindings adds what was not found before and returns it.
func writeFindings(ctx context.Context, tx *sql.Tx, all []found, now time.Time) ([]found, error) {
	var added []found
	for _, f := range all {
		p, s := f.Pack, f.Subject
		result, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
			tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			f.ID, p.ID, p.Version, p.Digest[:], p.Status, f.Rule, f.Citation, f.Level, f.Severity, s.ID,
			string(s.Tenant), s.CustomerID, s.CustomerName, string(s.Status), int64(f.Threshold),
			int64(s.Operations.Low), int64(s.Operations.Best), int64(s.Operations.High), f.Reason, f.occurredNS, now.UnixNano())
		if err != nil {
			return nil, fmt.Errorf("write finding %s: %w", f.ID, err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return nil, fmt.Errorf("write finding %s: %w", f.ID, err)
		}
		if n > 0 {
			added = append(added, f)
		}
	}
	return added, nil
}
