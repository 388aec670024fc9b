package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// slotLengths are lengths of slots that people can name.
var slotLengths = []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// slotLength is the shortest length by which a span has at most so many slots.
func slotLength(span int64, slots int) int64 {
	for _, l := range slotLengths {
		if span <= int64(l)*int64(slots) {
			return int64(l)
		}
	}
	week := int64(slotLengths[len(slotLengths)-1])
	return (span/int64(slots)/week + 1) * week
}

// RunTimeline returns what hosts did of a run over time. It reads the segments of
// the run's parts, so it costs what the run has; what was read is given again until
// something is written.
func (r *Reader) RunTimeline(ctx context.Context, id string, rows, slots int) (t desk.Timeline, ok bool, err error) {
	type answer struct {
		t  desk.Timeline
		ok bool
	}
	a, err := from(ctx, r.store, &r.timelines, id+" "+strconv.Itoa(rows)+" "+strconv.Itoa(slots), func() (a answer, err error) {
		a.t, a.ok, err = r.readTimeline(ctx, id, rows, slots)
		return a, err
	})
	return a.t, a.ok, err
}

func (r *Reader) readTimeline(ctx context.Context, id string, rows, slots int) (t desk.Timeline, ok bool, err error) {
	err = r.view(ctx, "timeline of a run", func(tx *sql.Tx) error {
		var tenant measure.TenantID
		var from, to int64
		err := tx.QueryRowContext(ctx, "SELECT tenant, start_ns, end_ns FROM run WHERE id = ?", id).Scan(&tenant, &from, &to)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ok = true
		length := slotLength(to-from+1, slots-1) // the first slot begins before the run, at a round time
		t = desk.Timeline{FromNS: from - from%length, SlotNS: length}
		t.Slots = int((to-1-t.FromNS)/length) + 1
		parts, err := partsByKey(ctx, tx, tenant)
		if err != nil {
			return err
		}
		hosts, err := r.timelineHosts(ctx, tx, id, tenant, from, to, parts, &t)
		t.Hosts = len(hosts)
		t.Rows = bands(hosts, rows)
		return err
	})
	return t, ok, err
}

// partAt is a part of a workload, which is of a run from its start on.
type partAt struct {
	startNS int64
	run     string
}

// partsByKey returns the parts of a tenant's workloads by the key of the first,
// the oldest first.
func partsByKey(ctx context.Context, tx *sql.Tx, tenant measure.TenantID) (map[training.PartKey][]partAt, error) {
	out := map[training.PartKey][]partAt{}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var key training.PartKey
		var p partAt
		err := rows.Scan(&key, &p.run, &p.startNS)
		first := key.First()
		out[first] = append(out[first], p)
		return err
	}, "SELECT part, run, start_ns FROM run_part WHERE tenant = ? ORDER BY start_ns", string(tenant))
	if err != nil {
		return nil, fmt.Errorf("read parts of tenant %s: %w", tenant, err)
	}
	return out, nil
}

// runOf is the run that a workload was of at an instant, "" for none.
func runOf(parts []partAt, at int64) (run string) {
	for _, p := range parts {
		if p.startNS > at && run != "" {
			break
		}
		run = p.run
	}
	return run
}

// timelineHost is one host of a timeline.
type timelineHost struct {
	name, id string
	devices  int
	cells    []desk.TimelineCell
}

// timelineHosts reads what each host did, by name.
func (r *Reader) timelineHosts(ctx context.Context, tx *sql.Tx, run string, tenant measure.TenantID, from, to int64, parts map[training.PartKey][]partAt, t *desk.Timeline) ([]timelineHost, error) {
	source, err := segments(ctx, tx)
	if err != nil {
		return nil, err
	}
	found := map[string]*timelineHost{}
	workloads, err := workloadsOf(ctx, tx, source, tenant)
	if err != nil {
		return nil, err
	}
	for _, w := range workloads {
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var id, name string
			var state measure.State
			var start, end, duration int64
			var devices int
			var c desk.TimelineCell
			if err := rows.Scan(&id, &name, &start, &end, &state, &duration, &devices, &c.Best, &c.Ceiling); err != nil {
				return err
			}
			if runOf(parts[training.KeyOf(w.Workload, id)], start) != run {
				return nil
			}
			h := found[id]
			if h == nil {
				h = &timelineHost{name: cmp.Or(name, id), id: id, cells: make([]desk.TimelineCell, t.Slots)}
				found[id] = h
			}
			h.devices = max(h.devices, devices)
			c.Held = desk.DeviceTimeOf(time.Duration(duration))
			if state == measure.Unobserved {
				c.Unseen = c.Held
			}
			h.spread(t, start, end, c)
			return nil
		}, `SELECT h.id, h.name, s.start_ns, s.end_ns, s.state, sum(s.duration_ns), count(DISTINCT s.device), sum(s.ops_best), sum(s.ceiling)
			FROM `+source+` s JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host
			WHERE s.tenant = (SELECT no FROM tenant WHERE id = ?) AND s.workload = ? AND s.state IN (1, 4) AND s.end_ns > ? AND s.start_ns < ?
			GROUP BY h.id, h.name, s.start_ns, s.end_ns, s.state`, string(tenant), w.no, from, to)
		if err != nil {
			return nil, fmt.Errorf("read segments of run %s: %w", run, err)
		}
	}
	var hosts []timelineHost
	for _, id := range slices.Sorted(maps.Keys(found)) {
		hosts = append(hosts, *found[id])
	}
	slices.SortStableFunc(hosts, func(a, b timelineHost) int { return cmp.Compare(a.name, b.name) })
	return hosts, nil
}

type workloadNo struct {
	measure.Workload
	no int64
}

// workloadsOf returns the workloads of a tenant. Along the index it looks for the
// next one behind each, so it costs one step for each and not for each segment.
func workloadsOf(ctx context.Context, tx *sql.Tx, source string, tenant measure.TenantID) (out []workloadNo, err error) {
	text := "SELECT w.no, w.kind, w.id, w.hint FROM workload w WHERE w.no IN (SELECT s.workload FROM " + source + " s WHERE s.tenant = (SELECT no FROM tenant WHERE id = ?))"
	args := []any{string(tenant)}
	if source == "segment" {
		text = `WITH RECURSIVE k(no) AS (
				SELECT min(workload) FROM segment WHERE tenant = (SELECT no FROM tenant WHERE id = ?)
				UNION ALL SELECT (SELECT min(workload) FROM segment WHERE tenant = (SELECT no FROM tenant WHERE id = ?) AND workload > k.no) FROM k WHERE k.no IS NOT NULL)
			SELECT w.no, w.kind, w.id, w.hint FROM k JOIN workload w ON w.no = k.no`
		args = append(args, string(tenant))
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var w workloadNo
		err := rows.Scan(&w.no, &w.Kind, &w.ID, &w.Hint)
		out = append(out, w)
		return err
	}, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read workloads of tenant %s: %w", tenant, err)
	}
	return out, nil
}

// spread gives what was done from start to end to the slots, by time.
func (h *timelineHost) spread(t *desk.Timeline, start, end int64, c desk.TimelineCell) {
	whole := max(end-start, 1)
	var done desk.TimelineCell
	for at := start; at < end || at == start; {
		slot := (at - t.FromNS) / t.SlotNS
		next := min(end, t.FromNS+(slot+1)*t.SlotNS)
		part := c
		if next < end {
			share := next - start
			part = desk.TimelineCell{Held: desk.DeviceTime(proportion(int64(c.Held), share, whole)), Unseen: desk.DeviceTime(proportion(int64(c.Unseen), share, whole)),
				Best: compute.Operations(proportion(int64(c.Best), share, whole)), Ceiling: compute.Operations(proportion(int64(c.Ceiling), share, whole))}
		}
		if slot >= 0 && slot < int64(len(h.cells)) {
			h.cells[slot] = h.cells[slot].Add(desk.TimelineCell{Held: part.Held - done.Held, Unseen: part.Unseen - done.Unseen, Best: part.Best - done.Best, Ceiling: part.Ceiling - done.Ceiling})
		}
		done = part
		if next <= at {
			break
		}
		at = next
	}
}

// bands puts hosts that follow one another into at most so many rows.
func bands(hosts []timelineHost, rows int) []desk.TimelineRow {
	each := max((len(hosts)+rows-1)/rows, 1)
	var out []desk.TimelineRow
	for some := range slices.Chunk(hosts, each) {
		row := desk.TimelineRow{First: some[0].name, Last: some[len(some)-1].name, Hosts: len(some), Cells: slices.Clone(some[0].cells)}
		for i, h := range some {
			row.Devices += h.devices
			for j := range h.cells {
				if i > 0 {
					row.Cells[j] = row.Cells[j].Add(h.cells[j])
				}
			}
		}
		out = append(out, row)
	}
	return out
}
