package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/flopwatch/flopwatch/pkg/audit"
)

// AuditCheckpoint returns the newest signed checkpoint of the log; ok is false
// while none was signed.
func (r *Reader) AuditCheckpoint(ctx context.Context) (signed string, ok bool, err error) {
	err = r.view(ctx, "audit checkpoint", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			ok = true
			return rows.Scan(&signed)
		}, "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
	})
	return signed, ok, err
}

// AuditTile returns the content of a tile of the log; ok is false where the log,
// as far as it is signed, has no such tile.
func (r *Reader) AuditTile(ctx context.Context, t audit.Tile) (content []byte, ok bool, err error) {
	err = r.view(ctx, "audit tile", func(tx *sql.Tx) error {
		var signed int64
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(size), 0) FROM audit_checkpoint").Scan(&signed); err != nil {
			return fmt.Errorf("find the newest checkpoint: %w", err)
		}
		if ok = t.In(signed); !ok {
			return nil
		}
		first, n, entries := t.Entries()
		if !entries {
			content, err = t.Hashes(&tree{ctx: ctx, q: tx})
			return err
		}
		found := 0
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var leaf []byte
			err := rows.Scan(&leaf)
			content = audit.AppendEntry(content, leaf)
			found++
			return err
		}, "SELECT leaf FROM audit_leaf WHERE seq >= ? AND seq < ? ORDER BY seq", first, first+int64(n))
		if err == nil && found != n {
			err = fmt.Errorf("tile %s: %d of %d entries are there", t.Path(), found, n)
		}
		return err
	})
	return content, ok, err
}
