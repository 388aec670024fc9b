package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/reservation"
)

// PutReservations records reservations, all or none. Those that are not named
// stay; one that is recorded as it stands changes nothing. A dry run tells the
// same and changes nothing.
func (s *Store) PutReservations(ctx context.Context, next []reservation.Reservation, now time.Time, dryRun bool) (reservation.Diff, error) {
	var diff reservation.Diff
	errDry := errors.New("dry run")
	err := s.update(ctx, func(tx *sql.Tx) error {
		current, err := reservations(ctx, tx)
		if err != nil {
			return err
		}
		diff = reservation.Compare(current, next)
		w := &writer{ctx: ctx, tx: tx}
		changed := slices.DeleteFunc(slices.Clone(next), func(r reservation.Reservation) bool {
			old, known := current[r.ID]
			return known && old.Same(r)
		})
		if len(changed) == 0 {
			return nil
		}
		err = w.each("INSERT INTO reservation (id, tenant, accelerator, devices, from_ns, to_ns, network_gbit_s, declared_use, recorded_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", "reservation", len(changed), func(i int, row []any) []any {
			r := &changed[i]
			return append(row, r.ID, string(r.Tenant), r.Accelerator, r.Devices, r.FromNS, r.ToNS, r.NetworkGbitS, string(r.DeclaredUse), now.UnixNano())
		})
		if err != nil {
			return err
		}
		if dryRun {
			return errDry
		}
		_, err = tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'revision'")
		return err
	})
	if err != nil && !errors.Is(err, errDry) {
		return reservation.Diff{}, fmt.Errorf("record reservations: %w", err)
	}
	return diff, nil
}

// reservations returns the reservations as they stand, by id.
func reservations(ctx context.Context, q querier) (map[string]reservation.Reservation, error) {
	all := map[string]reservation.Reservation{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var r reservation.Reservation
		err := rows.Scan(&r.ID, &r.Tenant, &r.Accelerator, &r.Devices, &r.FromNS, &r.ToNS, &r.NetworkGbitS, &r.DeclaredUse, &r.RecordedNS)
		all[r.ID] = r
		return err
	}, `SELECT id, tenant, accelerator, devices, from_ns, to_ns, network_gbit_s, declared_use, recorded_ns FROM reservation WHERE no IN (SELECT max(no) FROM reservation GROUP BY id)`)
	if err != nil {
		return nil, fmt.Errorf("read reservations: %w", err)
	}
	return all, nil
}

// Reservations returns the reservations as they stand, by id, with those that
// were withdrawn.
func (r *Reader) Reservations(ctx context.Context) ([]reservation.Reservation, error) {
	var out []reservation.Reservation
	err := r.view(ctx, "reservations", func(tx *sql.Tx) error {
		all, err := reservations(ctx, tx)
		for _, id := range slices.Sorted(maps.Keys(all)) {
			out = append(out, all[id])
		}
		return err
	})
	return out, err
}
