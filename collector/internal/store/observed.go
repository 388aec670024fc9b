package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ObservedTime returns how much device time of each host was observed in a
// half-open interval of a few days, of segments cut to it.
func (s *Store) ObservedTime(ctx context.Context, fromNS, toNS int64) (map[ledger.HostID]time.Duration, error) {
	observed := map[ledger.HostID]time.Duration{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var id ledger.HostID
		var ns int64
		err := rows.Scan(&id, &ns)
		observed[id] = time.Duration(ns)
		return err
	}, `SELECT h.id, sum(min(s.duration_ns, min(s.end_ns, ?2) - max(s.start_ns, ?1)))
		FROM segment s JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host
		WHERE s.end_ns > ?1 AND s.start_ns < ?2 AND s.state <> ?3 GROUP BY h.no`, fromNS, toNS, int64(measure.Unobserved))
	if err != nil {
		return nil, fmt.Errorf("read observed time: %w", err)
	}
	return observed, nil
}
