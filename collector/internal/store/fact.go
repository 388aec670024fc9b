package store

import (
	"context"
	"database/sql"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/foresight"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/programme"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Facts beside operations that rules ask for and that the store knows: where the
// customer's headquarters are, what a run was judged to do, and what its devices can
// do together. Live evaluation and simulation are given the same. That a run trains
// on biological sequences, and a declared business need, nobody reports: conditions
// on them cannot be told, and keep a crossing possible.

// factsFor is how long facts of customers hold by the clock: what is said of a party may
// begin or end without anybody writing.
const factsFor = 10 * time.Minute

// seats are the facts of all customers as they were worked out last, for a revision of
// the customers.
type seats struct {
	mu       sync.Mutex
	known    map[string]policy.Facts // nil before the first time; nobody writes to it
	revision int64
	asOf     time.Time // by the store's clock
}

// headquarters returns what is known of the headquarters of customers, which the caller
// does not write to. The transaction must be one that reads: what it sees is kept for
// whoever asks next, with the same customers.
func (s *Store) headquarters(ctx context.Context, tx *sql.Tx) (map[string]policy.Facts, error) {
	revision, err := meta(ctx, tx, "customers")
	if err != nil {
		return nil, err
	}
	s.seats.mu.Lock()
	defer s.seats.mu.Unlock()
	now := s.opts.Now().UTC()
	if k := &s.seats; k.known != nil && k.revision == revision && now.Sub(k.asOf).Abs() < factsFor {
		return k.known, nil
	}
	facts, err := s.readHeadquarters(ctx, tx, now)
	if err == nil {
		s.seats.known, s.seats.revision, s.seats.asOf = facts, revision, now
	}
	return facts, err
}

func (s *Store) readHeadquarters(ctx context.Context, tx *sql.Tx, now time.Time) (map[string]policy.Facts, error) {
	records, err := s.recordsOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	snapshot := party.At(records, now, now)
	pack := programme.Shipped()
	out := map[string]policy.Facts{}
	if pack.Headquarters.Key == "" {
		return out, nil
	}
	key := policy.FactKey{Measure: policy.HeadquartersInGroup, CountryGroup: pack.Headquarters.Key}
	for customer, contract := range snapshot.Contracts {
		switch answer, _ := pack.HeadquartersOf(snapshot, contract.Party); answer {
		case control.Yes:
			out[customer] = policy.Facts{key: policy.Exactly(100)}
		case control.No:
			out[customer] = policy.Facts{key: policy.Exactly(0)}
		}
	}
	return out, nil
}

// aside is what facts of runs rest on beside the runs.
type aside struct {
	speeds   []int // of networks, that rules name
	reserved map[measure.TenantID][]reservation.Reservation
}

// readAside reads what facts of runs rest on, as far as the packs ask for it.
func readAside(ctx context.Context, q querier, packs []*policy.Pack) (aside, error) {
	a := aside{reserved: map[measure.TenantID][]reservation.Reservation{}}
	for _, key := range policy.Named(packs) {
		if key.Measure == policy.ClusterRate {
			a.speeds = append(a.speeds, key.NetworkGbitS)
		}
	}
	if len(a.speeds) == 0 {
		return a, nil
	}
	all, err := reservations(ctx, q)
	if err != nil {
		return a, err
	}
	for _, id := range ordered(all) {
		if r := all[id]; !r.Withdrawn() {
			a.reserved[r.Tenant] = append(a.reserved[r.Tenant], r)
		}
	}
	return a, nil
}

// ofRun returns the facts of a run of a tenant whose customer has some too.
func (a *aside) ofRun(tenant measure.TenantID, r *runRow, customer policy.Facts) policy.Facts {
	if r.trainingPercent < 0 && len(a.speeds) == 0 {
		return customer
	}
	facts := make(policy.Facts, len(customer)+1+len(a.speeds))
	maps.Copy(facts, customer)
	if r.trainingPercent >= 0 {
		facts[policy.FactKey{Measure: policy.TrainingPercent}] = policy.Exactly(r.trainingPercent)
	}
	held := r.sums.attributed.add(r.sums.unobserved)
	run := foresight.Run{StartNS: r.startNS, EndNS: r.endNS, Hosts: r.hosts, Devices: r.devices, Ceiling: r.sums.ceiling, DeviceSeconds: float64(held.seconds) + float64(held.nanos)/1e9}
	for _, speed := range a.speeds {
		facts[policy.FactKey{Measure: policy.ClusterRate, NetworkGbitS: speed}] = foresight.Connected(&run, a.reserved[tenant], speed)
	}
	return facts
}

// trainingPercent is what a verdict says of training, -1 where it cannot be told.
func trainingPercent(v *classify.Verdict) int64 {
	if !v.Told() {
		return -1
	}
	return int64(math.Round(v.Training * 100))
}

// packsOf are the packs in force.
func (e *enforced) packsOf() []*policy.Pack {
	var out []*policy.Pack
	for i := range e.packs {
		out = append(out, e.packs[i].pack)
	}
	return out
}
