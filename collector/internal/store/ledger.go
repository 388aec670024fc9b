package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// Checkpoint is what ingest makes durable in one transaction.
type Checkpoint struct {
	Lease      Lease     // under which it was counted; the zero value guards nothing
	At         time.Time // when it was received; names the file of evidence
	Changes    ledger.Changes
	Frames     []byte // of evidence, from AppendFrame
	FrameCount int64
	Quarantine []Quarantine
}

// Quarantine is a batch that was refused, or a note on one that was counted.
type Quarantine struct {
	Host     string // as the subject names it
	Reason   string // chain_break, equivocation, signature, …
	Detail   string
	Received time.Time
	Envelope []byte // nil for a note
}

// Commit is what one checkpoint changed. Segments hold their whole figures, not
// what was added. Hosts are all that something came of, also those whose rows stay as
// they are for now; Accounts and Segments are those that were written, and Reported is
// how far the accounts are that were not; both come in the order of Hosts. A follower
// keeps none of the slices.
type Commit struct {
	Revision    int64
	WatermarkNS int64 // end of the newest window that rows tell of
	At          time.Time
	Hosts       []ledger.Host
	Accounts    []ledger.Account
	Reported    []ledger.Reported
	Segments    []ledger.Segment
	Events      []ledger.HostEvent
	Behind      bool // rows of some hosts stay as they are for now
}

// Follower keeps facts that derive from the ledger. Follow runs inside the
// transaction of a checkpoint, after its rows are written: what it writes is
// committed with them or not at all. It must use tx and never the store, which
// has one writing connection. An error undoes the checkpoint and stops ingest.
type Follower interface {
	Follow(ctx context.Context, tx *sql.Tx, c Commit) error
}

// Checkpoint makes a checkpoint durable and tells the followers. After an
// error nothing of it is durable, and the ledger must be loaded anew. The error
// wraps ErrLost or ErrStale where the lease says so, and where a host's chain does
// not stand where the ledger began.
func (s *Store) Checkpoint(ctx context.Context, c Checkpoint, followers ...Follower) (Commit, error) {
	s.checkpointing.Lock()
	defer s.checkpointing.Unlock()
	if s.unknown {
		return Commit{}, ErrReopen
	}
	if c.FrameCount > 0 {
		if err := s.numberEvidence(ctx, c.At); err != nil {
			return Commit{}, err
		}
		if err := s.evidence.append(c.At, c.Frames); err != nil {
			return Commit{}, err
		}
	}
	done := Commit{At: c.At, Hosts: joined(c.Changes.Hosts, c.Changes.CarriedHosts), Accounts: c.Changes.Accounts, Reported: c.Changes.CarriedAccounts, Events: c.Changes.Events, Behind: len(c.Changes.Carried) > 0}
	done.Segments = joined(c.Changes.Opened, c.Changes.Extended)
	err := s.defineAhead(ctx, &c.Changes)
	if err == nil {
		err = s.monthsOf(ctx, &c.Changes)
	}
	if err == nil {
		err = s.updateWith(growing(ctx), together, func(tx *sql.Tx) error { return s.checkpoint(ctx, tx, &c, &done, followers) })
	}
	if err != nil {
		s.words.forget() // numbers of rows that were rolled back
		switch {
		case errors.Is(err, errOutcome):
			// Cutting the evidence could leave less of it than the database knows. What
			// is too much is cut when the store is opened again.
			s.unknown = true
		case c.FrameCount > 0:
			err = errors.Join(err, s.evidence.undo(c.Frames))
		}
		return Commit{}, fmt.Errorf("checkpoint: %w", err)
	}
	return done, nil
}

// checkpoint writes a checkpoint.
func (s *Store) checkpoint(ctx context.Context, tx *sql.Tx, c *Checkpoint, done *Commit, followers []Follower) error {
	if err := c.Lease.guard(ctx, tx, c.At); err != nil {
		return err
	}
	w := &writer{ctx: ctx, tx: tx, conn: s.conn, words: s.words, bulk: s.opts.Postgres != ""}
	if err := w.changes(&c.Changes); err != nil {
		return err
	}
	if c.FrameCount > 0 {
		if err := s.evidence.commit(ctx, tx, c.FrameCount); err != nil {
			return err
		}
	}
	if err := s.quarantine(ctx, tx, c.Quarantine); err != nil {
		return err
	}
	if err := writeDifferences(ctx, tx, c.Changes.Differences, c.At); err != nil {
		return err
	}
	if err := writeClocks(ctx, tx, c.Changes.Clocks, c.At); err != nil {
		return err
	}
	if err := findDropped(ctx, tx, c.Changes.Hosts, c.Changes.Events, c.At); err != nil {
		return err
	}
	// From here on checkpoints wait for each other: first for the audit log, where this
	// one adds to it, and then for the counters, so that no two wait for one another.
	if pending, err := pendingObjects(ctx, tx); err != nil {
		return err
	} else if len(pending) > 0 {
		if err := s.lockAuditLog(ctx, tx); err != nil {
			return err
		}
	}
	if n := len(c.Quarantine); n > 0 {
		if _, err := tx.ExecContext(ctx, "UPDATE meta SET value = value + ? WHERE key = 'quarantined'", n); err != nil {
			return fmt.Errorf("count quarantine: %w", err)
		}
	}
	if err := w.meta(&c.Changes, done); err != nil {
		return err
	}
	if err := c.Lease.counted(ctx, tx, done.Revision, c.Changes.Batches, c.At); err != nil {
		return err
	}
	if c.Lease.Partition.Of > 1 {
		if err := noteTenants(ctx, tx, *done); err != nil {
			return err
		}
	}
	for _, f := range followers {
		if err := f.Follow(ctx, tx, *done); err != nil {
			return fmt.Errorf("follow checkpoint %d: %w", done.Revision, err)
		}
	}
	return nil
}

// Reasons of batches that keep their place in the chain and are not counted.
const (
	reasonFuture = "future"
	reasonPast   = "past"
)

// quarantine keeps refused batches within the limits; the newest win.
func (s *Store) quarantine(ctx context.Context, tx *sql.Tx, rows []Quarantine) error {
	if len(rows) == 0 {
		return nil
	}
	for _, q := range rows {
		if q.Envelope == nil {
			q.Envelope = []byte{}
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO quarantine (host, reason, detail, received_ns, envelope) VALUES (?, ?, ?, ?, ?)",
			q.Host, q.Reason, q.Detail, q.Received.UnixNano(), q.Envelope)
		if err != nil {
			return fmt.Errorf("quarantine batch of %s: %w", q.Host, err)
		}
		if q.Reason != reasonFuture && q.Reason != reasonPast || len(q.Envelope) == 0 {
			continue
		}
		sum := attest.Hash(q.Envelope)
		if _, err := tx.ExecContext(ctx, "INSERT INTO uncounted (host, hash) VALUES (?, ?) ON CONFLICT (host, hash) DO NOTHING", q.Host, sum[:]); err != nil {
			return fmt.Errorf("note batch of %s that is not counted: %w", q.Host, err)
		}
	}
	if err := findEquivocations(ctx, tx, rows); err != nil {
		return err
	}
	if err := findChains(ctx, tx, rows); err != nil {
		return err
	}
	if err := findIdentities(ctx, tx, rows); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM quarantine WHERE id IN (
		SELECT id FROM (SELECT id, row_number() OVER newest AS n, sum(length(envelope)) OVER newest AS bytes
			FROM quarantine WINDOW newest AS (ORDER BY id DESC)) AS sized WHERE n > ? OR bytes > ?)`,
		s.opts.QuarantineRows, s.opts.QuarantineBytes)
	if err != nil {
		return fmt.Errorf("bound quarantine: %w", err)
	}
	return nil
}

// LoadLedger returns the ledger of all hosts as the last checkpoint left it.
func (s *Store) LoadLedger(ctx context.Context) (*ledger.Ledger, error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("load ledger: begin: %w", err)
	}
	book, err := loadLedger(ctx, tx, ledger.Partition{})
	if err = errors.Join(err, tx.Rollback()); err != nil {
		return nil, fmt.Errorf("load ledger: %w", err)
	}
	return book, nil
}

// loadLedger returns the ledger of a partition.
func loadLedger(ctx context.Context, tx *sql.Tx, p ledger.Partition) (*ledger.Ledger, error) {
	state := ledger.State{Partition: p}
	where, and, args := "", "", []any(nil)
	if p.Of > 1 {
		where, and, args = " WHERE h.spread % ? = ?", " AND h.spread % ? = ?", []any{p.Of, p.No}
	}
	var err error
	if state.Hosts, err = loadHosts(ctx, tx, where, args...); err == nil {
		state.Accounts, err = loadAccounts(ctx, tx, where, args...)
	}
	if err == nil {
		state.Open, err = loadSegments(ctx, tx, " WHERE s.end_ns = d.last_ns AND s.start_ns >= d.open_ns AND s.id NOT IN (SELECT segment FROM piece)"+and, args...)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT (SELECT coalesce(max(no), 0) FROM host), (SELECT coalesce(max(no), 0) FROM device), (SELECT coalesce(max(id), 0) FROM segment)").
			Scan(&state.LastHost, &state.LastDevice, &state.LastSegment)
	}
	if err == nil {
		state.Carried, err = collect(ctx, tx, "what is carried of hosts", "SELECT c.host, c.state FROM carried c JOIN host h ON h.no = c.host"+where+" ORDER BY c.host", func(rows *sql.Rows, c *ledger.Carried) error {
			return rows.Scan(&c.HostNo, &c.State)
		}, args...)
	}
	if err != nil {
		return nil, err
	}
	return ledger.Restore(state)
}

// loadHosts reads the hosts with the condition, "" for all.
func loadHosts(ctx context.Context, tx *sql.Tx, where string, args ...any) ([]ledger.Host, error) {
	return collect(ctx, tx, "hosts", `SELECT no, id, public_key, name, os, kernel, agent_version, attribution, boot_id, epoch, seq, hash,
		first_ns, last_ns, batches, settings, clock_boot_ns, clock_shift_ns, clock_step_ns, clock_sealed_ns, clock_lag_ns,
		energy_slot_ns, energy_mj, energy_known_ns FROM host h`+where+` ORDER BY no`, func(rows *sql.Rows, h *ledger.Host) error {
		var hash []byte
		err := rows.Scan(&h.No, &h.ID, &h.PublicKey, &h.Name, &h.OS, &h.Kernel, &h.AgentVersion, &h.Attribution, &h.BootID,
			&h.Position.Epoch, &h.Position.Seq, &hash, &h.FirstNS, &h.LastNS, &h.Batches, &h.Settings,
			&h.Clocks.BootNS, &h.Clocks.ShiftNS, &h.Clocks.StepNS, &h.Clocks.SealedNS, &h.Clocks.LagNS,
			&h.Energy.SlotNS, &h.Energy.EnergyMJ, &h.Energy.KnownNS)
		if err == nil && copy(h.Position.Hash[:], hash) != len(h.Position.Hash) {
			err = fmt.Errorf("hash of host %s has %d bytes", h.ID, len(hash))
		}
		return err
	}, args...)
}

func loadAccounts(ctx context.Context, tx *sql.Tx, where string, args ...any) ([]ledger.Account, error) {
	return collect(ctx, tx, "devices", `SELECT d.no, h.id, d.id, d.name, pci_id, cc, sm_count, max_sm_mhz, memory_mib, parent, fabric, sku, grade,
		peak, ceiling, d.first_ns, d.last_ns, overlap_ns, windows, recent_ops, recent_ns
		FROM device d JOIN host h ON h.no = d.host`+where+` ORDER BY d.no`, func(rows *sql.Rows, a *ledger.Account) error {
		return rows.Scan(&a.No, &a.Host, &a.ID, &a.Name, &a.PCIID, &a.CC, &a.SMCount, &a.MaxSMMHz, &a.MemoryMiB, &a.Parent, &a.Fabric, &a.SKU, &a.Grade,
			&a.Peak, &a.Ceiling, &a.FirstNS, &a.LastNS, &a.OverlapNS, &a.Windows, &a.RecentOperations, &a.RecentNS)
	}, args...)
}

// loadSegments reads segments with the condition, "" for all.
func loadSegments(ctx context.Context, tx *sql.Tx, where string, args ...any) ([]ledger.Segment, error) {
	return collect(ctx, tx, "segments", `SELECT s.id, s.device, h.id, d.id, s.state, w.kind, w.id, w.hint, t.id,
		m.name, m.version, m.precision, m.reason, m.grade,
		s.start_ns, s.end_ns, s.duration_ns, s.ops_low, s.ops_best, s.ops_high, s.ceiling, s.energy_mj, s.ops_float, s.rhythm, s.claim_state, coalesce(c.id, '')
		FROM device d JOIN segment s ON s.device = d.no JOIN host h ON h.no = d.host JOIN workload w ON w.no = s.workload
		JOIN tenant t ON t.no = s.tenant JOIN method m ON m.no = s.method LEFT JOIN tenant c ON c.no = s.claim`+where, func(rows *sql.Rows, g *ledger.Segment) error {
		return rows.Scan(&g.ID, &g.DeviceNo, &g.Key.Host, &g.Key.Device, &g.Key.State,
			&g.Key.Workload.Kind, &g.Key.Workload.ID, &g.Key.Workload.Hint, &g.Key.Tenant,
			&g.Key.Method.Name, &g.Key.Method.Version, &g.Key.Method.Precision, &g.Key.Method.Reason, &g.Key.Method.Grade,
			&g.StartNS, &g.EndNS, &g.DurationNS, &g.Operations.Low, &g.Operations.Best, &g.Operations.High, &g.Ceiling, &g.EnergyMJ, &g.FloatTensor, &g.Rhythm, &g.Key.Claim.State, &g.Key.Claim.Tenant)
	}, args...)
}

// collect reads all rows of a query; what names them in errors.
func collect[T any](ctx context.Context, tx *sql.Tx, what, query string, scan func(*sql.Rows, *T) error, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	var all []T
	for rows.Next() {
		var row T
		if err := scan(rows, &row); err != nil {
			return nil, errors.Join(fmt.Errorf("read %s: %w", what, err), rows.Close())
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return all, nil
}

// joined is both, and copies neither where one is empty.
func joined[T any](a, b []T) []T {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	return slices.Concat(a, b)
}
