package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"

	"github.com/flopwatch/flopwatch/pkg/audit"
)

// outside is the act of another program.
var outside = audit.Act{Actor: audit.Actor{Kind: audit.Rule, ID: "collector"}, Action: audit.Outside, Reason: "another program changed the database"}

// schemaObject stands for the tables, and for the triggers that note changes.
var schemaObject = audit.Object{Kind: "schema", ID: "main"}

// adopt makes entries of what is there and not in the log: what an older version
// wrote, when the log begins, what another program left pending, and the schema.
func (s *Store) adopt(ctx context.Context, migrated bool) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		var begun bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM audit_leaf)").Scan(&begun); err != nil {
			return fmt.Errorf("look at the audit log: %w", err)
		}
		act := outside
		if !begun {
			act.Action, act.Reason = "audit.adopt", "was there when the audit log began"
			if err := pendAll(ctx, tx); err != nil {
				return err
			}
		}
		if err := s.record(ctx, tx, act); err != nil {
			return err
		}
		before, err := last(ctx, tx, schemaObject)
		if err != nil {
			return err
		}
		after, err := schemaDigest(ctx, tx, s.schemaQuery())
		if err != nil || before == after {
			return err
		}
		act = outside
		if migrated || before == "" {
			act.Action, act.Reason = "schema.migrate", ""
		}
		return s.append(ctx, tx, []audit.Entry{entryOf(act, schemaObject, before, after)})
	})
}

// pendAll makes every object pending.
func pendAll(ctx context.Context, tx *sql.Tx) error {
	for _, kind := range auditedKinds {
		var ids []string
		err := kind.digests(ctx, tx, "", func(id, _ string) error {
			ids = append(ids, id)
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "INSERT INTO audit_pending VALUES (?, ?)", kind.kind, id); err != nil {
				return fmt.Errorf("adopt %s %s: %w", kind.kind, id, err)
			}
		}
	}
	return nil
}

const sqliteSchema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type, name"

func (s *Store) schemaQuery() string {
	if s.opts.Postgres != "" {
		return postgresSchema
	}
	return sqliteSchema
}

// schemaDigest returns the digest of the text of the schema.
func schemaDigest(ctx context.Context, q querier, query string) (string, error) {
	h := sha256.New()
	err := each(ctx, q, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		fmt.Fprintf(h, "%d\n%s\n", len(text), text)
		return err
	}, query)
	if err != nil {
		return "", fmt.Errorf("read schema: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
