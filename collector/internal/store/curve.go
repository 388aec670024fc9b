package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// dayNS is a day of UTC. Days are numbered from 1970-01-01.
const dayNS = 24 * 3600 * 1_000_000_000

// dayGroup groups segments that lie in one day by that day, and leaves those that
// reach over midnight by themselves.
const dayGroup = `CASE WHEN s.start_ns / 86400000000000 = max(s.start_ns, s.end_ns - 1) / 86400000000000 THEN s.start_ns / 86400000000000 ELSE -s.id END,
	CASE WHEN s.start_ns / 86400000000000 = max(s.start_ns, s.end_ns - 1) / 86400000000000 THEN 0 ELSE s.start_ns END`

func dayOf(ns int64) int { return int(ns / dayNS) }

// spread gives what was done from start to end to the days of a member. A stretch
// over midnight is taken to be even: what it did is divided as its time is, and
// the parts add up to the whole.
func (m *member) spread(start, end int64, g *group, devices int) {
	if g.state == measure.Unobserved || g.state == measure.Attributed {
		whole := end - start
		ops, time := g.operations(), g.time.normal().seconds
		var doneOps compute.Bounds
		var doneTime int64
		for at := start; ; {
			day := dayOf(at)
			next := min(end, int64(day+1)*dayNS)
			upTo, upToTime := ops, time
			if next < end {
				part := next - start
				upTo = compute.Bounds{
					Low: compute.Operations(proportion(int64(ops.Low), part, whole)), Best: compute.Operations(proportion(int64(ops.Best), part, whole)),
					High: compute.Operations(proportion(int64(ops.High), part, whole)),
				}
				upToTime = proportion(time, part, whole)
			}
			d := m.days[day]
			d.Day = day
			d.Operations = d.Operations.Add(compute.Bounds{Low: upTo.Low - doneOps.Low, Best: upTo.Best - doneOps.Best, High: upTo.High - doneOps.High})
			d.ElapsedS += upToTime - doneTime
			if g.state == measure.Attributed {
				d.ObservedS += upToTime - doneTime
			}
			d.Devices = max(d.Devices, devices)
			m.days[day] = d
			doneOps, doneTime = upTo, upToTime
			if next >= end {
				return
			}
			at = next
		}
	}
}

// holds counts a device on the days on which a member that is read device by
// device held it.
func (m *member) holds(start, end int64, device string) {
	for day := dayOf(start); day <= dayOf(max(start, end-1)); day++ {
		if m.held[day] == nil {
			m.held[day] = map[string]bool{}
		}
		m.held[day][device] = true
		d := m.days[day]
		d.Day, d.Devices = day, len(m.held[day])
		m.days[day] = d
	}
}

// dayTable are days of a run by number.
type dayTable map[int]lab.Day

func (t dayTable) add(days map[int]lab.Day) {
	for n, d := range days {
		sum := t[n]
		sum.Day = n
		sum.Operations = sum.Operations.Add(d.Operations)
		sum.Devices += d.Devices
		sum.ObservedS, sum.ElapsedS = sum.ObservedS+d.ObservedS, sum.ElapsedS+d.ElapsedS
		t[n] = sum
	}
}

// list returns the days in order. A run holds no more devices on a day than
// altogether, however often it changed workloads on it.
func (t dayTable) list(devices int) []lab.Day {
	out := make([]lab.Day, 0, len(t))
	for _, d := range t {
		d.Devices = min(d.Devices, devices)
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b lab.Day) int { return cmp.Compare(a.Day, b.Day) })
	return out
}

const dayColumns = "day, ops_low, ops_best, ops_high, devices, observed_s, elapsed_s"

func scanDay(rows *sql.Rows, before ...any) (d lab.Day, err error) {
	err = rows.Scan(append(before, &d.Day, &d.Operations.Low, &d.Operations.Best, &d.Operations.High, &d.Devices, &d.ObservedS, &d.ElapsedS)...)
	return d, err
}

// days brings the stored days of a tenant's runs to what was read.
func (w *runWriter) days(t *tenantRuns) error {
	type key struct {
		run string
		day int
	}
	stored := map[key]lab.Day{}
	err := each(w.ctx, w.tx, func(rows *sql.Rows) error {
		var run string
		d, err := scanDay(rows, &run)
		stored[key{run, d.Day}] = d
		return err
	}, "SELECT run, "+dayColumns+" FROM run_day WHERE tenant = ?", string(t.tenant))
	if err != nil {
		return err
	}
	for run, days := range t.days {
		for _, d := range days {
			k := key{run, d.Day}
			old, known := stored[k]
			delete(stored, k)
			if known && old == d {
				continue
			}
			err := w.exec(putRunDay,
				string(t.tenant), run, d.Day, int64(d.Operations.Low), int64(d.Operations.Best), int64(d.Operations.High), d.Devices, d.ObservedS, d.ElapsedS)
			if err != nil {
				return err
			}
		}
	}
	for k := range stored {
		if err := w.exec("DELETE FROM run_day WHERE tenant = ? AND run = ? AND day = ?", string(t.tenant), k.run, k.day); err != nil {
			return err
		}
	}
	return nil
}

// readRunDays returns the stored days of a tenant's runs, by run.
func readRunDays(ctx context.Context, q querier, tenant measure.TenantID) (map[string][]lab.Day, error) {
	out := map[string][]lab.Day{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var run string
		d, err := scanDay(rows, &run)
		out[run] = append(out[run], d)
		return err
	}, "SELECT run, "+dayColumns+" FROM run_day WHERE tenant = ? ORDER BY run, day", string(tenant))
	if err != nil {
		return nil, fmt.Errorf("read days of tenant %s: %w", tenant, err)
	}
	return out, nil
}
