package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// found is a finding with the end of the newest window that it rests on.
type found struct {
	policy.Finding
	occurredNS int64
	after      *draft.Policy // that came into force and looked back; nil where the figures moved
}

// knownAt is since when the collector may be held to have known: when the policy
// came into force, or when it looked.
func (f *found) knownAt(now time.Time) time.Time {
	if f.after != nil {
		return f.after.From()
	}
	return now
}

// known are the customers as one derivation sees them.
type known struct {
	revision  int64 // of the customers
	customers map[string]party.Customer
	owner     map[measure.TenantID]party.Customer
	facts     map[string]policy.Facts  // of customers
	together  map[string][]resolve.Set // customer → sets of several customers that it is in, see together
}

// doings is what somebody did, by day.
type doings struct {
	days     []lab.Day
	firstUse int // first day
	total    total
}

// doingsOf adds up what tenants did. of returns the days and the total of one.
func doingsOf(tenants []measure.TenantID, of func(measure.TenantID) (map[string][]lab.Day, total, error)) (doings, error) {
	var sum lab.Summer
	out := doings{firstUse: math.MaxInt}
	for _, tenant := range tenants {
		days, t, err := of(tenant)
		if err != nil {
			return out, err
		}
		out.total.add(t)
		for _, d := range days {
			sum.Add(d)
			if len(d) > 0 {
				out.firstUse = min(out.firstUse, d[0].Day)
			}
		}
	}
	out.days = sum.Days()
	return out, nil
}

// evaluate holds what is in force against the runs of the tenants, against what
// their customers did altogether, and against customers that are taken together.
// stored returns the days and the total of a tenant that is not among them.
func evaluate(e *enforced, k *known, beside *aside, tenants []tenantRuns, stored func(measure.TenantID) (map[string][]lab.Day, total, error)) ([]found, error) {
	fresh := map[measure.TenantID]*tenantRuns{}
	affected := map[string]party.Customer{}
	for i := range tenants {
		t := &tenants[i]
		fresh[t.tenant] = t
		if c := k.owner[t.tenant]; c.ID != "" {
			affected[c.ID] = k.customers[c.ID]
			continue
		}
		// A tenant that nobody claims is a customer of whom nothing is known.
		affected["tenant:"+string(t.tenant)] = party.Customer{Tenants: []measure.TenantID{t.tenant}}
	}
	byTenant := func(tenant measure.TenantID) (map[string][]lab.Day, total, error) {
		if f := fresh[tenant]; f != nil {
			return f.days, f.total, nil
		}
		return stored(tenant)
	}
	did := map[string]doings{}
	of := func(id string) (doings, error) {
		d, known := did[id]
		if known {
			return d, nil
		}
		c, ok := affected[id]
		if !ok {
			c = k.customers[id]
		}
		d, err := doingsOf(c.Tenants, byTenant)
		if err != nil {
			return d, fmt.Errorf("customer %s: %w", id, err)
		}
		did[id] = d
		return d, nil
	}
	var all []found
	done := map[string]bool{}
	for id, c := range affected {
		sum, err := of(id)
		if err != nil {
			return nil, err
		}
		for _, tenant := range c.Tenants {
			t := fresh[tenant]
			if t == nil {
				continue
			}
			for i := range t.runs {
				r := &t.runs[i]
				all = e.hold(all, policy.Subject{Facts: beside.ofRun(tenant, r, k.facts[id]), Measure: policy.RunOperations, ID: r.id, Label: "run " + r.label, Tenant: tenant,
					CustomerID: c.ID, CustomerName: c.Name, Status: c.Status}, t.days[r.id], sum.firstUse, r.endNS)
			}
		}
		for _, set := range k.together[id] {
			if done[set.ID] {
				continue
			}
			done[set.ID] = true
			s, d, err := k.setSubject(set, of)
			if err != nil {
				return nil, err
			}
			all = e.hold(all, s, d.days, d.firstUse, d.total.endNS)
		}
		s := policy.Subject{Measure: policy.CustomerOperations, ID: id, Label: "customer " + id, CustomerID: c.ID, CustomerName: c.Name, Status: c.Status, Facts: k.facts[id]}
		if c.ID == "" {
			s.Tenant = c.Tenants[0]
			s.Label = "tenant " + string(s.Tenant) + ", which no customer claims"
		}
		all = e.hold(all, s, sum.days, sum.firstUse, sum.total.endNS)
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(cmp.Compare(a.occurredNS, b.occurredNS), cmp.Compare(a.ID, b.ID)) })
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
		if n == 0 {
			continue
		}
		added = append(added, f)
		if f.after == nil {
			continue
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO policy_finding (finding, policy, known_ns) VALUES (?, ?, ?)", f.ID, f.after.ID, f.after.From().UnixNano())
		if err != nil {
			return nil, fmt.Errorf("write what finding %s follows from: %w", f.ID, err)
		}
	}
	return added, nil
}
