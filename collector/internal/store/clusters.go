package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// moment is what accounts are taken together by, at some time and by what was
// recorded up to some time.
type moment struct {
	grouping  *resolve.Grouping
	totals    map[string]compute.Bounds // by account
	customers map[string]party.Customer
	snapshot  party.Snapshot
	links     []resolve.Link // as they stood, also those that did not count
}

// at reads a moment. Parties, accounts, links and whose operations were are as
// recorded up to known; what was counted late is of when it was done.
//
// The moment that is now is shared, and nobody writes to it.
func (r *Reader) at(ctx context.Context, tx *sql.Tx, valid, known time.Time) (*moment, error) {
	if valid.IsZero() && known.IsZero() {
		return r.now.get(ctx, r.store, func() (*moment, error) { return r.readMoment(ctx, tx, valid, known) })
	}
	return r.readMoment(ctx, tx, valid, known)
}

func (r *Reader) readMoment(ctx context.Context, tx *sql.Tx, valid, known time.Time) (*moment, error) {
	m := &moment{}
	now := r.store.opts.Now().UTC()
	until := int64(0)
	if valid.IsZero() {
		valid = now
	} else {
		until = valid.UnixNano()
	}
	asOf := int64(0)
	if known.IsZero() {
		known = now
	} else {
		asOf = known.UnixNano()
	}
	records, err := r.store.Records(ctx)
	if err != nil {
		return nil, err
	}
	m.snapshot = party.At(records, valid, known)
	if m.customers, err = customers(ctx, tx); err != nil {
		return nil, err
	}
	history, err := linkHistory(ctx, tx, "")
	if err != nil {
		return nil, err
	}
	m.links = resolve.At(history, valid.UnixNano(), known.UnixNano())
	current := m.customers
	if until != 0 {
		current = nil // what holds tenants now may not have then: the records say
	}
	owners, accountOf := linkOwners(m.snapshot, current)
	m.grouping = resolve.NewGrouping(owners, m.links)
	m.totals, err = accountTotals(ctx, tx, accountOf, until, asOf)
	return m, err
}

// Links returns the links as they stood, strongest first. A zero valid or known
// is now.
func (r *Reader) Links(ctx context.Context, valid, known time.Time) ([]desk.Link, error) {
	var out []desk.Link
	err := r.view(ctx, "links", func(tx *sql.Tx) error {
		history, err := linkHistory(ctx, tx, "")
		if err != nil {
			return err
		}
		now := r.store.opts.Now()
		if valid.IsZero() {
			valid = now
		}
		if known.IsZero() {
			known = now
		}
		stood := resolve.At(history, valid.UnixNano(), known.UnixNano())
		bridges := bridgesWith(stood, proposedIDs(stood), resolve.Accept)
		for _, l := range stood {
			shown, err := deskLink(l)
			if err != nil {
				return err
			}
			shown.Bridge = bridges[l.ID]
			out = append(out, shown)
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b desk.Link) int { return compareBits(a, b) })
	return out, err
}

func proposedIDs(all []resolve.Link) (ids []string) {
	for _, l := range all {
		if l.State == resolve.Proposed || l.State == resolve.Pending {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

func compareBits(a, b desk.Link) int {
	switch {
	case a.Bits > b.Bits:
		return -1
	case a.Bits < b.Bits:
		return 1
	}
	return 0
}

// LinkHistory returns all states of a link, first recorded first.
func (r *Reader) LinkHistory(ctx context.Context, id string) ([]desk.Link, error) {
	var out []desk.Link
	err := r.view(ctx, "history of a link", func(tx *sql.Tx) error {
		history, err := linkHistory(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, l := range history {
			shown, err := deskLink(l)
			if err != nil {
				return err
			}
			out = append(out, shown)
		}
		return nil
	})
	return out, err
}

func deskLink(l resolve.Link) (desk.Link, error) {
	out := desk.Link{Link: l}
	if l.State == resolve.Pending {
		digest, err := LinkDigest(l)
		if err != nil {
			return out, err
		}
		out.Digest = fmt.Sprintf("%x", digest[:])
	}
	return out, nil
}

// Clusters returns what is taken together at a level, most operations first.
// Single customers are told too.
func (r *Reader) Clusters(ctx context.Context, level resolve.Level, valid, known time.Time) ([]desk.Cluster, error) {
	if !valid.IsZero() || !known.IsZero() {
		return r.readClusters(ctx, level, valid, known)
	}
	return from(ctx, r.store, &r.lists, "clusters "+string(level), func() ([]desk.Cluster, error) { return r.readClusters(ctx, level, valid, known) })
}

func (r *Reader) readClusters(ctx context.Context, level resolve.Level, valid, known time.Time) ([]desk.Cluster, error) {
	var out []desk.Cluster
	err := r.view(ctx, "clusters", func(tx *sql.Tx) error {
		m, err := r.at(ctx, tx, valid, known)
		if err != nil {
			return err
		}
		for _, s := range m.grouping.Sets(level) {
			out = append(out, m.cluster(s))
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b desk.Cluster) int {
		switch {
		case a.Operations.Best > b.Operations.Best:
			return -1
		case a.Operations.Best < b.Operations.Best:
			return 1
		}
		return 0
	})
	return out, err
}

func (m *moment) cluster(s resolve.Set) desk.Cluster {
	c := desk.Cluster{ID: s.ID, Level: s.Level, Root: s.Root, Parties: s.Parties, Links: s.Links, Operations: s.Sum(m.totals)}
	c.Status = string(worstStatus(m.customers, s.Customers))
	for _, id := range s.Customers {
		c.Customers = append(c.Customers, desk.ClusterCustomer{ID: id, Name: m.customers[id].Name, Status: string(m.customers[id].Status)})
	}
	for _, account := range s.Accounts {
		c.Accounts = append(c.Accounts, desk.ClusterAccount{ID: account, Operations: m.totals[account]})
	}
	return c
}

// UltimateCustomer returns who is behind an account, a customer or a cluster: its
// totals at every level, the links that bring them about, what is left without
// each, and who owns it. It is false if nothing has that id then.
func (r *Reader) UltimateCustomer(ctx context.Context, id string, valid, known time.Time) (desk.Ultimate, bool, error) {
	out := desk.Ultimate{ID: id, Valid: valid, Known: known}
	err := r.view(ctx, "ultimate customer", func(tx *sql.Tx) error {
		m, err := r.at(ctx, tx, valid, known)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, level := range resolve.Levels {
			sets := m.grouping.Sets(level)
			for i := range sets { // of as many as there are customers
				s := &sets[i]
				if s.ID != id && !slices.Contains(s.Customers, id) && !slices.Contains(s.Accounts, id) || level == resolve.ByAccount && s.ID != id && !slices.Contains(s.Customers, id) {
					continue
				}
				view := desk.LevelView{Cluster: m.cluster(*s)}
				without, more := m.grouping.Counterfactuals(*s, m.totals)
				view.MoreLinks = more
				for _, w := range without {
					shown := desk.Counterfactual{Link: w.Link, Evidence: w.Evidence, Links: w.Links, Left: w.Left}
					for i := range w.Parts {
						shown.Parts = append(shown.Parts, desk.Part{Customers: w.Parts[i].Customers, Accounts: w.Parts[i].Accounts, Operations: w.Parts[i].Sum(m.totals)})
					}
					view.Without = append(view.Without, shown)
				}
				for _, g := range m.grouping.Merges(*s) {
					view.Merges = append(view.Merges, desk.Merge{Link: g.Link, AtNS: g.AtNS, A: g.A, B: g.B})
				}
				out.Levels = append(out.Levels, view)
				for _, link := range s.Links {
					if l, ok := m.grouping.Link(link); ok && !seen[link] {
						seen[link] = true
						shown, err := deskLink(l)
						if err != nil {
							return err
						}
						out.Links = append(out.Links, shown)
					}
				}
			}
		}
		return m.owners(&out)
	})
	return out, len(out.Levels) > 0, err
}

// maxSubjects bounds of how many parties ownership is worked out for one view.
const maxSubjects = 50

// owners adds who owns and controls the parties.
func (m *moment) owners(out *desk.Ultimate) error {
	structure, err := resolve.NewStructure(control.Defaults, stakes(m.snapshot), m.links)
	if err != nil {
		return err
	}
	var subjects []resolve.ID
	for _, l := range out.Levels {
		if l.Level != resolve.ByMeans && l.Level != resolve.ByReseller {
			for _, id := range l.Parties {
				subjects = append(subjects, structure.Rep(id))
			}
		}
	}
	slices.Sort(subjects)
	subjects = slices.Compact(subjects)
	if out.MoreOwners = len(subjects) > maxSubjects; out.MoreOwners {
		subjects = subjects[:maxSubjects]
	}
	for _, id := range subjects {
		report := structure.Stated.Owners(control.ID(id))
		for _, s := range report.Standings {
			out.Owners = append(out.Owners, desk.Ownership{Subject: id, Owner: resolve.ID(s.Owner), Effective: s.Effective, Together: s.Together, Controls: s.Controls, Beneficial: s.Beneficial(), Ultimate: s.Ultimate})
		}
		if report.Undisclosed.High > 0 && len(report.Standings) > 0 {
			out.Owners = append(out.Owners, desk.Ownership{Subject: id, Effective: report.Undisclosed, Controls: control.Unknown, Beneficial: control.Unknown})
		}
	}
	return nil
}

// worstStatus is the foreign status of customers together: what is not known of
// one is not known of all, and one foreign customer makes all foreign.
func worstStatus(all map[string]party.Customer, ids []string) party.ForeignStatus {
	out := party.US
	for _, id := range ids {
		switch s := all[id].Status; {
		case s == party.Foreign:
			return party.Foreign
		case s != party.US:
			out = party.Undetermined
		}
	}
	return out
}
