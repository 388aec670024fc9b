package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/foresight"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/pkg/accel"
)

// Foresight returns what looking ahead starts from, as one committed state with
// its revision. Packs are not in it.
func (r *Reader) Foresight(ctx context.Context) (s foresight.State, revision int64, err error) {
	err = r.view(ctx, "what lies ahead", func(tx *sql.Tx) error {
		if revision, err = meta(ctx, tx, "revision"); err != nil {
			return err
		}
		s, err = r.store.prospect(ctx, tx)
		return err
	})
	return s, revision, err
}

// Revision returns the number of the newest commit.
func (r *Reader) Revision(ctx context.Context) (revision int64, err error) {
	err = r.view(ctx, "revision", func(tx *sql.Tx) error {
		revision, err = meta(ctx, tx, "revision")
		return err
	})
	return revision, err
}

func (st *Store) prospect(ctx context.Context, tx *sql.Tx) (foresight.State, error) {
	var s foresight.State
	var err error
	if s.NowNS, err = meta(ctx, tx, "watermark_ns"); err != nil {
		return s, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(min(first_ns), 0) FROM host").Scan(&s.SinceNS); err != nil {
		return s, fmt.Errorf("read since when hosts report: %w", err)
	}
	known, err := customers(ctx, tx)
	if err != nil {
		return s, err
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		s.Customers = append(s.Customers, known[id])
	}
	if s.Facts, err = st.headquarters(ctx, tx); err != nil {
		return s, err
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var row runRow
		var run foresight.Run
		if err := rows.Scan(append(row.targets(), &run.Tenant)...); err != nil {
			return err
		}
		run.ID, run.Label, run.StartNS, run.EndNS, run.Hosts, run.Devices = row.id, row.label, row.startNS, row.endNS, row.hosts, row.devices
		run.Accelerator, run.Image = row.accelerators, row.image
		run.Operations, run.Ceiling, run.Utilization = row.sums.combined(), row.sums.ceiling, utilization(&row.sums)
		held := row.sums.attributed.add(row.sums.unobserved)
		run.DeviceSeconds = float64(held.seconds) + float64(held.nanos)/1e9
		run.Unobserved = 1 - share(row.sums.attributed.desk(), held.desk())
		var err error
		if run.Verdict, err = verdictOf(row.verdict); err != nil {
			return err
		}
		if run.Places, err = placesOf(row.places); err != nil {
			return err
		}
		if run.Days, err = daysOf(row.recent, s.NowNS); err != nil {
			return err
		}
		// Days on which it did nothing before it began are none of its.
		lived := int((s.NowNS-run.StartNS)/int64(forecast.Day)) + 1
		run.Days = run.Days[max(0, len(run.Days)-lived):]
		s.Runs = append(s.Runs, run)
		return nil
	}, "SELECT "+runColumns+", tenant FROM run ORDER BY id")
	if err != nil {
		return s, fmt.Errorf("read runs: %w", err)
	}
	if s.Transfers, err = transfers(ctx, tx); err != nil {
		return s, err
	}
	booked, err := reservations(ctx, tx)
	if err != nil {
		return s, err
	}
	for _, id := range slices.Sorted(maps.Keys(booked)) {
		s.Reservations = append(s.Reservations, booked[id])
	}
	allocated, err := allocatedAhead(ctx, tx, s.NowNS)
	s.Reservations = append(s.Reservations, allocated...)
	return s, err
}

// allocatedAhead turns allocations that have an end into reservations: what hosts
// or devices are given until when is known before the first step. Allocations
// without an end reserve nothing that ends, and those of workloads only name
// whose they are.
func allocatedAhead(ctx context.Context, tx *sql.Tx, now int64) ([]reservation.Reservation, error) {
	all, err := allocations(ctx, tx)
	if err != nil {
		return nil, err
	}
	type place struct {
		sku     string
		devices int
	}
	hosts := map[string][]place{}  // by id and by name
	devices := map[string]string{} // device → sku
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var id, name, device, sku string
		if err := rows.Scan(&id, &name, &device, &sku); err != nil {
			return err
		}
		devices[id+" "+device], devices[name+" "+device] = sku, sku
		for _, word := range slices.Compact([]string{id, name}) {
			list := hosts[word]
			if at := slices.IndexFunc(list, func(p place) bool { return p.sku == sku }); at >= 0 {
				list[at].devices++
			} else {
				hosts[word] = append(list, place{sku, 1})
			}
		}
		return nil
	}, "SELECT h.id, h.name, d.id, d.sku FROM device d JOIN host h ON h.no = d.host WHERE d.parent = '' ORDER BY d.no")
	if err != nil {
		return nil, fmt.Errorf("read devices: %w", err)
	}
	var out []reservation.Reservation
	sum := map[string]int{} // tenant, sku, from and to → place in out
	for _, id := range slices.Sorted(maps.Keys(all)) {
		a := all[id]
		if a.ToNS <= max(now, a.FromNS) || a.WorkloadKind != "" || a.Host == "" {
			continue
		}
		places := hosts[a.Host]
		if a.Device != "" {
			places = nil
			if sku := devices[a.Host+" "+string(a.Device)]; sku != "" {
				places = []place{{sku, 1}}
			}
		}
		for _, p := range places {
			if _, grade, _ := accel.Lookup(accel.Identity{Name: p.sku}); grade == accel.Derived {
				continue
			}
			key := strings.Join([]string{string(a.Tenant), p.sku, fmt.Sprint(a.FromNS, a.ToNS)}, "\x00")
			at, known := sum[key]
			if !known {
				at = len(out)
				sum[key] = at
				out = append(out, reservation.Reservation{ID: "allocation " + id, Tenant: a.Tenant, Accelerator: p.sku, FromNS: a.FromNS, ToNS: a.ToNS, RecordedNS: a.RecordedNS})
			}
			out[at].Devices += p.devices
		}
	}
	slices.SortFunc(out, func(a, b reservation.Reservation) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// waitingPacks are the packs that a policy put in force and that history was not held
// against yet. What they find now is what looking back will find, and is known since
// the policy came into force: looking ahead must not be first to write it. It comes
// to it again, because looking back is a commit.
func waitingPacks(ctx context.Context, tx *sql.Tx, now time.Time) (map[string]bool, error) {
	all, err := policies(ctx, tx)
	if err != nil {
		return nil, err
	}
	e, err := enforce(nil, all, now)
	if err != nil {
		return nil, err
	}
	if err := e.findWaiting(ctx, tx); err != nil {
		return nil, err
	}
	waiting := map[string]bool{}
	for i := range e.packs {
		if p := &e.packs[i]; p.by != nil && e.toLook[p.by.ID] != nil {
			waiting[p.pack.ID] = true
		}
	}
	return waiting, nil
}

// FindForesight writes findings, each once, and takes up in cases what starts a
// clock. It reports how many were new.
func (s *Store) FindForesight(ctx context.Context, all []foresight.Found, now time.Time) (int, error) {
	if len(all) == 0 {
		return 0, nil
	}
	rows := make([]found, len(all))
	for i, f := range all {
		rows[i] = found{Finding: f.Finding, occurredNS: f.OccurredNS}
	}
	fresh := 0
	err := s.update(ctx, func(tx *sql.Tx) error {
		waiting, err := waitingPacks(ctx, tx, now)
		if err != nil {
			return err
		}
		rows := slices.DeleteFunc(slices.Clone(rows), func(f found) bool { return waiting[f.Pack.ID] })
		added, err := writeFindings(ctx, tx, rows, now)
		if err != nil || len(added) == 0 {
			return err
		}
		fresh = len(added)
		if err := openCases(ctx, tx, added, now); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'revision'")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write findings of what lies ahead: %w", err)
	}
	return fresh, nil
}
