package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// HostCounter is the state of the counter that a host shows when it connects.
type HostCounter struct {
	Number    uint64 // the newest that was given out
	Word      string // with which the one before was shown
	Recovered int    // how often an outdated one was let through since a person decided
}

// LoadCounters returns the counters of all hosts that have one.
func (s *Store) LoadCounters(ctx context.Context) (map[ledger.HostID]HostCounter, error) {
	all := map[ledger.HostID]HostCounter{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var host ledger.HostID
		var c HostCounter
		if err := rows.Scan(&host, &c.Number, &c.Word, &c.Recovered); err != nil {
			return err
		}
		all[host] = c
		return nil
	}, "SELECT host, number, word, recovered FROM host_counter")
	if err != nil {
		return nil, fmt.Errorf("read counters of hosts: %w", err)
	}
	return all, nil
}

// SaveCounters keeps the counters of these hosts.
func (s *Store) SaveCounters(ctx context.Context, all map[ledger.HostID]HostCounter) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		for host, c := range all {
			_, err := tx.ExecContext(ctx, `INSERT INTO host_counter (host, number, word, recovered) VALUES (?, ?, ?, ?)
				ON CONFLICT (host) DO UPDATE SET number = excluded.number, word = excluded.word, recovered = excluded.recovered`,
				string(host), int64(c.Number), c.Word, c.Recovered)
			if err != nil {
				return fmt.Errorf("host %s: %w", host, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write counters of hosts: %w", err)
	}
	return nil
}

// HostEpoch returns the epoch in which the host was counted last, 0 for a host of
// which nothing was.
func (s *Store) HostEpoch(ctx context.Context, host ledger.HostID) (uint64, error) {
	var epoch int64
	err := s.read.QueryRowContext(ctx, "SELECT epoch FROM host WHERE id = ?", string(host)).Scan(&epoch)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read epoch of host %s: %w", host, err)
	}
	return uint64(epoch), nil
}

// TwinDevice is a device that hosts report at the same time.
type TwinDevice struct {
	Device string
	Hosts  []string // by id
}

// TwinDevices returns the devices of which more than one host reported time after
// an instant, in Unix nanoseconds.
func (s *Store) TwinDevices(ctx context.Context, sinceNS int64) ([]TwinDevice, error) {
	var all []TwinDevice
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var device, host string
		if err := rows.Scan(&device, &host); err != nil {
			return err
		}
		if n := len(all); n > 0 && all[n-1].Device == device {
			all[n-1].Hosts = append(all[n-1].Hosts, host)
			return nil
		}
		all = append(all, TwinDevice{Device: device, Hosts: []string{host}})
		return nil
	}, `SELECT d.id, h.id FROM device d JOIN host h ON h.no = d.host WHERE d.last_ns > ?1 AND d.id IN
		(SELECT id FROM device WHERE last_ns > ?1 GROUP BY id HAVING count(DISTINCT host) > 1) ORDER BY d.id, h.id`, sinceNS)
	if err != nil {
		return nil, fmt.Errorf("look for devices that two hosts report: %w", err)
	}
	return all, nil
}
