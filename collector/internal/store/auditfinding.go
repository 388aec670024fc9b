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
)

// RuleAudit is the rule of findings about the audit log.
const RuleAudit = "audit-log"

// FindAuditProblems makes findings of what a check of the audit log found, one
// for each problem, each once.
func (s *Store) FindAuditProblems(ctx context.Context, c desk.AuditCheck, now time.Time) error {
	if len(c.Problems) == 0 {
		return nil
	}
	err := s.update(ctx, func(tx *sql.Tx) error {
		for _, problem := range c.Problems {
			hash := sha256.Sum256([]byte(RuleAudit + "\x00" + problem))
			id := "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20]
			_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
				tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
				VALUES (?1, 'audit', 0, x'', 'internal', ?2, '', 'log broken', 'critical', 'audit log', '', '', '', '', 0, 0, 0, 0, ?3, ?4, ?4)
				ON CONFLICT (id) DO NOTHING`, id, RuleAudit, "The audit log does not hold: "+problem, now.UnixNano())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write findings about the audit log: %w", err)
	}
	return nil
}
