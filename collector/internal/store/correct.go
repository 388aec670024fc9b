package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// corrector brings what is counted to what a new table says.
type corrector struct {
	ctx   context.Context
	tx    *sql.Tx
	words *words
	table *allocation.Table
	now   time.Time
	done  *Amendment

	revision    int64 // of the allocations
	statements  map[string]*sql.Stmt
	pieces      map[int64][]ledger.Piece // of the host's segments that were corrected before
	differences []ledger.Difference
	told        map[string]bool
	time        deviceTime
}

// exec runs a statement that is run many times. The end of the transaction closes it.
func (c *corrector) exec(query string, args ...any) error {
	stmt := c.statements[query]
	if stmt == nil {
		var err error
		if stmt, err = c.tx.PrepareContext(c.ctx, query); err != nil {
			return err
		}
		c.statements[query] = stmt
	}
	_, err := stmt.ExecContext(c.ctx, args...)
	return err
}

// run corrects the segments that the changes are about, host by host.
func (c *corrector) run(changes []allocation.Change) error {
	c.told, c.statements = map[string]bool{}, map[string]*sql.Stmt{}
	of, err := c.hosts(changes)
	if err == nil {
		c.revision, err = meta(c.ctx, c.tx, "allocations")
	}
	if err != nil {
		return err
	}
	for _, h := range of {
		if err := c.host(h); err != nil {
			return fmt.Errorf("correct host %s: %w", h.ID, err)
		}
	}
	c.done.Corrected = c.time.desk()
	return writeDifferences(c.ctx, c.tx, c.differences, c.now)
}

// workloadName is a workload as allocations name it.
type workloadName struct {
	kind measure.WorkloadKind
	id   string
}

// changedHost is a host with the changes that are about it, which may be a
// hundred thousand: those that name a workload are found by it.
type changedHost struct {
	ledger.Host
	every []allocation.Change
	jobs  map[workloadName][]allocation.Change
}

func (h *changedHost) add(changes ...allocation.Change) {
	for _, c := range changes {
		if c.Span.FromNS > h.LastNS {
			continue
		}
		if c.WorkloadKind == "" {
			h.every = append(h.every, c)
			continue
		}
		if h.jobs == nil {
			h.jobs = map[workloadName][]allocation.Change{}
		}
		j := workloadName{c.WorkloadKind, c.WorkloadID}
		h.jobs[j] = append(h.jobs[j], c)
	}
}

// hosts returns the hosts that changes are about and that had reported by then.
func (c *corrector) hosts(changes []allocation.Change) ([]*changedHost, error) {
	all, err := loadHosts(c.ctx, c.tx, "")
	if err != nil {
		return nil, err
	}
	byNo, byWord, latest := map[int64]*changedHost{}, map[string][]*changedHost{}, int64(0)
	for i := range all {
		h := &changedHost{Host: all[i]}
		byNo[h.No] = h
		byWord[string(h.ID)] = append(byWord[string(h.ID)], h)
		if !allocation.IsHostID(h.Name) && h.Name != string(h.ID) {
			byWord[h.Name] = append(byWord[h.Name], h)
		}
		latest = max(latest, h.LastNS)
	}
	anywhere, from := map[workloadName][]allocation.Change{}, latest
	for _, change := range changes {
		switch {
		case change.Host != "":
			for _, h := range byWord[change.Host] {
				h.add(change)
			}
		case change.Span.FromNS <= latest:
			j := workloadName{change.WorkloadKind, change.WorkloadID}
			anywhere[j] = append(anywhere[j], change)
			from = min(from, change.Span.FromNS)
		}
	}
	if len(anywhere) > 0 {
		err := each(c.ctx, c.tx, func(rows *sql.Rows) error {
			var host int64
			var j workloadName
			err := rows.Scan(&host, &j.kind, &j.id)
			byNo[host].add(anywhere[j]...)
			return err
		}, `SELECT DISTINCT d.host, w.kind, w.id FROM device d CROSS JOIN segment s ON s.device = d.no CROSS JOIN workload w ON w.no = s.workload
			WHERE s.end_ns >= ? AND w.kind <> ''`, from)
		if err != nil {
			return nil, fmt.Errorf("find workloads: %w", err)
		}
	}
	var out []*changedHost
	for i := range all {
		if h := byNo[all[i].No]; len(h.every)+len(h.jobs) > 0 {
			out = append(out, h)
		}
	}
	return out, nil
}

// maxJobs bounds the workloads that one query names.
const maxJobs = 200

func (c *corrector) host(h *changedHost) error {
	from, to := int64(math.MaxInt64), int64(0)
	var named []any
	hull := func(changes []allocation.Change) {
		for _, change := range changes {
			from, to = min(from, change.Span.FromNS), max(to, change.Span.ToNS)
		}
	}
	hull(h.every)
	for j, changes := range h.jobs {
		hull(changes)
		named = append(named, string(j.kind), j.id)
	}
	where, args := " WHERE d.host = ? AND s.end_ns >= ? AND s.start_ns < ? AND s.state <> 2", []any{h.No, from, to}
	if len(h.every) == 0 && len(h.jobs) <= maxJobs {
		where += " AND (w.kind, w.id) IN (VALUES (?, ?)" + strings.Repeat(", (?, ?)", len(h.jobs)-1) + ")"
		args = append(args, named...)
	}
	all, err := loadSegments(c.ctx, c.tx, where+" ORDER BY s.id", args...)
	if err != nil {
		return err
	}
	parents := map[measure.DeviceID]measure.DeviceID{}
	err = each(c.ctx, c.tx, func(rows *sql.Rows) error {
		var id, parent measure.DeviceID
		err := rows.Scan(&id, &parent)
		parents[id] = parent
		return err
	}, "SELECT id, parent FROM device WHERE host = ? AND parent <> ''", h.No)
	if err != nil {
		return fmt.Errorf("read partitions: %w", err)
	}
	c.pieces = map[int64][]ledger.Piece{}
	err = each(c.ctx, c.tx, func(rows *sql.Rows) error {
		var id int64
		var p ledger.Piece
		err := rows.Scan(&id, &p.FromNS, &p.ToNS, &p.State, &p.Tenant, &p.DurationNS, &p.Operations.Low, &p.Operations.Best, &p.Operations.High, &p.FloatTensor, &p.Ceiling, &p.EnergyMJ)
		c.pieces[id] = append(c.pieces[id], p)
		return err
	}, `SELECT p.segment, p.from_ns, p.to_ns, p.state, t.id, p.duration_ns, p.ops_low, p.ops_best, p.ops_high, p.ops_float, p.ceiling, p.energy_mj
		FROM device d CROSS JOIN segment s ON s.device = d.no CROSS JOIN piece p ON p.segment = s.id JOIN tenant t ON t.no = p.tenant
		WHERE d.host = ? AND s.end_ns >= ? AND s.start_ns < ? ORDER BY p.segment, p.no`, h.No, from, to)
	if err != nil {
		return fmt.Errorf("read pieces: %w", err)
	}
	for i := range all {
		s := &all[i]
		place := allocation.Place{HostID: string(h.ID), HostName: h.Name, Device: s.Key.Device, Parent: parents[s.Key.Device], Workload: s.Key.Workload}
		var scope []allocation.Span
		for _, changes := range [][]allocation.Change{h.every, h.jobs[workloadName{s.Key.Workload.Kind, s.Key.Workload.ID}]} {
			for _, change := range changes {
				if change.Selects(place) {
					scope = append(scope, change.Span)
				}
			}
		}
		if len(scope) == 0 {
			continue
		}
		if err := c.segment(s, &h.Host, place.Parent, allocation.Merge(scope)); err != nil {
			return fmt.Errorf("segment %d: %w", s.ID, err)
		}
	}
	return nil
}

func (c *corrector) segment(s *ledger.Segment, h *ledger.Host, parent measure.DeviceID, scope []allocation.Span) error {
	after, made, told := ledger.Correct(s, c.pieces[s.ID], c.table, h, parent, scope)
	for _, d := range told {
		if key := d.Key(); !c.told[key] {
			c.told[key] = true
			c.differences = append(c.differences, d)
		}
	}
	if len(made) == 0 {
		return nil
	}
	c.done.Corrections += len(made)
	c.done.Closed = append(c.done.Closed, *s)
	w := &writer{ctx: c.ctx, tx: c.tx, words: c.words}
	for i := range made {
		m := &made[i]
		c.time = c.time.add(deviceTime{nanos: m.DurationNS})
		if err := errors.Join(w.tenant(m.Before.Tenant), w.tenant(m.Tenant)); err != nil {
			return err
		}
		err := c.exec(`INSERT INTO correction (segment, segment_start_ns, from_ns, to_ns, state_before, tenant_before, state_after, tenant_after, duration_ns, ops_low, ops_best, ops_high,
			ops_float, ceiling, energy_mj, allocations, recorded_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.ID, s.StartNS, m.FromNS, m.ToNS, int64(m.Before.State), c.words.tenants[m.Before.Tenant], int64(m.State), c.words.tenants[m.Tenant], m.DurationNS,
			int64(m.Operations.Low), int64(m.Operations.Best), int64(m.Operations.High), int64(m.FloatTensor), int64(m.Ceiling), m.EnergyMJ, c.revision, c.now.UnixNano())
		if err != nil {
			return fmt.Errorf("write correction: %w", err)
		}
	}
	if err := c.exec("DELETE FROM piece WHERE segment = ?", s.ID); err != nil {
		return fmt.Errorf("replace pieces: %w", err)
	}
	for i := range after {
		p := &after[i]
		if err := w.tenant(p.Tenant); err != nil {
			return err
		}
		err := c.exec(`INSERT INTO piece (segment, segment_start_ns, no, from_ns, to_ns, state, tenant, duration_ns, ops_low, ops_best, ops_high, ops_float, ceiling, energy_mj)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.ID, s.StartNS, i, p.FromNS, p.ToNS, int64(p.State), c.words.tenants[p.Tenant], p.DurationNS, int64(p.Operations.Low), int64(p.Operations.Best),
			int64(p.Operations.High), int64(p.FloatTensor), int64(p.Ceiling), p.EnergyMJ)
		if err != nil {
			return fmt.Errorf("write piece: %w", err)
		}
	}
	return nil
}

// Rules of findings that rest on no pack: that a host's claim is not what was
// allocated, and that allocations do not agree.
const (
	RuleClaimDiffers = "claim_differs"
	RuleConflict     = "allocations_conflict"
)

// maxClaims bounds the findings about what one host claims: it could claim
// another tenant every second.
const maxClaims = 100

// writeDifferences adds findings of the differences that were not found before.
func writeDifferences(ctx context.Context, tx *sql.Tx, all []ledger.Difference, now time.Time) error {
	for i := range all {
		if err := writeDifference(ctx, tx, &all[i], now); err != nil {
			return fmt.Errorf("write finding about host %s: %w", all[i].Host, err)
		}
	}
	return nil
}

func writeDifference(ctx context.Context, tx *sql.Tx, d *ledger.Difference, now time.Time) error {
	rule, level, tenant := RuleClaimDiffers, "claim differs", measure.TenantID("")
	span := fmt.Sprintf("first seen from %s to %s", instant(d.FromNS), instant(d.ToNS))
	var reason string
	if d.Conflict() {
		rule, level = RuleConflict, "allocations conflict"
		reason = fmt.Sprintf("Allocations of equal rank give time of host %q to tenants %q at once; it stays unattributed; %s", d.HostName, d.Allocated, span)
	} else {
		tenant = d.Allocated[0]
		reason = fmt.Sprintf("Host %q claims time for tenant %q that is allocated to tenant %q; it is counted as allocated; %s", d.HostName, d.Claimed, tenant, span)
	}
	hash := sha256.Sum256([]byte(rule + "\x00" + d.Key()))
	id := "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20]
	_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
		tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
		SELECT ?1, 'allocations', 0, x'', 'internal', ?2, '', ?3, 'warning', ?4, ?5, coalesce(c.id, ''), coalesce(c.name, ''), coalesce(c.status, ?6), 0, ?7, ?8, ?9, ?10, ?11, ?12
		FROM (SELECT 1) AS one LEFT JOIN customer_tenant o ON o.tenant = ?5 LEFT JOIN customer c ON c.id = o.customer
		WHERE (SELECT count(*) FROM finding WHERE rule = ?2 AND subject = ?4) < ?13
		ON CONFLICT (id) DO NOTHING`,
		id, rule, level, "host:"+string(d.Host), string(tenant), string(party.Undetermined),
		int64(d.Operations.Low), int64(d.Operations.Best), int64(d.Operations.High), reason, d.ToNS, now.UnixNano(), maxClaims)
	return err
}

func instant(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
