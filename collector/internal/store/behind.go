package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Behind returns which accounts links hold together now: by owners and control,
// and by means that they share, with what speaks for it. The marks are those of
// nobody: values stay in the links.
func (r *Reader) Behind(ctx context.Context) (map[measure.TenantID][]evasion.Mark, []evasion.Cluster, error) {
	var out []evasion.Cluster
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
	return nil, out, err
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
