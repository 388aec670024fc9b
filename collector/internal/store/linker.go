package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"reflect"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// linker holds the parties against each other whenever what is recorded of them
// changes, and records the links that follow. It keeps the register in memory,
// so that a change costs what changed. What it writes follows from what is
// stored: a new linker reads everything again.
type linker struct {
	store    *Store
	packs    []*policy.Pack
	weights  *resolve.Weights
	hasher   *resolve.Hasher
	register *resolve.Register
	blinder  Blinder // nil: sealed data are not compared
	blinded  map[string]Blinded
	known    map[resolve.ID]resolve.Record
	last     int64 // record of parties up to which it looked, and
	revision int64 // revision of the customers; -1: never
}

func newLinker(s *Store, packs []*policy.Pack) *linker {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	w := resolve.DefaultWeights()
	return &linker{store: s, packs: packs, weights: w, hasher: resolve.NewHasher(key), register: resolve.NewRegister(w), known: map[resolve.ID]resolve.Record{}, revision: -1}
}

// link brings the links up to date with the parties, and reports whether any
// changed, or customers or people's word on links since it looked last.
func (l *linker) link(ctx context.Context) (changed bool, err error) {
	var revision int64
	if err := l.store.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'customers'").Scan(&revision); err != nil {
		return false, fmt.Errorf("link parties: read meta: %w", err)
	}
	records, err := l.store.Records(ctx)
	if err != nil {
		return false, fmt.Errorf("link parties: %w", err)
	}
	last := int64(0)
	if n := len(records); n > 0 {
		last = records[n-1].No
	}
	if revision == l.revision && last == l.last {
		return false, nil
	}
	now := l.store.opts.Now().UTC()
	snapshot := party.At(records, now, now)
	all, err := customers(ctx, l.store.read)
	if err != nil {
		return false, fmt.Errorf("link parties: %w", err)
	}
	if err := l.blind(ctx, snapshot); err != nil {
		return false, fmt.Errorf("link parties: %w", err)
	}
	l.take(linkRecords(snapshot, customerNames(all), l.blinded, l.hasher))
	totals, err := l.totals(ctx, snapshot, all)
	if err != nil {
		return false, fmt.Errorf("link parties: %w", err)
	}
	err = l.store.update(audit.Because(ctx, "link.rules", "the rules of "+l.weights.Title()), func(tx *sql.Tx) error {
		standing, err := standingLinks(ctx, tx)
		if err != nil {
			return err
		}
		structure, err := resolve.NewStructure(control.Defaults, stakes(snapshot), standing)
		if err != nil {
			return err
		}
		fresh := resolve.Advance(standing, append(l.register.Links(), structure.Links()...), l.lifts(totals), l.weights.Title(), now.UnixNano())
		if changed = len(fresh) > 0; !changed {
			return nil
		}
		if err := writeLinks(ctx, tx, fresh); err != nil {
			return err
		}
		return customersChanged(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("link parties: %w", err)
	}
	changed = changed || l.revision != revision
	l.last, l.revision = last, revision
	return changed, nil
}

func customerNames(all map[string]party.Customer) map[string]string {
	names := make(map[string]string, len(all))
	for id, c := range all {
		names[id] = c.Name
	}
	return names
}

// take brings the register to the records.
func (l *linker) take(records map[resolve.ID]resolve.Record) {
	var moved []resolve.Record
	for _, id := range ordered(records) {
		if old, known := l.known[id]; !known || !reflect.DeepEqual(old, records[id]) {
			moved = append(moved, records[id])
		}
	}
	for _, id := range ordered(l.known) {
		if _, there := records[id]; !there {
			l.register.Remove(id)
		}
	}
	l.known = records
	if l.register.Len() == 0 {
		l.register.Load(moved, nil)
		return
	}
	for _, rec := range moved {
		l.register.Put(rec)
	}
}

// totals returns what the customers behind each party did.
func (l *linker) totals(ctx context.Context, snapshot party.Snapshot, all map[string]party.Customer) (map[resolve.ID]compute.Bounds, error) {
	owners, accountOf := linkOwners(snapshot, all)
	byAccount, err := accountTotals(ctx, l.store.read, accountOf, 0, 0)
	if err != nil {
		return nil, err
	}
	out := map[resolve.ID]compute.Bounds{}
	for _, o := range owners {
		out[o.Party] = out[o.Party].Add(byAccount[o.Account])
	}
	return out, nil
}

// lifts says whether two groups together reach a level of a rule that neither
// reaches alone.
func (l *linker) lifts(totals map[resolve.ID]compute.Bounds) func(a, b []resolve.ID) bool {
	sum := func(ids []resolve.ID) (s compute.Bounds) {
		for _, id := range ids {
			s = s.Add(totals[id])
		}
		return s
	}
	return func(a, b []resolve.ID) bool {
		x, y := sum(a), sum(b)
		return policy.LevelReached(l.packs, int64(x.Add(y).Best)) > max(policy.LevelReached(l.packs, int64(x.Best)), policy.LevelReached(l.packs, int64(y.Best)))
	}
}
