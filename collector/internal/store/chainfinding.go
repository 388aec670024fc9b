package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// RuleEquivocation is the rule of findings about hosts that signed two batches
// under one number: a copied key, a restored machine image, or a forgery.
const RuleEquivocation = "equivocation"

// Rules of findings about the order of a host's batches.
const (
	RuleChainBreak = "G3 chain break"
	RuleSeqGap     = "G2 missing batch"
	// RuleDeclared is of batches that a host says itself it had to drop.
	RuleDeclared = "declared_gap"
)

// findingID follows from what a finding is about, so that the same is found once.
func findingID(about ...string) string {
	hash := sha256.Sum256([]byte(strings.Join(about, "\x00")))
	return "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20]
}

// findDropped makes a finding of batches that a host dropped because its spool was
// full, and said so: one for each tombstone.
func findDropped(ctx context.Context, tx *sql.Tx, hosts []ledger.Host, events []ledger.HostEvent, at time.Time) error {
	for i := range events {
		e := &events[i]
		if e.Kind != measure.EventDropped {
			continue
		}
		id := ""
		for j := range hosts {
			if hosts[j].No == e.HostNo {
				id = string(hosts[j].ID)
			}
		}
		reason := fmt.Sprintf("Host %s dropped %d batches (cause: declared): %s. The time counts as unobserved, at the ceiling in the upper bound.", id, e.Code, e.Detail)
		_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
			tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			VALUES (?, 'gaps', 0, x'', 'internal', ?, '', 'batches dropped', 'warning', ?, '', '', '', '', 0, 0, 0, 0, ?, ?, ?)
			ON CONFLICT (id) DO NOTHING`, findingID(RuleDeclared, id, fmt.Sprint(e.TimeNS, e.Code)), RuleDeclared, "host:"+id, reason, e.TimeNS, at.UnixNano())
		if err != nil {
			return fmt.Errorf("write finding about host %s: %w", id, err)
		}
	}
	return nil
}

// findChains makes findings of breaks in the chain of a host, and of batches that
// stay away while later ones come: one for each rule, host and day.
func findChains(ctx context.Context, tx *sql.Tx, rows []Quarantine) error {
	for _, q := range rows {
		rule, level, severity := "", "", ""
		switch q.Reason {
		case "chain_break":
			rule, level, severity = RuleChainBreak, "chain broken", "critical"
		case "missing":
			rule, level, severity = RuleSeqGap, "batches are missing", "high"
		default:
			continue
		}
		hash := sha256.Sum256([]byte(rule + "\x00" + q.Host + "\x00" + q.Received.UTC().Format(time.DateOnly)))
		id := "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20]
		_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
			tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			VALUES (?1, 'chain', 0, x'', 'internal', ?2, '', ?3, ?4, ?5, '', '', '', '', 0, 0, 0, 0, ?6, ?7, ?7)
			ON CONFLICT (id) DO NOTHING`, id, rule, level, severity, "host "+q.Host,
			"Host "+q.Host+": "+q.Detail+". What was in between counts as unobserved, at the ceiling in the upper bound.", q.Received.UnixNano())
		if err != nil {
			return fmt.Errorf("write finding about host %s: %w", q.Host, err)
		}
	}
	return nil
}

// findEquivocations makes a critical finding of each batch that differs from the
// one counted under its number. A batch that comes again is the same finding.
func findEquivocations(ctx context.Context, tx *sql.Tx, rows []Quarantine) error {
	for _, q := range rows {
		if q.Reason != RuleEquivocation {
			continue
		}
		hash := sha256.Sum256(append([]byte(RuleEquivocation+"\x00"+q.Host+"\x00"), q.Envelope...))
		id := "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20]
		_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
			tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			VALUES (?1, 'chain', 0, x'', 'internal', ?2, '', 'two batches of one number', 'critical', ?3, '', '', '', '', 0, 0, 0, 0, ?4, ?5, ?5)
			ON CONFLICT (id) DO NOTHING`, id, RuleEquivocation, "host "+q.Host,
			"The key of this host signed two different batches under one number ("+q.Detail+"). Both are kept.", q.Received.UnixNano())
		if err != nil {
			return fmt.Errorf("write finding about host %s: %w", q.Host, err)
		}
	}
	return nil
}
