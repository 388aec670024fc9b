package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// gradedTime returns the SQL of observed device seconds that a condition selects,
// by a key and by who administers the host: all, corroborated and contradicted.
// ?1 and ?2 are the ends of the span.
func gradedTime(source, key, condition string, metered bool) string {
	within := "min(s.end_ns, ?2) - max(s.start_ns, ?1)"
	overlap := func(agrees int) string {
		if !metered {
			return "CAST(0 AS DOUBLE PRECISION)"
		}
		return fmt.Sprintf(`(SELECT coalesce(sum(min(p.to_ns, s.end_ns, ?2) - max(p.from_ns, s.start_ns, ?1)), 0)
			FROM power_span p WHERE p.host = h.id AND p.agrees = %d AND p.from_ns < min(s.end_ns, ?2) AND p.to_ns > max(s.start_ns, ?1))`, agrees)
	}
	// A shared device's segment lasts less than it spans; its time is spread evenly.
	weight := "CAST(s.duration_ns AS DOUBLE PRECISION) / 1e9 / max(s.end_ns - s.start_ns, 1)"
	return "SELECT " + key + ", coalesce(a.administered, ''), sum(" + weight + " * (" + within + ")), sum(" + weight + " * " + overlap(1) + "), sum(" + weight + " * " + overlap(0) + `)
		FROM ` + source + ` s JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host JOIN tenant t ON t.no = s.tenant LEFT JOIN host_admin a ON a.host = h.id
		WHERE s.end_ns > ?1 AND s.start_ns < ?2 AND s.state <> 4 AND ` + condition + ` GROUP BY 1, 2`
}

// gradesOf reads on what observed time rests, by key.
func gradesOf(ctx context.Context, q querier, key, condition string, fromNS, toNS int64, args ...any) (map[string]desk.Evidence, error) {
	source, err := segments(ctx, q)
	if err != nil {
		return nil, err
	}
	metered := false
	if err := each(ctx, q, func(*sql.Rows) error { metered = true; return nil }, "SELECT 1 FROM power_span LIMIT 1"); err != nil {
		return nil, err
	}
	out := map[string]desk.Evidence{}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var key, administered string
		var all, agrees, contradicted float64
		err := rows.Scan(&key, &administered, &all, &agrees, &contradicted)
		ms := func(seconds float64) desk.DeviceTime { return desk.DeviceTime(math.Round(seconds * 1000)) }
		e := desk.Evidence{Corroborated: ms(agrees), Contradicted: ms(contradicted)}
		rest := max(0, ms(all)-e.Corroborated-e.Contradicted)
		e.Claimed = e.Contradicted
		if administered == "provider" {
			e.Provider = rest
		} else {
			e.Claimed += rest
		}
		out[key] = out[key].Add(e)
		return err
	}, gradedTime(source, key, condition, metered), append([]any{fromNS, toNS}, args...)...)
	return out, err
}

// Evidence returns on what the attributed time of a tenant in a span rests.
func (r *Reader) Evidence(ctx context.Context, tenant measure.TenantID, fromNS, toNS int64) (desk.Evidence, error) {
	var out desk.Evidence
	err := r.view(ctx, "evidence of a tenant", func(tx *sql.Tx) error {
		all, err := gradesOf(ctx, tx, "''", "s.state = 1 AND t.id = ?3", fromNS, toNS, string(tenant))
		out = all[""]
		return err
	})
	return out, err
}
