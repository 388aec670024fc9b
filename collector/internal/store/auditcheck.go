package store

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// CheckAudit holds the audit log against itself, against its signed checkpoints
// and against the objects that it protects. An object that is not as the log
// last holds it was changed by another program, and is named.
func (r *Reader) CheckAudit(ctx context.Context) (desk.AuditCheck, error) {
	var found desk.AuditCheck
	err := r.view(ctx, "audit check", func(tx *sql.Tx) (err error) {
		found, err = r.checkAudit(ctx, tx)
		return err
	})
	return found, err
}

func (r *Reader) checkAudit(ctx context.Context, tx *sql.Tx) (desk.AuditCheck, error) {
	c := auditCheck{ctx: ctx, schema: r.store.schemaQuery(), walk: audit.NewWalk(), tx: tx, tree: &tree{ctx: ctx, q: tx}}
	return c.run(c.leaves, c.nodes, func() error { return c.checkpoints(r.origin, r.auditKey) }, func() error { return c.anchors(r.anchor, r.origin, r.auditKey) }, c.objects, c.left)
}

// checkAuditIn is CheckAudit inside a transaction, without what is signed.
func checkAuditIn(ctx context.Context, tx *sql.Tx, schema string) (desk.AuditCheck, error) {
	c := auditCheck{ctx: ctx, schema: schema, walk: audit.NewWalk(), tx: tx, tree: &tree{ctx: ctx, q: tx}}
	return c.run(c.leaves, c.nodes, c.objects, c.left)
}

func (c *auditCheck) run(steps ...func() error) (desk.AuditCheck, error) {
	var err error
	for _, step := range steps {
		if err == nil {
			err = step()
		}
	}
	c.found.Intact = err == nil && c.problems == 0
	return c.found, err
}

// AuditEntries returns the entries before the given one, 0 for all, last made first.
func (r *Reader) AuditEntries(ctx context.Context, before desk.AuditID, limit int) ([]desk.AuditEntry, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	var out []desk.AuditEntry
	err := r.view(ctx, "audit log", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			e, err := audit.ParseLeaf(leaf)
			out = append(out, desk.AuditEntry{ID: desk.AuditID(e.Seq + 1), Entry: e})
			return err
		}, "SELECT leaf FROM audit_leaf WHERE seq < ? ORDER BY seq DESC LIMIT ?", int64(before)-1, rowLimit(limit))
	})
	return out, err
}

type auditCheck struct {
	ctx      context.Context
	tx       *sql.Tx
	tree     *tree
	schema   string // query of its text
	walk     *audit.Walk
	problems int
	found    desk.AuditCheck
}

func (c *auditCheck) tell(format string, args ...any) {
	if c.problems++; c.problems <= maxProblems {
		c.found.Problems = append(c.found.Problems, fmt.Sprintf(format, args...))
	}
}

// leaves reads every entry and works the tree out anew.
func (c *auditCheck) leaves() error {
	worked := &tree{ctx: c.ctx, q: c.tx, added: map[int64]audit.Hash{}}
	err := each(c.ctx, c.tx, func(rows *sql.Rows) error {
		var seq, atNS int64
		var actor, action, kind, object string
		var leaf []byte
		if err := rows.Scan(&seq, &atNS, &actor, &action, &kind, &object, &leaf); err != nil {
			return err
		}
		e, ok, problems := c.walk.Step(seq, leaf)
		for _, p := range problems {
			c.tell("%s", p)
		}
		if !ok {
			return nil
		}
		if e.At.UnixNano() != atNS || e.Actor.ID != actor || e.Action != action || e.Object != (audit.Object{Kind: kind, ID: object}) {
			c.tell("audit entry %d: what finds it is not what it says", seq)
		}
		return c.hashes(worked, seq, leaf)
	}, "SELECT seq, at_ns, actor, action, kind, object, leaf FROM audit_leaf ORDER BY seq")
	c.found.Entries, c.found.ClockBack = c.walk.Entries, c.walk.ClockBack
	return err
}

// hashes holds the nodes that a leaf adds against those that are stored.
func (c *auditCheck) hashes(worked *tree, seq int64, leaf []byte) error {
	nodes, err := audit.Hashes(seq, leaf, worked)
	if err != nil {
		c.tell("audit entry %d: %v", seq, err)
		return nil
	}
	first := audit.Nodes(seq)
	for i, h := range nodes {
		no := first + int64(i)
		stored, err := c.tree.ReadHashes([]int64{no})
		if err != nil {
			c.tell("audit entry %d: %v", seq, err)
			worked.added[no] = h // go on as it should be
			continue
		}
		if stored[0] != h {
			c.tell("audit entry %d: node %d of the tree is not its hash", seq, no)
			worked.added[no] = h
		}
	}
	return nil
}

// nodes looks for nodes that no entry has.
func (c *auditCheck) nodes() error {
	var n int64
	if err := c.tx.QueryRowContext(c.ctx, "SELECT coalesce(max(no) + 1, 0) FROM audit_node").Scan(&n); err != nil {
		return fmt.Errorf("count nodes: %w", err)
	}
	if want := audit.Nodes(c.found.Entries); n != want {
		c.tell("the audit tree has %d nodes, %d entries make %d: entries are missing at the end", n, c.found.Entries, want)
	}
	return nil
}

func (c *auditCheck) checkpoints(origin string, key ed25519.PublicKey) error {
	return each(c.ctx, c.tx, func(rows *sql.Rows) error {
		var size int64
		var text string
		if err := rows.Scan(&size, &text); err != nil {
			return err
		}
		c.found.Checkpoints++
		signed, err := audit.OpenCheckpoint(text, origin, key)
		if err != nil {
			c.tell("checkpoint at %d entries: %v", size, err)
			return nil
		}
		if signed.Size != size || size > c.found.Entries {
			c.tell("checkpoint at %d entries: it was signed over %d, and the log has %d", size, signed.Size, c.found.Entries)
			return nil
		}
		if root, err := audit.Root(size, c.tree); err != nil || root != signed.Root {
			c.tell("checkpoint at %d entries: the log is not the one that was signed", size)
		}
		c.found.Signed = size
		return nil
	}, "SELECT size, note FROM audit_checkpoint ORDER BY size")
}

// objects holds what is stored against what the log says of it.
func (c *auditCheck) objects() error {
	after := c.walk.After()
	for _, kind := range auditedKinds {
		err := kind.digests(c.ctx, c.tx, "", func(id, digest string) error {
			o := audit.Object{Kind: kind.kind, ID: id}
			c.found.Objects++
			switch after, known := after[o]; {
			case !known:
				c.tell("%s %s is not in the audit log: another program added it", o.Kind, o.ID)
			case after != digest:
				c.tell("%s %s is not as the audit log holds it: another program changed it", o.Kind, o.ID)
			}
			delete(after, o)
			return nil
		})
		if err != nil {
			return err
		}
	}
	digest, err := schemaDigest(c.ctx, c.tx, c.schema)
	if err != nil {
		return err
	}
	if after[schemaObject] != digest {
		c.tell("the schema is not as the audit log holds it: another program changed tables or triggers")
	}
	delete(after, schemaObject)
	for o := range after {
		c.tell("%s %s is gone: the audit log holds it", o.Kind, o.ID)
	}
	return nil
}

// left looks for what another program changed since the last transaction.
func (c *auditCheck) left() error {
	return each(c.ctx, c.tx, func(rows *sql.Rows) error {
		var kind, object string
		err := rows.Scan(&kind, &object)
		c.tell("%s %s was changed by another program just now", kind, object)
		return err
	}, "SELECT DISTINCT kind, object FROM audit_pending")
}

// anchors holds the log against the checkpoints that are kept at a second place.
func (c *auditCheck) anchors(path, origin string, key ed25519.PublicKey) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was kept there yet
	}
	if err != nil {
		c.tell("the anchors cannot be read: %v", err)
		return nil
	}
	err = audit.ReadAnchors(f, func(signed string) error {
		old, err := audit.OpenCheckpoint(signed, origin, key)
		switch {
		case err != nil:
			c.tell("an anchor is none of this log: %v", err)
			return nil
		case old.Size > c.walk.Entries:
			c.tell("an anchor is of %d entries, and the log has %d: entries are missing at the end", old.Size, c.walk.Entries)
			return nil
		}
		if root, err := audit.Root(old.Size, c.tree); err != nil || root != old.Root {
			c.tell("anchor at %d entries: the log is not the one that was signed", old.Size)
		}
		return nil
	})
	if err = errors.Join(err, f.Close()); err != nil {
		c.tell("the anchors cannot be read: %v", err)
	}
	return nil
}
