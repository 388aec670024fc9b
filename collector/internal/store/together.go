package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

// together returns the sets of several customers that each customer is in, by
// the links as they stand. A set that a narrower level has already is left out.
func (s *Store) together(ctx context.Context, tx *sql.Tx, all map[string]party.Customer) (map[string][]resolve.Set, error) {
	records, err := s.recordsOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	now := s.opts.Now().UTC()
	history, err := linkHistory(ctx, tx, "")
	if err != nil {
		return nil, err
	}
	owners, _ := linkOwners(party.At(records, now, now), all)
	grouping := resolve.NewGrouping(owners, resolve.At(history, now.UnixNano(), now.UnixNano()))
	out := map[string][]resolve.Set{}
	seen := map[string]bool{}
	for _, level := range []resolve.Level{resolve.ByIdentity, resolve.ByControl, resolve.ByMeans} {
		for _, set := range grouping.Sets(level) {
			key := strings.Join(set.Customers, "\x00")
			if !set.Many() || seen[key] {
				continue
			}
			seen[key] = true
			for _, id := range set.Customers {
				out[id] = append(out[id], set)
			}
		}
	}
	return out, nil
}

// aggregates says what makes sets of a level one for package policy.
var aggregates = map[resolve.Level]string{resolve.ByIdentity: policy.OneIdentity, resolve.ByControl: policy.OneControl, resolve.ByMeans: policy.OneMeans}

// setSubject is what several customers did together, as a subject of rules
// without its operations, and what they did. of returns what one customer did.
func (k *known) setSubject(set resolve.Set, of func(customer string) (doings, error)) (policy.Subject, doings, error) {
	var sum lab.Summer
	all := doings{firstUse: math.MaxInt}
	for _, id := range set.Customers {
		d, err := of(id)
		if err != nil {
			return policy.Subject{}, all, err
		}
		sum.Add(d.days)
		all.firstUse = min(all.firstUse, d.firstUse)
		all.total.add(d.total)
	}
	all.days = sum.Days()
	named := slices.Clip(set.Customers[:min(len(set.Customers), 5)])
	if more := len(set.Customers) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	label := fmt.Sprintf("%s cluster %s (customers %s; %d links)", set.Level, set.ID, strings.Join(named, ", "), len(set.Links))
	return policy.Subject{Measure: policy.CustomerOperations, ID: set.ID, Label: label, Aggregate: aggregates[set.Level], Status: worstStatus(k.customers, set.Customers)}, all, nil
}
