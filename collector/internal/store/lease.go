package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// Lease is the right to count a partition of the hosts. The broker gives a
// partition to one collector at a time, as far as it knows; that nothing is
// counted twice rests on the lease alone: a checkpoint under a lease that is not
// the newest of its partition is refused, and so is one that was counted by
// allocations that have changed since.
type Lease struct {
	Partition   ledger.Partition // of 0: no lease, which guards nothing
	Owner       string
	Fence       int64 // grows with each taking of the partition
	allocations int64 // revision of those that it counts by
}

// Why a checkpoint is refused. What was counted for it is to be dropped.
var (
	// ErrLost means that another collector took the partition.
	ErrLost = errors.New("another collector has taken the partition")
	// ErrStale means that allocations changed: the partition is to be loaded anew,
	// and the same batches counted again.
	ErrStale = errors.New("allocations changed meanwhile")
	// ErrDivided means that the hosts are in another number of partitions now.
	ErrDivided = errors.New("the hosts are divided into another number of partitions")
)

// Divide divides the hosts into so many partitions and returns how many there are;
// 0 leaves them as they are, or in usual many if they never were. Leases of
// another number end.
func (s *Store) Divide(ctx context.Context, of, usual int) (int, error) {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		var now int
		var fence int64
		err := tx.QueryRowContext(ctx, "SELECT count(*), coalesce(max(fence), 0) FROM partition_lease").Scan(&now, &fence)
		if err != nil {
			return err
		}
		if of == 0 {
			of = max(now, 1)
			if now == 0 {
				of = usual
			}
		}
		if now == of {
			return nil
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM partition_lease"); err != nil {
			return err
		}
		for no := range of {
			// Fences go on above all that were ever given.
			_, err := tx.ExecContext(ctx, `INSERT INTO partition_lease (no, parts, owner, fence, allocations, renewed_ns)
				SELECT ?, ?, '', ?, value, 0 FROM meta WHERE key = 'allocations'`, no, of, fence)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("divide the hosts into %d partitions: %w", of, err)
	}
	return of, nil
}

// Take takes a partition, from whoever has it. From then on nobody else's
// checkpoints of it are taken.
func (s *Store) Take(ctx context.Context, p ledger.Partition, owner string) (Lease, error) {
	l := Lease{Partition: p, Owner: owner}
	err := s.transact(growing(ctx), func(tx *sql.Tx) error {
		now := s.opts.Now().UnixNano()
		done, err := tx.ExecContext(ctx, "UPDATE partition_lease SET owner = ?, fence = fence + 1, renewed_ns = ? WHERE no = ? AND parts = ?", owner, now, p.No, p.Of)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, ErrDivided)
		}
		err = tx.QueryRowContext(ctx, "SELECT fence, allocations FROM partition_lease WHERE no = ?", p.No).Scan(&l.Fence, &l.allocations)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO partition_term (no, fence, parts, owner, taken_ns, first_revision, last_revision, first_ns, last_ns, checkpoints, batches)
			VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0)`, p.No, l.Fence, p.Of, owner, now)
		if err != nil {
			return err
		}
		// Terms in which nothing was counted say nothing once others follow.
		_, err = tx.ExecContext(ctx, "DELETE FROM partition_term WHERE no = ? AND fence < ? AND (checkpoints = 0 OR fence <= ?)", p.No, l.Fence, l.Fence-keptTerms)
		return err
	})
	if err != nil {
		return Lease{}, fmt.Errorf("take partition %d of %d: %w", p.No, p.Of, err)
	}
	s.checkpointing.Lock()
	defer s.checkpointing.Unlock()
	s.evidence.taken = true
	return l, nil
}

// keptTerms is how many terms of a partition are kept.
const keptTerms = 1000

// Renew says that the owner still counts the partition. It returns ErrLost when
// another collector took it.
func (s *Store) Renew(ctx context.Context, l Lease) error {
	err := s.transact(growing(ctx), func(tx *sql.Tx) error { return l.renew(ctx, tx, s.opts.Now()) })
	if err != nil {
		return fmt.Errorf("renew lease of partition %d: %w", l.Partition.No, err)
	}
	return nil
}

func (l Lease) renew(ctx context.Context, tx *sql.Tx, now time.Time) error {
	done, err := tx.ExecContext(ctx, "UPDATE partition_lease SET renewed_ns = ? WHERE no = ? AND parts = ? AND owner = ? AND fence = ?",
		now.UnixNano(), l.Partition.No, l.Partition.Of, l.Owner, l.Fence)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, ErrLost)
	}
	return nil
}

// Release ends a lease before its time, so that others need not wait.
func (s *Store) Release(ctx context.Context, l Lease) error {
	err := s.transact(growing(ctx), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE partition_lease SET owner = '', renewed_ns = 0 WHERE no = ? AND owner = ? AND fence = ?", l.Partition.No, l.Owner, l.Fence)
		return err
	})
	if err != nil {
		return fmt.Errorf("release partition %d: %w", l.Partition.No, err)
	}
	return nil
}

// guard locks the partition's row until the transaction ends and refuses it to who
// does not hold the newest fence, or counted by other allocations.
func (l Lease) guard(ctx context.Context, tx *sql.Tx, now time.Time) error {
	if l.Partition.Of == 0 {
		return nil
	}
	if err := l.renew(ctx, tx, now); err != nil {
		return fmt.Errorf("partition %d of %d under fence %d: %w", l.Partition.No, l.Partition.Of, l.Fence, err)
	}
	var allocations int64
	if err := tx.QueryRowContext(ctx, "SELECT allocations FROM partition_lease WHERE no = ?", l.Partition.No).Scan(&allocations); err != nil {
		return fmt.Errorf("read lease of partition %d: %w", l.Partition.No, err)
	}
	if allocations != l.allocations {
		return fmt.Errorf("partition %d of %d: %w", l.Partition.No, l.Partition.Of, ErrStale)
	}
	return nil
}

// counted notes a checkpoint under its term.
func (l Lease) counted(ctx context.Context, tx *sql.Tx, revision, batches int64, now time.Time) error {
	if l.Partition.Of == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE partition_term SET first_revision = CASE checkpoints WHEN 0 THEN ? ELSE first_revision END, last_revision = ?,
		first_ns = CASE checkpoints WHEN 0 THEN ? ELSE first_ns END, last_ns = ?, checkpoints = checkpoints + 1, batches = batches + ? WHERE no = ? AND fence = ?`,
		revision, revision, now.UnixNano(), now.UnixNano(), batches, l.Partition.No, l.Fence)
	if err != nil {
		return fmt.Errorf("note checkpoint of partition %d: %w", l.Partition.No, err)
	}
	return nil
}

// stopCounting locks all partitions until the transaction ends. moved says that
// what is allocated is another then: each loads it anew before its next checkpoint.
func stopCounting(ctx context.Context, tx *sql.Tx, moved int) error {
	if _, err := tx.ExecContext(ctx, "UPDATE partition_lease SET allocations = allocations + ?", moved); err != nil {
		return fmt.Errorf("stop the counting by other allocations: %w", err)
	}
	return nil
}

// Knows returns the lease with the allocations as an amendment left them, for who
// has taken up the amendment.
func (l Lease) Knows(done Amendment) Lease {
	if done.Table != nil {
		l.allocations++
	}
	return l
}

// Partition is what counting begins with.
type Partition struct {
	Ledger   *ledger.Ledger // with its allocations
	Standing []allocation.Allocation
}

// LoadPartition returns the state of a leased partition as its last checkpoint left
// it, and the lease with the allocations that it counts by.
func (s *Store) LoadPartition(ctx context.Context, l Lease) (Partition, Lease, error) {
	var p Partition
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return p, l, fmt.Errorf("load partition %d: begin: %w", l.Partition.No, err)
	}
	// The first read fixes the state.
	err = tx.QueryRowContext(ctx, "SELECT allocations FROM partition_lease WHERE no = ?", l.Partition.No).Scan(&l.allocations)
	if err == nil {
		p.Ledger, err = loadLedger(ctx, tx, l.Partition)
	}
	if err == nil {
		var all map[string]allocation.Allocation
		all, err = allocations(ctx, tx)
		for _, a := range all {
			p.Standing = append(p.Standing, a)
		}
	}
	if err = errors.Join(err, tx.Rollback()); err != nil {
		return p, l, fmt.Errorf("load partition %d: %w", l.Partition.No, err)
	}
	p.Ledger.SetAllocations(allocation.NewTable(p.Standing))
	return p, l, nil
}

// spreadHosts works out the spread of hosts that an older program wrote.
func (s *Store) spreadHosts(ctx context.Context) error {
	err := s.transact(growing(ctx), func(tx *sql.Tx) error {
		all, err := collect(ctx, tx, "hosts", "SELECT no, id FROM host WHERE spread < 0", func(rows *sql.Rows, h *ledger.Host) error { return rows.Scan(&h.No, &h.ID) })
		if err != nil {
			return err
		}
		for _, h := range all {
			if _, err := tx.ExecContext(ctx, "UPDATE host SET spread = ? WHERE no = ?", int64(h.ID.Spread()), h.No); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("spread hosts over partitions: %w", err)
	}
	return nil
}
