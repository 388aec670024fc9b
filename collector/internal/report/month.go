package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

func period(f Facts) Value {
	return f.text(instant(f.From)+" to "+instant(f.To)+" (excluded)", "summary", byLedger)
}

func monthTotals(f Facts) Value {
	t := Table{Columns: []string{"Part", "Low", "Best", "High"}, Rows: [][]string{
		{"from readings", f.Totals.Figure.Empirical.Low.Decimal(), f.Totals.Figure.Empirical.Best.Decimal(), f.Totals.Figure.Empirical.High.Decimal()},
		{"allocation × peak", f.Totals.Figure.Theoretical.Low.Decimal(), f.Totals.Figure.Theoretical.Best.Decimal(), f.Totals.Figure.Theoretical.High.Decimal()},
		{"unobserved", f.Totals.Unseen.Low.Decimal(), f.Totals.Unseen.Best.Decimal(), f.Totals.Unseen.High.Decimal()},
	}}
	return f.table(t, "ledger", measured)
}

func monthCoverage(f Facts) Value {
	return f.text(fmt.Sprintf("%.2f %% of %.0f device-hours on %d devices of %d hosts were observed (evidence: %s); the rest could hide at most %s operations",
		f.Totals.Figure.Coverage*100, f.Totals.Elapsed.Hours(), f.Totals.Devices, f.Totals.Hosts, graded(f.Totals.Evidence), f.Totals.Unseen.High.Decimal()), "ledger", measured)
}

func (f Facts) within(ns int64) bool {
	at := time.Unix(0, ns)
	return !at.Before(f.From) && at.Before(f.To)
}

func monthFindings(f Facts) Value {
	t := Table{Columns: []string{"Finding", "Severity", "Level", "Pack", "Subject", "Signalled"}}
	for _, x := range f.Findings {
		if f.within(x.SignalledNS) {
			t.Rows = append(t.Rows, []string{x.ID, x.Severity, x.Level, x.Pack, x.Subject, instant(time.Unix(0, x.SignalledNS))})
		}
	}
	if len(t.Rows) == 0 {
		return f.text("none", "findings", byLedger)
	}
	return f.table(t, "findings", byLedger)
}

func monthCases(f Facts) Value {
	t := Table{Columns: []string{"Case", "State", "Subject", "Clock", "Due", "Stands"}}
	for _, c := range f.Cases {
		if len(c.Clocks) == 0 {
			t.Rows = append(t.Rows, []string{c.ID, c.State, c.Subject, "none", "", ""})
		}
		for _, k := range c.Clocks {
			t.Rows = append(t.Rows, []string{c.ID, c.State, c.Subject, k.Name, k.Due, k.State})
		}
	}
	if len(t.Rows) == 0 {
		return f.text("none", "cases", byLedger)
	}
	return f.table(t, "cases", byLedger)
}

func monthCustomers(f Facts) Value {
	all := slices.Clone(f.Tenants)
	slices.SortStableFunc(all, func(a, b desk.Tenant) int {
		return cmp.Compare(b.Figure.Combined().Best, a.Figure.Combined().Best)
	})
	t := Table{Columns: []string{"Tenant", "Customer", "Foreign status", "Operations, best, since first use"}}
	for _, x := range all[:min(len(all), 50)] {
		t.Rows = append(t.Rows, []string{string(x.ID), cmp.Or(x.CustomerID, "nobody claims it"), x.ForeignStatus, x.Figure.Combined().Best.Decimal()})
	}
	if len(t.Rows) == 0 {
		return f.text("none", "tenants", byLedger)
	}
	return f.table(t, "tenants", measured)
}
