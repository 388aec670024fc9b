package store

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// audited is a kind of object whose state the audit log holds by digest.
// Triggers note its rows that a transaction changes, so that no change can be
// committed without an entry.
type audited struct {
	kind  string
	state string // query of the protected state of all objects of the kind, the first column is the id
	order string // of the rows, by id first
}

// auditedKinds are the objects that the log protects. What is not here follows
// from signed evidence and from these, and can be worked out again.
var auditedKinds = []audited{
	{"finding", `SELECT id, no, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject, tenant, customer, customer_name,
		foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns FROM finding`, "id"},
	{"allocation", `SELECT id, no, host, device, workload_kind, workload, tenant, from_ns, to_ns, recorded_ns FROM allocation`, "id, no"},
	{"inventory_change", `SELECT host AS id, no, at_ns, by, act, reason, says FROM inventory_change`, "id, no"},
	{"clock_change", `SELECT id, host, epoch, seq, boot_id, shift_ns, step_ns, reason, at_ns FROM clock_change`, "id"},
	{"inventory_key", `SELECT key AS id, host FROM inventory_key`, "id"},
	{"customer", `SELECT c.id, c.name, c.country, c.status, c.status_reason, c.demonstration, t.tenant FROM customer c
		LEFT JOIN customer_tenant t ON t.customer = c.id`, "id, tenant"},
	{"case", `SELECT id, no, version, at_ns, actor, act, note, subject, obligation, state, body FROM case_change`, "id, no"},
	{"case_note", `SELECT id, case_id, at_ns, actor, text FROM case_note`, "id"},
	{"case_file", `SELECT id, case_id, at_ns, actor, name, media, sha256, content FROM case_file`, "id"},
	{"report", `SELECT id, no, version, at_ns, actor, act, note, case_id, form, state, body FROM report_change`, "id, no"},
	{"report_file", `SELECT id, report, at_ns, actor, name, media, sha256, content FROM report_file`, "id"},
	{"filer", `SELECT 'filer' AS id, no, at_ns, actor, body FROM filer_change`, "id, no"},
	{"finding_work", `SELECT finding AS id, no, at_ns, actor, state, case_id, code, reason, level, ops, until_ns FROM finding_work`, "id, no"},
	{"party_link", `SELECT id, no, a, b, class, directed, state, bits, needs, evidence, against, by, reason, from_ns, to_ns, recorded_ns, weights FROM party_link`, "id, no"},
	{"join_decision", `SELECT id, no, tenant, from_part, to_part, verdict, reason, by, decided_ns FROM join_decision`, "id, no"},
	{"party_record", `SELECT object AS id, no, kind, from_ns, to_ns, recorded_ns, by, source, body FROM party_record`, "id, no"},
	{"personal_access", `SELECT id, at_ns, actor, party, fields, reason FROM personal_access`, "id"},
	{"party_feed", `SELECT id, at_ns, actor, entries, digest FROM party_feed`, "id"},
	{"power_import", `SELECT id, at_ns, name, readings, digest FROM power_import`, "id"},
	{"reservation", `SELECT id, no, tenant, accelerator, devices, from_ns, to_ns, network_gbit_s, recorded_ns FROM reservation`, "id, no"},
	{"policy", `SELECT id, no, version, at_ns, actor, act, note, kind, name, state, body FROM policy_change`, "id, no"},
	{"simulation", `SELECT id, policy, text, at_ns, actor, digest, body FROM simulation`, "id"},
	{"policy_finding", `SELECT finding AS id, policy, known_ns FROM policy_finding`, "id"},
	{"rollout", `SELECT policy AS id, no, at_ns, state, step, reason, body FROM rollout_change`, "id, no"},
	{"revenue", `SELECT customer AS id, no, from_day, to_day, currency, billed_cents, cents_per_device_hour, recorded_ns FROM revenue`, "id, no"},
	{"calendar_link", `SELECT "user" AS id, hash, made_ns FROM calendar_link`, "id"},
	{"user", `SELECT id, login, roles, password, disabled, created_ns FROM "user"`, "id"},
	{"role_grant", `SELECT id, no, account, state, roles, by, at_ns, reason FROM role_grant`, "id, no"},
	{"second_factor", `SELECT account AS id, sealed, step, recovery, made_ns FROM second_factor`, "id"},
	{"same_person", `SELECT account AS id, person FROM same_person`, "id"},
	{"outside_identity", `SELECT account AS id, issuer, subject, made_ns FROM outside_identity`, "id"},
	{"api_token", `SELECT id, hash, account, name, service, scope, made_ns, expires_ns, revoked_ns FROM api_token`, "id"},
	{"api_token_network", `SELECT token AS id, networks FROM api_token_network`, "id"},
}

// digests calls tell with the digest of the state of the objects that the
// condition selects, by id. The rows of an object are its state, in their order.
func (a audited) digests(ctx context.Context, q querier, condition string, tell func(id, digest string) error, args ...any) error {
	return a.objects(ctx, q, condition, func(id string, rows []map[string]any) error {
		sum, err := canonical.Digest(rows)
		if err != nil {
			return err
		}
		return tell(id, hex.EncodeToString(sum[:]))
	}, args...)
}

// objects calls tell with the protected state of the objects that the condition
// selects, by id.
func (a audited) objects(ctx context.Context, q querier, condition string, tell func(id string, rows []map[string]any) error, args ...any) error {
	var rowsOf []map[string]any
	current := ""
	flush := func() error {
		if rowsOf == nil {
			return nil
		}
		rows := rowsOf
		rowsOf = nil
		return tell(current, rows)
	}
	var columns []string
	err := each(ctx, q, func(rows *sql.Rows) (err error) {
		if columns == nil {
			if columns, err = rows.Columns(); err != nil {
				return err
			}
		}
		cells, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			targets[i] = &cells[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		row := make(map[string]any, len(columns))
		for i, name := range columns {
			if row[name], err = cell(cells[i]); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		id, ok := cells[0].(string)
		if !ok {
			return fmt.Errorf("id is a %T", cells[0])
		}
		if rowsOf != nil && id != current {
			if err := flush(); err != nil {
				return err
			}
		}
		current, rowsOf = id, append(rowsOf, row)
		return nil
	}, "SELECT * FROM ("+a.state+") AS objects "+condition+" ORDER BY "+a.order, args...)
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("state of %s: %w", a.kind, err)
	}
	return nil
}

// cell is a value of a column as the digest holds it: of each type in its own way.
func cell(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case int64:
		return "i" + strconv.FormatInt(v, 10), nil
	case float64:
		return "f" + strconv.FormatFloat(v, 'g', -1, 64), nil
	case string:
		return "s" + v, nil
	case []byte:
		return "b" + hex.EncodeToString(v), nil
	}
	return nil, fmt.Errorf("value of type %T", v)
}

// digest returns the digest of one object, "" if there is none.
func (a audited) digest(ctx context.Context, q querier, id string) (digest string, err error) {
	err = a.digests(ctx, q, "WHERE id = ?", func(_, d string) error {
		digest = d
		return nil
	}, id)
	return digest, err
}

// tree reads the nodes of the log, and holds those that this transaction added.
type tree struct {
	ctx   context.Context
	q     querier
	added map[int64]audit.Hash
}

func (t *tree) ReadHashes(numbers []int64) ([]audit.Hash, error) {
	out := make([]audit.Hash, len(numbers))
	for i, no := range numbers {
		if h, ok := t.added[no]; ok {
			out[i] = h
			continue
		}
		found := false
		err := each(t.ctx, t.q, func(rows *sql.Rows) error {
			var hash []byte
			err := rows.Scan(&hash)
			found = copy(out[i][:], hash) == len(out[i])
			return err
		}, "SELECT hash FROM audit_node WHERE no = ?", no)
		if err != nil || !found {
			return nil, errors.Join(fmt.Errorf("node %d of the audit tree is missing", no), err)
		}
	}
	return out, nil
}

// record turns what is pending into entries of act. It is the last thing that a
// transaction does.
func (s *Store) record(ctx context.Context, tx *sql.Tx, act audit.Act) error {
	pending, err := pendingObjects(ctx, tx)
	if err != nil || len(pending) == 0 {
		return err
	}
	// Others who share the writers' lock may have made entries until this is held.
	if err := s.lockAuditLog(ctx, tx); err != nil {
		return err
	}
	if pending, err = pendingObjects(ctx, tx); err != nil {
		return err
	}
	var entries []audit.Entry
	for _, o := range pending {
		kind, err := auditedKind(o.Kind)
		if err != nil {
			return err
		}
		before, err := last(ctx, tx, o)
		if err != nil {
			return err
		}
		after, err := kind.digest(ctx, tx, o.ID)
		if err != nil {
			return err
		}
		if before != after {
			entries = append(entries, entryOf(act, o, before, after))
		}
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM audit_pending"); err != nil {
		return fmt.Errorf("empty audit_pending: %w", err)
	}
	return s.append(ctx, tx, entries)
}

func pendingObjects(ctx context.Context, q querier) (pending []audit.Object, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error {
		var o audit.Object
		err := rows.Scan(&o.Kind, &o.ID)
		pending = append(pending, o)
		return err
	}, "SELECT DISTINCT kind, object FROM audit_pending ORDER BY kind, object")
	return pending, err
}

func auditedKind(name string) (audited, error) {
	for _, k := range auditedKinds {
		if k.kind == name {
			return k, nil
		}
	}
	return audited{}, fmt.Errorf("the audit log knows no objects of kind %q", name)
}

func entryOf(act audit.Act, o audit.Object, before, after string) audit.Entry {
	e := audit.Entry{Actor: act.Actor, Action: act.Action, Object: o, Before: before, After: after,
		Reason: act.Reason, Policy: act.Policy, Request: act.Request, Approvals: act.Approvals}
	switch {
	case e.Action != "":
	case before == "":
		e.Action = o.Kind + ".add"
	case after == "":
		e.Action = o.Kind + ".remove"
	default:
		e.Action = o.Kind + ".change"
	}
	return e
}

// last returns the digest of an object as the log last holds it, "" for none.
func last(ctx context.Context, q querier, o audit.Object) (after string, err error) {
	err = each(ctx, q, func(rows *sql.Rows) error {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			return err
		}
		e, err := audit.ParseLeaf(leaf)
		after = e.After
		return err
	}, "SELECT leaf FROM audit_leaf WHERE kind = ? AND object = ? ORDER BY seq DESC LIMIT 1", o.Kind, o.ID)
	return after, err
}

// NoteRead adds an entry that an object was read, which must be there. No entry,
// no read: call it before.
func (s *Store) NoteRead(ctx context.Context, o audit.Object) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		act := audit.Of(ctx)
		act.Action = o.Kind + ".read"
		return s.note(ctx, tx, act, o)
	})
	if err != nil {
		return fmt.Errorf("note that %s %s is read: %w", o.Kind, o.ID, err)
	}
	return nil
}

// note makes an entry of an act that leaves its object as it was.
func (s *Store) note(ctx context.Context, tx *sql.Tx, act audit.Act, o audit.Object) error {
	state, err := last(ctx, tx, o)
	if err != nil {
		return err
	}
	return s.append(ctx, tx, []audit.Entry{entryOf(act, o, state, state)})
}

// NoteExport adds an entry that a list is exported, in the form and with the filters
// that how names. No entry, no export: call it before.
func (s *Store) NoteExport(ctx context.Context, kind, how string) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		act := audit.Of(ctx)
		act.Action, act.Reason = "export.make", how
		return s.append(ctx, tx, []audit.Entry{entryOf(act, audit.Object{Kind: "export", ID: kind}, "", "")})
	})
	if err != nil {
		return fmt.Errorf("note that %s are exported: %w", kind, err)
	}
	return nil
}

// append adds entries to the log.
func (s *Store) append(ctx context.Context, tx *sql.Tx, entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	var seq int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(seq) + 1, 0) FROM audit_leaf").Scan(&seq); err != nil {
		return fmt.Errorf("find the end of the audit log: %w", err)
	}
	now := s.opts.Now().UTC()
	t := &tree{ctx: ctx, q: tx, added: map[int64]audit.Hash{}}
	leaves, first := make([][]byte, len(entries)), audit.Nodes(seq)
	for i := range entries {
		e := &entries[i]
		e.Seq, e.At = seq+int64(i), now
		var err error
		if leaves[i], err = e.Leaf(); err != nil {
			return err
		}
		nodes, err := audit.Hashes(e.Seq, leaves[i], t)
		if err != nil {
			return err
		}
		for _, h := range nodes {
			t.added[first+int64(len(t.added))] = h
		}
	}
	w := &writer{ctx: ctx, tx: tx, bulk: s.opts.Postgres != ""}
	err := w.each("INSERT INTO audit_leaf (seq, at_ns, actor, action, kind, object, leaf) VALUES (?, ?, ?, ?, ?, ?, ?)", "audit entry", len(entries), func(i int, row []any) []any {
		e := &entries[i]
		return append(row, e.Seq, e.At.UnixNano(), e.Actor.ID, e.Action, e.Object.Kind, e.Object.ID, leaves[i])
	})
	if err != nil {
		return err
	}
	return w.each("INSERT INTO audit_node (no, hash) VALUES (?, ?)", "audit node", len(t.added), func(i int, row []any) []any {
		no := first + int64(i)
		h := t.added[no]
		return append(row, no, h[:])
	})
}

// SignAudit signs a checkpoint of the log as it stands, if it grew since the
// last one, and returns the newest.
func (s *Store) SignAudit(ctx context.Context, origin string, key ed25519.PrivateKey, now time.Time) (audit.Checkpoint, error) {
	var c audit.Checkpoint
	err := s.transact(ctx, func(tx *sql.Tx) error {
		c = audit.Checkpoint{Origin: origin}
		var signed int64
		err := tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM audit_leaf), (SELECT coalesce(max(size), 0) FROM audit_checkpoint)").Scan(&c.Size, &signed)
		if err != nil || c.Size == 0 {
			return err
		}
		if c.Root, err = audit.Root(c.Size, &tree{ctx: ctx, q: tx}); err != nil || c.Size == signed {
			return err
		}
		note, err := c.Sign(key)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO audit_checkpoint (size, at_ns, note) VALUES (?, ?, ?)", c.Size, now.UnixNano(), note)
		return err
	})
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("sign audit log: %w", err)
	}
	return c, nil
}
