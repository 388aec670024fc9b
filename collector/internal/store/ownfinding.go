package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/gap"
)

// RuleAudit is the rule of findings about the audit log.
const RuleAudit = "audit-log"

// ownFinding is a finding about the collector's own sources that follows from no
// pack and no figure.
type ownFinding struct {
	id, pack, rule, level, severity, subject, reason string
	occurredNS                                       int64
}

// FindAuditProblems makes findings of what a check of the audit log found, one
// for each problem, each once.
func (s *Store) FindAuditProblems(ctx context.Context, c desk.AuditCheck, now time.Time) error {
	var all []ownFinding
	for _, problem := range c.Problems {
		hash := sha256.Sum256([]byte(RuleAudit + "\x00" + problem))
		all = append(all, ownFinding{id: "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20], pack: "audit", rule: RuleAudit,
			level: "log broken", severity: "critical", subject: "audit log", reason: "The audit log does not hold: " + problem, occurredNS: now.UnixNano()})
	}
	return s.findOwn(ctx, all, now)
}

// RuleEvidence is the rule of findings about what is stored and is not as it was.
const RuleEvidence = "evidence damaged"

// FindDamage makes findings of what a check of database and evidence found, one
// for each, each once.
func (s *Store) FindDamage(ctx context.Context, damages []string, now time.Time) error {
	var all []ownFinding
	for _, damage := range damages {
		hash := sha256.Sum256([]byte(RuleEvidence + "\x00" + damage))
		all = append(all, ownFinding{id: "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20], pack: "evidence", rule: RuleEvidence,
			level: "damaged", severity: "critical", subject: "evidence",
			reason: "What was stored is not there as it was: " + damage + ". Bring it back from a backup: flopwatch-collector restore.", occurredNS: now.UnixNano()})
	}
	return s.findOwn(ctx, all, now)
}

// FindGaps makes findings of silence, each once.
func (s *Store) FindGaps(ctx context.Context, found []gap.Finding, now time.Time) error {
	var all []ownFinding
	for _, f := range found {
		subject := "host:" + string(f.Host)
		reason := fmt.Sprintf("Host %s since %s: %s (cause: %s). What is missing counts as unobserved, at the ceiling in the upper bound.", f.Host, instant(f.SinceNS), f.Reason, f.Cause)
		all = append(all, ownFinding{id: f.ID, pack: "gaps", rule: string(f.Rule), level: f.Level, severity: f.Severity, subject: subject, reason: reason, occurredNS: f.SinceNS})
	}
	return s.findOwn(ctx, all, now)
}

func (s *Store) findOwn(ctx context.Context, all []ownFinding, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		for _, f := range all {
			_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
				tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
				VALUES (?, ?, 0, x'', 'internal', ?, '', ?, ?, ?, '', '', '', '', 0, 0, 0, 0, ?, ?, ?)
				ON CONFLICT (id) DO NOTHING`, f.id, f.pack, f.rule, f.level, f.severity, f.subject, f.reason, f.occurredNS, now.UnixNano())
			if err != nil {
				return fmt.Errorf("finding %s: %w", f.id, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write findings: %w", err)
	}
	return nil
}
