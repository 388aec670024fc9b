package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// member is what one workload did on one host with one accelerator.
type member struct {
	training.Stretch
	hostNo, workloadNo int64
	devices            map[string]bool // by number
	sums               sums
	behaviour          behaviour
	days               map[int]lab.Day
	held               map[int]map[string]bool // devices by day, of one that was cut at its pauses
}

// readMembers reads time that the tenant held, seen or not.
func readMembers(ctx context.Context, q querier, tenant measure.TenantID, weights *training.Weights) ([]member, error) {
	var members []member
	source, err := segments(ctx, q)
	if err != nil {
		return nil, err
	}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var m member
		var g group
		var devices, fabrics string
		err := rows.Scan(append([]any{&m.Host, &m.hostNo, &m.workloadNo, &m.Workload.Kind, &m.Workload.ID, &m.Workload.Hint, &m.Accelerator,
			&m.StartNS, &m.EndNS, &devices, &fabrics, &m.KnownNS}, g.targets()...)...)
		if err != nil {
			return err
		}
		start, end := m.StartNS, m.EndNS
		last := len(members) - 1
		if last < 0 || members[last].Host != m.Host || members[last].Workload != m.Workload || members[last].Accelerator != m.Accelerator {
			m.devices, m.days = map[string]bool{}, map[int]lab.Day{}
			members = append(members, m)
			last++
		}
		have := &members[last]
		have.StartNS, have.EndNS = min(have.StartNS, m.StartNS), max(have.EndNS, m.EndNS)
		have.sums.add(g.sums())
		have.Fabrics = union(strings.Join(have.Fabrics, ","), fabrics)
		for device := range strings.SplitSeq(devices, ",") {
			have.devices[device] = true
		}
		have.spread(start, end, &g, 1+strings.Count(devices, ","))
		return nil
	}, `SELECT h.id, h.no, w.no, w.kind, w.id, w.hint, d.sku, min(s.start_ns), max(s.end_ns), group_concat(DISTINCT s.device), coalesce(group_concat(DISTINCT d.fabric), ''), h.last_ns, `+groupColumns+`
		FROM `+source+` s JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host JOIN workload w ON w.no = s.workload JOIN method m ON m.no = s.method
		WHERE s.tenant = (SELECT no FROM tenant WHERE id = ?) AND s.state IN (1, 4)
		GROUP BY h.no, w.no, d.sku, s.state, m.name, `+dayGroup+` ORDER BY h.id, w.no, d.sku`, string(tenant))
	if err != nil {
		return nil, err
	}
	talks, err := readTalks(ctx, q, members)
	if err != nil {
		return nil, err
	}
	out, gap := members[:0:0], int64(weights.Time.Gap)
	for i := range members {
		if m := &members[i]; m.mayPause(gap) {
			pieces, err := pauses(ctx, q, source, tenant, m, gap)
			if err != nil {
				return nil, err
			}
			out = append(out, pieces...)
		} else {
			out = append(out, *m)
		}
	}
	for i := range out {
		out[i].Peers = talks.peers(&out[i])
	}
	return out, nil
}

// pauses cuts a member at every pause that is longer than gap nanoseconds.
func pauses(ctx context.Context, q querier, source string, tenant measure.TenantID, m *member, gap int64) ([]member, error) {
	var out []member
	err := each(ctx, q, func(rows *sql.Rows) error {
		var start, end int64
		var device string
		var g group
		if err := rows.Scan(append([]any{&start, &end, &device}, g.targets()...)...); err != nil {
			return err
		}
		if len(out) == 0 || start-out[len(out)-1].EndNS > gap {
			piece := *m
			piece.StartNS, piece.EndNS, piece.devices, piece.sums, piece.days, piece.held = start, end, map[string]bool{}, sums{}, map[int]lab.Day{}, map[int]map[string]bool{}
			out = append(out, piece)
		}
		piece := &out[len(out)-1]
		piece.EndNS = max(piece.EndNS, end)
		piece.devices[device] = true
		piece.sums.add(g.sums())
		piece.spread(start, end, &g, 0)
		piece.holds(start, end, device)
		return nil
	}, `SELECT s.start_ns, s.end_ns, s.device, `+groupColumns+`
		FROM `+source+` s JOIN device d ON d.no = s.device JOIN method m ON m.no = s.method
		WHERE s.tenant = (SELECT no FROM tenant WHERE id = ?) AND s.workload = ? AND d.host = ? AND d.sku = ? AND s.state IN (1, 4)
		GROUP BY s.start_ns, s.end_ns, s.device, s.state, m.name ORDER BY s.start_ns, s.end_ns, s.device`,
		string(tenant), m.workloadNo, m.hostNo, m.Accelerator)
	return out, err
}

// mayPause reports whether the member can have a pause longer than gap: for that
// its devices together must have been away as long.
func (m *member) mayPause(gap int64) bool {
	held := m.sums.attributed.add(m.sums.unobserved)
	n := int64(len(m.devices))
	return m.EndNS-m.StartNS-(held.seconds/n*1e9+held.seconds%n*1e9/n) > gap
}
