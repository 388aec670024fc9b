package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// Rules of findings about who a host says that it is.
const (
	RuleWrongIdentity = "wrong_identity" // subject, key and host id of a batch do not belong together
	RuleNotAdmitted   = "not_admitted"   // a key that may not report did
	RuleBrokerRefused = "broker_refused" // a connection or a subject was refused
	RuleCopiedKey     = "copied_key"     // one key is in use in two places
	RuleRestoredHost  = "restored_host"  // a host came back as it was at an earlier time, and was let in
	RuleTwinDevice    = "twin_device"    // two hosts report one device
	RuleBadInput      = "bad_input"      // a batch or window that no agent sends
	RuleRate          = "rate"           // more batches than a host may send
)

// HostFinding is what was found about a host beside its figures.
type HostFinding struct {
	Rule   string
	Host   string // "" if it is not known
	Reason string
	At     time.Time
}

// words of a rule: what it is called, and how much it matters.
func (f HostFinding) words() (level, severity string) {
	switch f.Rule {
	case RuleWrongIdentity:
		return "a batch that claims to be another host's", "critical"
	case RuleCopiedKey:
		return "a key in two places", "critical"
	case RuleTwinDevice:
		return "a device on two hosts", "critical"
	case RuleRestoredHost:
		return "a host that came back as it was before", "warning"
	case RuleBadInput:
		return "a batch that no agent sends", "warning"
	case RuleRate:
		return "more batches than a host may send", "warning"
	case RuleNotAdmitted:
		return "a batch of a host that may not report", "warning"
	}
	return "something that a host may not do", "warning"
}

// subject names the host. What was only claimed to be a host is not named, so
// that nobody fills the findings with names that he makes up.
func (f HostFinding) subject() string {
	if f.Host == "" {
		return "host unknown"
	}
	return "host " + f.Host
}

// RaiseHost records findings about hosts: one for each rule, host and day.
func (s *Store) RaiseHost(ctx context.Context, all ...HostFinding) error {
	err := s.update(ctx, func(tx *sql.Tx) error { return raiseHost(ctx, tx, all) })
	if err != nil {
		return fmt.Errorf("record findings about hosts: %w", err)
	}
	return nil
}

func raiseHost(ctx context.Context, tx *sql.Tx, all []HostFinding) error {
	for _, f := range all {
		level, severity := f.words()
		hash := sha256.Sum256([]byte(f.Rule + "\x00" + f.subject() + "\x00" + f.At.UTC().Format(time.DateOnly)))
		id := "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:20]
		_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
			tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			VALUES (?1, 'identity', 0, x'', 'internal', ?2, '', ?3, ?4, ?5, '', '', '', '', 0, 0, 0, 0, ?6, ?7, ?7)
			ON CONFLICT (id) DO NOTHING`, id, f.Rule, level, severity, f.subject(), f.Reason, f.At.UnixNano())
		if err != nil {
			return fmt.Errorf("write finding about %s: %w", f.subject(), err)
		}
	}
	return nil
}

// findIdentities makes findings of batches that were refused for their sender or
// for what is in them, and of hosts that send too many. The
// host that a batch claims is named only if the ledger or the inventory has it.
func findIdentities(ctx context.Context, tx *sql.Tx, rows []Quarantine) error {
	rules := map[string]string{"identity": RuleWrongIdentity, "not_admitted": RuleNotAdmitted, "rate": RuleRate,
		"size": RuleBadInput, "signature": RuleBadInput, "undecodable": RuleBadInput, "refused": RuleBadInput, "past": RuleBadInput}
	for _, q := range rows {
		rule, ok := rules[q.Reason]
		if !ok {
			continue
		}
		known := false
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM host WHERE id = ?1) OR EXISTS (SELECT 1 FROM inventory_change WHERE host = ?1)", q.Host).Scan(&known)
		if err != nil {
			return fmt.Errorf("look for host %s: %w", q.Host, err)
		}
		f := HostFinding{Rule: rule, Reason: "Refused: " + q.Detail + ". The batch is in quarantine.", At: q.Received}
		if rule == RuleRate {
			f.Reason = "Put off: " + q.Detail + "."
		}
		if known {
			f.Host = q.Host
		}
		if err := raiseHost(ctx, tx, []HostFinding{f}); err != nil {
			return err
		}
	}
	return nil
}
