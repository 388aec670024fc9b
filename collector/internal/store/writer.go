package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// words maps the dictionary rows that are often needed to their numbers. It is
// bounded: when it is full it starts again, and the database answers.
type words struct {
	workloads map[measure.Workload]int64
	tenants   map[measure.TenantID]int64
	methods   map[measure.Method]int64
}

const maxWords = 200_000

func newWords() *words {
	w := &words{}
	w.forget()
	return w
}

func (w *words) forget() {
	w.workloads = map[measure.Workload]int64{}
	w.tenants = map[measure.TenantID]int64{}
	w.methods = map[measure.Method]int64{}
}

// writer writes the rows of one checkpoint.
type writer struct {
	ctx   context.Context
	tx    *sql.Tx
	conn  *sql.Conn // of tx, nil where statements run through tx
	words *words
	bulk  bool // the engine takes many rows at once
}

func (w *writer) changes(c *ledger.Changes) error {
	if len(w.words.workloads)+len(w.words.tenants)+len(w.words.methods) > maxWords {
		w.words.forget()
	}
	hosts := make(map[ledger.HostID]int64, len(c.Hosts))
	// A host whose chain does not stand where the ledger began was counted by another
	// one meanwhile: no row changes, and the checkpoint is refused.
	err := w.each(`INSERT INTO host (no, id, public_key, name, os, kernel, agent_version, attribution, boot_id, epoch, seq, hash, first_ns, last_ns, batches, settings,
		clock_boot_ns, clock_shift_ns, clock_step_ns, clock_sealed_ns, clock_lag_ns,
		energy_slot_ns, energy_mj, energy_known_ns, spread)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (no) DO UPDATE SET public_key = excluded.public_key, name = excluded.name, os = excluded.os, kernel = excluded.kernel,
		agent_version = excluded.agent_version, attribution = excluded.attribution, boot_id = excluded.boot_id, epoch = excluded.epoch, seq = excluded.seq, hash = excluded.hash,
		first_ns = excluded.first_ns, last_ns = excluded.last_ns, batches = excluded.batches, settings = excluded.settings,
		clock_boot_ns = excluded.clock_boot_ns, clock_shift_ns = excluded.clock_shift_ns, clock_step_ns = excluded.clock_step_ns,
		clock_sealed_ns = excluded.clock_sealed_ns, clock_lag_ns = excluded.clock_lag_ns,
		energy_slot_ns = excluded.energy_slot_ns, energy_mj = excluded.energy_mj, energy_known_ns = excluded.energy_known_ns
		WHERE host.epoch = ? AND host.seq = ? AND host.hash = ?`, "host", len(c.Hosts), func(i int, row []any) []any {
		h := &c.Hosts[i]
		hosts[h.ID] = h.No
		return append(row, h.No, string(h.ID), h.PublicKey, h.Name, h.OS, h.Kernel, h.AgentVersion, h.Attribution, h.BootID,
			int64(h.Position.Epoch), int64(h.Position.Seq), h.Position.Hash[:], h.FirstNS, h.LastNS, h.Batches, h.Settings,
			h.Clocks.BootNS, h.Clocks.ShiftNS, h.Clocks.StepNS, h.Clocks.SealedNS, h.Clocks.LagNS,
			h.Energy.SlotNS, h.Energy.EnergyMJ, h.Energy.KnownNS, int64(h.ID.Spread()),
			int64(h.Before.Epoch), int64(h.Before.Seq), h.Before.Hash[:])
	})
	if errors.Is(err, errRows) {
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err != nil {
		return err
	}
	if err := w.devices(c, hosts); err != nil {
		return err
	}
	if err := w.define(c.Opened); err != nil {
		return err
	}
	if err := w.opened(c.Opened); err != nil {
		return err
	}
	err = w.each(`INSERT INTO event (host, device, time_ns, kind, code, detail) VALUES (?, ?, ?, ?, ?, ?)`, "event", len(c.Events), func(i int, row []any) []any {
		e := &c.Events[i]
		return append(row, e.HostNo, string(e.Device), e.TimeNS, string(e.Kind), e.Code, e.Detail)
	})
	if err != nil {
		return err
	}
	if err := w.carried(c); err != nil {
		return err
	}
	if err := errors.Join(w.addresses(c.Addresses), w.traffic(c.Traffic), w.energies(c.Energy), w.signs(c.Events)); err != nil {
		return err
	}
	return w.extended(c.Extended)
}

// devices writes the rows of devices: whole, or of those that stand as they were
// described, which are nearly all, the figures that grew.
func (w *writer) devices(c *ledger.Changes, hosts map[ledger.HostID]int64) error {
	var whole, grown []int
	open := func(i int) int64 {
		if i < len(c.Open) {
			return c.Open[i]
		}
		return 0
	}
	for i := range c.Accounts {
		if i < len(c.Grown) && c.Grown[i] {
			grown = append(grown, i)
		} else {
			whole = append(whole, i)
		}
	}
	// A batch writes its host, so the host of a changed device is among them.
	err := w.each(`INSERT INTO device (no, host, id, name, pci_id, cc, sm_count, max_sm_mhz, memory_mib, parent, fabric, sku, grade, peak, ceiling,
		first_ns, last_ns, overlap_ns, windows, recent_ops, recent_ns, open_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (no) DO UPDATE SET name = excluded.name, pci_id = excluded.pci_id, cc = excluded.cc, sm_count = excluded.sm_count,
		max_sm_mhz = excluded.max_sm_mhz, memory_mib = excluded.memory_mib, parent = excluded.parent, fabric = excluded.fabric, sku = excluded.sku, grade = excluded.grade,
		peak = excluded.peak, ceiling = excluded.ceiling, last_ns = excluded.last_ns, overlap_ns = excluded.overlap_ns,
		windows = excluded.windows, recent_ops = excluded.recent_ops, recent_ns = excluded.recent_ns, open_ns = excluded.open_ns`, "device", len(whole), func(i int, row []any) []any {
		a := &c.Accounts[whole[i]]
		return append(row, a.No, hosts[a.Host], string(a.ID), a.Name, a.PCIID, a.CC, a.SMCount, a.MaxSMMHz, a.MemoryMiB, string(a.Parent), a.Fabric, a.SKU, a.Grade,
			int64(a.Peak), int64(a.Ceiling), a.FirstNS, a.LastNS, a.OverlapNS, a.Windows, int64(a.RecentOperations), a.RecentNS, open(whole[i]))
	})
	if err != nil {
		return err
	}
	return w.each("UPDATE device SET last_ns = ?, overlap_ns = ?, windows = ?, recent_ops = ?, recent_ns = ?, open_ns = ? WHERE no = ?", "device", len(grown), func(i int, row []any) []any {
		a := &c.Accounts[grown[i]]
		return append(row, a.LastNS, a.OverlapNS, a.Windows, int64(a.RecentOperations), a.RecentNS, open(grown[i]), a.No)
	})
}

// carried keeps what hosts counted since their rows were written, beside the rows.
func (w *writer) carried(c *ledger.Changes) error {
	err := w.each("DELETE FROM carried WHERE host = ?", "carried", len(c.Settled), func(i int, row []any) []any { return append(row, c.Settled[i]) })
	if err != nil {
		return err
	}
	return w.each("INSERT INTO carried (host, state) VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET state = excluded.state", "carried", len(c.Carried), func(i int, row []any) []any {
		return append(row, c.Carried[i].HostNo, c.Carried[i].State)
	})
}

// errRows means that a row was not written, or more than one.
var errRows = errors.New("another number of rows changed")

// each runs the statement once for each of n rows and expects each to count. row
// appends the arguments of one to those that it is given.
func (w *writer) each(query, what string, n int, row func(int, []any) []any) error {
	if n == 0 {
		return nil
	}
	if w.bulk {
		rows := make(postgres.Rows, n)
		for i := range rows {
			rows[i] = row(i, nil)
		}
		if _, err := w.tx.ExecContext(w.ctx, query, rows); err != nil {
			return fmt.Errorf("write %s: %w", what, err)
		}
		return nil
	}
	if w.conn != nil {
		return w.eachOn(query, what, n, row)
	}
	stmt, err := w.tx.PrepareContext(w.ctx, query)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", what, err)
	}
	var args []any
	for i := range n {
		args = row(i, args[:0])
		result, err := stmt.ExecContext(w.ctx, args...)
		if err != nil {
			return fmt.Errorf("write %s %v: %w", what, args[0], err)
		}
		if rows, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("write %s %v: %w", what, args[0], err)
		} else if rows != 1 {
			return fmt.Errorf("write %s %v: %w: %d instead of one", what, args[0], errRows, rows)
		}
	}
	if err := stmt.Close(); err != nil {
		return fmt.Errorf("close statement of %s: %w", what, err)
	}
	return nil
}

// eachOn is each without package database/sql in between, which was a third of the
// time that rows of a large fleet took.
func (w *writer) eachOn(query, what string, n int, row func(int, []any) []any) error {
	return w.conn.Raw(func(c any) (err error) {
		prepared, err := c.(driver.ConnPrepareContext).PrepareContext(w.ctx, query)
		if err != nil {
			return fmt.Errorf("prepare %s: %w", what, err)
		}
		defer func() { err = errors.Join(err, prepared.Close()) }()
		// A query binds all arguments and takes the step in one call of C; an execution
		// takes a call for each argument.
		stmt := prepared.(driver.StmtQueryContext)
		before, err := changed(c)
		if err != nil {
			return err
		}
		var args []driver.NamedValue
		var values []any
		for i := range n {
			values = row(i, values[:0])
			args = args[:0]
			for k, v := range values {
				switch v := v.(type) {
				case int64, string, []byte, bool, nil:
					args = append(args, driver.NamedValue{Ordinal: k + 1, Value: v})
				default:
					value, err := driver.DefaultParameterConverter.ConvertValue(v)
					if err != nil {
						return fmt.Errorf("write %s %v: column %d: %w", what, values[0], k+1, err)
					}
					args = append(args, driver.NamedValue{Ordinal: k + 1, Value: value})
				}
			}
			rows, err := stmt.QueryContext(w.ctx, args)
			if err == nil {
				err = rows.Close()
			}
			if err != nil {
				return fmt.Errorf("write %s %v: %w", what, values[0], err)
			}
		}
		after, err := changed(c)
		if err == nil && after-before != int64(n) {
			err = fmt.Errorf("write %s: %w: %d of %d", what, errRows, after-before, n)
		}
		return err
	})
}

// changed returns how many rows a connection of SQLite wrote since it was opened. The
// tables that are written row by row have no triggers that would write more.
func changed(c any) (n int64, err error) {
	rows, err := c.(driver.QueryerContext).QueryContext(context.Background(), "SELECT total_changes()", nil)
	if err != nil {
		return 0, fmt.Errorf("count changes: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	cell := make([]driver.Value, 1)
	if err := rows.Next(cell); err != nil {
		return 0, fmt.Errorf("count changes: %w", err)
	}
	n, _ = cell[0].(int64)
	return n, nil
}

// define gives numbers to the words of new segments.
func (w *writer) define(opened []ledger.Segment) error {
	for i := range opened {
		k := &opened[i].Key
		if err := w.workload(k.Workload); err != nil {
			return err
		}
		if err := w.tenant(k.Tenant); err != nil {
			return err
		}
		if k.Claim.State != 0 {
			if err := w.tenant(k.Claim.Tenant); err != nil {
				return err
			}
		}
		if _, ok := w.words.methods[k.Method]; !ok {
			m := k.Method
			n, err := w.number("method", []string{"name", "version", "precision", "reason", "grade"}, string(m.Name), m.Version, m.Precision, m.Reason, m.Grade)
			if err != nil {
				return err
			}
			w.words.methods[k.Method] = n
		}
	}
	return nil
}

// workload gives a number to a workload.
func (w *writer) workload(k measure.Workload) error {
	if _, ok := w.words.workloads[k]; ok {
		return nil
	}
	n, err := w.number("workload", []string{"kind", "id", "hint"}, string(k.Kind), k.ID, k.Hint)
	if err == nil {
		w.words.workloads[k] = n
	}
	return err
}

// tenant gives a number to a tenant.
func (w *writer) tenant(id measure.TenantID) error {
	if _, ok := w.words.tenants[id]; ok {
		return nil
	}
	n, err := w.number("tenant", []string{"id"}, string(id))
	w.words.tenants[id] = n
	return err
}

// number returns the number of a dictionary row and makes the row if needed.
func (w *writer) number(table string, columns []string, values ...any) (int64, error) {
	where, names, marks := "", "", ""
	for i, c := range columns {
		if i > 0 {
			where, names, marks = where+" AND ", names+", ", marks+", "
		}
		where, names, marks = where+c+" = ?", names+c, marks+"?"
	}
	_, err := w.tx.ExecContext(w.ctx, "INSERT INTO "+table+" ("+names+") VALUES ("+marks+") ON CONFLICT DO NOTHING", values...)
	if err != nil {
		return 0, fmt.Errorf("define %s %v: %w", table, values, err)
	}
	var no int64
	if err := w.tx.QueryRowContext(w.ctx, "SELECT no FROM "+table+" WHERE "+where, values...).Scan(&no); err != nil {
		return 0, fmt.Errorf("find %s %v: %w", table, values, err)
	}
	return no, nil
}

func (w *writer) meta(c *ledger.Changes, done *Commit) error {
	newest := int64(0)
	for i := range c.Hosts {
		newest = max(newest, c.Hosts[i].LastNS)
	}
	for _, step := range []struct {
		query string
		value int64
	}{
		{"UPDATE meta SET value = value + ? WHERE key = 'revision'", 1},
		{"UPDATE meta SET value = max(value, ?) WHERE key = 'watermark_ns'", newest},
		{"UPDATE meta SET value = value + ? WHERE key = 'batches'", c.Batches},
		{"UPDATE meta SET value = value + ? WHERE key = 'windows'", c.Windows},
	} {
		if _, err := w.tx.ExecContext(w.ctx, step.query, step.value); err != nil {
			return fmt.Errorf("write meta: %w", err)
		}
	}
	err := w.tx.QueryRowContext(w.ctx, `SELECT (SELECT value FROM meta WHERE key = 'revision'), (SELECT value FROM meta WHERE key = 'watermark_ns')`).
		Scan(&done.Revision, &done.WatermarkNS)
	if err != nil {
		return fmt.Errorf("read meta: %w", err)
	}
	return nil
}
