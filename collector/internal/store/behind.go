package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Behind returns which accounts links hold together now: by owners and control,
// and by means that they share, with what speaks for it; and the means by which each
// account is paid, as keyed hashes.
func (r *Reader) Behind(ctx context.Context) (map[measure.TenantID][]evasion.Mark, []evasion.Cluster, error) {
	var out []evasion.Cluster
	marks := map[measure.TenantID][]evasion.Mark{}
	err := r.view(ctx, "who is behind accounts", func(tx *sql.Tx) error {
		m, err := r.at(ctx, tx, time.Time{}, time.Time{})
		if err != nil {
			return err
		}
		_, accountOf := linkOwners(m.snapshot, m.customers)
		tenants := map[string][]measure.TenantID{}
		for _, tenant := range ordered(accountOf) {
			tenants[accountOf[tenant]] = append(tenants[accountOf[tenant]], measure.TenantID(tenant))
		}
		byPayers(m.snapshot, marks)
		links := map[string]resolve.Link{}
		for _, l := range m.links {
			links[l.ID] = l
		}
		for _, level := range []resolve.Level{resolve.ByControl, resolve.ByMeans} {
			for _, s := range m.grouping.Sets(level) {
				if len(s.Customers) < 2 {
					continue
				}
				c := evasion.Cluster{ID: s.ID}
				for _, account := range s.Accounts {
					c.Tenants = append(c.Tenants, tenants[account]...)
				}
				for _, id := range s.Links {
					c.Why = append(c.Why, linkWords(links[id]))
				}
				if c.Why = slices.Compact(c.Why); len(c.Why) == 0 {
					c.Why = []string{"one owner"}
				}
				out = append(out, c)
			}
		}
		return nil
	})
	return marks, out, err
}

// byPayers marks the tenants of each account with what its customer pays by. A means
// that many are known to hold says nothing.
func byPayers(s party.Snapshot, marks map[measure.TenantID][]evasion.Mark) {
	paid := map[string][]evasion.Mark{} // by party
	for _, id := range ordered(s.Identifiers) {
		i := s.Identifiers[id]
		if (i.Type == party.Card || i.Type == party.Bank || i.Type == party.Wallet) && !i.Hub && !i.Ended && i.Hash != "" {
			paid[i.Party] = append(paid[i.Party], evasion.Mark{Kind: "payer", Value: i.Hash})
		}
	}
	for _, id := range ordered(s.Accounts) {
		a := s.Accounts[id]
		if len(paid[s.Contracts[a.Customer].Party]) == 0 {
			continue
		}
		for _, tenant := range a.Tenants {
			marks[tenant] = append(marks[tenant], paid[s.Contracts[a.Customer].Party]...)
		}
	}
}

// linkWords says on what a link rests, without telling values.
func linkWords(l resolve.Link) string {
	var names []string
	for _, e := range l.Evidence {
		if e.Bits > 0 && !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	return fmt.Sprintf("%s by %s", l.Class, strings.Join(names, ", "))
}
